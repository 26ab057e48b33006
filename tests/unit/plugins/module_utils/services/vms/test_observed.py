# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of an endpoint's read as VMs: which row is a record's, which device is which disk, what follows a move."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services.state import CurrentState
from ansible_collections.photon.platform.plugins.module_utils.services.vms.observed import find, observe
from ansible_collections.photon.platform.plugins.module_utils.services.vms.record import Disk, Place, Vm
from ansible_collections.photon.platform.plugins.module_utils.vsphere.rows import DiskRow, EndpointInventory, VmRow

from tests.support.accounts import GB, VM, datastore, host, row

PLACE = Place("e1", "h1", "Web-01", "acme/web", moid="vm-2", change_version="1")
DISK = Disk("boot-disk", "f", GB, True, datastore="d1", path="[ds1] web/boot.vmdk", uuid="u1", unit=0)


def state(**rows: list[VmRow]) -> CurrentState:
    """Endpoints e1 and e2, three datastores of e1 and the rows of VM v1 by endpoint."""
    documents = [Document(entities.ENDPOINT, f"vc{n}", id=f"e{n}") for n in (1, 2, 3)]
    documents += [datastore(number) for number in (1, 2, 3)] + [host(1)]
    inventories = {name: EndpointInventory("vcenter", vms_by_uuid={"v1": found}) for name, found in rows.items()}
    return CurrentState(documents, inventories={"e1": EndpointInventory("vcenter"), **inventories})


def shown(moid: str = "vm-1", **facts: Any) -> VmRow:
    return replace(row("v1", 1, **facts), moid=moid)


def device(path: str = "[ds1] web/boot.vmdk", uuid: str = "u1", unit: int = 0, **facts: Any) -> DiskRow:
    values = {"key": 2000 + unit, "capacity": GB, "datastore": "datastore-1", "bus": 0, "files": (path,), **facts}
    return DiskRow(unit=unit, path=path, uuid=uuid, **values)


def seen(disk: Disk, *devices: DiskRow) -> Any:
    return observe(replace(VM, disks=(disk,), place=PLACE), shown(disks=list(devices)), "e1", state())


# -- which VM ------------------------------------------------------------------------------------------------------


def test_of_several_vms_with_its_instance_uuid_the_recorded_one_is_found() -> None:
    found = find(replace(VM, place=PLACE), state(e1=[shown("vm-1"), shown("vm-2")]))
    assert found is not None
    assert found.row.moid == "vm-2"


def test_several_vms_of_which_none_is_the_recorded_one_are_refused() -> None:
    with pytest.raises(PhotonError, match="2 VMs have its instanceUuid") as caught:
        find(replace(VM, place=replace(PLACE, moid="vm-9")), state(e1=[shown("vm-1"), shown("vm-2")]))
    assert caught.value.code == "InvalidVmState"


def test_a_vm_that_left_its_endpoint_is_found_where_it_alone_is() -> None:
    found = find(replace(VM, place=PLACE), state(e2=[shown()]))
    assert found is not None
    assert found.endpoint == "e2"
    with pytest.raises(PhotonError, match="vc2/Web-01"):
        find(replace(VM, place=PLACE), state(e2=[shown()], e3=[shown()]))


@pytest.mark.parametrize(("code", "elsewhere"), [("EndpointUnreachable", True), ("DuplicateHost", False)])
def test_a_vm_of_an_endpoint_that_was_not_read_is_left_alone(code: str, elsewhere: bool) -> None:
    current = state(**({"e2": [shown()]} if elsewhere else {}))
    del current.inventories["e1"]
    current.unreachable["e1"] = PhotonError(code, "no")
    with pytest.raises(PhotonError, match="endpoint vc1 cannot be read"):
        find(replace(VM, place=PLACE), current)


