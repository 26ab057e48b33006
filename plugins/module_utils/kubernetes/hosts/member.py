# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a host a member of a cluster, reconcile it and reset it, using kubeadm; the current state decides the action.

No state is kept on the host. An interrupted init is completed by running it again, as it keeps everything it created;
an interrupted join is discarded and repeated, as nothing depends on an incomplete join.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import shutil
import tempfile
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...model.errors import PhotonError
from ..encryption import Layout
from . import encryption, observe, static_pods
from .cluster import OWN_OBJECTS
from .commands import active, last_words, must, processes, read, run, write
from .encryption import ENCRYPTION
from .observe import CONTROL_PLANE, FOLDER, KUBELET, MANIFESTS, PAIRS, PKI, STATIC_PODS

_RUN = "/run/photon-kubernetes"
_PORTS = (10250, 10257, 10259, 2379, 2380)
_LOST_AND_FOUND = "lost+found"  # of a file system mounted on etcd's folder
_ETCD_EMPTY = "DirAvailable--var-lib-etcd"
# Preflight checks that fail on the remains of an interrupted init or join.
_KNOWN = (
    *(f"FileAvailable--etc-kubernetes-manifests-{name}.yaml" for name in STATIC_PODS),
    _ETCD_EMPTY,
    *(f"Port-{port}" for port in _PORTS),
)
# Chains of kube-proxy, kubelet, CNI plugins and pod networks, and the rules that jump to them.
_CHAIN = re.compile(r"(?<![\w-])(?:KUBE-|CNI-|FLANNEL-|CILIUM_|cali-|WEAVE)")
_OTHER_RUNTIMES = ("podman", "nerdctl", "containerd-net", "crio")  # their CNI configurations stay
_LINKS = ("cni0", "flannel.1", "kube-ipvs0", "nodelocaldns")
_TABLES = (("ip", "kube-proxy"), ("ip6", "kube-proxy"), ("ip", "flannel-ipv4"), ("ip6", "flannel-ipv6"))


def initialize(configuration: str, settings: Mapping[str, Any] | None, timeout: float) -> list[str]:
    """Initialize the first member, or complete an interrupted init; return the actions. MemberChangeFailed."""
    done = []
    state = observe.host()
    if state["etcd_data"] is False:
        done += _drop_orphans()
    if settings and not read(ENCRYPTION):
        write(ENCRYPTION, new_encryption(settings))
        done.append(f"{ENCRYPTION} made")
    ignored = [*_KNOWN, f"Port-{_bind_port(configuration)}"] if state["state"] != "clean" else _of_new_disk()
    with secret_file("init.yaml", configuration) as path:
        words = ["kubeadm", "init", "--config", path, "--skip-token-print", "--skip-certificate-key-print"]
        words += [f"--ignore-preflight-errors={','.join(ignored)}"] if ignored else []
        kubeadm(words, timeout)
    close_kubelet()
    return [*done, "initialized" if state["state"] == "clean" else "interrupted initialization completed"]


def join(configuration: str, material: Mapping[str, Any], restart: bool, timeout: float) -> list[str]:
    """Join this host to the cluster of ``material``; InvalidHostState when data would be lost."""
    done = []
    state = observe.host()
    if state["state"] != "clean":
        if state["etcd_data"] and not restart:
            raise PhotonError(
                "InvalidHostState",
                f"{observe.ETCD_DATA} holds etcd data. Set restart if that data is not needed any more.",
            )
        done += reset()
    for path, text in (material.get("files") or {}).items():
        write(path, text)
    authority = material["certificate_authority"]
    with contextlib.ExitStack() as files:
        known = files.enter_context(secret_file("discovery.conf", discovery(material["endpoint"], authority)))
        path = files.enter_context(secret_file("join.yaml", with_material(configuration, material, known)))
        ignored = _of_new_disk()
        words = [f"--ignore-preflight-errors={','.join(ignored)}"] if ignored else []
        kubeadm(["kubeadm", "join", "--config", path, *words], timeout)
    close_kubelet()
    return [*done, "joined"]


