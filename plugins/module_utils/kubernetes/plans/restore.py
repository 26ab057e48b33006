# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan cluster_restore (pure). The data is restored on the first member, then cluster_create continues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...model.errors import PhotonError
from .. import archive, encryption, versions
from ..encryption import Layout


def plan(
    cluster: Mapping[str, Any], observed: Mapping[str, Mapping[str, Any] | None], manifest: Mapping[str, Any]
) -> dict[str, Any]:
    """Return {restore: host to restore, "" when it is restored already; prepare: hosts; reasons}.

    Raise PhotonError with every reason: HostUnreachable, BackupInvalid, InvalidHostState.
    """
    first = cluster["first"]
    found = [("BackupInvalid", reason) for reason in _backup(cluster, manifest)]
    hosts = {member["name"]: (observed.get(member["name"]) or {}).get("host") for member in cluster["members"]}
    found += [("HostUnreachable", f"{name} is unreachable") for name, host in hosts.items() if host is None]
    # A previous run restored this backup's data and may have continued from there; a living cluster has no such mark.
    restored = (hosts[first] or {}).get("restored_from", "") == manifest["sha256"][archive.SNAPSHOT]
    for name, host in hosts.items():
        if host is None or host["state"] == "clean" or (restored and host["cluster_id"] == manifest["cluster_id"]):
            continue
        if name == first and not host["etcd_data"] and host["cluster_id"] == manifest["cluster_id"]:
            continue  # the keys are restored, the data is not yet
        found.append(
            (
                "InvalidHostState",
                f"{name} is {_what(host)}. Set -e kubernetes_restore_reset=true to reset it first and lose that data.",
            )
        )
    if found:
        lines = "\n".join(f"- {reason}" for _code, reason in found)
        raise PhotonError(
            found[0][0],
            f"cluster {cluster['name']} cannot be restored. Nothing was changed:\n{lines}",
            {"reasons": [{"code": code, "reason": reason} for code, reason in found]},
        )
    prepare = [name for name in hosts if (observed[name] or {}).get("linux", {}).get("changed")]
    return {
        "restore": "" if restored else first,
        "prepare": prepare,
        "rolling": [],
        "ready": [],
        "reasons": [f"backup of {manifest['made']}"],
    }


def _backup(cluster: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[str]:
    reasons = []
    if manifest["cluster"] != cluster["name"]:
        reasons.append(f"the backup is of cluster {manifest['cluster']}, not of {cluster['name']}")
    declared = encryption.declared(cluster["encryption"])
    if declared is not None and "encryption" in manifest and Layout.of(manifest["encryption"]) != declared:
        keys = ", ".join(key.rpartition(":")[0] for key in manifest["encryption"]["keys"]) or "no key"
        reasons.append(
            f"the backup's objects are encrypted with {keys}. Declare the encryption of the backup, and change it "
            "with cluster_rotate afterwards."
        )
    there, wanted = versions.parse(manifest["version"]), versions.parse(cluster["version"])
    if there.minor != wanted.minor or there > wanted:
        reasons.append(
            f"the backup is of version {there} but {wanted} is declared. Declare {there}, and upgrade afterwards."
        )
    return reasons


def _what(host: Mapping[str, Any]) -> str:
    cluster = f" of cluster {host['cluster_name']}" if host.get("cluster_name") else ""
    return f"a {(host.get('role') or 'member').replace('_', '-')} member{cluster}" + (
        " with data" if host["etcd_data"] else ""
    )
