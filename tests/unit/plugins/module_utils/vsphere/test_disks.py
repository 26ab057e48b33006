# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places for disks in a VM, and specifications that are refused before a call."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.vsphere.diskfiles import NewDisk, Slot, free_slots
from ansible_collections.photon.platform.plugins.module_utils.vsphere.disks import create_disk
from ansible_collections.photon.platform.plugins.module_utils.vsphere.rows import DatastoreRow, DiskRow


def row(bus, unit):
    return DiskRow(0, unit, 1, f"[ds] {bus}-{unit}.vmdk", bus=bus)


def test_gaps_are_filled_and_unit_7_is_the_controllers():
    present = [row(0, unit) for unit in (0, 1, 3, 4, 5, 6)]
    assert free_slots(present, 3, "vm") == [Slot(0, 2, False), Slot(0, 8, False), Slot(0, 9, False)]


def test_the_next_bus_is_used_when_one_is_full():
    present = [row(0, unit) for unit in range(16) if unit != 7] + [row(1, 0)]
    assert free_slots(present, 16, "vm")[13:] == [Slot(1, 15, False), Slot(2, 0, True), Slot(2, 1, True)]


def test_disks_of_other_controllers_take_no_place():
    assert free_slots([row(None, 0)], 1, "vm") == [Slot(0, 0, True)]


def test_sixty_disks_are_the_most():
    present = [row(bus, unit) for bus in range(4) for unit in range(16) if unit != 7]
    assert len(present) == 60
    with pytest.raises(PhotonError, match="at most 60") as caught:
        free_slots(present, 1, "vm")
    assert caught.value.code == "StateError"


@pytest.mark.parametrize("capacity", [0, -1, (1 << 20) + 1024])
def test_a_capacity_is_a_number_of_megabytes(capacity):
    store = DatastoreRow("d", "ds", "", "", 0, 0, True)
    with pytest.raises(PhotonError, match="multiple of 1 MB"):
        create_disk(NewDisk("data", capacity, store), "vmdk")
