# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the state and the scheduler: what is used, which hosts may be chosen, a place's names in vSphere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.services import placement
from ansible_collections.photon.platform.plugins.module_utils.services.state import CurrentState
from ansible_collections.photon.platform.plugins.module_utils.services.vms.claims import name_slot
from ansible_collections.photon.platform.plugins.module_utils.vsphere.listing import ListedDisk
from ansible_collections.photon.platform.plugins.module_utils.vsphere.rows import (
    DatastoreRow,
    EndpointInventory,
    FolderRow,
)

from tests.support.accounts import GB, VM, datastore, document, host, row

FOLDER = "photon/acme/web"
SLOT = name_slot("e1", FOLDER, "web-01")


def state(*more: Document, **fields: Any) -> CurrentState:
    """Endpoint e1, which was read, with a host and two datastores, and project acme/web."""
    stores = {
        f"datastore-{number}": DatastoreRow(f"datastore-{number}", f"ds{number}", "", "VMFS", 900 * GB, 800 * GB, True)
        for number in (1, 2)
    }
    inventory = EndpointInventory("vcenter", datastores=stores)
    inventory.folders["group-v1"] = FolderRow("group-v1", "web", None, FOLDER)
    documents = [
        Document(entities.ENDPOINT, "vc1", id="e1", body={"type": "vcenter", "folder": "photon"}),
        Document(entities.TENANT, "acme", id="t1"),
        Document(entities.PROJECT, "web", "t1", id="p1"),
        host(1, usage_tags=["CLOUD"], tags=[]),
        *(datastore(number) for number in (1, 2)),
        *more,
    ]
    for each in documents:
        if each.kind == entities.DATASTORE:
            each.body |= {"tags": [], "usable_for_vms": True}
    return CurrentState(documents, inventories={"e1": inventory}, **fields)


# -- names and files ------------------------------------------------------------------------------------------------


def settled(current: CurrentState) -> Any:
    answer = {"host": "h1", "datastores": ["d1", "d1", "d2"]}
    return placement.settle(placement.Candidate(replace(VM, place=None), answer=answer), current)


@pytest.mark.parametrize(
    ("there", "exclusives", "name"),
    [
        ("other", {}, "web-01"),
        ("WEB-01", {}, "web-01-v1"),  # vSphere does not tell cases apart
        ("other", {SLOT: "v2"}, "web-01-v1"),  # of a VM that is recorded and cannot be seen
        ("other", {SLOT: "v1"}, "web-01"),
    ],
)
def test_a_name_in_a_folder_is_given_once(there: str, exclusives: dict[str, str], name: str) -> None:
    current = state(exclusives=exclusives)
    current.inventories["e1"].vms["vm-9"] = replace(row("x", 1), name=there)
    vm = settled(current)
    assert (vm.place.name, vm.place.folder, vm.place.directory) == (name, FOLDER, "web-01-v1")
    assert (vm.place.vmx, vm.boot_disk.path) == (f"[ds1] web-01-v1/{name}.vmx", "[ds1] web-01-v1/boot-disk.vmdk")
    assert settled(current).place.name == "web-01-v1"  # the first one of this plan has the name


def test_a_vm_that_is_created_again_has_a_directory_of_its_own() -> None:
    """Files of the lost one may still be in its directory."""
    vm = settled(state(replace(document(VM), version=7)))
    assert vm.place.directory == "web-01-v1-7"


# -- what is used ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("attached", "others"), [(True, 100 * GB), (False, 97 * GB)])
def test_the_file_of_a_detached_disk_is_ours(attached: bool, others: int) -> None:
    """That of an attached one counts with its VM."""
    path = "[ds1] photon-disks/k1.vmdk"
    body = {"flavor": "f", "capacity": 5 * GB, "cost": {}}
    seen = {"endpoint": "e1", "datastore": "d1", "path": path, "uuid": "u", "vm": "v1" if attached else None}
    current = state(Document(entities.DISK, "data", "p1", id="k1", body=body, observed=seen))
    current.disk_files = {"d1": {"[ds1] photon-disks": {path: ListedDisk(3 * GB, 5 * GB, True)}}}
    assert placement.foreign_usage(current)["d1"].space == others


def test_hosts_of_an_endpoint_that_was_not_read_take_no_vm() -> None:
    current = state()
    assert [each["state"] for each in placement.scheduler_fleet(current)["hosts"]] == ["READY"]
    current.inventories.clear()
    assert [each["state"] for each in placement.scheduler_fleet(current)["hosts"]] == ["ERROR"]
    assert [each["state"] for each in placement.scheduler_fleet(current, {})["hosts"]] == ["READY"]
