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

_TIMEOUT = 1800.0


def blocking_vms(inventory: EndpointInventory, host_moid: str) -> list[VmRow]:
    """List the VMs that keep a host from entering maintenance mode: those powered on, without vSphere's own agents.

    Templates, image copies and VMs that are off or suspended stay where they are.
    """
    return [
        row
        for row in inventory.vms.values()
        if row.host == host_moid and row.power_state == "poweredOn" and not row.agent
    ]


def enter_maintenance(moid: str, name: str, key: Any = None, **options: Any) -> Job:
    """Put a host into maintenance mode; one that is in it is done.

    VMs that are off stay on the host. vSphere gives up after the job's ``timeout``, as the job does.
    """
    options = {"operation": "enter_maintenance", "timeout": _TIMEOUT} | options
    return _maintenance(
        moid,
        f"enter maintenance mode of host {name}",
        "EnterMaintenanceMode_Task",
        "true",
        (max(1, int(options["timeout"])), False),
        key,
        options,
    )


def exit_maintenance(moid: str, name: str, key: Any = None, **options: Any) -> Job:
    """Take a host out of maintenance mode; one that is out of it is done."""
    return _maintenance(
        moid,
        f"exit maintenance mode of host {name}",
        "ExitMaintenanceMode_Task",
        "false",
        (0,),
        key,
        {"operation": "exit_maintenance"} | options,
    )


def _maintenance(
    moid: str, what: str, method: str, wanted: str, arguments: tuple[Any, ...], key: Any, options: dict[str, Any]
) -> Job:
    def submit(session: Session) -> Any:
        rows = retrieve.from_objects(session, "HostSystem", [moid], ["runtime.inMaintenanceMode"])
        if rows and rows[0][2].get("runtime.inMaintenanceMode") == wanted:
            return None
        return session.call(what, getattr(session.reference("HostSystem", moid), method), *arguments)

    return Job(key=key if key is not None else moid, what=what, submit=submit, **options)
