# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter haproxy_status: entry point to the tool haproxy (documented in haproxy_status.yml)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..module_utils.haproxy import report


def haproxy_status(statuses: Mapping[str, Any], vips: Mapping[str, str]) -> list[str]:
    """Return the lines of the table."""
    return report.lines(statuses, vips)


class FilterModule:
    """Register the filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return filter name -> function."""
        return {"haproxy_status": haproxy_status}
