# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs of VMs that are not where their endpoint is limited to."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services.planning import UPDATE
from ansible_collections.photon.platform.plugins.module_utils.services.state import CurrentState
from ansible_collections.photon.platform.plugins.module_utils.services.vms import jobs
from ansible_collections.photon.platform.plugins.module_utils.services.vms.actions import Reconfigure, UpdateVm
from ansible_collections.photon.platform.plugins.module_utils.services.vms.record import Disk, Vm
from ansible_collections.photon.platform.plugins.module_utils.vsphere.rows import EndpointInventory, NicRow, VmRow


def outside() -> EndpointInventory:
    """An endpoint that is limited to a datacenter, with the VM vm-1 in another one."""
    row = VmRow("vm-1", "web-01", "uuid-1", "host-9", "poweredOff", "1", None, [], [], 1, 1 << 30, {}, None, "", False,
                "connected", outside=True, disks=[], nics=[NicRow(4000, "", "lan", True, "vmxnet3")])  # fmt: skip
    return EndpointInventory("vc1", "vcenter", vms_by_uuid={"uuid-1": [row]})


def update(*steps: str, **change: Any) -> UpdateVm:
    vm = Vm("uuid-1", "web-01", "p", "STOPPED", "f", "i", 1, 1 << 30, {}, (Disk("boot-disk", "f", 1, True),))
    return UpdateVm(verb=UPDATE, kind=entities.VM, name="acme/web/web-01",
                    document=Document(entities.VM, "web-01", "p", id="uuid-1"), vm=vm, previous=vm, moid="vm-1",
                    steps=steps, reconfigure=Reconfigure(**change))  # fmt: skip


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that has read everything already."""
    monkeypatch.setattr(jobs.vsphere, "read_heavy", lambda *_args: None)


@pytest.mark.parametrize(("steps", "change"), [(("START_VM",), {}), (("RECONFIGURE_VM",), {"vcpus": 2})])
def test_a_vm_in_another_datacenter_is_changed(session: None, steps: tuple[str, ...], change: dict[str, Any]) -> None:
    job = jobs.update(update(*steps, **change), session, outside(), CurrentState())
    assert (job.key, job.operation) == ("uuid-1", steps[0])


def test_a_vm_in_another_datacenter_is_not_connected_to_a_port_group(session: None) -> None:
    action = update("RECONFIGURE_VM", port_groups=("VM Network",))
    with pytest.raises(PhotonError, match="outside the endpoint's datacenter"):
        jobs.update(action, session, outside(), CurrentState())
