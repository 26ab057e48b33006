# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Use vCenter and ESXi hosts through pyvmomi: one session, one read, many tasks at once. See docs/vsphere.md.

pyvmomi is imported by the first ``connect`` or the first job that is built.
"""

from __future__ import annotations

from .drs import change_rules, compare_rules, read_rules, wanted_rule
from .files import existing_files
from .folders import ensure_folders
from .hosts import blocking_vms, enter_maintenance, exit_maintenance
from .imagefile import inspect_image
from .images import TemplateSpec, copy_image, delete_template, import_image
from .inventory import find_marked, lookup_vms, read_heavy, read_inventory, wait_for_addresses
from .jobs import run_jobs
from .names import folder_path
from .rows import EndpointSpec
from .session import Session, connect
from .vms import (
    DiskSpec,
    NicSpec,
    VmSpec,
    create_vm,
    destroy,
    detach_disks,
    power_off,
    power_on,
    reconfigure,
    register_vm,
    set_uuid,
    suspend,
)

__all__ = [
    "DiskSpec",
    "EndpointSpec",
    "NicSpec",
    "Session",
    "TemplateSpec",
    "VmSpec",
    "blocking_vms",
    "change_rules",
    "compare_rules",
    "connect",
    "copy_image",
    "create_vm",
    "delete_template",
    "destroy",
    "detach_disks",
    "ensure_folders",
    "enter_maintenance",
    "existing_files",
    "exit_maintenance",
    "find_marked",
    "folder_path",
    "import_image",
    "inspect_image",
    "lookup_vms",
    "power_off",
    "power_on",
    "read_heavy",
    "read_inventory",
    "read_rules",
    "reconfigure",
    "register_vm",
    "run_jobs",
    "set_uuid",
    "suspend",
    "wait_for_addresses",
    "wanted_rule",
]
