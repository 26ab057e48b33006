# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Summarize a cluster for people and programs from the observed state of each host (pure)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from . import state as states

Cluster = Mapping[str, Any]
Observed = Mapping[str, "Mapping[str, Any] | None"]


def status(cluster: Cluster, observed: Observed) -> dict[str, Any]:
    """Return the status as plain JSON: name, state, reasons, version, endpoint, nodes, etcd, certificates and others.

    ``observed``: host -> result of module kubernetes_info (host, cluster, etcd, certificates), None for an unreachable
    host. Nodes are the declared members in order, followed by other registered nodes.
    """
    found = states.state(cluster, observed)
    look = observed.get(found["source"] or "") or {}
    there = look.get("cluster") or {}
    end = cluster["endpoint"]
    return {
        "name": cluster["name"],
        "state": found["state"],
        "reasons": found["reasons"],
        "version": there.get("version"),
        "declared_version": cluster["version"],
        "endpoint": f"https://{end['host']}:{end['port']}",
        "nodes": _nodes(cluster, observed, there.get("nodes") or ()),
        "etcd": {
            "quorum": (look.get("etcd") or {}).get("quorum", 0),
            "healthy_voters": (look.get("etcd") or {}).get("healthy_voters", 0),
            "members": [
                {key: one[key] for key in ("name", "healthy", "learner", "alarms", "size", "in_use", "quota")}
                for one in (look.get("etcd") or {}).get("members") or ()
            ],
        },
        "certificates": _certificates(cluster, observed),
        "pending_certificates": [dict(one) for one in there.get("pending_certificates") or ()],
        "addons": [
            {key: one[key] for key in ("kind", "namespace", "name", "wanted", "available")}
            for one in there.get("addons") or ()
        ],
    }


def table(found: Mapping[str, Any]) -> list[str]:
    """Format a status for a terminal."""
    version = found["version"] or "unknown"
    if found["version"] and found["version"] != found["declared_version"]:
        version += f" ({found['declared_version']} is declared)"
    lines = [f"cluster {found['name']}: {found['state']}, version {version}, {found['endpoint']}"]
    lines += [f"  {reason}" for reason in found["reasons"]]
    etcd = found["etcd"]
    lines.append("")
    lines += _aligned(
        ["NODE", "ROLE", "ADDRESS", "VERSION", "STATE", "ETCD", "CERTIFICATE EXPIRES"],
        [
            [
                node["name"], node["role"], node["address"] or "-", node["version"] or "-", node["state"],
                node["etcd"] or "-", _end(found["certificates"].get(node["name"])),
            ]
            for node in found["nodes"]
        ],
    )  # fmt: skip
    lines += [
        "",
        f"etcd: {etcd['healthy_voters']} of {len(etcd['members'])} members answer, {etcd['quorum']} are needed"
        + _database(etcd["members"]),
    ]
    lines += [
        f"{one['node']}: its kubelet waits for a serving certificate ({one['name']})"
        + (f", refused: {one['reason']}. Check the host." if one["reason"] else ", granted within a minute.")
        for one in found["pending_certificates"]
    ]
    if found["addons"]:
        rows = [
            [f"{one['namespace']}/{one['name']}", one["kind"], f"{one['available']} of {one['wanted']}"]
            for one in found["addons"]
        ]
        lines += ["", *_aligned(["ADD-ON", "KIND", "AVAILABLE"], rows)]
    return lines


def _database(members: Sequence[Mapping[str, Any]]) -> str:
    """Describe the largest database, which is the first to be full, and all alarms."""
    largest = max(members, key=lambda one: one["size"], default=None)
    if largest is None or not largest["size"]:
        return ""
    quota = f" of {largest['quota'] / 1e6:.0f}" if largest["quota"] else ""
    alarms = sorted({f"{one['name']} has the alarm {alarm}" for one in members for alarm in one["alarms"]})
    return "; ".join(
        [f"; database {largest['size'] / 1e6:.0f}{quota} MB, {largest['in_use'] / 1e6:.0f} in use", *alarms]
    )


def _nodes(cluster: Cluster, observed: Observed, nodes: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    known = {node["name"]: node for node in nodes}
    members = list(cluster["members"])
    extra = [name for name in known if name not in {member["name"] for member in members}]
    members += [{"name": name, "role": None, "address": next(iter(known[name]["addresses"]), None)} for name in extra]
    voters = _voters(observed)
    result = []
    for member in members:
        name, node, answer = member["name"], known.get(member["name"]), observed.get(member["name"])
        if node:
            word = "Ready" if node["ready"] else f"NotReady: {node['reason']}"
            word += ", cordoned" if node["unschedulable"] else ""
            word += ", not declared" if member["role"] is None else ""
        elif answer is None and member["role"]:
            word = "unreachable"
        else:
            word = {"clean": "not a member", "partial": "join incomplete"}.get(
                (answer or {}).get("host", {}).get("state"), "not registered"
            )
        role = member["role"] or ("control_plane" if "control-plane" in (node or {}).get("roles", ()) else "worker")
        result.append(
            {
                "name": name, "role": role.replace("_", "-"), "address": member["address"],
                "version": (node or {}).get("version"), "state": word, "ready": bool(node and node["ready"]),
                "etcd": voters.get(member["address"]),
            }
        )  # fmt: skip
    return result


def _voters(observed: Observed) -> dict[str, str]:
    """Return address -> etcd health, as reported by the first member that answers."""
    for answer in observed.values():
        members = ((answer or {}).get("etcd") or {}).get("members") or ()
        if members:
            return {
                url.rpartition(":")[0].rpartition("/")[2].strip("[]"): "learner" if one["learner"]
                else "healthy" if one["healthy"] else "does not answer"
                for one in members for url in one["peer_urls"]
            }  # fmt: skip
    return {}


def _certificates(cluster: Cluster, observed: Observed) -> dict[str, dict[str, Any]]:
    """Return host -> its certificate that expires first."""
    found = {}
    for member in cluster["members"]:
        listed: Sequence[Mapping[str, Any]] = (observed.get(member["name"]) or {}).get("certificates") or ()
        if listed:
            found[member["name"]] = dict(min(listed, key=lambda one: one["days_left"]))
    return found


def _end(certificate: Mapping[str, Any] | None) -> str:
    if not certificate:
        return "-"
    return (
        f"{certificate['not_after'][:10]}, {certificate['days_left']} days ({certificate['path'].rpartition('/')[2]})"
    )


def _aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(str(row[index])) for row in [head, *rows]) for index in range(len(head))]
    return [
        "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [head, *rows]
    ]
