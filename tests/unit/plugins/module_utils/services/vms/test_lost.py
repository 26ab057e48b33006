# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Missing VMs whose host is out of sight."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services.state import CurrentState
from ansible_collections.photon.platform.plugins.module_utils.services.vms.lost import refuse_missing_host
from ansible_collections.photon.platform.plugins.module_utils.services.vms.record import Disk, Place, Vm
from ansible_collections.photon.platform.plugins.module_utils.vsphere.rows import EndpointInventory, HostRow

HOST = Document(entities.HOST, "esx01", id="h1", body={"endpoint": "e1"},
                observed={"moid": "host-18", "hardware_uuid": "machine-1"})  # fmt: skip
VM = Vm("uuid-1", "web-01", "p", "STARTED", "f", "i", 1, 1 << 30, {}, (Disk("boot-disk", "f", 1, True),),
        place=Place("e1", "h1", "web-01"))  # fmt: skip


def state(machine: str) -> CurrentState:
    """Endpoint e1, whose host-18 is that machine; without any host where there is none."""
    row = HostRow("host-18", "esx", None, "c", "p", "dc", "v", "connected", False, "poweredOn", 1, 1, 1 << 30,
                  hardware_uuid=machine)  # fmt: skip
    inventory = EndpointInventory("e1", "vcenter", hosts={"host-18": row} if machine else {})
    return CurrentState([HOST, Document(entities.ENDPOINT, "vc1", id="e1")], inventories={"e1": inventory})


@pytest.mark.parametrize("machine", ["", "machine-2"])
def test_a_vm_may_run_on_a_host_that_left_also_when_another_has_its_moid(machine: str) -> None:
    """Another vCenter under the endpoint's address counts its hosts from the same number."""
    with pytest.raises(PhotonError, match="its host esx01 is not in endpoint vc1 any more"):
        refuse_missing_host("acme/web/web-01", VM, state(machine))


def test_a_vm_whose_host_is_there_is_lost() -> None:
    refuse_missing_host("acme/web/web-01", VM, state("machine-1"))
