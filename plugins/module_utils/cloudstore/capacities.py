# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capacity of hosts and datastores inside a transaction: claimed only where it is free and nothing relevant changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from ..model.errors import PhotonError
from .base import Base
from .bulk import NUMBER, TEXT, Bulk, Fetch, Guarded, Insert
from .errors import TryAgain
from .library import load
from .rows import Capacity, Claim, GroupMember

_COLUMNS = tuple(field.name for field in fields(Capacity))
_DECIDING = ("state", "vcpu_limit", "memory_limit", "space_limit", "attributes")
_FOREIGN = ("vcpu_foreign", "memory_foreign", "space_foreign")
_RECORDED = ("generation", *_DECIDING, *_FOREIGN)
_PARTS = (("vcpu", "vcpus"), ("memory", "memory"), ("space", "space"))
_TYPES = {name: TEXT if name in ("id", "kind", "state", "attributes") else NUMBER for name in _COLUMNS}
_DELTAS = {"of_id": TEXT, "of_generation": NUMBER, **{f"d_{part}": NUMBER for part, _name in _PARTS}}

_LOCKED = Fetch("capacity", "id", lock=True)
_INSERT = Insert("capacity", _TYPES)
_RECORD = Bulk(
    {"of_id": TEXT, **{f"new_{name}": _TYPES[name] for name in _RECORDED}},
    lambda t, v: (
        t.capacity.update()
        .where(t.capacity.c.id == v.of_id)
        .values({name: getattr(v, f"new_{name}") for name in _RECORDED})
    ),
)
_REMOVE = Bulk({"of_id": TEXT}, lambda t, v: t.capacity.delete().where(t.capacity.c.id == v.of_id))
# The conditions are written further down.  pylint: disable-next=unnecessary-lambda
_CLAIM = Guarded("capacity", {"id": "of_id"}, _DELTAS, lambda c, v: _free(c, v), lambda c, v: _claimed(c, v))  # noqa: PLW0108
_SHIFT = Bulk(
    _DELTAS, lambda t, v: t.capacity.update().where(t.capacity.c.id == v.of_id).values(_claimed(t.capacity.c, v))
)
_MEMBERS = Fetch("group_members", "group_name")
_JOIN = Insert("group_members", {"group_name": TEXT, "topology_key": TEXT, "entity_id": TEXT})
_LEAVE = Bulk({"of_id": TEXT}, lambda t, v: t.group_members.delete().where(t.group_members.c.entity_id == v.of_id))


class Capacities(Base):
    """The part of Transaction that keeps capacity and hard anti-affinity."""

    def capacity(self, ids: Iterable[str]) -> dict[str, Capacity]:
        """``{id: Capacity}``; the rows stay ours until the transaction ends."""
        return {row.id: capacity_from_row(row) for row in _LOCKED.rows(self.connection, ids)}

    def set_capacity(self, rows: Iterable[Capacity]) -> dict[str, Capacity]:
        """Record limits, state, attributes and what others use; what we claimed stays as it is.

        The generation goes up when state, limits or attributes differ from what was recorded. Returns the rows
        afterwards.
        """
        wanted = {row.id: row for row in rows}
        known = self.capacity(wanted)
        after: dict[str, Capacity] = {}
        for key, row in wanted.items():
            old = known.get(key)
            moved = old is None or any(getattr(row, name) != getattr(old, name) for name in _DECIDING)
            after[key] = Capacity(
                key,
                row.kind,
                row.state,
                (old.generation if old else 0) + moved,
                row.vcpu_limit,
                old.vcpu_claimed if old else 0,
                row.vcpu_foreign,
                row.memory_limit,
                old.memory_claimed if old else 0,
                row.memory_foreign,
                row.space_limit,
                old.space_claimed if old else 0,
                row.space_foreign,
                row.attributes,
            )
        _RECORD.execute(
            self.connection,
            [
                {"of_id": key, **{f"new_{name}": getattr(row, name) for name in _RECORDED}}
                for key, row in after.items()
                if key in known and row != known[key]
            ],
        )
        fresh = [_as_dict(row) for key, row in after.items() if key not in known]
        if _INSERT.execute(self.connection, fresh) != len(fresh):
            raise TryAgain("another transaction recorded a host for the first time")
        return after

    def remove_capacity(self, ids: Iterable[str]) -> None:
        """Forget hosts or datastores."""
        _REMOVE.execute(self.connection, [{"of_id": key} for key in sorted(set(ids))])

    def claim(self, claims: Iterable[Claim]) -> list[str]:
        """Take capacity on READY hosts and datastores; returns the ids where it did not fit or the generation moved on.

        Claims on one id count together. On a conflicting id nothing was claimed, on the others all was: raise to undo
        everything, or place again what conflicted.
        """
        wanted, torn = _sum(claims)
        if not torn and _CLAIM.all_at_once(self.connection, [_delta(claim) for claim in wanted.values()]):
            return []
        known = self.capacity(wanted)
        conflicts = [key for key, claim in wanted.items() if key in torn or not _fits(known.get(key), claim)]
        self._add(claim for key, claim in wanted.items() if key not in conflicts)
        return conflicts

    def release(self, claims: Iterable[Claim]) -> None:
        """Give capacity back; hosts and datastores that are no longer recorded are passed over."""
        wanted, _torn = _sum(claims)
        known = self.capacity(wanted)
        self._add(_negative(claim, known[key]) for key, claim in wanted.items() if key in known)

    def move(self, released: Iterable[Claim], claimed: Iterable[Claim]) -> None:
        """Record that something already runs elsewhere: no limit is asked, since vSphere has decided."""
        out, _torn = _sum(released)
        into, _torn = _sum(claimed)
        known = self.capacity({*out, *into})
        self._add((_negative(claim, known[key]) for key, claim in out.items() if key in known))
        self._add((claim for key, claim in into.items() if key in known), guarded=False)

    def take_groups(self, members: Iterable[GroupMember]) -> list[GroupMember]:
        """Hard anti-affinity: one member per group and topology key; returns those whose place is taken."""
        wanted: dict[tuple[str, str], GroupMember] = {}
        conflicts = []
        members = list(members)
        taken = {
            (row.group_name, row.topology_key): row.entity_id
            for row in _MEMBERS.rows(self.connection, [m.group for m in members])
        }
        for member in members:
            key = (member.group, member.topology_key)
            holder = taken.get(key) or (wanted[key].entity_id if key in wanted else None)
            if holder is None:
                wanted[key] = member
            elif holder != member.entity_id:
                conflicts.append(member)
        rows = [
            {"group_name": m.group, "topology_key": m.topology_key, "entity_id": m.entity_id} for m in wanted.values()
        ]
        if _JOIN.execute(self.connection, rows) != len(rows):
            raise TryAgain("another transaction took a place in the group")
        return conflicts

    def release_groups(self, entity_ids: Iterable[str]) -> None:
        """Take entities out of all their groups."""
        _LEAVE.execute(self.connection, [{"of_id": key} for key in sorted(set(entity_ids))])

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _add(self, claims: Iterable[Claim], *, guarded: bool = True) -> None:
        rows = [_delta(claim) for claim in claims]
        if (_CLAIM if guarded else _SHIFT).execute(self.connection, rows) != len(rows):
            raise PhotonError("InternalError", "a host's or datastore's capacity changed under its lock: run again")


