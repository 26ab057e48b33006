# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fault table: names, ancestors, missing objects, and what people read."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import HTTP_STATUS
from ansible_collections.photon.platform.plugins.module_utils.vsphere import api, faults, jobs


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
    error = faults.from_name("create VM web-01", "FileNotFound", faults.Details("no such file", item="[ds1] base.vmdk"))
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


def test_a_missing_privilege_is_named_with_its_object():
    loaded = api.load()
    fault = loaded.vim.fault.NoPermission(
        object=loaded.vim.Folder("group-v3", None), privilegeId="VirtualMachine.Inventory.Create"
    )
    error = faults.from_exception("create VM a", fault)
    assert error.code == "AccessForbidden"
    assert "privilege VirtualMachine.Inventory.Create on Folder group-v3; " in error.message
    assert (error.data["privilege"], error.data["object"]) == ("VirtualMachine.Inventory.Create", "Folder group-v3")


def test_the_same_from_the_fault_of_a_task():
    element = ElementTree.fromstring("""
      <val xmlns="urn:vim25" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
        <fault xsi:type="NoPermission"><object type="Datastore">datastore-1</object>
          <privilegeId>Datastore.AllocateSpace</privilegeId></fault>
        <localizedMessage>Permission was denied.</localizedMessage></val>""")
    error = jobs.task_error("create VM a", element)
    assert error.code == "AccessForbidden"
    assert "privilege Datastore.AllocateSpace on Datastore datastore-1: Permission was denied.; " in error.message


def test_no_message_advises_to_remove_files():
    assert "register: true" in faults.from_name("create VM a", "FileAlreadyExists").message
    assert not [name for name, (_code, hint) in faults.TABLE.items() if "file" in hint and "remove" in hint]
