# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vSphere cloud provider, with a real API server and the lab's vCenter, gives each node the identity of its VM.

Its nodes are objects as kubelets with `cloud-provider: external` register them; there are no kubelets here.
"""

from __future__ import annotations

import contextlib
import json
import subprocess

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.documents import kubeadm
from ansible_collections.photon.platform.plugins.module_utils.vsphere import (
    DiskSpec,
    EndpointSpec,
    NicSpec,
    VmSpec,
    connect,
    create_vm,
    power_on,
    read_inventory,
    run_jobs,
)

from lab import Lab
from lab.kubernetes import cache, versions
from tests.support.apiserver import ApiServer, free_port, missing, polled
from tests.support.clusters import SECRET, one

PROGRAM = versions.VSPHERE_CLOUD_PROVIDER
BINARY = cache.programs(PROGRAM.name, PROGRAM.version) / PROGRAM.name
NODES = ("c1", "w1", "w2")
TAINT = {"key": "node.cloudprovider.kubernetes.io/uninitialized", "value": "true", "effect": "NoSchedule"}
TOPOLOGY = {
    "endpoints": [
        {
            "name": "vc",
            "kind": "vcenter",
            "datacenter": "dc1",
            "clusters": [{"name": "c1", "hosts": [{"name": "h1"}]}],
            "datastores": [{"name": "shared", "capacity": "2 TB"}],
            "port_groups": [{"name": "net1"}],
        }
    ]
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(not BINARY.exists(), reason="bin/lab kubernetes build --judge builds the cloud provider"),
    pytest.mark.xdist_group("kube-apiserver"),
]


@pytest.fixture(name="vcenter", scope="module")
def fixture_vcenter():
    """The lab's vCenter, and name -> (BIOS UUID, address) of running VMs with the nodes' names."""
    with Lab.start(TOPOLOGY) as lab:
        endpoint = lab.endpoints["vc"]
        spec = EndpointSpec(
            "vc", "vc", endpoint.kind, endpoint.address, endpoint.username, endpoint.password, port=endpoint.port,
            ca_file=endpoint.ca_file, timeout=30,
        )  # fmt: skip
        with connect(spec) as session:
            seen = read_inventory(session)
            (host,), (store,) = seen.hosts.values(), seen.datastores.values()
            specs = [
                VmSpec(
                    f"00000000-0000-4000-8000-00000000000{number}", name, "test", "store-1", host, store,
                    host.vm_folder, 1, 512 << 20, directory=name, disks=[DiskSpec("boot", 1 << 30)],
                    nics=[NicSpec(seen.network_of(host, "net1"))],
                )
                for number, name in enumerate(NODES)
            ]  # fmt: skip
            moids = [moid for _job, moid in run_jobs(session, [create_vm(each) for each in specs])]
            jobs = [power_on(moid, name) for moid, name in zip(moids, NODES, strict=True)]
            assert not [outcome for _job, outcome in run_jobs(session, jobs) if outcome]
            yield endpoint, {name: identity(session, moid) for name, moid in zip(NODES, moids, strict=True)}


def identity(session, moid):
    """The BIOS UUID of a VM and the address that its guest reports."""
    from pyVmomi import vim

    vm = vim.VirtualMachine(moid, session.content.searchIndex._stub)
    return vm.config.uuid, next(filter(None, polled(lambda: vm.guest.ipAddress, 60)))


@pytest.fixture(name="api", scope="module")
def fixture_api(tmp_path_factory, vcenter):
    """An API server with the nodes as their kubelets register them, and the cloud provider at work."""
    _endpoint, vms = vcenter
    cluster = one(kubeadm={"arguments": {"kubelet": {"cloud-provider": "external"}}})
    flags = {item["name"]: item["value"] for item in registration(cluster, "w1")["kubeletExtraArgs"]}
    assert flags["cloud-provider"] == "external"
    with ApiServer(tmp_path_factory.mktemp("api"), cluster, [{"name": "k", "secret": SECRET}], versions.NEWER) as api:
        for name in NODES:
            note = {"alpha.kubernetes.io/provided-node-ip": vms[name][1]}
            node = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": name, "annotations": note},
                    "spec": {"taints": [TAINT]}}  # fmt: skip
            assert api.request("POST", "/api/v1/nodes", body=node)[0] == 201
        with provider(api, vcenter[0], tmp_path_factory.mktemp("provider")):
            yield api


def registration(cluster, name):
    """A member's nodeRegistration in its configuration for kubeadm join."""
    member = next(one for one in cluster["members"] if one["name"] == name)
    text = kubeadm.join(cluster, member, {"token": "t", "ca_hashes": []})
    return json.loads(text.split("---\n")[0])["nodeRegistration"]


@contextlib.contextmanager
def provider(api, endpoint, folder):
    """The cloud provider with a configuration as its documentation shows it."""
    settings = {
        "global": {"user": endpoint.username, "password": endpoint.password, "port": endpoint.port,
                   "caFile": str(endpoint.ca_file), "insecureFlag": False},
        "vcenter": {"lab": {"server": endpoint.address, "datacenters": ["dc1"]}},
    }  # fmt: skip
    (folder / "vsphere.yaml").write_text(json.dumps(settings))  # JSON is YAML
    kubeconfig = api.folder / "config.json"
    words = [
        BINARY, "--cloud-provider=vsphere", f"--cloud-config={folder / 'vsphere.yaml'}", f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}", f"--authorization-kubeconfig={kubeconfig}",
        "--authentication-skip-lookup=true", "--leader-elect=false", "--bind-address=127.0.0.1",
        f"--secure-port={free_port()}", f"--cert-dir={folder}", "--v=2",
    ]  # fmt: skip
    with open(api.folder / "cloud-provider.log", "wb") as log:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def test_each_node_gets_the_identity_and_the_address_of_its_vm(api, vcenter):
    def nodes():
        items = api.request("GET", "/api/v1/nodes")[1]["items"]
        return {item["metadata"]["name"]: item for item in items}

    api.wait(lambda: all(item["spec"].get("providerID") for item in nodes().values()), "nodes have no providerID")
    api.wait(lambda: not any(item["spec"].get("taints") for item in nodes().values()), "nodes keep the taint")
    for name, item in nodes().items():
        uuid, address = vcenter[1][name]
        assert item["spec"]["providerID"] == f"vsphere://{uuid}"
        addresses = {entry["type"]: entry["address"] for entry in item["status"]["addresses"]}
        assert addresses["InternalIP"] == address
        assert addresses["Hostname"] == name
