# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide which members etcd can lose without losing its quorum (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Member = Mapping[str, Any]


def needed(voters: int) -> int:
    """Return the size of the majority of this many voters."""
    return voters // 2 + 1


def refusal(voters: Mapping[str, bool], leaving: str) -> str:
    """Return why ``leaving`` cannot be removed from ``voters`` (name -> answers), or "" when it can.

    A majority must answer both before and after the removal.
    """
    answering = sum(voters.values())
    if answering < needed(len(voters)):
        return f"etcd has no quorum: {answering} of {len(voters)} members answer"
    staying = {name: healthy for name, healthy in voters.items() if name != leaving}
    if not staying:
        return f"{leaving} is the only member of etcd"
    if sum(staying.values()) < needed(len(staying)):
        return f"without {leaving} etcd would lose its quorum: {sum(staying.values())} of {len(staying)} answer"
    return ""


def voters_of(members: Sequence[Member]) -> dict[str, bool]:
    """Return whether each voter answers, by name, or by address when it never started."""
    return {one["name"] or ",".join(one["peer_urls"]): bool(one["healthy"]) for one in members if not one["learner"]}


def member_of(members: Sequence[Member], host: Mapping[str, Any]) -> Member | None:
    """Return a host's etcd member, matched by address or name."""
    for one in members:
        if any(url.rpartition(":")[0].endswith(f"//{host['address']}") for url in one["peer_urls"]):
            return one
    return next((one for one in members if one["name"] == host["name"]), None)


def lost(cluster: Mapping[str, Any], observed: Mapping[str, Mapping[str, Any] | None]) -> str:
    """Return why etcd's quorum is permanently lost, or "" when it is not lost or this is unknown.

    A voter may return when its host still holds its data, is unreachable or is not declared.
    """
    members = next(
        (
            answer["etcd"]["members"]
            for name in cluster["control_plane"]
            if (answer := observed.get(name)) and (answer.get("etcd") or {}).get("members")
        ),
        (),
    )
    voters = [one for one in members if not one["learner"]]
    if not voters:
        return ""
    hosts = {id(member_of(voters, host)): host["name"] for host in cluster["members"] if member_of(voters, host)}
    gone = []
    for one in voters:
        answer = observed.get(hosts.get(id(one), ""))
        if not one["healthy"] and answer is not None and not (answer.get("host") or {}).get("etcd_data"):
            gone.append(one["name"] or ",".join(one["peer_urls"]))
    if len(voters) - len(gone) >= needed(len(voters)):
        return ""
    return (
        f"etcd's quorum is permanently lost: {len(gone)} of {len(voters)} members lost their data ({', '.join(gone)})"
    )
