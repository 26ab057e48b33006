# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What breaks, and cluster_repair: READY again, with what was written before."""

from __future__ import annotations

import pytest

from lab.kubernetes.versions import NEWER as NEW
from tests.support.kubernetes_lab import until

# Every certificate that kubeadm made, signed anew with an end that has passed, and kubelet's own beside them.
END_ALL = """
cd /etc/kubernetes/pki
end() { # certificate authority
  openssl x509 -in $1.crt -CA $2.crt -CAkey $2.key -copy_extensions copyall -not_before 20200101000000Z \\
    -not_after 20210101000000Z -out $1.new 2>/dev/null && mv $1.new $1.crt
}
end apiserver ca; end apiserver-kubelet-client ca; end front-proxy-client front-proxy-ca
end apiserver-etcd-client etcd/ca
end etcd/server etcd/ca; end etcd/peer etcd/ca; end etcd/healthcheck-client etcd/ca
for name in admin controller-manager scheduler; do
  conf=/etc/kubernetes/$name.conf
  sed -n 's/.*client-certificate-data: //p' $conf | base64 -d > /run/$name.crt
  openssl x509 -in /run/$name.crt -CA ca.crt -CAkey ca.key -copy_extensions copyall -not_before 20200101000000Z \\
    -not_after 20210101000000Z -out /run/$name.new
  sed -i "s|client-certificate-data: .*|client-certificate-data: $(base64 -w0 /run/$name.new)|" $conf
done
pem=$(readlink -f /var/lib/kubelet/pki/kubelet-client-current.pem)
openssl x509 -in $pem -CA ca.crt -CAkey ca.key -copy_extensions copyall -not_before 20200101000000Z \\
  -not_after 20210101000000Z -out /run/kubelet.crt
{ cat /run/kubelet.crt; openssl pkey -in $pem; } > $pem.new && mv $pem.new $pem
mkdir -p /run/away && mv /etc/kubernetes/manifests/*.yaml /run/away/
sleep 25 && mv /run/away/*.yaml /etc/kubernetes/manifests/
systemctl restart kubelet
"""


@pytest.fixture(name="cluster", scope="module")
def fixture_cluster(make):
    cluster = make(3, 2, version=NEW)
    cluster.keep("repair")
    return cluster


def repaired(cluster, member="cp1"):
    """Repair it; it is whole, etcd too, and has what was written."""
    said = cluster.play("cluster_repair")
    assert "prod is READY" in said
    assert cluster.whole(member)
    assert cluster.etcd(member) == ["cp1", "cp2", "cp3"]
    assert cluster.kept("repair", member)


def test_nothing_to_repair_changes_nothing(cluster):
    assert cluster.idle("cluster_create")
    assert cluster.idle("cluster_repair")


@pytest.mark.parametrize("member", ["cp2", "cp1"])
def test_a_member_whose_disk_is_wiped(cluster, member):
    cluster.wipe(member)
    repaired(cluster, "cp3")


def test_a_worker_that_vanished_leaves_and_comes_back_new(cluster):
    cluster.lab.destroy(["w2"])
    until(lambda: not cluster.nodes()["w2"][0])
    said = cluster.play("cluster_repair", fails=True)
    assert "w2 is unreachable" in said
    assert "w2" not in cluster.nodes()
    cluster.make("w2")
    repaired(cluster)


def test_a_member_that_etcd_lost(cluster):
    listed = cluster.etcdctl("member", "list")
    number = next(line.split(",")[0] for line in listed.splitlines() if ", cp3," in line)
    cluster.etcdctl("member", "remove", number)
    repaired(cluster)


def test_a_worker_whose_kubelet_is_broken(cluster):
    cluster.on("w1", "systemctl stop kubelet; rm -f /etc/kubernetes/kubelet.conf /var/lib/kubelet/config.yaml")
    repaired(cluster)


def test_certificates_that_were_renewed_and_that_nothing_has_read(cluster):
    """What a run leaves that is killed between the two: new files, and processes that go on with the old ones."""
    pods = "for name in etcd kube-apiserver kube-controller kube-scheduler; do pgrep -o -x $name; done"
    before = cluster.on("cp2", f"kubeadm certs renew all >/dev/null; {pods}").split()
    said = " ".join(cluster.play("cluster_status").split())
    assert "RECOVERABLE_ERROR" in said
    assert "cp2: kube-apiserver has not read /etc/kubernetes/pki/apiserver.crt" in said
    repaired(cluster)
    after = cluster.on("cp2", pods).split()
    assert len(after) == 4
    assert not set(before) & set(after)
    served = "openssl s_client -connect 127.0.0.1:6443 </dev/null 2>/dev/null | openssl x509 -noout -serial"
    assert cluster.on("cp2", served) == cluster.on(
        "cp2", "openssl x509 -noout -serial -in /etc/kubernetes/pki/apiserver.crt"
    )


def test_certificates_that_ended_everywhere(cluster):
    for member in ("cp1", "cp2", "cp3"):
        cluster.on(member, END_ALL)
    until(
        lambda: (
            cluster.lab.run(
                "cp1", ["kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "get", "ns"], check=False
            ).returncode
            != 0
        )
    )
    repaired(cluster)


def test_balancers_that_are_down(cluster):
    for balancer in ("lb1", "lb2"):
        cluster.on(balancer, "systemctl stop haproxy keepalived")
    repaired(cluster)


def test_a_majority_that_is_gone_is_told(cluster):
    """The last test: what is left is a case for a backup."""
    cluster.wipe("cp2", "cp3")
    said = cluster.play("cluster_repair", fails=True)
    assert "cluster_restore" in said
