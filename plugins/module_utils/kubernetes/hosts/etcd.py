# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage a cluster's etcd without losing its quorum: health, member removal, snapshots, restore, maintenance."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import ssl
import tempfile
import time
import urllib.parse
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

from ...model.errors import PhotonError
from .. import archive
from . import cluster, observe
from .commands import must, read, write
from .encryption import ENCRYPTION, read_layout
from .etcd_client import Etcd, observed, of_address, removal_refused
from .member import secret_file

_PKI = observe.PKI
# Identity of the cluster; all other certificates are signed again with these.
KEYS = (
    "ca.crt", "ca.key", "sa.key", "sa.pub", "front-proxy-ca.crt", "front-proxy-ca.key", "etcd/ca.crt", "etcd/ca.key",
)  # fmt: skip
_NAMESPACE = "k8s.io"
# Large enough that no revision seen by a watcher after the snapshot is used again.
_BUMP = 1_000_000_000
_POLL_SECONDS = 0.5
_FULL = "NOSPACE"
_WASTE_BYTES = 100_000_000
_ROOM = 0.9  # a database with more of its quota would be full again at once


def wait_healthy(seconds: float, members: int) -> dict[str, Any]:
    """Wait until every member answers and there are ``members`` voters (0: any number); return etcd's members."""
    deadline = time.monotonic() + seconds
    while True:
        known = observed()
        voters = [one for one in known["members"] if not one["learner"]]
        if (
            voters
            and len(voters) >= members
            and len(voters) == len(known["members"])
            and all(one["healthy"] for one in voters)
        ):
            return known
        if time.monotonic() >= deadline:
            raise PhotonError(
                "EtcdUnhealthy",
                f"etcd is not healthy after {seconds:.0f} s: "
                + (known["error"] or "; ".join(_words(one) for one in known["members"]))
                + (f"; {members} voters are required" if len(voters) < members else "")
                + ". Run cluster_repair.",
                {"members": known["members"]},
            )
        time.sleep(_POLL_SECONDS)


def leave(name: str, address: str, check: bool) -> bool:
    """Remove a member, identified by its address or, if that is "", its name; return False when it does not exist.

    Raise QuorumAtRisk when the remaining members would not have a quorum.
    """
    known = observed()
    if known["error"]:
        raise PhotonError("EtcdUnreachable", known["error"])
    leaving = of_address(known["members"], address) if address else None
    leaving = leaving or next((one for one in known["members"] if name and one["name"] == name), None)
    if leaving is None:
        return False
    refused = removal_refused(known["members"], leaving)
    if refused:
        raise PhotonError("QuorumAtRisk", f"{name or address} cannot be removed from etcd: {refused}", {"host": name})
    if not check:
        Etcd().remove(leaving["id"])
    return True


