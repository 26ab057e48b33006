# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer of a bulk read, as servers write it, and what becomes of it."""

from __future__ import annotations

import gzip
import http.client
import http.server
import io
import threading
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.vsphere import EndpointSpec, Session, api, retrieve

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
    '<soapenv:Body><RetrievePropertiesExResponse xmlns="urn:vim25"><returnval>'
)
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
        + prop(
            "datastore",
            '<val xsi:type="ArrayOfManagedObjectReference">'
            '<ManagedObjectReference type="Datastore" xsi:type="ManagedObjectReference">ds-1'
            "</ManagedObjectReference></val>",
        )
        + prop("network", '<val xsi:type="ArrayOfManagedObjectReference"></val>')
        + prop("empty", "")
        + prop(
            "config.hardware.device",
            '<val xsi:type="ArrayOfVirtualDevice"><VirtualDevice xsi:type="VirtualDisk">'
            '<key>2000</key><backing xsi:type="VirtualDiskFlatVer2BackingInfo"><fileName>[ds] a.vmdk</fileName>'
            "</backing></VirtualDevice></val>",
        )
        + "<missingSet><path>config.extraConfig</path></missingSet></objects>"
        + '<objects><obj type="VirtualMachine">vm-2</obj></objects>'
    )
    assert token == "t1"
    (kind, moid, values), second = rows
    assert (kind, moid) == ("VirtualMachine", "vm-1")
    (device,) = values.pop("config.hardware.device")
    assert values == {
        "name": "<wéb> & co",
        "config.template": "false",
        "runtime.host": "host-1",
        "datastore": ["ds-1"],
        "network": [],
    }
    assert (retrieve.type_of(device), retrieve.text(device, "backing/fileName")) == ("VirtualDisk", "[ds] a.vmdk")
    assert retrieve.text(device, "backing/parent/fileName", "none") == "none"
    assert second == ("VirtualMachine", "vm-2", {})


def test_nothing_found():
    assert parse("") == ([], "")


@pytest.mark.parametrize("cut", [200, 600, -1])
def test_incomplete_answer(cut):
    whole = (HEAD + '<objects><obj type="Folder">group-1</obj></objects>' * 10 + TAIL).encode()
    with pytest.raises(ElementTree.ParseError):
        retrieve._parse(io.BytesIO(whole[:cut]))


FAULT = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi='
    '"http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><soapenv:Fault><faultcode>ServerFaultCode</faultcode>'
    '<faultstring>gone</faultstring><detail><ManagedObjectNotFoundFault xmlns="urn:vim25" '
    'xsi:type="ManagedObjectNotFound"><obj type="VirtualMachine">vm-7</obj></ManagedObjectNotFoundFault></detail>'
    "</soapenv:Fault></soapenv:Body></soapenv:Envelope>"
)
ANSWER = HEAD + '<objects><obj type="VirtualMachine">vm-7</obj></objects>' + TAIL


@pytest.fixture
def answering(monkeypatch):
    """A session whose connections lead to a web server that gives these answers in turn: (status, body, headers)."""
    answers = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body, headers = answers.pop(0)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = "Content-Length" in headers

        def log_message(self, *_args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    session = Session(EndpointSpec("1", "vc1", "vcenter", "127.0.0.1", "u", "p", port=server.server_port))
    collector = api.load().vmodl.query.PropertyCollector("propertyCollector", session.stub)
    session.content = SimpleNamespace(propertyCollector=collector)
    monkeypatch.setattr(session.stub, "scheme", lambda host, port: http.client.HTTPConnection(host, port, timeout=10))

    def ask(*given):
        answers.extend(given)
        try:
            rows = retrieve.from_objects(session, "VirtualMachine", ["vm-7"], ["name"])
            return [moid for _kind, moid, _values in rows]
        finally:
            assert not answers

    yield ask
    session.drop()
    server.shutdown()
    server.server_close()


def test_compressed_answer(answering):
    packed = gzip.compress(ANSWER.encode())
    assert answering((200, packed, {"Content-Encoding": "gzip"})) == ["vm-7"]
    assert answering((200, ANSWER.encode(), {})) == ["vm-7"]  # on the same connection


def test_fault_by_its_name(answering):
    with pytest.raises(PhotonError) as caught:
        answering((500, FAULT.encode(), {}))
    assert (caught.value.code, caught.value.data["fault"]) == ("VmNotFound", "ManagedObjectNotFound")


def test_answer_cut_off_is_asked_for_again(answering):
    body = ANSWER.encode()
    assert answering((200, body[:200], {"Content-Length": str(len(body))}), (200, body, {})) == ["vm-7"]


@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"not XML"])
def test_answer_of_something_else(answering, body):
    with pytest.raises(PhotonError) as caught:
        answering((502, body, {}), (502, body, {}))
    assert caught.value.code == "EndpointUnreachable"
