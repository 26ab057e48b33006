# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents of module linux_host for each host of a cluster, and which of them contain secrets."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.documents import (
    approver,
    containerd,
    host,
    kubeadm,
    routed,
    runtime,
)
from ansible_collections.photon.platform.plugins.module_utils.linux.document import read_documents
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

from tests.support.clusters import GROUPS, HOSTVARS, SECRET, cluster, one, read, read_file

ROUTED = {"plugin": "routed", "hosts": "10.0.0.0/24"}
KEYS = [{"name": "k1", "secret": SECRET}]
DECLARATIONS = {
    "the defaults": {},
    "routed": {"networks": ROUTED},
    "a bundle": {"packages": {"source": "bundle", "bundle": "b.tar"}},
    "installed": {"packages": {"source": "installed", "names": []}},
    "dnf": {"packages": {"manager": "dnf", "repository": {"url": "http://a", "trusted": True}}},
    "nothing extra": {"audit": {"enabled": False}, "encryption": {"provider": "none"}, "host": {"swap": "ignore"}},
    "containerd 2 behind a proxy": {
        "runtime": {"containerd": 2, "proxy": {"https": 'http://u:p%40"@proxy:3128'}, "cgroup_driver": "cgroupfs"}
    },
}


def files(document):
    """Path -> file."""
    return {item["path"]: item for item in document["files"]}


@pytest.mark.parametrize("case", DECLARATIONS)
def test_linux_host_takes_every_document(case):
    documents = host.documents(one(**DECLARATIONS[case]), KEYS)
    assert list(documents) == ["c1", "c2", "c3", "w1", "w2"]
    for document in documents.values():
        read_documents([document])


def test_documents_of_both_roles_are_merged():
    found = one(networks=ROUTED)
    member = found["members"][0]
    parts = [host.runtime_document(found, member), host.node_document(found, member, KEYS), approver.document(True)]
    assert read_documents(parts) == read_documents([host.document(found, member, KEYS)])


def test_packages_are_exact_and_held():
    document = host.documents(one())["w1"]
    assert document["packages"]["kubelet"] == "1.37.2-*"
    assert set(document["hold"]) == {"kubeadm", "kubelet", "kubectl"}
    assert document["repositories"][0]["url"] == "http://packages.example.com/1.37"


def test_upgrade_keeps_versions_of_hosts_not_upgraded_yet():
    documents = host.documents(one(), installed={"w1": {"kubelet": "1.36.3"}})
    assert documents["w1"]["packages"]["kubelet"] == "1.36.3-*"
    assert documents["w1"]["packages"]["kubeadm"] == "1.37.2-*"
    assert documents["w2"]["packages"]["kubelet"] == "1.37.2-*"


def test_kubelet_must_run_on_members_only():
    documents = host.documents(one(), joined=["c1", "elsewhere"])
    assert documents["c1"]["units"]["kubelet"]["state"] == "started"
    assert documents["w1"]["units"]["kubelet"] == {"enabled": True}


def test_encryption_key_is_on_the_control_plane_only_and_secret():
    documents = host.documents(one(), KEYS)
    path = f"{kubeadm.SETTINGS}/encryption.json"
    found = files(documents["c2"])[path]
    assert found["secret"] is True
    assert found["mode"] == "0600"
    assert SECRET in found["content"]
    assert all(SECRET not in json.dumps(documents[name]) for name in ("w1", "w2"))
    assert [path for path, item in files(documents["c2"]).items() if SECRET in item["content"]] == [path]


def test_without_declared_keys_the_module_manages_the_file():
    document = host.documents(one())["c1"]
    path = f"{kubeadm.SETTINGS}/encryption.json"
    assert path not in files(document)
    assert path not in document["absent_files"]


def test_kubelet_settings_of_a_node_become_a_kubeadm_patch():
    documents = host.documents(one(nodes={"w1": {"kubelet": {"maxPods": 50}}}))
    path = f"{kubeadm.PATCHES}/kubeletconfiguration+strategic.json"
    assert json.loads(files(documents["w1"])[path]["content"]) == {"maxPods": 50}
    assert path in documents["w2"]["absent_files"], "and is removed when it is no longer declared"


def test_networks_without_routes_have_no_documents_of_routes():
    assert host.routes_documents(one()) == {}


