# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A vCenter, a standalone ESXi host and a vCenter with an expired certificate; empty at the start of every test."""

from __future__ import annotations

import base64
import http.client
import ssl
import time
import urllib.parse
import uuid
from collections import Counter
from dataclasses import replace

import pytest
from ansible_collections.photon.platform.plugins.module_utils.vsphere import (
    DiskSpec,
    EndpointSpec,
    NicSpec,
    VmSpec,
    connect,
    create_vm,
    delete_template,
    destroy,
    power_off,
    read_inventory,
    run_jobs,
)

from lab import Lab
from lab.certificates import Authority

PORT_GROUPS = [{"name": "net1"}, {"name": "net2", "vlan": 20}]
TOPOLOGY = {
    "endpoints": [
        {
            "name": "vc",
            "kind": "vcenter",
            "datacenter": "dc1",
            "clusters": [{"name": "c1", "drs": True, "hosts": [{"name": "h[1:3]", "cores": 16, "memory": "64 GB"}]}],
            "datastores": [
                {"name": "shared", "capacity": "2 TB"},
                {"name": "local1", "capacity": "100 GB", "hosts": ["h1"]},
                {"name": "tiny", "capacity": "8 MB", "hosts": ["h2"]},
            ],
            "port_groups": [*PORT_GROUPS, {"name": "dvnet", "kind": "distributed", "vlan": 30}],
            "storage_policies": [{"name": "gold", "datastores": ["shared"]}],
        },
        {
            "name": "esx",
            "kind": "esxi",
            "hosts": [{"name": "e1", "cores": 8, "memory": "32 GB"}],
            "datastores": [{"name": "datastore1", "capacity": "1 TB"}, {"name": "datastore2", "capacity": "1 TB"}],
            "port_groups": PORT_GROUPS,
        },
        {
            "name": "expired",
            "kind": "vcenter",
            "datacenter": "dc1",
            "clusters": [{"name": "c1", "hosts": [{"name": "x1"}]}],
            "datastores": [{"name": "shared", "capacity": "1 TB"}],
            "port_groups": PORT_GROUPS,
        },
    ]
}


