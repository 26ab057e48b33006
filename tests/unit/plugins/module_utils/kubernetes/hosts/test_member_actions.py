# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a member does with kubeadm: no data are lost, and an interrupted init or join is completed (fake programs)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts import lifecycle, member
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

INIT = json.dumps({"kind": "InitConfiguration", "localAPIEndpoint": {"bindPort": 7443}})
JOIN = json.dumps({"kind": "JoinConfiguration", "controlPlane": {}, "nodeRegistration": {"name": "cp2"}})
MATERIAL = {
    "endpoint": "10.0.0.5:6443", "certificate_authority": "PEM", "token": "abcdef.0123", "certificate_key": "k" * 64,
    "files": {},
}  # fmt: skip


@pytest.fixture(name="host")
def fixture_host(monkeypatch, tmp_path):
    """A host whose programs only note their command lines; ``state`` is what it observes of itself."""

    class Host:
        def __init__(self):
            self.state = {"state": "clean", "etcd_data": False}
            self.ran, self.texts, self.leftovers, self.code = [], [], [], 0

        def reset_words(self):
            return [words for words in self.ran if words[:2] == ("kubeadm", "reset")]

    host = Host()

    def run(*words, **_options):
        host.ran.append(words)
        host.texts.append(Path(words[words.index("--config") + 1]).read_text() if "--config" in words else "")
        return subprocess.CompletedProcess(words, host.code, "", "")

    monkeypatch.setattr(member, "_RUN", str(tmp_path / "run"))
    monkeypatch.setattr(member, "run", run)
    monkeypatch.setattr(member.observe, "host", lambda *_words: dict(host.state))
    monkeypatch.setattr(member.observe, "program_version", lambda _name: "1.37.2")
    monkeypatch.setattr(member.observe, "ETCD_DATA", str(tmp_path / "etcd" / "member"))
    monkeypatch.setattr(member, "_leftovers", lambda: host.leftovers)
    monkeypatch.setattr(member, "KUBELET", str(tmp_path / "kubelet"))
    monkeypatch.setattr(member, "ENCRYPTION", str(tmp_path / "encryption.json"))
    monkeypatch.setattr(member, "_LINKS", ())
    monkeypatch.setattr(member, "_drop_chains", lambda _program: None)
    monkeypatch.setattr(member, "_drop_orphans", lambda: ["orphans dropped"])
    return host


def ignored(words):
    return next((word.partition("=")[2].split(",") for word in words if word.startswith("--ignore-preflight")), [])


def test_join_never_discards_etcd_data_unasked(host):
    host.state = {"state": "partial", "etcd_data": True}
    with pytest.raises(PhotonError, match="holds etcd data") as error:
        member.join(JOIN, MATERIAL, restart=False, timeout=1)
    assert (error.value.code, host.ran) == ("InvalidHostState", [])


def test_an_interrupted_join_is_discarded_and_repeated(host):
    host.state, host.leftovers = {"state": "partial", "etcd_data": True}, []
    assert member.join(JOIN, MATERIAL, restart=True, timeout=1) == ["reset", "joined"]
    assert [words[:2] for words in host.ran if words[0] == "kubeadm"] == [("kubeadm", "reset"), ("kubeadm", "join")]


def test_without_etcd_data_an_interrupted_join_is_repeated_unasked(host):
    host.state = {"state": "partial", "etcd_data": False}
    assert member.join(JOIN, MATERIAL, restart=False, timeout=1) == ["reset", "joined"]


def test_a_clean_host_joins_without_a_reset(host):
    assert member.join(JOIN, MATERIAL, restart=True, timeout=1) == ["joined"]
    assert host.reset_words() == []
    document = json.loads(host.texts[-1])
    assert document["discovery"]["tlsBootstrapToken"] == "abcdef.0123"
    assert document["controlPlane"].get("certificateKey") == "k" * 64
    assert ignored(host.ran[-1]) == []
    assert os.listdir(member._RUN) == [], "secrets stay on the host"


def test_reset_does_not_remove_an_etcd_member_that_others_may_need(host):
    host.state = {"state": "member", "etcd_data": True}
    member.reset()
    (words,) = host.reset_words()
    assert "--skip-phases=remove-etcd-member" in words
    assert "--force" in words


def test_a_clean_host_is_not_reset_but_leftovers_are_removed(host, tmp_path):
    assert member.reset() == []
    assert host.ran == []
    left = tmp_path / "admin.conf"
    left.write_text("kubeconfig")
    host.leftovers = [str(left)]
    assert member.reset() == ["reset"]
    assert not left.exists()


