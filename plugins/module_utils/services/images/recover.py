# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery of interrupted tasks on images: the next run finds complete copies and creates the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...cloudstore import Task
from ...model import states
from ...model.entities import Document
from ..state import CurrentState


def recover(tx: Any, task: Task, document: Document, state: CurrentState) -> None:
    """Leave a usable state: READY with the recorded copies, ERROR without any. A deletion is planned again."""
    if task.operation == "CREATE_IMAGE":
        tx.settle([replace(document, state=states.READY if document.body["copies"] else states.ERROR)])