def settle(
    configuration: str, role: str, lost: Sequence[str], material: Mapping[str, Any] | None, check: bool
) -> tuple[list[str], list[dict[str, str]]]:
    """Restore a member to the state that kubeadm would create; return (actions, diff).

    ``lost``: names of kubeadm's objects missing in the API (cluster()["missing"]), and "node" when this host's Node is
    missing, which registers again when kubelet starts. Run it on one control-plane member at a time: its API server
    may restart and is waited for.
    """
    state = observe.host(configuration, role)
    files = {path: text for path, text in ((material or {}).get("files") or {}).items() if not read(path)}
    drift, gone = state["drift"], [path for path in state["missing"] if not path.startswith(MANIFESTS)]
    done = [f"{path} restored" for path in files] + [f"{path} re-created" for path in gone]
    done += [f"{one['path']} {'restored' if one['before'] else 're-created'}" for one in drift]
    done += [f"{name} re-created" for name in lost if name != "node"]
    stopped, stale = not state["kubelet_active"] or "node" in lost, state["stale"]
    done += ["kubelet restarted"] if stopped else []
    done += [f"{one['pod']} restarted: {one['path']} is newer" for one in stale]
    if check or not done:
        return done, observe.shown(drift)
    for path, text in files.items():
        write(path, text)
    with secret_file("settle.yaml", configuration) as path:
        for phase in _phases(gone):
            must("kubeadm", "init", "phase", *phase, "--config", path)
        changed = [one["path"] for one in drift]
        before = {name: processes(name) for name in STATIC_PODS}
        for one in drift:
            write(one["path"], one["after"])
        if stopped or any(path.startswith(KUBELET) for path in changed):
            must("systemctl", "restart", "kubelet")
        if role == CONTROL_PLANE:
            manifests = [one for one in changed if one.startswith(MANIFESTS)]
            static_pods.restarted({os.path.basename(one)[: -len(".yaml")] for one in manifests}, before)
            for name in static_pods.in_order(
                {one["pod"] for one in observe.stale()}
            ):  # including those whose files were just re-created
                static_pods.restart(name)
            again = {OWN_OBJECTS[name] for name in OWN_OBJECTS if name.rpartition("/")[2] in lost}
            again |= {("upload-config", "kubeadm")} if manifests else set()
            again |= {("upload-config", "kubelet")} if f"{KUBELET}/config.yaml" in changed else set()
            for phase in sorted(again):
                must("kubeadm", "init", "phase", *phase, "--config", path)
    if not active("kubelet"):
        raise PhotonError("UnitFailed", "kubelet does not stay active. Check journalctl -u kubelet on this host.")
    return done, observe.shown(drift)


def close_kubelet() -> None:
    """Let only root read kubelet's configuration, as CIS 4.1.9 asks; kubeadm lets everybody."""
    with contextlib.suppress(FileNotFoundError):
        os.chmod(f"{KUBELET}/config.yaml", 0o600)


def reset() -> list[str]:
    """Remove all traces of membership except packages; the etcd member must have been removed before."""
    if observe.host()["state"] == "clean" and not _leftovers():
        return []
    if observe.program_version("kubeadm"):
        result = run("kubeadm", "reset", "--force", "--skip-phases=remove-etcd-member", timeout=300)
        if result.returncode != 0:
            raise PhotonError("MemberChangeFailed", f"kubeadm reset failed: {last_words(result)}")
    else:
        run("systemctl", "stop", "kubelet")
    for path in _leftovers():
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    for link in _LINKS:
        if os.path.exists(f"/sys/class/net/{link}"):
            run("ip", "link", "delete", link)
    for family, table in _TABLES:
        run("nft", "delete", "table", family, table)
    for program in ("iptables", "ip6tables"):
        _drop_chains(program)
    run("systemctl", "reset-failed", "kubelet")
    return ["reset"]


def without_chains(saved: str) -> str:
    """Return rules in the format of iptables-save without the chains of Kubernetes and its networks (pure)."""
    return "".join(line for line in saved.splitlines(keepends=True) if not _CHAIN.search(line))


def _drop_chains(program: str) -> None:
    if not any(os.access(f"{folder}/{program}-save", os.X_OK) for folder in ("/usr/sbin", "/sbin", "/usr/bin")):
        return
    saved = run(f"{program}-save").stdout
    if without_chains(saved) != saved:
        result = run(f"{program}-restore", text=without_chains(saved))
        if result.returncode != 0:
            raise PhotonError("MemberChangeFailed", f"{program}-restore failed: {last_words(result)}")


def new_encryption(settings: Mapping[str, Any]) -> str:
    """Generate an encryption configuration with a new key; ``settings``: provider, resources."""
    key = encryption.labelled(encryption.new_key(settings["provider"]))
    return encryption.text(Layout((key["label"],), tuple(settings["resources"])), [key])


def with_material(configuration: str, material: Mapping[str, Any], known: str) -> str:
    """Return the configuration for kubeadm join with its secrets; ``known`` is the discovery file (pure)."""
    documents = [json.loads(part) for part in configuration.split("\n---\n")]
    for document in documents:
        if document.get("kind") != "JoinConfiguration":
            continue
        document["discovery"] = {
            "file": {"kubeConfigPath": known}, "tlsBootstrapToken": material["token"],
        }  # fmt: skip
        if "controlPlane" in document:
            document["controlPlane"]["certificateKey"] = material["certificate_key"]
    return "\n---\n".join(json.dumps(document, indent=2) for document in documents)


