"""What side_effect.yml did: a restore of a backup, and a repair of what was broken after it."""

from __future__ import annotations

import os
import pathlib

testinfra_hosts = ["ansible://cp1"]
KUBECTL = "kubectl --kubeconfig /etc/kubernetes/admin.conf"


def test_the_cluster_has_the_data_of_the_backup_and_no_other(host):
    assert host.run(f"{KUBECTL} get configmap in-the-backup").rc == 0
    later = host.run(f"{KUBECTL} get configmap after-the-backup")
    assert "not found" in later.stderr


def test_the_backup_is_on_the_controller_alone(host):
    folder = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "backups"
    (path,) = folder.glob("*.tar")
    assert (path.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    assert host.run("find /var/lib/photon/backup /var/lib/etcd -name '*.tar' -o -name '.re*'").stdout == ""


def test_what_was_broken_is_repaired(host):
    assert host.file("/etc/kubernetes/manifests/kube-scheduler.yaml").exists
    ready = host.run(f"{KUBECTL} wait --for=condition=Ready node --all --timeout=30s")
    assert ready.stdout.count("condition met") == 2, ready.stdout
    scheduled = host.run(f"{KUBECTL} create job probe --image=example.test/hello:1 -- /hello get http://127.0.0.1:1")
    assert scheduled.rc == 0, scheduled.stderr
    assigned = "wait pod -l job-name=probe --for=jsonpath='{.spec.nodeName}' --timeout=60s"
    assert host.run(f"{KUBECTL} {assigned}").rc == 0, "the scheduler does not schedule"
    host.run(f"{KUBECTL} delete job probe --wait=false")
