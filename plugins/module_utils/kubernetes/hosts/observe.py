# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe a host: its cluster, how complete its membership is, and its drift from what kubeadm would write."""

from __future__ import annotations

import difflib
import glob
import json
import os
import re
import tempfile
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ...model.errors import PhotonError
from . import x509
from .api import decoded, parse_kubeconfig
from .commands import active, last_words, processes, read, run

FOLDER = "/etc/kubernetes"
MANIFESTS = f"{FOLDER}/manifests"
PKI = f"{FOLDER}/pki"
SETTINGS = f"{FOLDER}/apiserver"
KUBELET = "/var/lib/kubelet"
ETCD_DATA = "/var/lib/etcd/member"
RESTORED = "/var/lib/etcd/.restored-from"  # digest of the snapshot, while its restore is in progress
CONTROL_PLANE, WORKER = "control_plane", "worker"
STATIC_PODS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
KUBECONFIGS = ("admin.conf", "controller-manager.conf", "kubelet.conf", "scheduler.conf")
# kubeadm's certificate phases and the pairs they create.
PAIRS = {
    "ca": "ca", "apiserver": "apiserver", "apiserver-kubelet-client": "apiserver-kubelet-client",
    "front-proxy-ca": "front-proxy-ca", "front-proxy-client": "front-proxy-client", "etcd-ca": "etcd/ca",
    "etcd-server": "etcd/server", "etcd-peer": "etcd/peer", "etcd-healthcheck-client": "etcd/healthcheck-client",
    "apiserver-etcd-client": "apiserver-etcd-client",
}  # fmt: skip
_CLIENT = f"{KUBELET}/pki/kubelet-client-current.pem"
_SERVER = f"{KUBELET}/pki/kubelet-server-current.pem"
# Flags that etcd reads only when its data directory is created; they differ on joined members.
_ONCE = re.compile(r"^\s*- --initial-cluster(-state)?=.*\n", re.MULTILINE)
_SECONDS_A_DAY = 86400
_READ_AGAIN = ("authentication.json", "encryption.json")  # the API server reloads these itself
# Files that each static pod reads at start. Some are reloaded as well; an extra restart is harmless.
_READS = {
    "etcd": tuple(f"{PKI}/{PAIRS[name]}.crt" for name in ("etcd-server", "etcd-peer")),
    "kube-apiserver": tuple(
        f"{PKI}/{PAIRS[name]}.crt"
        for name in ("apiserver", "apiserver-kubelet-client", "apiserver-etcd-client", "front-proxy-client")
    ),
    "kube-controller-manager": (f"{FOLDER}/controller-manager.conf",),
    "kube-scheduler": (f"{FOLDER}/scheduler.conf",),
}


class Traces(NamedTuple):
    """Files of kubeadm and kubelet on a host."""

    files: frozenset[str]  # of KUBECONFIGS and bootstrap-kubelet.conf
    manifests: frozenset[str]  # of STATIC_PODS
    pairs: frozenset[str]  # keys of complete PAIRS
    authority: bool  # the cluster's CA certificate
    etcd_data: bool
    client_valid: bool  # kubelet's certificate exists and has not expired


def host(configuration: str = "", role: str = "") -> dict[str, Any]:
    """Return this host's state.

    ``configuration``: the text for kubeadm init of this host, from which kubeadm renders the expected files; "" skips
    drift detection. ``role``: the declared role, "" to derive it.

    Return state ("clean", "partial", "member"), role ("" when clean), cluster_id (sha256:... of the authority's
    key, or None), cluster_name (control plane only), server (the API URL of kubelet), addresses (IPv4),
    kubeadm_version and kubelet_version (None when not installed), kubelet_active, serving_certificate, etcd_data,
    restored_from (digest of the snapshot whose restore is in progress, or ""), missing (paths), drift ([{path,
    before, after}], texts), stale (see stale).
    """
    traces = _traces()
    found = recognise(traces)
    wanted = role or found["role"]
    drift = drifted(configuration, wanted) if configuration and found["state"] != "clean" else []
    admin = parse_kubeconfig(read(f"{FOLDER}/admin.conf"))
    return {
        **found,
        "cluster_id": cluster_id(),
        "cluster_name": admin["cluster"] or None,
        "server": parse_kubeconfig(read(f"{FOLDER}/kubelet.conf"))["server"] or None,
        "addresses": addresses(),
        "kubeadm_version": program_version("kubeadm"),
        "kubelet_version": program_version("kubelet"),
        "kubelet_active": found["state"] != "clean" and active("kubelet"),
        "serving_certificate": _ends(read(_SERVER)) > time.time(),
        "etcd_data": traces.etcd_data,
        "restored_from": read(RESTORED).strip() if traces.etcd_data else "",
        "missing": missing(traces, wanted) if found["state"] != "clean" else [],
        "drift": drift,
        "stale": stale() if wanted == CONTROL_PLANE else [],
    }


