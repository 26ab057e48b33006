# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery of interrupted tasks on images: the next run finds complete copies and makes the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...cloudstore import Task
from ...model import entities, states
from ...model.entities import Document
from ...model.errors import PhotonError
from ..state import CurrentState
from .copies import CREATE_COPY, row_of
from .record import Copy, claim_of


def recover(tx: Any, task: Task, document: Document, state: CurrentState) -> None:
    """Leave a usable state: READY with a copy that was complete, else ERROR. A deletion is planned again."""
    if task.operation == "CREATE_IMAGE":
        ready = any(copy.state == states.READY for copy in state.of(entities.IMAGE_COPY, document.id))
        tx.settle([replace(document, state=states.READY if ready else states.ERROR)])


def recover_copy(tx: Any, task: Task, document: Document, state: CurrentState) -> None:
    """A copy that was being made is ERROR and holds nothing until a run makes it, or finds that it is complete; a
    deleted one is buried. Raises PhotonError where the endpoint of a deletion could not be read."""
    if task.operation == CREATE_COPY:
        failed = replace(Copy.of(document), state=states.ERROR, path="", template_moid="").write_to(document)
        tx.settle([failed])
        tx.claim([claim_of(failed, state)], check=False)
    elif (copy := Copy.of(document)) and _is_readable(copy, state) and row_of(copy, state) is None:
        tx.bury([document])


def _is_readable(copy: Copy, state: CurrentState) -> bool:
    if state.must(copy.datastore).scope in state.inventories:
        return True
    raise PhotonError("DependencyFailed", "the endpoint of an image's copy could not be read; run again")