def _claimed(c: Any, v: Any) -> dict[str, Any]:
    return {f"{part}_claimed": c[f"{part}_claimed"] + getattr(v, f"d_{part}") for part, _name in _PARTS}


def _free(c: Any, v: Any) -> list[Any]:
    """The generation is the one that was placed on; what is taken is there on a READY host or datastore."""
    sa = load()
    conditions = [sa.or_(v.of_generation.is_(None), c.generation == v.of_generation)]
    for part, _name in _PARTS:
        delta = getattr(v, f"d_{part}")
        after = c[f"{part}_claimed"] + delta
        enough = sa.and_(c.state == "READY", after + c[f"{part}_foreign"] <= c[f"{part}_limit"])
        conditions += [after >= 0, sa.or_(delta <= 0, enough)]
    return conditions


def capacity_from_row(row: Any) -> Capacity:
    return Capacity(*(getattr(row, name) for name in _COLUMNS))


def _delta(claim: Claim) -> dict[str, Any]:
    return {
        "of_id": claim.id,
        "of_generation": claim.generation,
        "d_vcpu": claim.vcpus,
        "d_memory": claim.memory,
        "d_space": claim.space,
    }


def _fits(row: Capacity | None, claim: Claim) -> bool:
    if row is None or row.state != "READY" or claim.generation not in (None, row.generation):
        return False
    return all(
        not (amount := getattr(claim, name))
        or amount <= getattr(row, f"{part}_limit") - getattr(row, f"{part}_claimed") - getattr(row, f"{part}_foreign")
        for part, name in _PARTS
    )


def _sum(claims: Iterable[Claim]) -> tuple[dict[str, Claim], set[str]]:
    """One claim per id, in order, and the ids for which different generations were named."""
    total: dict[str, Claim] = {}
    torn = set()
    for claim in claims:
        if min(claim.vcpus, claim.memory, claim.space) < 0:
            raise PhotonError("InternalError", f"a claim on {claim.id} is negative: release it instead")
        row = total.setdefault(claim.id, Claim(claim.id, generation=claim.generation))
        row.vcpus += claim.vcpus
        row.memory += claim.memory
        row.space += claim.space
        if claim.generation is not None:
            if row.generation not in (None, claim.generation):
                torn.add(claim.id)
            row.generation = claim.generation
    return dict(sorted(total.items())), torn


def _negative(claim: Claim, row: Capacity) -> Claim:
    for part, name in _PARTS:
        if getattr(claim, name) > getattr(row, f"{part}_claimed"):
            raise PhotonError(
                "InternalError",
                f"{claim.id} would give back more {name} than was claimed: report this with the task's id",
                {"id": claim.id},
            )
    return Claim(claim.id, -claim.vcpus, -claim.memory, -claim.space)


def _as_dict(row: Capacity) -> Mapping[str, Any]:
    return {name: getattr(row, name) for name in _COLUMNS}
