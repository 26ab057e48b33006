# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The typed actions on hosts."""

from __future__ import annotations

from dataclasses import dataclass

from ..planning import Action


@dataclass(slots=True, kw_only=True)
class ChangeHost(Action):
    """Create or change a host, whose state is ``seen``, to the one in the document."""

    seen: str
