# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rehearse the restore of a backup: etcd serves its data from a scratch folder, and the objects in it are counted.

The scratch etcd listens on loopback addresses, and only clients with etcd's own certificate are served.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from typing import Any

from ...model.errors import PhotonError
from .. import archive
from . import etcd, observe
from .commands import must
from .etcd_client import Etcd

_SECONDS, _POLL_SECONDS = 120, 0.2
_COPIES = 3  # the snapshot, the database restored from it, and room for etcd's log
_PKI = f"{observe.PKI}/etcd"


def rehearse(path: str, configuration: str) -> dict[str, Any]:
    """Restore the backup at ``path`` into a scratch etcd and count its objects; nothing of it is left.

    ``configuration``: the text for kubeadm init, which determines the image with etcd's programs. Return objects and
    nodes (numbers). Raise BackupInvalid when etcd does not serve the data or objects of the cluster are missing,
    DiskFull when there is too little room for the rehearsal.
    """
    manifest = archive.verify(path)
    folder = os.path.dirname(path)
    wanted, free = _COPIES * manifest["snapshot_bytes"], shutil.disk_usage(folder).free
    if free < wanted:
        raise PhotonError(
            "DiskFull",
            f"{folder} has {free // 1_000_000} MB free, the rehearsal of the restore needs {wanted // 1_000_000} MB. "
            "Free some space, or skip it with photon_backup_rehearse=false.",
        )
    with tempfile.TemporaryDirectory(dir=folder, prefix=".rehearsal-") as work, etcd.programs(configuration) as bin_:
        archive.extract(path, f"{work}/{archive.SNAPSHOT}")
        with served(bin_, work, f"{work}/{archive.SNAPSHOT}", path) as scratch:
            found = counted(scratch)
    return checked(found, manifest, path)


@contextlib.contextmanager
def served(programs: str, work: str, snapshot: str, path: str) -> Iterator[Etcd]:
    """Restore ``snapshot`` into a folder of ``work`` and run etcd on it; ``path`` names the backup in errors."""
    client, peer = (f"https://127.0.0.1:{port}" for port in _free_ports(2))
    must(
        f"{programs}/etcdutl", "snapshot", "restore", snapshot, "--data-dir", f"{work}/data", "--name", "rehearsal",
        "--initial-cluster", f"rehearsal={peer}", "--initial-advertise-peer-urls", peer,
        timeout=900,
    )  # fmt: skip
    secure = [f"--{kind}{word}" for kind in ("", "peer-") for word in _certificates()]
    words = [
        f"{programs}/etcd", "--name=rehearsal", f"--data-dir={work}/data", f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=rehearsal={peer}", "--unsafe-no-fsync", *secure,
    ]  # fmt: skip
    with contextlib.ExitStack() as open_:
        log = open_.enter_context(open(f"{work}/log", "w", encoding="utf-8"))
        process = open_.enter_context(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        open_.callback(process.kill)
        scratch = Etcd(client)
        _wait(scratch, process, log.name, path)
        yield scratch


def counted(scratch: Etcd) -> dict[str, Any]:
    """Return the number of objects, whether the namespace kube-system is among them, and the names of the nodes."""
    nodes = scratch.call("/v3/kv/range", {**_prefix("/registry/minions/"), "keys_only": True}).get("kvs") or ()
    return {
        "objects": int(scratch.call("/v3/kv/range", {**_prefix("/registry/"), "count_only": True}).get("count", 0)),
        "system": int(scratch.call("/v3/kv/range", _one("/registry/namespaces/kube-system")).get("count", 0)),
        "nodes": sorted(_decoded(item["key"]).rpartition("/")[2] for item in nodes),
    }


def checked(found: Mapping[str, Any], manifest: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Compare what was counted with the backup's manifest (pure); BackupInvalid."""
    lacking = [f"node {name}" for name in manifest["nodes"] if name not in found["nodes"]]
    lacking += [] if found["system"] else ["namespace kube-system"]
    if lacking:
        raise archive.invalid(path, f"the restored data lack {', '.join(lacking)}")
    return {"objects": found["objects"], "nodes": len(found["nodes"])}


def _wait(scratch: Etcd, process: subprocess.Popen[bytes], log: str, path: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while True:
        with contextlib.suppress(PhotonError):
            if scratch.status()["leader"] != "0":
                return
        if process.poll() is not None or time.monotonic() > deadline:
            with open(log, encoding="utf-8", errors="replace") as handle:
                said = handle.read()[-500:].strip()
            raise archive.invalid(path, f"etcd does not serve the restored data: {said}")
        time.sleep(_POLL_SECONDS)


def _certificates() -> list[str]:
    return [
        f"cert-file={_PKI}/server.crt",
        f"key-file={_PKI}/server.key",
        f"trusted-ca-file={_PKI}/ca.crt",
        "client-cert-auth=true",
    ]


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _prefix(key: str) -> dict[str, str]:
    end = key[:-1] + chr(ord(key[-1]) + 1)
    return {"key": _encoded(key), "range_end": _encoded(end)}


def _one(key: str) -> dict[str, Any]:
    return {"key": _encoded(key), "count_only": True}


def _encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


def _decoded(text: str) -> str:
    return b64decode(text).decode("utf-8", "replace")
