# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fault table: names, ancestors, missing objects, and what people read."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import HTTP_STATUS
from ansible_collections.photon.platform.plugins.module_utils.vsphere import api, faults


def test_every_code_is_known():
    assert {code for code, _hint in faults.TABLE.values()} <= set(HTTP_STATUS)
    assert set(faults._GONE.values()) <= set(HTTP_STATUS)


@pytest.mark.parametrize("name", sorted(faults.TABLE))
def test_every_fault_exists_in_the_api(name):
    assert issubclass(api.load().support.GetWsdlType("urn:vim25", name), Exception)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("NoDiskSpace", "NotEnoughDatastoreCapacity"),
        ("DuplicateName", "NameTaken"),
        ("InsufficientMemoryResourcesFault", "NotEnoughMemoryResource"),
        ("InsufficientStandbyMemoryResource", "InsufficientCapacity"),  # by its ancestor InsufficientResourcesFault
        ("InvalidDatastorePath", "HostDatastoreNotFound"),
        ("NotEnoughCpus", "VCenterRequestError"),
        ("TaskInProgress", "ConcurrentTask"),
        ("SomethingNew", "VCenterRequestError"),
    ],
)
def test_codes(name, code):
    assert faults.from_name("create VM web-01", name).code == code


def test_message_names_item_fault_and_next_step():
    error = faults.from_name("create VM web-01", "FileNotFound", "no such file", item="[ds1] base.vmdk")
    assert error.message.startswith("create VM web-01: vSphere answered FileNotFound: [ds1] base.vmdk: no such file; ")
    assert error.data == {
        "fault": "FileNotFound",
        "what": "create VM web-01",
        "item": "[ds1] base.vmdk",
        "existing_state": "",
    }


def test_pyvmomi_fault():
    loaded = api.load()
    gone = loaded.vmodl.fault.ManagedObjectNotFound(obj=loaded.vim.VirtualMachine("vm-1", None), msg="gone")
    assert faults.from_exception("destroy VM a", gone).code == "VmNotFound"
    full = loaded.vim.fault.NoDiskSpace(datastore="ds1", file="[ds1] a.vmdk")
    error = faults.from_exception("create VM a", full)
    assert error.code == "NotEnoughDatastoreCapacity"
    assert "[ds1] a.vmdk" in error.message


def test_unknown_outcome():
    error = faults.from_name("create VM a", "Timedout")
    assert not faults.is_unknown(error)
    error.data["unknown"] = True
    assert faults.is_unknown(error)
    assert not faults.is_unknown("vm-12")
