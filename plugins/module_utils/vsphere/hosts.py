# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs for hosts: maintenance mode. No VM is moved for it: a host enters once no VM that blocks it runs there."""

from __future__ import annotations

from typing import Any

from . import retrieve
from .jobs import Job
from .rows import EndpointInventory, VmRow
from .session import Session


def blocking_vms(inventory: EndpointInventory, host_moid: str) -> list[VmRow]:
    """List the VMs that keep a host from entering maintenance mode: those powered on, without vSphere's own agents.

    Templates, image copies and VMs that are off or suspended stay where they are.
    """
    return [
        row
        for row in inventory.vms.values()
        if row.host == host_moid and row.power_state == "poweredOn" and not row.agent
    ]


def enter_maintenance(moid: str, name: str, timeout: float = 1800.0, **options: Any) -> Job:
    """Put a host into maintenance mode; one that is in it is done.

    VMs that are off stay on the host. vSphere gives up after ``timeout`` seconds, as the job does.
    """
    arguments = (max(1, int(timeout)), False)
    what = f"enter maintenance mode of host {name}"
    return _maintenance(moid, what, "EnterMaintenanceMode_Task", "true", arguments, {"timeout": timeout, **options})


def exit_maintenance(moid: str, name: str, **options: Any) -> Job:
    """Take a host out of maintenance mode; one that is out of it is done."""
    what = f"exit maintenance mode of host {name}"
    return _maintenance(moid, what, "ExitMaintenanceMode_Task", "false", (0,), options)


def _maintenance(
    moid: str, what: str, method: str, wanted: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> Job:
    def submit(session: Session) -> Any:
        rows = retrieve.from_objects(session, "HostSystem", [moid], ["runtime.inMaintenanceMode"])
        if rows and rows[0][2].get("runtime.inMaintenanceMode") == wanted:
            return None
        return session.call(what, getattr(session.reference("HostSystem", moid), method), *arguments)

    return Job(what=what, submit=submit, **{"key": moid, **options})