def discovery(endpoint: str, authority: str) -> str:
    """Return a kubeconfig for discovery, with the cluster's endpoint and authority but without a user (pure).

    It is transferred over a trusted connection, so the slower token signature is not needed.
    """
    cluster = {"server": f"https://{endpoint}", "certificate-authority-data": b64encode(authority.encode()).decode()}
    one = {"name": "", "cluster": cluster}  # no name and no context, like kubeadm's cluster-info
    return json.dumps({"apiVersion": "v1", "kind": "Config", "clusters": [one], "contexts": [], "users": []})


def kubeadm(words: Sequence[str], timeout: float) -> None:
    """Run kubeadm; MemberChangeFailed with the end of its output."""
    result = run(*words, timeout=timeout)
    if result.returncode != 0:
        verb = words[1]
        raise PhotonError(
            "MemberChangeFailed",
            f"kubeadm {verb} failed: {last_words(result)}. Fix the cause and run again.",
            {"returncode": result.returncode},
        )


@contextlib.contextmanager
def secret_file(name: str, text: str) -> Iterator[str]:
    """Provide a file in memory that only root can read, and remove it afterwards."""
    os.makedirs(_RUN, mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_RUN) as folder:
        path = f"{folder}/{name}"
        write(path, text)
        yield path


def _of_new_disk() -> list[str]:
    """Return kubeadm's checks that fail on a file system of its own for etcd, which is not empty when it is new."""
    folder = os.path.dirname(observe.ETCD_DATA)
    there = os.listdir(folder) if os.path.isdir(folder) else []
    return [_ETCD_EMPTY] if there == [_LOST_AND_FOUND] else []


def _bind_port(configuration: str) -> int:
    for part in configuration.split("\n---\n"):
        with contextlib.suppress(ValueError):
            document = json.loads(part)
            if document.get("kind") == "InitConfiguration":
                return int(document.get("localAPIEndpoint", {}).get("bindPort", 6443))
    return 6443


def _phases(gone: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the phases that re-create lost certificates and kubeconfigs; authorities are never re-created."""
    names = {f"{PKI}/{path}.crt": phase for phase, path in PAIRS.items()}
    phases: list[tuple[str, ...]] = []
    for path in gone:
        if path in names:
            if names[path] in ("ca", "front-proxy-ca", "etcd-ca"):
                raise PhotonError(
                    "InvalidHostState",
                    f"{path} is lost and re-creating it would break the cluster. Run cluster_repair, which "
                    "copies it from another member, or cluster_restore.",
                )
            phases.append(("certs", names[path]))
        elif path.startswith(FOLDER) and path.endswith(".conf"):
            phases.append(("kubeconfig", os.path.basename(path)[: -len(".conf")]))
    return phases


def _drop_orphans() -> list[str]:
    """Remove incomplete certificate pairs of an interrupted init, when no data was written with them."""
    halves = []
    for path in PAIRS.values():
        there = [f"{PKI}/{path}{end}" for end in (".crt", ".key") if read(f"{PKI}/{path}{end}").strip()]
        broken = [f"{PKI}/{path}{end}" for end in (".crt", ".key") if os.path.exists(f"{PKI}/{path}{end}")]
        if len(there) == 1 or len(there) != len(broken):
            halves += broken
    if any(os.path.basename(path) in ("ca.key", "front-proxy-ca.key") for path in halves):
        # Certificates signed by an incomplete authority are useless and are re-created.
        halves = glob.glob(f"{PKI}/**/*.crt", recursive=True) + glob.glob(f"{PKI}/**/*.key", recursive=True)
        halves += glob.glob(f"{FOLDER}/*.conf")
    for path in halves:
        os.unlink(path)
    return [f"{path} removed because it was incomplete" for path in halves]


def _leftovers() -> list[str]:
    """Return the files that kubeadm reset leaves behind."""
    paths = [*glob.glob(f"{FOLDER}/*.conf"), *glob.glob(f"{FOLDER}/manifests/*"), *glob.glob(f"{PKI}/*")]
    paths += [path for path in glob.glob("/var/lib/etcd/*") if os.path.basename(path) != _LOST_AND_FOUND]
    paths += [path for path in glob.glob("/etc/cni/net.d/*") if not any(name in path for name in _OTHER_RUNTIMES)]
    paths += [observe.RESTORED, "/var/lib/cni", "/run/flannel"]
    paths += [ENCRYPTION, f"{KUBELET}/config.yaml", f"{KUBELET}/kubeadm-flags.env", f"{KUBELET}/instance-config.yaml"]
    paths += glob.glob(f"{KUBELET}/pki/*")
    return [path for path in paths if os.path.lexists(path)]
