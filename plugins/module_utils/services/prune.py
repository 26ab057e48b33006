# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pruning: what a site created and no longer declares.

Nothing is deleted merely because it is no longer declared: ``report`` only lists it; ``delete`` deletes what this
inventory created, never more than ``max_deletes`` in a run, never what has deletion_protection.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..model import entities
from ..model.declaration import full_name
from ..model.entities import Document
from ..model.errors import PhotonError
from ..model.names import collapse, listed
from . import registry
from .planning import DELETE, Planning


def plan_prune(planning: Planning) -> None:
    """Report or delete what is ``managed_by`` this site and not declared."""
    gone = undeclared(planning)
    if not gone:
        return
    plan, state, options = planning.plan, planning.state, planning.options
    names = _by_kind((document.kind, state.path_of(document)) for document in gone)
    if options.prune != "delete":
        plan.warnings.append(f"no longer declared and left alone: {names}; photon_prune: delete removes them")
        return
    absent = sum(action.verb == DELETE and registry.KINDS[action.kind].prunable for action in plan.actions)
    if len(gone) + absent > options.max_deletes:
        plan.fail(
            "site",
            planning.declaration.site,
            PhotonError(
                "TooManyDeletes",
                f"pruning would delete {len(gone)} resources ({names}), with those declared absent more than "
                f"photon_max_deletes "
                f"({options.max_deletes}): none was deleted; raise the limit for this run if that is intended",
            ),
        )
        return
    for document in gone:
        delete = registry.KINDS[document.kind].plan_delete
        if delete is not None:
            with plan.failing(document.kind, state.path_of(document)):
                delete(document, planning, "no longer declared")


def check_absent(planning: Planning) -> None:
    """Raise TooManyDeletes when more is declared absent than one run may delete; nothing is done then."""
    deletes = [a for a in planning.plan.actions if a.verb == DELETE and registry.KINDS[a.kind].prunable]
    if len(deletes) <= planning.options.max_deletes:
        return
    names = _by_kind((action.kind, action.name) for action in deletes)
    raise PhotonError(
        "TooManyDeletes",
        f"{len(deletes)} resources are declared absent ({names}), more than "
        f"photon_max_deletes ({planning.options.max_deletes}): nothing was done; raise the limit for this run if that "
        "is intended",
    )


def _by_kind(items: Iterable[tuple[str, str]]) -> str:
    """Return names by kind, as ranges: ``vm acme/web/web-[01:20], tenant acme``."""
    names: dict[str, list[str]] = {}
    for kind, name in items:
        names.setdefault(kind, []).append(name)
    return listed([f"{kind} {text}" for kind, some in names.items() for text in collapse(sorted(some))])


def undeclared(planning: Planning) -> list[Document]:
    """The documents of this site that the declaration does not name, users before what they use."""
    kinds = [kind.name for kind in registry.backwards() if kind.prunable]
    return [d for kind in kinds for d in planning.undeclared(kind) if d.state != "PENDING_DELETE"]


def leaving_vms(planning: Planning) -> set[str]:
    """The ids of the VMs that the plan may delete: what is attached to them must be known in detail."""
    state = planning.state
    absent = {full_name(entities.VM, item) for item in planning.declaration.vms if item.get("state") == "absent"}
    leaving = {d.id for d in state.of(entities.VM) if state.path_of(d) in absent} if absent else set()
    if planning.whole and planning.options.prune == "delete":
        leaving |= {document.id for document in undeclared(planning) if document.kind == entities.VM}
    return leaving
