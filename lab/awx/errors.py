# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer to a request that AWX refuses."""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """``body`` is the JSON of the answer, ``status`` its HTTP status."""

    def __init__(self, body: dict[str, Any], status: int = 400) -> None:
        super().__init__(str(body))
        self.body, self.status = body, status


def missing() -> Refused:
    return Refused({"detail": "The requested resource could not be found."}, 404)
