# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Use vCenter and ESXi hosts through pyvmomi: one session, one read, many tasks at once. See docs/vsphere.md.

pyvmomi is imported by the first ``connect`` or the first job that is built.
"""

from __future__ import annotations

from .bootdisks import BootDisk, grow_boot_disk
from .diskfiles import FCD, PER_BUS, VMDK, DiskFile, NewDisk, Slot, free_slots, unit_of
from .disks import (
    attach_disks,
    choose_backing,
    copy_disk,
    create_disk,
    created_disk,
    delete_disk,
    detach_backings,
    grow_disk,
    make_directory,
    read_disk,
    read_uuid,
)
from .drs import change_rules, compare_rules, read_rules, wanted_rule
from .files import DatastoreReader, delete_file, existing_files, read_file, write_file
from .first_class import attach as attach_first_class
from .first_class import describe as describe_first_class
from .first_class import find_disks, find_unknown, read_all
from .first_class import set_policy as set_first_class_policy
from .folders import ensure_folders
from .hosts import blocking_vms, enter_maintenance, exit_maintenance
from .imagefile import inspect_image, stat_image
from .images import Template, TemplateSpec, copy_image, delete_template, import_image
from .inventory import find_marked, lookup_vms, read_heavy, read_inventory, wait_for_addresses
from .jobs import Job, run_jobs
from .listing import ListedDisk, list_directories, list_disks, list_names
from .names import folder_path
from .policies import Policies, read_policies
from .rows import FIRST_BUS, EndpointSpec
from .session import Session, connect
from .sharedimage import SharedImage
from .vms import (
    DiskSpec,
    NicSpec,
    VmSpec,
    create_vm,
    destroy,
    detach_disks,
    hardware_of,
    power_off,
    power_on,
    reconfigure,
    register_vm,
    set_uuid,
    suspend,
)

__all__ = [
    "FCD",
    "FIRST_BUS",
    "PER_BUS",
    "VMDK",
    "BootDisk",
    "DatastoreReader",
    "DiskFile",
    "DiskSpec",
    "EndpointSpec",
    "Job",
    "ListedDisk",
    "NewDisk",
    "NicSpec",
    "Policies",
    "Session",
    "SharedImage",
    "Slot",
    "Template",
    "TemplateSpec",
    "VmSpec",
    "attach_disks",
    "attach_first_class",
    "blocking_vms",
    "change_rules",
    "choose_backing",
    "compare_rules",
    "connect",
    "copy_disk",
    "copy_image",
    "create_disk",
    "create_vm",
    "created_disk",
    "delete_disk",
    "delete_file",
    "delete_template",
    "describe_first_class",
    "destroy",
    "detach_backings",
    "detach_disks",
    "ensure_folders",
    "enter_maintenance",
    "existing_files",
    "exit_maintenance",
    "find_disks",
    "find_marked",
    "find_unknown",
    "folder_path",
    "free_slots",
    "grow_boot_disk",
    "grow_disk",
    "hardware_of",
    "import_image",
    "inspect_image",
    "list_directories",
    "list_disks",
    "list_names",
    "lookup_vms",
    "make_directory",
    "power_off",
    "power_on",
    "read_all",
    "read_disk",
    "read_file",
    "read_heavy",
    "read_inventory",
    "read_policies",
    "read_rules",
    "read_uuid",
    "reconfigure",
    "register_vm",
    "run_jobs",
    "set_first_class_policy",
    "set_uuid",
    "stat_image",
    "suspend",
    "unit_of",
    "wait_for_addresses",
    "wanted_rule",
    "write_file",
]
