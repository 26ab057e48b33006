# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Topologies: ranges, units, defaults, and every mistake with its place."""

from __future__ import annotations

import pytest

from lab import LabError, TopologyError, topology

POLICY = {"name": "gold", "datastores": []}


def one(**endpoint):
    return {"endpoints": [{"name": "e", "kind": "vcenter", **endpoint}]}


def test_ranges_and_units():
    assert topology.expand("esx[08:11].lab") == ["esx08.lab", "esx09.lab", "esx10.lab", "esx11.lab"]
    assert topology.expand("r[1:2]h[1:2]") == ["r1h1", "r1h2", "r2h1", "r2h2"]
    assert topology.expand("plain") == ["plain"]
    assert [topology.size(each) for each in ("1 GB", "1.5 TB", "512MB", 4096)] == [1 << 30, 3 << 39, 512 << 20, 4096]


def test_a_topology_is_read_with_its_defaults():
    (endpoint,) = topology.load(
        one(
            clusters=[{"name": "c", "hosts": [{"name": "h[1:2]", "rack": 7}]}],
            datastores=[
                {"name": "local-{host}", "capacity": "1 TB", "local": True},
                {"name": "s", "capacity": "1 GB", "hosts": ["h1"]},
            ],
            port_groups=[{"name": "net[1:2]"}],
        )
    )["endpoints"]
    assert endpoint["username"] == "administrator@vsphere.local"
    hosts = endpoint["clusters"][0]["hosts"]
    assert [(host["name"], host["cores"], host["threads"], host["memory"], host["rack"]) for host in hosts] == [
        ("h1", 16, 32, 128 << 30, "7"),
        ("h2", 16, 32, 128 << 30, "7"),
    ]
    assert [(store["name"], store["hosts"]) for store in endpoint["datastores"]] == [
        ("local-h1", ["h1"]),
        ("local-h2", ["h2"]),
        ("s", ["h1"]),
    ]
    assert [group["name"] for group in endpoint["port_groups"]] == ["net1", "net2"]


def test_policies_and_bandwidth_of_datastores():
    stores = [{"name": f"d{n}", "capacity": "1 GB", "read_rate": "100 MB", "write_rate": "50 MB"} for n in (1, 2)]
    document = one(
        hosts=[{"name": "h"}], datastores=stores, storage_policies=[{"name": "gold", "datastores": ["d[1:2]"]}]
    )
    [endpoint] = topology.load(document)["endpoints"]
    assert [(each["read_rate"], each["write_rate"]) for each in endpoint["datastores"]] == [(100 << 20, 50 << 20)] * 2
    assert endpoint["storage_policies"] == [{"name": "gold", "datastores": ["d1", "d2"]}]


def test_the_same_topology_has_the_same_identities():
    document = one(clusters=[{"name": "c", "hosts": [{"name": "h[1:2]"}]}])
    assert topology.load(document) == topology.load(document)
    first, second = topology.load(document)["endpoints"][0]["clusters"][0]["hosts"]
    assert first["uuid"] != second["uuid"]


@pytest.mark.parametrize(
    ("document", "mistake"),
    [
        ({}, "topology.endpoints: is missing"),
        ({"endpoints": []}, "endpoints: at least one endpoint"),
        ({"endpoints": {}, "more": 1}, "topology.more: no such key"),
        ({"endpoints": ["x"]}, "endpoints[0]: has to be a mapping"),
        ({"endpoints": [{"name": "e", "kind": "esxi"}]}, "endpoints[0]: an esxi endpoint has exactly one host"),
        (one(kind="hyperv"), "endpoints[0].kind: 'hyperv' is neither"),
        (one(clusters=[{"name": "c", "hosts": [], "vcls": 4}]), "endpoints[0].clusters[0].vcls: 4 has to be a number"),
        (one(port_groups=[{"name": "p"}, {"name": "p"}]), "endpoints[0].port_groups: p is there more than once"),
        (
            one(clusters=[{"name": "c", "hosts": [{"name": "h", "memory": "16 GiB"}]}]),
            "endpoints[0].clusters[0].hosts[0].memory",
        ),
        (
            one(clusters=[{"name": "c", "hosts": [{"name": "h", "cores": 0}]}]),
            "endpoints[0].clusters[0].hosts[0].cores",
        ),
        (
            one(clusters=[{"name": "c", "hosts": [{"name": "h", "cpus": 4}]}]),
            "endpoints[0].clusters[0].hosts[0].cpus: no such key",
        ),
        (one(clusters=[{"name": "c", "hosts": [{"name": "h"}, {"name": "h"}]}]), "h is there more than once"),
        (one(clusters=[{"name": "c", "hosts": [{"name": "h[3:1]"}]}]), "runs backwards"),
        (
            one(hosts=[{"name": "h"}], datastores=[{"name": "d", "capacity": "1 GB", "hosts": ["x"]}]),
            "there is no host x",
        ),
        (one(hosts=[{"name": "h"}], datastores=[{"name": "d"}]), "endpoints[0].datastores[0].capacity: is missing"),
        (
            one(hosts=[{"name": "h"}], datastores=[{"name": "d", "capacity": "1 GB", "type": "ext4"}]),
            "datastores[0].type",
        ),
        (
            one(hosts=[{"name": "h[1:2]"}], datastores=[{"name": "d", "capacity": "1 GB", "local": True}]),
            "needs {host}",
        ),
        (
            one(hosts=[{"name": "h"}], datastores=[{"name": "d", "capacity": "1 GB", "read_rate": "fast"}]),
            "datastores[0].read_rate",
        ),
        (
            one(hosts=[{"name": "h"}], storage_policies=[{"name": "gold", "datastores": ["d"]}]),
            "storage_policies[0].datastores: there is no datastore d",
        ),
        (
            {"endpoints": [{"name": "e", "kind": "esxi", "hosts": [{"name": "h"}], "storage_policies": [POLICY]}]},
            "storage_policies[0]: an esxi endpoint has no storage policies",
        ),
        (one(hosts=[{"name": "h"}], port_groups=[{"name": "p", "vlan": 5000}]), "endpoints[0].port_groups[0].vlan"),
        (
            {
                "endpoints": [
                    {
                        "name": "e",
                        "kind": "esxi",
                        "hosts": [{"name": "h"}],
                        "port_groups": [{"name": "p", "kind": "distributed"}],
                    }
                ]
            },
            "endpoints[0].port_groups[0].kind",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(document, mistake):
    with pytest.raises(TopologyError) as caught:
        topology.load(document)
    assert mistake in str(caught.value)


def test_a_standard_and_a_distributed_port_group_may_have_one_name():
    found = topology.load(one(port_groups=[{"name": "p"}, {"name": "p", "kind": "distributed"}]))
    assert [group["kind"] for group in found["endpoints"][0]["port_groups"]] == ["standard", "distributed"]


def test_all_mistakes_are_reported_at_once():
    with pytest.raises(TopologyError) as caught:
        topology.load({"endpoints": [{"name": "e", "kind": "x"}, {"name": "e", "kind": "vcenter", "colour": "red"}]})
    assert len(caught.value.mistakes) == 3


def test_files_and_names(tmp_path):
    assert topology.load("small") == topology.load(topology.FOLDER / "small.yml")
    with pytest.raises(LabError, match="demo, large, small"):
        topology.load("nowhere")
    broken = tmp_path / "broken.yml"
    broken.write_text("endpoints: [")
    with pytest.raises(LabError, match="is not YAML"):
        topology.load(broken)
    broken.write_text("- 1")
    with pytest.raises(LabError, match="mapping"):
        topology.load(broken)
