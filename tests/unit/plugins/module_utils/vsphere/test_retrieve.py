# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer of a bulk read, as servers write it, and what becomes of it."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import pytest
from ansible_collections.photon.platform.plugins.module_utils.vsphere import retrieve

HEAD = ('<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
        ' xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        '<soapenv:Body><RetrievePropertiesExResponse xmlns="urn:vim25"><returnval>')
TAIL = "</returnval></RetrievePropertiesExResponse></soapenv:Body></soapenv:Envelope>"


def parse(inner):
    return retrieve._parse(io.BytesIO((HEAD + inner + TAIL).encode()))


def prop(name, value):
    return f"<propSet><name>{name}</name>{value}</propSet>"


def test_values_of_every_shape():
    rows, token = parse(
        '<token>t1</token><objects><obj type="VirtualMachine">vm-1</obj>'
        + prop("name", '<val xsi:type="xsd:string">&lt;wéb&gt; &amp; co</val>')
        + prop("config.template", '<val xsi:type="xsd:boolean">false</val>')
        + prop("runtime.host", '<val type="HostSystem" xsi:type="ManagedObjectReference">host-1</val>')
        + prop("datastore", '<val xsi:type="ArrayOfManagedObjectReference">'
                            '<ManagedObjectReference type="Datastore" xsi:type="ManagedObjectReference">ds-1'
                            "</ManagedObjectReference></val>")
        + prop("network", '<val xsi:type="ArrayOfManagedObjectReference"></val>')
        + prop("empty", "")
        + prop("config.hardware.device", '<val xsi:type="ArrayOfVirtualDevice"><VirtualDevice xsi:type="VirtualDisk">'
               '<key>2000</key><backing xsi:type="VirtualDiskFlatVer2BackingInfo"><fileName>[ds] a.vmdk</fileName>'
               "</backing></VirtualDevice></val>")
        + '<missingSet><path>config.extraConfig</path></missingSet></objects>'
        + '<objects><obj type="VirtualMachine">vm-2</obj></objects>')
    assert token == "t1"
    (kind, moid, values), second = rows
    assert (kind, moid) == ("VirtualMachine", "vm-1")
    (device,) = values.pop("config.hardware.device")
    assert values == {"name": "<wéb> & co", "config.template": "false", "runtime.host": "host-1", "datastore": ["ds-1"],
                      "network": []}
    assert (retrieve.type_of(device), retrieve.text(device, "backing/fileName")) == ("VirtualDisk", "[ds] a.vmdk")
    assert retrieve.text(device, "backing/parent/fileName", "none") == "none"
    assert second == ("VirtualMachine", "vm-2", {})


def test_nothing_found():
    assert parse("") == ([], "")


@pytest.mark.parametrize("cut", [200, 600, -1])
def test_torn_answer(cut):
    whole = (HEAD + '<objects><obj type="Folder">group-1</obj></objects>' * 10 + TAIL).encode()
    with pytest.raises(ElementTree.ParseError):
        retrieve._parse(io.BytesIO(whole[:cut]))
