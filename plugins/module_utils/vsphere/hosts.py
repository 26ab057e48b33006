# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs for hosts: maintenance mode. Nothing is evacuated: the platform lets a host enter it without VMs only."""

from __future__ import annotations

from typing import Any

from . import retrieve
from .jobs import Job
from .session import Session


def enter_maintenance(moid: str, name: str, key: Any = None, **options: Any) -> Job:
    """Put a host into maintenance mode; one that is in it is done."""
    return _maintenance(moid, f"enter maintenance mode of host {name}", "EnterMaintenanceMode_Task", "true", key,
                        {"operation": "enter_maintenance"} | options)


def exit_maintenance(moid: str, name: str, key: Any = None, **options: Any) -> Job:
    """Take a host out of maintenance mode; one that is out of it is done."""
    return _maintenance(moid, f"exit maintenance mode of host {name}", "ExitMaintenanceMode_Task", "false", key,
                        {"operation": "exit_maintenance"} | options)


def _maintenance(moid: str, what: str, method: str, wanted: str, key: Any, options: dict[str, Any]) -> Job:
    def submit(session: Session) -> Any:
        rows = retrieve.from_objects(session, "HostSystem", [moid], ["runtime.inMaintenanceMode"])
        if rows and rows[0][2].get("runtime.inMaintenanceMode") == wanted:
            return None
        return session.call(what, getattr(session.reference("HostSystem", moid), method), 0)

    return Job(key=key if key is not None else moid, what=what, submit=submit, **options)