class Bench:
    """The lab in this folder's words."""

    def __init__(self, lab, authority, expired):
        self.lab, self._authority, self._expired = lab, authority, expired

    def spec(self, name, **changes):
        endpoint = self.lab.endpoints[name]
        ca_file = str(self._authority.file) if name == "expired" else endpoint.ca_file
        spec = EndpointSpec(
            name,
            name,
            endpoint.kind,
            endpoint.address,
            endpoint.username,
            endpoint.password,
            port=endpoint.port,
            ca_file=ca_file,
            timeout=30,
        )
        return replace(spec, **changes)

    def thumbprint(self, name):
        return self._expired.thumbprint if name == "expired" else self.lab.endpoints[name].thumbprint

    def rule(self, name, method, where, *, subject="", **options):
        return self.lab.control.fault(method, where=where, endpoint=name, name=subject, **options)["id"]

    def hits(self, rule):
        return next(each["hits"] for each in self.lab.control.faults() if each["id"] == rule)

    def delay(self, name, call=None, task=None):
        self.lab.control.delay(call=call, task=task, endpoint=name)

    def guests(self, name, delay_ms):
        self.lab.control.guests(delay_ms=delay_ms, endpoint=name)

    def calls(self, name):
        """SOAP and other requests by method; a method that was never called counts 0."""
        return Counter(self.lab.control.calls(name))

    def reset_calls(self):
        self.lab.control.calls(reset=True)

    def sessions(self, name):
        return self.lab.control.state(name)["sessions"]

    def end_session(self, session):
        """End another user's session, as an administrator would."""
        key = session.content.sessionManager.currentSession.key
        with connect(session.spec) as other:
            other.content.sessionManager.TerminateSession([key])

    def wait_for_vms(self, name, count):
        """Until tasks that nobody waits for have ended."""
        deadline = time.monotonic() + 60
        while len(self.lab.control.state(name)["vms"]) != count:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def files(self, name, datastore):
        stores = self.lab.control.state(name)["datastores"]
        return next(store["files"] for store in stores if store["name"] == datastore)

    def inventory(self, name):
        with connect(self.spec(name)) as session:
            return read_inventory(session)

    def without_folders(self, seen):
        """The inventory as read before any folder was created."""
        roots = {row.vm_folder for row in seen.datacenters.values()}
        return replace(seen, folders={moid: row for moid, row in seen.folders.items() if moid in roots})

    def download(self, name, path):
        """The bytes of a datastore's file (``[ds] dir/file``), over HTTP."""
        endpoint = self.lab.endpoints[name]
        datastore, _, file = path.partition("] ")
        query = urllib.parse.urlencode({"dcPath": endpoint.datacenter, "dsName": datastore[1:]})
        context = ssl.create_default_context(cafile=endpoint.ca_file)
        connection = http.client.HTTPSConnection(endpoint.address, endpoint.port, context=context, timeout=30)
        login = base64.b64encode(f"{endpoint.username}:{endpoint.password}".encode()).decode()
        headers = {"Authorization": f"Basic {login}"}
        connection.request("GET", f"/folder/{urllib.parse.quote(file)}?{query}", headers=headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        assert answer.status == 200, content[:200]
        return content

    def empty(self):
        for name in ("vc", "esx"):
            with connect(self.spec(name)) as session:
                rows = read_inventory(session).vms.values()
                # Children before the templates that are their parents.
                for template in (False, True):
                    jobs = [
                        power_off(row.moid, row.name, then=lambda _r, row=row: destroy(row.moid, row.name, row.uuid))
                        for row in rows
                        if row.template == template and "image" not in row.name
                    ]
                    jobs += [
                        delete_template(row.moid, row.name, row.uuid)
                        for row in rows
                        if template and "image" in row.name
                    ]
                    assert not [outcome for _job, outcome in run_jobs(session, jobs) if outcome]
            state = self.lab.control.state(name)
            assert state["sessions"] == 0
            left = {store["name"]: store["files"] for store in state["datastores"] if store["files"]}
            assert not left, f"{name} keeps files of nobody"


@pytest.fixture(scope="package")
def _lab(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("authority"))
    expired = authority.issue("expired", expired=True)
    with Lab.start(TOPOLOGY, certificates={"expired": (expired.file, expired.key)}) as lab:
        yield Bench(lab, authority, expired)


@pytest.fixture
def bench(_lab):
    _lab.lab.control.reset()
    yield _lab
    _lab.lab.control.reset()
    _lab.empty()


@pytest.fixture
def vm_spec(bench):
    """Build the VmSpec of a small VM; hosts in turn where the datastore is on several."""
    seen, made = {}, Counter()

    def build(name, vm_name, nics=("net1",), datastore=None):
        if name not in seen:
            seen[name] = bench.inventory(name)
        inventory = seen[name]
        store = next(
            row
            for row in inventory.datastores.values()
            if row.name == (datastore or {"vc": "shared", "esx": "datastore1"}[name])
        )
        hosts = [row for row in inventory.hosts.values() if store.moid in row.datastores]
        host = hosts[made[name] % len(hosts)]
        made[name] += 1
        identity = str(uuid.uuid4())
        return VmSpec(
            identity,
            vm_name,
            "test",
            "store-1",
            replace(host),
            replace(store),
            host.vm_folder,
            1,
            512 << 20,
            directory=f"{vm_name}-{identity[:8]}",
            disks=[DiskSpec("boot", 1 << 30)],
            nics=[NicSpec(replace(inventory.network_of(host, each))) for each in nics],
        )

    return build


@pytest.fixture
def make_vms(bench, vm_spec):
    """Make VMs vm-0, vm-1 ... on an endpoint; their rows in that order."""

    def make(name, count):
        specs = [vm_spec(name, f"vm-{at}") for at in range(count)]
        with connect(bench.spec(name)) as session:
            made = [outcome for _job, outcome in run_jobs(session, map(create_vm, specs))]
            assert all(isinstance(outcome, str) for outcome in made), made
            seen = read_inventory(session)
        return [seen.vm(spec.uuid) for spec in specs]

    return make
