# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""States of each kind of entity, and the operations that lead from one to another."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from . import entities
from .errors import PhotonError

CREATING, READY, PENDING_DELETE, ERROR, DELETED = "CREATING", "READY", "PENDING_DELETE", "ERROR", "DELETED"
STARTED, SUSPENDED, STOPPED = "STARTED", "SUSPENDED", "STOPPED"
DETACHED, ATTACHED = "DETACHED", "ATTACHED"
NOT_PROVISIONED, MAINTENANCE = "NOT_PROVISIONED", "MAINTENANCE"

_CATALOGUE = (CREATING, READY, PENDING_DELETE, ERROR, DELETED)
_CONTAINER = (READY, DELETED)
STATES: dict[str, tuple[str, ...]] = {
    entities.DEPLOYMENT: _CONTAINER,
    entities.ENDPOINT: _CONTAINER,
    entities.TENANT: _CONTAINER,
    entities.PROJECT: _CONTAINER,
    entities.ZONE: _CATALOGUE,
    entities.FLAVOR: _CATALOGUE,
    entities.IMAGE: _CATALOGUE,
    entities.IMAGE_COPY: (CREATING, READY, ERROR, DELETED),
    entities.DATASTORE: (READY, ERROR, DELETED),
    entities.HOST: (CREATING, NOT_PROVISIONED, READY, MAINTENANCE, SUSPENDED, ERROR, DELETED),
    entities.VM: (CREATING, STARTED, SUSPENDED, STOPPED, ERROR, DELETED),
    entities.DISK: (CREATING, DETACHED, ATTACHED, ERROR, DELETED),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """What a task does to an entity: allowed in ``sources``, leads to ``target``."""

    sources: tuple[str, ...]
    target: str


OPERATIONS: dict[str, dict[str, Operation]] = {
    entities.VM: {
        "START_VM": Operation((STOPPED,), STARTED),
        "STOP_VM": Operation((STARTED, SUSPENDED), STOPPED),
        "RESTART_VM": Operation((STARTED,), STARTED),
        "SUSPEND_VM": Operation((STARTED,), SUSPENDED),
        "RESUME_VM": Operation((SUSPENDED,), STARTED),
        "DELETE_VM": Operation((STOPPED, ERROR, CREATING), DELETED),
    },
    entities.DISK: {
        "ATTACH_DISK": Operation((DETACHED,), ATTACHED),
        "DETACH_DISK": Operation((CREATING, DETACHED, ATTACHED, ERROR), DETACHED),
        "DELETE_DISK": Operation((CREATING, DETACHED, ERROR), DELETED),
    },
    entities.HOST: {
        "SUSPEND_HOST": Operation((READY, SUSPENDED), SUSPENDED),
        "RESUME_HOST": Operation((SUSPENDED,), READY),
        "ENTER_MAINTENANCE_MODE": Operation((SUSPENDED, MAINTENANCE), MAINTENANCE),
        "EXIT_MAINTENANCE_MODE": Operation((MAINTENANCE,), READY),
        "DELETE_HOST": Operation((NOT_PROVISIONED, MAINTENANCE, ERROR), DELETED),
    },
}
# A new entity can refer to another only in this state; the code for all other states.
REFERABLE: dict[str, str] = {
    entities.FLAVOR: "InvalidFlavorState",
    entities.IMAGE: "InvalidImageState",
    entities.ZONE: "InvalidAvailabilityZoneState",
}


def check_usable(kind: str, state: str, name: str) -> None:
    """Raise unless something new may use this flavor, image or zone: only a READY one."""
    if state != READY:
        raise PhotonError(
            REFERABLE[kind], f"{kind} {name} is {state}: new resources need a READY {kind}", {"state": state}
        )


def route(kind: str, state: str, wanted: str) -> list[str]:
    """Return the shortest list of operations from one state to another; empty where they are equal.

    Raises StateError, for hosts InvalidHostState, where no operations lead there.
    """
    ways: deque[tuple[str, list[str]]] = deque([(state, [])])
    seen = {state}
    while ways:
        here, operations = ways.popleft()
        if here == wanted:
            return operations
        for name, operation in OPERATIONS[kind].items():
            if here in operation.sources and operation.target not in seen:
                seen.add(operation.target)
                ways.append((operation.target, [*operations, name]))
    code = "InvalidHostState" if kind == entities.HOST else "StateError"
    raise PhotonError(code, f"no operation leads a {kind} from {state} to {wanted}", {"state": state, "wanted": wanted})