def recognise(traces: Traces) -> dict[str, str]:
    """Classify a host as {state, role} (pure).

    A worker is a member when its kubelet has a client certificate; a control-plane member when the authority, etcd's
    data and kubelet's kubeconfig exist. Anything between is partial: an incomplete init or join.
    """
    control_plane = bool(
        traces.etcd_data or traces.manifests or traces.files & {"admin.conf", "controller-manager.conf"}
    )
    control_plane = control_plane or "ca" in traces.pairs
    if not (control_plane or traces.authority or traces.files):
        return {"state": "clean", "role": ""}
    whole = "kubelet.conf" in traces.files and traces.authority and traces.client_valid
    if control_plane:
        whole = whole and traces.etcd_data and {"ca", "etcd-ca"} <= traces.pairs and len(traces.manifests) > 0
        return {"state": "member" if whole else "partial", "role": CONTROL_PLANE}
    return {"state": "member" if whole else "partial", "role": WORKER}


def missing(traces: Traces, role: str) -> list[str]:
    """Return the paths that a member of this role lacks (pure)."""
    lacking = []
    if role == CONTROL_PLANE:
        lacking += [f"{FOLDER}/{name}" for name in KUBECONFIGS if name not in traces.files]
        lacking += [f"{MANIFESTS}/{name}.yaml" for name in STATIC_PODS if name not in traces.manifests]
        lacking += [f"{PKI}/{path}.crt" for phase, path in PAIRS.items() if phase not in traces.pairs]
    elif "kubelet.conf" not in traces.files:
        lacking.append(f"{FOLDER}/kubelet.conf")
    if not traces.authority:
        lacking.append(f"{PKI}/ca.crt")
    return list(dict.fromkeys(lacking))


def addresses() -> list[str]:
    """Return this host's IPv4 addresses, without loopback; [] while it has no program ip."""
    try:
        links = json.loads(run("ip", "-4", "-json", "address", "show").stdout or "[]")
    except (PhotonError, ValueError):
        return []
    listed = [one["local"] for link in links for one in link.get("addr_info") or () if one.get("local")]
    return [address for address in listed if not address.startswith("127.")]


def cluster_id() -> str | None:
    """Return sha256:HEX of the trusted authority's public key, as in caCertHashes."""
    for text in (
        read(f"{PKI}/ca.crt"),
        *(decoded(parse_kubeconfig(read(f"{FOLDER}/{name}")), "certificate-authority-data") for name in KUBECONFIGS),
    ):
        try:
            return x509.read(text).key_hash
        except x509.CertificateError:
            continue
    return None


def rendered(configuration: str, role: str) -> dict[str, str]:
    """Return path -> text that kubeadm would write on this host: kubelet's files and the static pod manifests."""
    phases = [("kubelet-start",)]
    if role == CONTROL_PLANE:
        phases += [("control-plane", "all"), ("etcd", "local")]
    with tempfile.TemporaryDirectory(prefix="photon-", dir="/run") as folder:
        path = f"{folder}/configuration.yaml"
        # On a worker, kubeadm init would treat the authority without its key as an external CA.
        other = f"{folder}/pki" if role != CONTROL_PLANE else ""
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as handle:
            handle.write(_with_certificates(configuration, other) if other else configuration)
        target = f"{folder}/out"
        os.mkdir(target, 0o700)
        for phase in phases:
            result = run(
                "kubeadm", "init", "phase", *phase, "--dry-run", "--config", path,
                environment={"KUBEADM_INIT_DRYRUN_DIR": target},
            )  # fmt: skip
            if result.returncode != 0:
                raise RenderError(last_words(result))
        texts = {f"{KUBELET}/config.yaml": read(f"{target}/config.yaml")}
        texts[f"{KUBELET}/kubeadm-flags.env"] = read(f"{target}/kubeadm-flags.env")
        if role == CONTROL_PLANE:
            texts |= {f"{MANIFESTS}/{name}.yaml": read(f"{target}/{name}.yaml") for name in STATIC_PODS}
    return {path: text.replace(other, PKI) for path, text in texts.items()} if other else texts


class RenderError(Exception):
    """kubeadm rejects the configuration."""


def drifted(configuration: str, role: str) -> list[dict[str, str]]:
    """Return [{path, before, after}] of files that differ from what kubeadm would write; before is "" when missing."""
    found = []
    for path, text in rendered(configuration, role).items():
        before = read(path)
        after = as_it_would_be(path, before, text)
        if after != before:
            found.append({"path": path, "before": before, "after": after})
    return found


def as_it_would_be(path: str, before: str, text: str) -> str:
    """Add to kubeadm's text what a file may have of its own: initial etcd members and registration taints."""
    if path.endswith("/etcd.yaml") and before:
        return before if _ONCE.sub("", before) == _ONCE.sub("", text) else _with_once(before, text)
    if path.endswith("/kubeadm-flags.env") and before:
        return before if _flags(before) == _flags(text) else text
    return text