def test_kernel_defaults_are_set_when_kubelet_requires_them():
    assert host.documents(one())["w1"]["sysctls"]["vm.overcommit_memory"] == "1"
    relaxed = one(kubelet={"protectKernelDefaults": False}, host={"sysctls": {"net.ipv4.ip_forward": ""}})
    assert set(host.documents(relaxed)["w1"]["sysctls"]) == {
        "net.bridge.bridge-nf-call-iptables",
        "net.bridge.bridge-nf-call-ip6tables",
    }


def test_new_worker_adds_only_one_route_on_the_others():
    before = read(cluster(networks=ROUTED), groups={**GROUPS, "prod_workers": ["w1"]})[0]
    after = one(networks=ROUTED)
    old, new = host.documents(before, KEYS), host.documents(after, KEYS)
    for name, document in old.items():
        was, is_ = files(document), files(new[name])
        assert [path for path in is_ if is_[path] != was.get(path)] == [routed.ROUTES]
        added = set(is_[routed.ROUTES]["content"].splitlines()) - set(was[routed.ROUTES]["content"].splitlines())
        assert added == {"10.244.24.0/24 10.0.0.24"}
        assert host.routes_documents(after)[name]["files"][1] == is_[routed.ROUTES]
        assert {key: value for key, value in document.items() if key != "files"} == {
            key: value for key, value in new[name].items() if key != "files"
        }


@pytest.mark.parametrize("runtime_", [{}, {"proxy": {"https": "http://proxy:3128"}}], ids=["direct", "proxy"])
def test_new_worker_changes_nothing_on_the_others_with_flannel(runtime_):
    before = read(cluster(runtime=runtime_), groups={**GROUPS, "prod_workers": ["w1"]})[0]
    old, new = host.documents(before, KEYS), host.documents(one(runtime=runtime_), KEYS)
    assert all(old[name] == new[name] for name in old)


def test_proxy_exempts_the_cluster_s_own_addresses():
    found = one(runtime={"proxy": {"http": "http://proxy:3128", "no_proxy": ["corp.example.com"]}}, networks=ROUTED)
    text = files(host.documents(found)["w1"])[containerd.PROXY]["content"]
    around = text.split("NO_PROXY=")[1].split('"')[0].split(",")
    assert {"10.244.0.0/16", "10.96.0.0/16", "10.0.0.0/24", ".cluster.local", "corp.example.com"} <= set(around)
    assert 'HTTP_PROXY=http://proxy:3128"' in text