# -- which disk ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("disk", "there", "matches"),
    [
        (DISK, device("[ds2] moved/boot.vmdk", unit=5), True),  # the uuid
        (DISK, device(uuid="u2", unit=5), False),  # another disk at its path
        (replace(DISK, uuid=None), device(uuid="u2", unit=5), True),  # the path of one that was never read
        (DISK, device(uuid="", unit=5), True),  # a server that shows no uuid
        (DISK, device("[ds1] web/boot-000001.vmdk", uuid="", unit=5, files=("[ds1] web/boot-000001.vmdk",
                                                                            "[ds1] web/boot.vmdk")), True),  # snapshot
        (replace(DISK, uuid=None), device("[ds1] new/other.vmdk", uuid="u2"), True),  # place and size
        (replace(DISK, uuid=None), device("[ds1] new/other.vmdk", uuid="u2", capacity=2 * GB), False),
        (replace(DISK, uuid=None, path=None), device("[ds1] new/other.vmdk", uuid="u2", capacity=2 * GB), True),
        (replace(DISK, uuid=None), device("[ds1] new/other.vmdk", uuid="u2", bus=1), False),
        (DISK, device("[ds1] new/other.vmdk", uuid="u2"), False),  # another disk at its place
        (DISK, device("[ds2] moved/boot.vmdk", uuid=""), True),  # place and name
        (DISK, device("[ds2] moved/other.vmdk", uuid=""), False),
        (replace(DISK, uuid=None), device("[ds2] restored/boot.vmdk", uuid="u2", unit=5), True),  # the name
        (DISK, device("[ds2] restored/boot.vmdk", uuid="u2", unit=5), False),
    ],
)  # fmt: skip
def test_a_disk_is_recognized(disk: Disk, there: DiskRow, matches: bool) -> None:
    found = seen(disk, there)
    assert (found.keys, found.missing) == (({"boot-disk": there.key}, []) if matches else ({}, ["boot-disk"]))
    assert found.foreign == ({} if matches else {there.path: there.key})


def test_a_uuid_decides_before_a_path() -> None:
    data = Disk("data", "f", GB, datastore="d1", path="[ds1] web/data.vmdk", uuid="u2", unit=1)
    vm = replace(VM, disks=(replace(DISK, uuid=None), data), place=PLACE)
    devices = [device(uuid="u2", unit=1), device("[ds1] new/other.vmdk", uuid="u3", unit=0)]
    assert observe(vm, shown(disks=devices), "e1", state()).keys == {"data": 2001, "boot-disk": 2000}


# -- what is recorded ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("capacity", "version"), [(GB, "1"), (2 * GB, None)])
def test_a_vm_whose_disks_differ_is_compared_again_by_the_next_run(capacity: int, version: str | None) -> None:
    vm = replace(VM, disks=(DISK,), place=PLACE)
    assert seen(DISK, device(capacity=capacity)).record(vm).place.change_version == version
    assert seen(DISK, device(capacity=capacity)).facts(vm).place.change_version == "1"


@pytest.mark.parametrize(
    ("recorded", "stores", "expected"),
    [
        ("d1", ["datastore-2"], ("d2", None)),  # a storage move of the whole VM
        ("d1", ["datastore-1", "datastore-2"], ("d1", "[ds1] web/boot.vmdk")),
        ("d3", ["datastore-1", "datastore-2"], ("d3", "[ds3] web/boot.vmdk")),  # one of them, nobody knows which
        ("d1", ["datastore-9"], ("d1", "[ds1] web/boot.vmdk")),
    ],
)
def test_a_move_is_seen_without_reading_the_devices(recorded: str, stores: list[str], expected: tuple) -> None:
    vm = replace(VM, disks=(replace(DISK, datastore=recorded),), place=PLACE)
    found = observe(vm, shown(datastores=stores), "e1", state())
    assert (found.disks["boot-disk"].datastore, found.disks["boot-disk"].path) == expected
    assert not found.detailed


@pytest.mark.parametrize(
    ("recorded", "now", "vmx"),
    [
        ("[old] web/boot.vmdk", "[ds1] web/boot.vmdk", "[ds1] web/web.vmx"),  # its datastore was renamed
        ("[old] web/boot.vmdk", "[ds1] other/boot.vmdk", "[old] web/web.vmx"),  # only the disk was moved
        ("[ssd] web/boot.vmdk", "[ds1] web/boot.vmdk", "[old] web/web.vmx"),  # the disk is on another datastore
    ],
)
def test_the_configuration_file_follows_the_name_of_its_datastore(recorded: str, now: str, vmx: str) -> None:
    vm: Vm = replace(VM, disks=(replace(DISK, path=recorded),), place=replace(PLACE, vmx="[old] web/web.vmx"))
    found = observe(vm, shown(disks=[device(now)]), "e1", state())
    assert found.record(vm).place.vmx == vmx