def shown(drift: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return Ansible's diff of a drift."""
    return [
        {"before_header": one["path"], "after_header": one["path"], "before": one["before"], "after": one["after"]}
        for one in drift
    ]


def summary(one: Mapping[str, str]) -> dict[str, Any]:
    """Summarize a drift for plans and reports."""
    lines = difflib.unified_diff(one["before"].splitlines(), one["after"].splitlines(), lineterm="", n=0)
    changed = [line for line in lines if line[:1] in "+-" and not line.startswith(("+++", "---"))]
    return {"path": one["path"], "missing": not one["before"], "lines": len(changed)}


def certificates() -> list[dict[str, Any]]:
    """Return [{path, subject, not_after (ISO 8601), days_left}] of this member's certificates, by expiry."""
    texts = {path: read(path) for path in sorted(glob.glob(f"{PKI}/*.crt") + glob.glob(f"{PKI}/etcd/*.crt"))}
    for path in sorted(glob.glob(f"{FOLDER}/*.conf")):
        embedded = decoded(parse_kubeconfig(read(path)), "client-certificate-data")
        if embedded:
            texts[path] = embedded
    texts |= {path: read(path) for path in (_CLIENT, _SERVER) if os.path.exists(path)}
    found = []
    for path, text in texts.items():
        try:
            certificate = x509.read(text)
        except x509.CertificateError:
            continue
        found.append(
            {
                "path": path,
                "subject": certificate.common_name,
                "not_after": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(certificate.not_after)),
                "days_left": int((certificate.not_after - time.time()) // _SECONDS_A_DAY),
            }
        )
    return sorted(found, key=lambda one: (one["days_left"], one["path"]))


def stale() -> list[dict[str, str]]:
    """Return [{pod, path}] of settings and certificates that changed after the static pod that reads them started."""
    settings = (path for path in sorted(glob.glob(f"{SETTINGS}/*.json")) if os.path.basename(path) not in _READ_AGAIN)
    reads = {**_READS, "kube-apiserver": (*settings, *_READS["kube-apiserver"])}
    found = []
    for pod in STATIC_PODS:
        started = max((_started(process) for process in processes(pod)), default=0.0)
        found += [{"pod": pod, "path": path} for path in reads[pod] if started and _changed(path) > started]
    return found


def program_version(name: str) -> str | None:
    """Return a version such as 1.37.2, or None when the program is not installed."""
    path = next(
        (f"{folder}/{name}" for folder in ("/usr/bin", "/usr/local/bin") if os.access(f"{folder}/{name}", os.X_OK)), ""
    )
    if not path:
        return None
    words = ("version", "-o", "short") if name == "kubeadm" else ("--version",)
    match = re.search(r"v?(\d+\.\d+\.\d+)", run(path, *words).stdout)
    return match[1] if match else None


def _with_certificates(configuration: str, folder: str) -> str:
    documents = [json.loads(part) for part in configuration.split("\n---\n")]
    for document in documents:
        if document.get("kind") == "ClusterConfiguration":
            document["certificatesDir"] = folder
    return "\n---\n".join(json.dumps(document) for document in documents)


def _traces() -> Traces:
    names = (*KUBECONFIGS, "bootstrap-kubelet.conf")
    kubelet = parse_kubeconfig(read(f"{FOLDER}/kubelet.conf"))
    client = read(_CLIENT) if kubelet["client-certificate"] else decoded(kubelet, "client-certificate-data")
    return Traces(
        files=frozenset(name for name in names if read(f"{FOLDER}/{name}")),
        manifests=frozenset(name for name in STATIC_PODS if read(f"{MANIFESTS}/{name}.yaml")),
        pairs=frozenset(
            phase for phase, path in PAIRS.items() if _ends(read(f"{PKI}/{path}.crt")) and read(f"{PKI}/{path}.key")
        ),
        authority=_ends(read(f"{PKI}/ca.crt")) > 0,
        etcd_data=os.path.isdir(ETCD_DATA),
        client_valid=_ends(client) > time.time(),
    )


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def _started(process: str) -> float:
    """Return the start time of a process in seconds since the epoch, 0 when it has exited."""
    fields = read(f"/proc/{process}/stat").rpartition(")")[2].split()
    boot = re.search(r"^btime (\d+)", read("/proc/stat"), re.MULTILINE)
    if len(fields) < 20 or not boot:
        return 0.0
    return int(boot[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _ends(pem: str) -> int:
    try:
        return x509.read(pem).not_after
    except x509.CertificateError:
        return 0


def _with_once(before: str, text: str) -> str:
    """Replace the flags in ``text`` that are read only once by those in ``before``."""
    lines = "".join(match[0] for match in _ONCE.finditer(before))
    first = _ONCE.search(text)
    if not lines or not first:
        return text
    return _ONCE.sub("", text[: first.start()]) + lines + _ONCE.sub("", text[first.end() :])


def _flags(text: str) -> set[str]:
    inner = text.strip().partition("=")[2].strip("\"'")
    return {word for word in inner.split() if not word.startswith("--register-with-taints")}