@pytest.mark.parametrize(("generation", "version"), [("1.7", 2), ("2", 3)])
@pytest.mark.parametrize("driver", ["systemd", "cgroupfs"])
def test_containerd_s_configuration_matches_its_major_version(generation, version, driver):
    found = one(runtime={"containerd": generation, "cgroup_driver": driver, "sandbox_image": 'a/"b":1'})
    parsed = tomllib.loads(containerd.configuration(found["runtime"]))
    assert parsed["version"] == version
    plugins = parsed["plugins"]
    if version == 2:
        cri = plugins["io.containerd.grpc.v1.cri"]
        image, folders, registry = cri["sandbox_image"], [cri["cni"]["bin_dir"]], cri["registry"]
    else:
        cri, images = plugins["io.containerd.cri.v1.runtime"], plugins["io.containerd.cri.v1.images"]
        image, folders, registry = images["pinned_images"]["sandbox"], cri["cni"]["bin_dirs"], images["registry"]
    assert (image, folders) == ('a/"b":1', ["/usr/lib/cni"])
    assert registry["config_path"] == containerd.CERTIFICATES
    assert cri["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is (driver == "systemd")


def hosts_toml(**registry):
    declared = {"host": "registry.example.com", "mirrors": ["https://m1", "https://m2"], **registry}
    found = one(runtime={"registries": [declared]})
    texts = {item["path"]: item["content"] for item in containerd.files(found["runtime"])}
    return tomllib.loads(texts[f"{containerd.CERTIFICATES}/{declared['host']}/hosts.toml"]), texts


SANDBOXED = '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.sandboxed]\n  runtime_type = "io.sandboxed.v1"\n'


def configured(**runtime_settings):
    """containerd's configuration as containerd reads it."""
    found = one(runtime=runtime_settings)["runtime"]
    return tomllib.loads({item["path"]: item["content"] for item in containerd.files(found)}[containerd.CONFIGURATION])


@pytest.mark.parametrize("version", ["1.7", "2"])
def test_own_tables_and_imports_are_added_to_the_role_s(version):
    plain = configured(containerd=version)
    more = configured(containerd=version, extra=SANDBOXED, imports=["/etc/a.toml"])
    assert more.pop("imports") == ["/etc/a.toml"]
    runtimes = more["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]["runtimes"]
    assert runtimes.pop("sandboxed") == {"runtime_type": "io.sandboxed.v1"}
    if version == "2":
        del more["plugins"]["io.containerd.grpc.v1.cri"]
    assert more == plain


def test_an_own_configuration_replaces_the_role_s():
    assert configured(configuration="version = 3\nroot = '/srv'\n") == {"version": 3, "root": "/srv"}


@pytest.mark.parametrize(
    ("settings", "key", "reason"),
    [
        ({"extra": "[a"}, "extra", "is not valid TOML"),
        ({"extra": "oom_score = 1"}, "extra", "must consist of tables only"),
        ({"extra": SANDBOXED.replace("sandboxed]", "runc]")}, "extra", "repeats a table of the role"),
        ({"imports": ["own.toml"]}, "imports[0]", "is not an absolute path"),
        ({"configuration": "version = \n"}, "configuration", "is not valid TOML"),
        ({"configuration": "no-such-file.toml"}, "configuration", "cannot be read"),
        ({"configuration": "version = 3\n", "extra": SANDBOXED}, "extra", "has no effect with configuration"),
    ],
)
def test_what_containerd_would_not_read_is_refused(settings, key, reason):
    with pytest.raises(PhotonError, match=reason) as error:
        one(runtime=settings)
    assert error.value.data["path"] == f"photon_clusters[0].runtime.{key}"


def test_mirrors_are_used_in_order_and_the_registry_last():
    parsed, _ = hosts_toml(ca="ca.pem")
    assert list(parsed["host"]) == ["https://m1", "https://m2"]
    assert parsed["server"] == "https://registry.example.com"
    assert "skip_verify" not in str(parsed)
    assert all(entry["ca"].endswith("/registry.example.com/ca.crt") for entry in parsed["host"].values())


def test_private_registry_without_mirrors_uses_its_authority():
    parsed, texts = hosts_toml(mirrors=[], ca="ca.pem")
    assert list(parsed["host"]) == ["https://registry.example.com"]
    assert texts[f"{containerd.CERTIFICATES}/registry.example.com/ca.crt"].startswith("-----BEGIN CERTIFICATE")


def test_only_mirrors_never_uses_the_registry():
    parsed, _ = hosts_toml(host="_default", only_mirrors=True, verify=False)
    assert parsed.get("server") == "https://m2"
    assert parsed["skip_verify"] is True
    assert list(parsed["host"]) == ["https://m1", "https://m2"], "containerd 1.7 ignores files without hosts"


def listed(document):
    """Return the directories that hold the document's files alone."""
    return [one["path"] for one in document["directories"] if one.get("exclusive")]


def test_what_leaves_the_declaration_leaves_the_hosts():
    proxy = {"proxy": {"https": "http://proxy:3128"}}
    for with_proxy, without in (
        (host.documents(one(runtime=proxy))["w1"], host.documents(one())["w1"]),
        (runtime.document("containerd", proxy, read_file), runtime.document("containerd", {}, read_file)),
    ):
        assert containerd.PROXY in files(with_proxy)
        assert containerd.PROXY not in with_proxy["absent_files"]
        assert containerd.PROXY in without["absent_files"]
        assert listed(without) == [containerd.CERTIFICATES]
        read_documents([with_proxy])
    document = runtime.document("docker", {}, read_file)
    assert document["absent_files"] == [runtime.DOCKER_PROXY]
    assert listed(document) == ["/etc/docker/certs.d"]


@pytest.mark.parametrize(
    ("declared", "version", "reason"),
    [
        ("1.7", "1.7.24", ""), ("2", "2.1.4", ""), ("2", "2.3.0", ""), ("2.0", "2.0.5", ""), ("2", "", ""),
        ("2", "1.7.24", "has containerd 1.7.24 but its configuration is declared for 2. Declare containerd: '1.7'."),
        ("2", "1.6.20", "Declare containerd: '1.7'"), ("1.7", "1.6.20", ""),
        ("1.7", "1.5.9", "Install containerd 1.6 or newer"),
        ("1.7", "2.1.4", "Declare containerd: '2'"), ("2", "2.0.5", "Declare containerd: '2.0'"),
        ("2.0", "2.2.0", "Declare containerd: '2'"),
    ],
)  # fmt: skip
def test_the_configuration_fits_the_installed_containerd(declared, version, reason):
    found = containerd.mismatch(declared, version)
    assert found.endswith(reason) or reason in found
    assert bool(found) == bool(reason)
    if reason:
        with pytest.raises(PhotonError, match="container_runtime_containerd: the host has containerd"):
            runtime.document("containerd", {"containerd": declared}, read_file, version=version)


def test_containerd_2_0_knows_one_folder_of_plugins():
    parsed = tomllib.loads(containerd.configuration(one(runtime={"containerd": "2.0"})["runtime"]))
    assert parsed["plugins"]["io.containerd.cri.v1.runtime"]["cni"]["bin_dir"] == "/usr/lib/cni"


def test_docker_trusts_the_mirrors_and_never_less_than_it_should_of_docker_hub():
    registry = {"host": "docker.io", "mirrors": ["https://m:5000", "http://n"], "verify": False, "ca": "ca.pem"}
    document = runtime.document("docker", {"registries": [registry]}, read_file)
    daemon = json.loads(files(document)[runtime.DAEMON]["content"])
    assert daemon["insecure-registries"] == ["m:5000", "n"]
    assert [path for path in files(document) if path.endswith("ca.crt")] == [
        "/etc/docker/certs.d/m:5000/ca.crt",
        "/etc/docker/certs.d/n/ca.crt",
    ]


@pytest.mark.parametrize(
    ("registry", "key"),
    [
        ({"host": "quay.io", "mirrors": ["https://m"]}, "mirrors"),
        ({"host": "docker.io", "mirrors": ["https://m"], "only_mirrors": True}, "only_mirrors"),
        ({"host": "docker.io", "verify": False}, "mirrors"),
    ],
)
def test_what_docker_cannot_do_is_refused(registry, key):
    with pytest.raises(PhotonError) as error:
        runtime.document("docker", {"registries": [registry]}, read_file)
    assert [one["path"] for one in error.value.data["mistakes"]] == [f"container_runtime.registries[0].{key}"]


def test_docker_hub_is_asked_where_it_serves_images():
    assert hosts_toml(host="docker.io")[0]["server"] == "https://registry-1.docker.io"


def test_docker_on_a_standalone_container_host():
    settings = {"registries": [{"host": "docker.io", "mirrors": ["https://m"]}, {"host": "r:5000", "verify": False}]}
    document = runtime.document("docker", {**settings, "docker": {"debug": True}}, read_file)
    read_documents([document])
    daemon = json.loads(files(document)[runtime.DAEMON]["content"])
    assert daemon["registry-mirrors"] == ["https://m"]
    assert daemon["insecure-registries"] == ["r:5000"]
    assert daemon["debug"] is True
    assert document["packages"] == {"docker.io": "present"}


def test_mistakes_of_a_standalone_container_host_are_reported():
    with pytest.raises(PhotonError) as caught:
        runtime.document("docker", {"registries": [{"host": "a", "mirors": []}], "proxi": {}}, read_file)
    paths = {item["path"] for item in caught.value.data["mistakes"]}
    assert paths == {"container_runtime.registries[0].mirors", "container_runtime.proxi"}


def test_equal_declarations_give_equal_documents():
    assert host.documents(one(), KEYS) == host.documents(one(), KEYS)
    other = read(cluster(), hostvars=dict(reversed(HOSTVARS.items())))[0]
    assert host.documents(other, KEYS) == host.documents(one(), KEYS)


def test_the_approver_runs_on_a_control_plane_host_from_its_own_files_alone(tmp_path):
    """Its files as the document has them, run by another Python process: none is missing."""
    document = approver.document(control_plane=True)
    for name, item in files(document).items():
        path = tmp_path / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(item["content"])
    service = files(document)[f"/etc/systemd/system/{approver.SERVICE}"]["content"]
    words = service.partition("ExecStart=/usr/bin/python3 ")[2].splitlines()[0].split()
    environment = {"PYTHONPATH": str(tmp_path / approver.FOLDER.lstrip("/"))}
    done = subprocess.run(
        [sys.executable, "-S", *words], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr.startswith("/etc/kubernetes/admin.conf does not exist")
    assert done.returncode == 0


def test_the_approver_is_on_control_plane_members_alone():
    documents = host.documents(one())
    there = documents[one()["control_plane"][0]]
    assert there["units"][approver.TIMER] == {"enabled": True, "state": "started"}
    assert {"path": approver.FOLDER, "mode": "0755", "exclusive": True} in there["directories"]
    worker = documents["w1"]
    assert worker["units"][approver.TIMER] == {"enabled": False, "state": "stopped"}
    assert {path for path in files(there) if "approver" in path} <= set(worker["absent_files"])