def snapshot(path: str) -> dict[str, Any]:
    """Write a backup (module_utils/kubernetes/archive.py) to ``path`` on this member; return its manifest.

    The snapshot is taken from this member's etcd, verified and written atomically.
    """
    there = cluster.cluster()
    if not there["reachable"]:
        raise PhotonError("ApiUnreachable", f"a backup requires the API of this member: {there['error']}")
    files = {f"pki/{name}": _bytes(f"{_PKI}/{name}") for name in KEYS}
    if read(ENCRYPTION):
        files["encryption.json"] = _bytes(ENCRYPTION)
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    about = {
        "cluster": there["cluster_name"],
        "cluster_id": there["cluster_id"],
        "version": there["declared_version"],
        "members": sorted(one["name"] for one in observed()["members"]),
        "nodes": sorted(one["name"] for one in there["nodes"]),
        "encryption": read_layout()[0].to_dict(),
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    with tempfile.TemporaryDirectory(dir=folder) as work:  # in the target folder, as memory may be too small
        database = f"{work}/{archive.SNAPSHOT}"
        _save(database)
        archive.write(path, database, files, about)
    return archive.verify(path)


def restore(path: str, configuration: str, name: str, address: str) -> list[str]:
    """Restore a backup's data and keys on this clean host, as the only etcd member; kubeadm init continues from there.

    Data already restored from the same backup is kept. Raise InvalidHostState when the host has other data.
    """
    manifest = archive.verify(path)
    digest = manifest["sha256"][archive.SNAPSHOT]
    if os.path.isdir(observe.ETCD_DATA):
        if read(observe.RESTORED).strip() == digest:
            return []
        raise PhotonError(
            "InvalidHostState",
            f"{observe.ETCD_DATA} holds data that is not from this backup. Reset the host before the restore.",
        )
    home = os.path.dirname(observe.ETCD_DATA)
    os.makedirs(home, mode=0o700, exist_ok=True)
    shutil.rmtree(f"{home}/.restore", ignore_errors=True)
    os.mkdir(f"{home}/.restore", 0o700)
    try:
        files = archive.extract(path, f"{home}/.restore/{archive.SNAPSHOT}")
        with programs(configuration) as folder:
            must(
                f"{folder}/etcdutl", "snapshot", "restore", f"{home}/.restore/{archive.SNAPSHOT}",
                "--data-dir", f"{home}/.restore/data", "--name", name,
                "--initial-cluster", f"{name}=https://{address}:2380",
                "--initial-advertise-peer-urls", f"https://{address}:2380",
                "--bump-revision", str(_BUMP), "--mark-compacted",
                timeout=900,
            )  # fmt: skip
        for inner, content in files.items():
            target = ENCRYPTION if inner == "encryption.json" else f"{observe.FOLDER}/{inner}"
            write(target, content.decode("ascii"), 0o644 if inner.endswith((".crt", ".pub")) else 0o600)
        write(observe.RESTORED, f"{digest}\n")
        os.replace(f"{home}/.restore/data/member", observe.ETCD_DATA)  # last, as this completes the restore
    finally:
        shutil.rmtree(f"{home}/.restore", ignore_errors=True)
    return [f"snapshot of {manifest['made']} restored"]


def end_restore(check: bool) -> list[str]:
    """Forget which backup this member was restored from, as the cluster is complete."""
    if not os.path.exists(observe.RESTORED):
        return []
    if not check:
        os.unlink(observe.RESTORED)
    return ["restore completed"]


def maintain(check: bool, always: bool = False) -> list[str]:
    """Compact etcd, defragment its members one by one, the leader last, and clear the alarm NOSPACE; list the actions.

    Nothing is done while no member has the alarm or much unused space, unless ``always``. Each member must answer again
    before the next. Raise EtcdUnhealthy when the database is still full.
    """
    known = wait_healthy(30, 0)
    leader = Etcd().status()["leader"]
    members = sorted(known["members"], key=lambda one: (one["id"] == leader, one["name"]))
    full = [one for one in members if _FULL in one["alarms"]]
    if check:
        chosen = members if full or always else [one for one in members if _wasteful(one)]
        return [f"{one['name']} would be defragmented" for one in chosen]
    if full or always:
        _compact()
    done = []
    for member in members:
        url = member["client_urls"][0]
        before = Etcd(url).status()
        if not (full or always or _wasteful(before)):
            continue
        Etcd(url, timeout=300).call("/v3/maintenance/defragment", {})
        wait_healthy(60, 0)
        done.append(f"{member['name']} defragmented: {before['size']} to {Etcd(url).status()['size']} bytes")
    for member in full:
        after = Etcd(member["client_urls"][0]).status()
        if after["quota"] and after["size"] > _ROOM * after["quota"]:
            raise PhotonError(
                "EtcdUnhealthy",
                f"{member['name']}'s etcd still uses {after['size']} of {after['quota']} bytes and accepts no changes. "
                "Raise kubeadm.arguments.etcd quota-backend-bytes, or delete objects after that, and run again.",
            )
    for member in full:
        Etcd().call("/v3/maintenance/alarm", {"action": "DEACTIVATE", "memberID": member["id"], "alarm": _FULL})
        done.append(f"{member['name']}: alarm {_FULL} cleared")
    return done


def _compact() -> None:
    """Forget all revisions but the newest, as API servers do every five minutes."""
    etcd = Etcd(timeout=120)
    try:
        etcd.call("/v3/kv/compaction", {"revision": str(etcd.status()["revision"]), "physical": True})
    except PhotonError as error:
        if "has been compacted" not in error.message:
            raise


def _wasteful(member: Mapping[str, Any]) -> bool:
    unused = member["size"] - member["in_use"]
    return unused > _WASTE_BYTES and unused > member["size"] / 2


def _save(path: str) -> None:
    """Save etcd's snapshot stream: lines of JSON, each with a chunk in base64."""
    parts = urllib.parse.urlsplit("https://127.0.0.1:2379")
    try:
        context = ssl.create_default_context(cafile=f"{_PKI}/etcd/ca.crt")
        context.load_cert_chain(f"{_PKI}/apiserver-etcd-client.crt", f"{_PKI}/apiserver-etcd-client.key")
        connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=120, context=context)
        with contextlib.closing(connection), open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as handle:
            connection.request("POST", "/v3/maintenance/snapshot", "{}", {"Content-Type": "application/json"})
            response = connection.getresponse()
            if response.status != 200:
                raise PhotonError("EtcdUnreachable", f"etcd rejected the snapshot request: {response.read()[:200]!r}")
            for line in response:
                if not line.strip():
                    continue
                answer = json.loads(line)
                if "error" in answer:
                    raise PhotonError("EtcdUnreachable", f"etcd aborted the snapshot: {answer['error']}")
                handle.write(b64decode(answer["result"].get("blob") or ""))
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise PhotonError("EtcdUnreachable", f"the snapshot of this member's etcd failed: {error}") from error
    with open(path, "rb") as handle:
        archive.check_snapshot(handle, path)


@contextlib.contextmanager
def programs(configuration: str) -> Iterator[str]:
    """Provide a folder with etcd's programs from its image, which the host pulls as kubeadm would."""
    with secret_file("images.yaml", configuration) as path:
        names = must("kubeadm", "config", "images", "list", "--config", path).split()
        [image] = [name for name in names if name.rpartition("/")[2].startswith("etcd:")]
        must("kubeadm", "config", "images", "pull", "--config", path, timeout=1200)
    with tempfile.TemporaryDirectory(prefix="photon-etcd-", dir="/run") as target:
        must("ctr", "-n", _NAMESPACE, "images", "mount", image, target)
        try:
            yield f"{target}/usr/local/bin"
        finally:
            must("ctr", "-n", _NAMESPACE, "images", "unmount", "--rm", target)


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as handle:
            return handle.read()
    except OSError as error:
        raise PhotonError(
            "InvalidHostState", f"{path} cannot be backed up: {error}. Run cluster_repair first."
        ) from error


def _words(member: dict[str, Any]) -> str:
    name = member["name"] or f"a member at {', '.join(member['peer_urls'])}"
    if member["learner"]:
        return f"{name} is a learner"
    return f"{name} answers" if member["healthy"] else f"{name} does not answer"
