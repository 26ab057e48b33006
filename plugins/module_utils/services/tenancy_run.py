# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry out the planned changes of tenants, projects, flavors, zones and the deployment, in one transaction.

All of these live in the CloudStore alone, so one commit makes them all, and a refusal leaves everything as it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..model import entities
from ..model.entities import Document
from ..model.errors import PhotonError
from . import limits
from .planning import CREATE, DELETE, UPDATE, Action

KINDS = (entities.DEPLOYMENT, entities.ZONE, entities.FLAVOR, entities.TENANT, entities.PROJECT)
_ORDER = {kind: index for index, kind in enumerate(KINDS)}


def apply_tenancy(tx: Any, actions: Iterable[Action]) -> list[Action]:
    """Write the actions of KINDS through the transaction (a cloudstore Tx); returns those that were written.

    Limits move in an order in which no guard refuses what fits in the end: what projects give back, then the tenants'
    limits, then what projects get. Raises NameTaken, StaleVersion, QuotaError, DependencyFailed: then roll back and
    plan again.
    """
    changes = sorted(
        (a for a in actions if a.kind in _ORDER and a.verb in (CREATE, UPDATE, DELETE)), key=lambda a: _ORDER[a.kind]
    )
    of = _documents(changes)
    _refuse_orphans(tx, of[CREATE])
    if of[CREATE]:
        tx.insert(of[CREATE])
    if of[UPDATE]:
        tx.update(of[UPDATE])
    limited = [a for a in changes if "limits" in a.data]
    projects = [a for a in limited if a.kind == entities.PROJECT]
    for action in projects:
        _count(tx, action, given_back=True)
    for action in limited:
        if action.kind == entities.TENANT:
            tx.set_limits(action.id, action.data["limits"]["after"], replace=True, owner=f"tenant {action.name}")
    for action in projects:
        _count(tx, action, given_back=False)
        if action.verb != DELETE:
            tx.set_limits(action.id, action.data["limits"]["after"], replace=True, owner=f"project {action.name}")
    if of[DELETE]:
        tx.delete(of[DELETE][::-1])  # projects before their tenant
    return changes


def _refuse_orphans(tx: Any, made: list[Document]) -> None:
    """A project whose tenant was not made, or is gone meanwhile, is not made either."""
    there = {d.id for d in made if d.kind == entities.TENANT}
    projects = [d for d in made if d.kind == entities.PROJECT and d.scope not in there]
    found = tx.get([d.scope for d in projects]) if projects else {}
    for project in projects:
        if project.scope not in found:
            raise PhotonError(
                "DependencyFailed",
                f"project {project.name} is not made: its tenant could not be, or is gone; run again",
            )


def _documents(changes: Iterable[Action]) -> dict[str, list[Document]]:
    """The documents to write by verb; of several actions on one document the last says what it becomes."""
    verbs: dict[str, str] = {}
    documents: dict[str, Document] = {}
    for action in changes:
        verbs.setdefault(action.id, action.verb)
        documents[action.id] = action.document
    return {verb: [documents[i] for i, given in verbs.items() if given == verb] for verb in (CREATE, UPDATE, DELETE)}


def _count(tx: Any, action: Action, given_back: bool) -> None:
    """A project's limits are its tenant's usage."""
    changed = limits.deltas(action.data["limits"]["before"], action.data["limits"]["after"])
    delta = {key: value for key, value in changed.items() if (value[0] < 0) == given_back}
    if delta:
        tx.charge(action.document.scope, delta, owner=f"tenant {action.name.rpartition('/')[0]}")
