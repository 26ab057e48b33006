# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``verify`` finds: one value per difference between documents, allocations and endpoints."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..model.entities import Document


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. ``what`` names its sort, ``expected`` and ``found`` are for people, ``step`` is what to do.

    ``repairable`` says that a repair removes the difference: by recording ``observed``, the document with its facts
    refreshed, and by writing the rows of ``consumers`` again.
    """

    kind: str
    name: str
    what: str
    expected: str
    found: str
    step: str = ""
    repairable: bool = False
    observed: Document | None = None
    consumers: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The finding as results show it."""
        keys = ("kind", "name", "what", "expected", "found", "step", "repairable")
        return {key: value for key, value in asdict(self).items() if key in keys}
