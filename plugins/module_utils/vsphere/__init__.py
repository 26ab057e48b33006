# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vCenter and ESXi hosts through pyvmomi: one session, one read, many tasks at once. See docs/vsphere.md.

Nothing here imports pyvmomi before the first ``connect`` or the first job is built.
"""

from __future__ import annotations

from .drs import RuleChange, change_rules, compare_rules, read_rules, wanted_rule
from .faults import is_unknown
from .folders import ensure_folders, remove_folder
from .guestinfo import extra_config as guest_extra_config
from .hosts import enter_maintenance, exit_maintenance
from .imagefile import inspect_image
from .images import (
    Template,
    TemplateSpec,
    copy_image,
    delete_disk,
    delete_files,
    delete_template,
    find_template,
    import_image,
)
from .inventory import lookup_vms, read_heavy, read_inventory, wait_for_addresses
from .jobs import Budgets, Job, run_jobs
from .rows import (
    ClusterRow,
    DatacenterRow,
    DatastoreRow,
    DiskRow,
    EndpointInventory,
    EndpointSpec,
    FolderRow,
    HostRow,
    NetworkRow,
    NicRow,
    RuleRow,
    VmRow,
)
from .session import Session, connect
from .vms import DiskSpec, NicSpec, VmSpec, create_vm, destroy, power_off, power_on, reconfigure, reset, suspend

__all__ = [
    "Budgets",
    "ClusterRow",
    "DatacenterRow",
    "DatastoreRow",
    "DiskRow",
    "DiskSpec",
    "EndpointInventory",
    "EndpointSpec",
    "FolderRow",
    "HostRow",
    "Job",
    "NetworkRow",
    "NicRow",
    "NicSpec",
    "RuleChange",
    "RuleRow",
    "Session",
    "Template",
    "TemplateSpec",
    "VmRow",
    "VmSpec",
    "change_rules",
    "compare_rules",
    "connect",
    "copy_image",
    "create_vm",
    "delete_disk",
    "delete_files",
    "delete_template",
    "destroy",
    "ensure_folders",
    "enter_maintenance",
    "exit_maintenance",
    "find_template",
    "guest_extra_config",
    "import_image",
    "inspect_image",
    "is_unknown",
    "lookup_vms",
    "power_off",
    "power_on",
    "read_heavy",
    "read_inventory",
    "read_rules",
    "reconfigure",
    "remove_folder",
    "reset",
    "run_jobs",
    "suspend",
    "wait_for_addresses",
    "wanted_rule",
]
