# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd's majority: what may be taken from it, and when it is lost. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Member = Mapping[str, Any]


def needed(voters: int) -> int:
    """How many of so many voters must answer."""
    return voters // 2 + 1


def refusal(voters: Mapping[str, bool], leaving: str) -> str:
    """Why ``leaving`` may not be taken out of ``voters`` (name -> answers), "" when it may.

    The removal must be agreed on by those who are, and those who stay must be enough.
    """
    answering = sum(voters.values())
    if answering < needed(len(voters)):
        return f"etcd has no quorum: {answering} of {len(voters)} members answer"
    staying = {name: healthy for name, healthy in voters.items() if name != leaving}
    if not staying:
        return f"{leaving} is etcd's only member"
    if sum(staying.values()) < needed(len(staying)):
        return f"without {leaving} etcd would lose its quorum: {sum(staying.values())} of {len(staying)} answer"
    return ""


def voters_of(members: Sequence[Member]) -> dict[str, bool]:
    """Voters by their names, or addresses where they never started: do they answer?"""
    return {one["name"] or ",".join(one["peer_urls"]): bool(one["healthy"]) for one in members if not one["learner"]}


def member_of(members: Sequence[Member], host: Mapping[str, Any]) -> Member | None:
    """The member of etcd that a host of the cluster is, known by its address, or its name."""
    for one in members:
        if any(url.rpartition(":")[0].endswith(f"//{host['address']}") for url in one["peer_urls"]):
            return one
    return next((one for one in members if one["name"] == host["name"]), None)


def lost(cluster: Mapping[str, Any], observed: Mapping[str, Mapping[str, Any] | None]) -> str:
    """Why etcd has lost its majority for good, "" when it has not or nobody knows.

    A voter may come back when its host still holds its data, or was not reached, or is not ours to know.
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
    return f"etcd has lost its majority: the data of {', '.join(gone)} are gone, {len(voters)} members were"