def test_a_failed_reset_is_reported(host):
    host.state, host.code = {"state": "member", "etcd_data": True}, 1
    with pytest.raises(PhotonError, match="kubeadm reset failed"):
        member.reset()


@pytest.mark.parametrize(
    ("state", "done", "checks"),
    [
        ({"state": "clean", "etcd_data": False}, ["orphans dropped", "initialized"], set()),
        (
            {"state": "partial", "etcd_data": True},
            ["interrupted initialization completed"],
            {"DirAvailable--var-lib-etcd", "Port-7443", "FileAvailable--etc-kubernetes-manifests-etcd.yaml"},
        ),
    ],
)
def test_an_interrupted_init_is_completed_with_what_it_created(host, state, done, checks):
    host.state = state
    assert member.initialize(INIT, None, 1) == done
    words = host.ran[-1]
    assert words[:2] == ("kubeadm", "init")
    assert checks <= set(ignored(words))
    assert bool(checks) == bool(ignored(words))
    assert host.reset_words() == []


def test_orphans_are_kept_where_data_were_written_with_them(host):
    host.state = {"state": "partial", "etcd_data": True}
    assert "orphans dropped" not in member.initialize(INIT, None, 1)


def test_an_encryption_key_is_made_once(host):
    settings = {"provider": "secretbox", "resources": ["secrets"]}
    member.initialize(INIT, settings, 1)
    first = Path(member.ENCRYPTION).read_text()
    assert '"secretbox"' in first
    member.initialize(INIT, settings, 1)
    assert Path(member.ENCRYPTION).read_text() == first
    assert os.stat(member.ENCRYPTION).st_mode & 0o777 == 0o600


def test_kubelets_configuration_is_closed_after_a_join(host):
    os.makedirs(member.KUBELET)
    path = f"{member.KUBELET}/config.yaml"
    Path(path).touch()
    os.chmod(path, 0o644)
    member.join(JOIN, MATERIAL, restart=False, timeout=1)
    assert os.stat(path).st_mode & 0o777 == 0o600


@pytest.fixture(name="pki")
def fixture_pki(monkeypatch, tmp_path):
    """pki(name=text): files of kubeadm's certificates; which of them are left after orphans were dropped."""
    folder = tmp_path / "pki"
    monkeypatch.setattr(member, "PKI", str(folder))
    monkeypatch.setattr(member, "FOLDER", str(tmp_path))

    def drop(**files):
        for name, text in files.items():
            path = folder / name.replace("__", "/").replace("_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        member._drop_orphans()
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    return drop


def test_complete_pairs_are_kept_and_halves_are_dropped(pki):
    left = pki(ca_crt="c", ca_key="k", apiserver_crt="c", etcd__server_key="k", etcd__server_crt="")
    assert left == ["ca.crt", "ca.key"]


def test_a_lost_authority_key_takes_its_certificates_along(pki, tmp_path):
    (tmp_path / "admin.conf").write_text("signed by it")
    assert pki(ca_crt="c", ca_key="", apiserver_crt="c", apiserver_key="k") == []
    assert not (tmp_path / "admin.conf").exists()


@pytest.mark.parametrize(("first", "verb"), [(True, ("apply", "--yes")), (False, ("node",))])
def test_an_upgrade_runs_kubeadm_of_the_new_version_alone(monkeypatch, first, verb):
    ran = []
    monkeypatch.setattr(lifecycle.observe, "program_version", lambda _name: "1.37.2")
    monkeypatch.setattr(lifecycle, "must", lambda *words, **_options: ran.append(words))
    monkeypatch.setattr(lifecycle, "kubeadm", lambda words, _timeout: ran.append(tuple(words)))
    monkeypatch.setattr(lifecycle, "close_kubelet", lambda: ran.append(("closed",)))
    with pytest.raises(PhotonError, match=r"kubeadm 1\.37\.2 is installed\. Install kubeadm 1\.37\.3"):
        lifecycle.upgrade("{}", "{}", "1.37.3", first, 1)
    assert ran == []
    lifecycle.upgrade("{}", "{}", "1.37.2", first, 1)
    upgrade = next(words for words in ran if words[1:2] == ("upgrade",))
    assert upgrade[2 : 2 + len(verb)] == verb
    uploaded = [words for words in ran if "upload-config" in words]
    assert len(uploaded) == int(first), "kubelet's new settings go into the cluster once, before the first member"
    assert ran[-1] == ("closed",)
