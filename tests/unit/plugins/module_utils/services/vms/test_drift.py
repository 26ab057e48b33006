# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps that make a VM the desired one, and what no step can do."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services.state import CurrentState
from ansible_collections.photon.platform.plugins.module_utils.services.vms.drift import Drift, compare
from ansible_collections.photon.platform.plugins.module_utils.services.vms.observed import observe
from ansible_collections.photon.platform.plugins.module_utils.services.vms.record import Disk, Place, Vm
from ansible_collections.photon.platform.plugins.module_utils.vsphere.rows import DiskRow, NicRow

from tests.support.accounts import GB, desired, host, row

DISK = Disk("boot-disk", "f", GB, True, datastore="d1", path="[ds1] web/boot.vmdk", uuid="u1", unit=0)
VM = Vm("v1", "web-01", "p1", "STOPPED", "f", "i", 2, 3 * GB, {}, (DISK,), port_groups=("lan", "dmz"),
        place=Place("e1", "h1", "Web-01"))  # fmt: skip
STATE = CurrentState([host(1, tags=["ssd"]), Document(entities.ZONE, "a", id="z1")])


def nic(number: int, network: str, **facts: Any) -> NicRow:
    return NicRow(4000 + number, "", network, **{"connected": True, "adapter": "vmxnet3", **facts})


def drift(
    *, recorded: Vm = VM, power: str | None = None, force: bool = False, running: bool = False, row_facts: Any = (),
    capacity: int = GB, state: CurrentState = STATE, **wanted: Any,
) -> Drift:  # fmt: skip
    """Compare VM with ``wanted`` in place of its own values; vSphere shows what is recorded but for ``row_facts``."""
    devices = [DiskRow(2000, 0, capacity, "[ds1] web/boot.vmdk", uuid="u1", bus=0, files=("[ds1] web/boot.vmdk",))]
    facts = {"disks": devices, "nics": [nic(0, "lan"), nic(1, "dmz")], "extra_config": {}, **dict(row_facts)}
    there = replace(row("v1", 1, **facts), power_state="poweredOn" if running else "poweredOff")
    declared = desired(replace(recorded, **wanted), power=power, force=force)
    return compare(declared, recorded, observe(recorded, there, "e1", STATE), state)


def test_a_vm_as_it_is_declared_needs_nothing() -> None:
    found = drift()
    assert (found.after, found.steps, found.warnings) == ({}, (), [])


def test_a_port_group_that_the_host_lacks_is_refused_in_the_plan() -> None:
    there = SimpleNamespace(name="esx1", networks=("lan", "dmz", "backup"))
    hosts = {row("v1", 1).host: there}
    state = CurrentState([host(1)], inventories={"e1": SimpleNamespace(hosts=hosts)})
    assert drift(port_groups=("lan", "backup"), state=state).steps == ("RECONFIGURE_VM",)
    with pytest.raises(PhotonError) as caught:
        drift(port_groups=("lan", "bakcup"), state=state)
    assert caught.value.code == "PortGroupNotFound"
    assert "host esx1 has no port group 'bakcup'; it has backup, dmz, lan" in caught.value.message


@pytest.mark.parametrize(
    ("running", "hot", "wanted", "steps"),
    [
        (False, False, {"vcpus": 1}, ("RECONFIGURE_VM",)),
        (True, True, {"vcpus": 4}, ("RECONFIGURE_VM",)),
        (True, True, {"memory": 4 * GB}, ("RECONFIGURE_VM",)),
        (True, True, {"vcpus": 1}, "cannot shrink"),
        (True, False, {"vcpus": 4}, "hot-add is off for its vcpus"),
        (True, False, {"memory": 4 * GB}, "hot-add is off for its memory"),
    ],
)
def test_hardware(running: bool, hot: bool, wanted: dict[str, int], steps: Any) -> None:
    facts = {"cpu_hot_add": hot, "memory_hot_add": hot}
    if isinstance(steps, tuple):
        assert drift(running=running, row_facts=facts, **wanted).steps == steps
        return
    with pytest.raises(PhotonError, match=steps):
        drift(running=running, row_facts=facts, **wanted)
    forced = drift(running=running, row_facts=facts, force=True, **wanted)
    assert forced.steps == ("STOP_VM", "RECONFIGURE_VM", "START_VM")


def test_a_vm_that_is_to_be_stopped_is_stopped_before_it_is_changed() -> None:
    assert drift(running=True, power="STOPPED", vcpus=1).steps == ("STOP_VM", "RECONFIGURE_VM")


@pytest.mark.parametrize(
    ("running", "second", "changed"),
    [
        (True, {}, False),
        (True, {"connected": False}, True),
        (False, {"connected": False}, False),  # of a VM that is off none is connected
        (False, {"connected": False, "start_connected": False}, True),
    ],
)
def test_adapters_are_connected_or_will_be(running: bool, second: dict[str, bool], changed: bool) -> None:
    found = drift(running=running, row_facts={"nics": [nic(0, "dmz"), nic(1, "lan", **second)]})
    assert bool(found.steps) == changed  # their order does not matter


@pytest.mark.parametrize(
    ("key", "recorded", "wanted", "outcome"),
    [
        ("zone", "a", "a", ""),
        ("zone", "b", "b", "warned"),
        ("zone", None, "a", "noted"),
        ("zone", "a", "b", "refused"),
        ("host_tags", ("ssd",), ("ssd",), ""),
        ("host_tags", ("gpu",), ("gpu",), "warned"),
        ("host_tags", (), ("ssd",), "noted"),
        ("host_tags", (), ("gpu", "ssd"), "refused"),
    ],
)
def test_a_vm_is_not_moved_to_its_zone_or_tags(key: str, recorded: Any, wanted: Any, outcome: str) -> None:
    before = replace(VM, **{key: recorded})
    if outcome == "refused":
        with pytest.raises(PhotonError, match="a running VM is not moved to"):
            drift(recorded=before, **{key: wanted})
        return
    found = drift(recorded=before, **{key: wanted})
    assert (bool(found.warnings), [*found.after]) == (outcome == "warned", [key] if outcome == "noted" else [])


@pytest.mark.parametrize(("capacity", "grown"), [(GB, {}), (GB >> 1, {"boot-disk": GB})])
def test_a_disk_that_is_smaller_grows(capacity: int, grown: dict[str, int]) -> None:
    assert drift(capacity=capacity).reconfigure.disks == grown


def test_a_disk_that_was_grown_in_vsphere_cannot_shrink() -> None:
    with pytest.raises(PhotonError, match="was grown in vSphere from 1 GB to 2 GB") as caught:
        drift(capacity=2 * GB)
    assert caught.value.code == "UpdateNotSupported"


def test_a_disk_that_was_detached_is_not_created_again() -> None:
    with pytest.raises(PhotonError, match="boot-disk were detached in vSphere"):
        drift(row_facts={"disks": []})
