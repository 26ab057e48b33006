# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the declared image files that planning must know: new ones, and those whose size or time changed."""

from __future__ import annotations

import os

from ...model.errors import PhotonError
from ...vsphere import inspect_image
from ..context import Context
from ..planning import Planning
from .plan import files_to_read


def read(planning: Planning, context: Context) -> None:
    """Note the facts of each file, or the PhotonError of reading it, by the name that the declaration gives it."""
    for name in files_to_read(planning, lambda file: _stat(context.path(file))):
        try:
            planning.files[name] = {**inspect_image(context.path(name)), "stat": _stat(context.path(name))}
        except PhotonError as error:
            planning.files[name] = error


def _stat(path: str) -> list[int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]
