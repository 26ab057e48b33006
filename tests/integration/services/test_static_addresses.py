# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Static addresses: what the guest is given, who may have an address, and how they come and go."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.services import guest
from ansible_collections.photon.platform.plugins.module_utils.vsphere import guestinfo

from lab import Lab
from tests.chaos.scene import small, tree
from tests.support.site import Site, codes, message

KEYS = {"flavor": "core-100", "image": "debian", "boot_disk_flavor": "core-100", "zone": "a"}


@pytest.fixture
def site(lab_factory: Callable[[Any], Lab], tmp_path: Path) -> Iterator[Site]:
    made = Site(lab_factory(small()), tmp_path)
    yield made
    made.close()


def lan(address: str = "10.0.0.[5:6]/24", **more: Any) -> dict[str, Any]:
    return {"name": "lan", "address": address, "gateway": "10.0.0.1", "dns": ["10.0.0.2", "fd00::2"], **more}


def declared(*port_groups: Any, vms: int = 2, **item: Any) -> dict[str, Any]:
    return tree(vms, zone="a", spread_over=None, port_groups=list(port_groups), **item)


def meta_data(site: Site, name: str) -> dict[str, Any]:
    """The guest's meta-data as vSphere has it."""
    [row] = site.rows(site.record(name).id)
    return dict(json.loads(guestinfo.decode(row["extra_config"]["guestinfo.metadata"])))


def adapters(site: Site, name: str) -> list[tuple[str, str]]:
    """(MAC address, how it was chosen) of a VM's adapters."""
    from pyVmomi import vim

    devices = site.admin["vc1"].vm(name).config.hardware.device
    return [(d.macAddress, d.addressType) for d in devices if isinstance(d, vim.vm.device.VirtualEthernetCard)]


def test_each_guest_gets_its_configuration_before_its_first_start(site: Site) -> None:
    wanted = declared(lan(), "VM Network")
    site.good(wanted)
    used = set()
    for number, name in enumerate(("web-01", "web-02")):
        macs = adapters(site, name)
        assert [kind for _mac, kind in macs] == ["manual", "manual"]
        assert all("00:50:56:00:00:00" <= mac <= "00:50:56:3f:ff:ff" for mac, _kind in macs)
        used |= {mac for mac, _kind in macs}
        assert meta_data(site, name)["network"] == {
            "version": 2,
            "ethernets": {
                "adapter0": {
                    "match": {"macaddress": macs[0][0]},
                    "dhcp4": False,
                    "addresses": [f"10.0.0.{5 + number}/24"],
                    "routes": [{"to": "0.0.0.0/0", "via": "10.0.0.1"}],
                    "nameservers": {"addresses": ["10.0.0.2", "fd00::2"]},
                },
                "adapter1": {"match": {"macaddress": macs[1][0]}, "dhcp4": True},
            },
        }
    assert len(used) == 4
    site.settled(wanted)


def test_addresses_are_changed_added_to_a_vm_that_has_none_and_taken_off(site: Site) -> None:
    site.good(declared("lan", metadata={"ssh_keys": ["ssh-ed25519 AAAA me"]}))
    before = adapters(site, "web-01")
    assert "network" not in meta_data(site, "web-01")
    wanted = declared(lan(), metadata={"ssh_keys": ["ssh-ed25519 AAAA me"]})
    planned = site.run(wanted, check=True)
    assert planned["counts"]["vm"] == {"update": 2}
    assert "lan: 10.0.0.5/24, gateway 10.0.0.1, dns 10.0.0.2 fd00::2" in planned["diff"]["after"]
    site.good(wanted)
    assert adapters(site, "web-01") == before
    [[_name, configuration]] = meta_data(site, "web-01")["network"]["ethernets"].items()
    assert configuration["match"] == {"macaddress": before[0][0]}
    assert meta_data(site, "web-01")["public-keys"] == ["ssh-ed25519 AAAA me"]
    site.settled(wanted)
    moved = declared(lan("10.0.0.[7:8]/24"), "dvpg1", metadata={"ssh_keys": ["ssh-ed25519 AAAA me"]})
    site.good(moved)
    network = meta_data(site, "web-02")["network"]["ethernets"]
    assert network["adapter0"]["addresses"] == ["10.0.0.8/24"]
    assert network["adapter1"]["match"]["macaddress"] == adapters(site, "web-02")[1][0]
    site.settled(moved)
    site.good(declared("lan", metadata={"ssh_keys": ["ssh-ed25519 AAAA me"]}))
    assert "network" not in meta_data(site, "web-01")
    assert site.record("web-01").static == ()
    site.settled(declared("lan", metadata={"ssh_keys": ["ssh-ed25519 AAAA me"]}))


def test_an_address_belongs_to_one_vm(site: Site) -> None:
    site.good(declared(lan()))
    outcome = site.vm(name="db-1", port_groups=[lan("10.0.0.6/24")], **KEYS)
    assert codes(outcome) == {"acme/web/db-1": "IpAddressInUse"}
    assert "10.0.0.6 in port group lan is the address of VM acme/web/web-02" in message(outcome)
    outcome = site.vm(name="db-1", port_groups=[{**lan("10.0.0.6/24"), "name": "dvpg1"}], **KEYS)
    assert outcome["failures"] == []
    outcome = site.vm(name="web-02", state="absent", force=True)
    assert outcome["failures"] == []
    assert site.vm(name="db-2", port_groups=[lan("10.0.0.6/24")], **KEYS)["failures"] == []
    assert site.disagreements() == []


def test_two_vms_exchange_their_addresses_in_one_run(site: Site) -> None:
    one, two = ({"name": f"db-{n}", **KEYS, "port_groups": [lan(f"10.0.0.{n}/24", gateway="10.0.0.9")]} for n in (1, 2))
    site.good(with_vms(one, two))
    one["port_groups"], two["port_groups"] = two["port_groups"], one["port_groups"]
    site.settled(with_vms(one, two))
    assert site.record("db-1").static[0].address == "10.0.0.2/24"
    gone = {"name": "db-1", "state": "absent"}
    three = {"name": "db-3", **KEYS, "port_groups": one["port_groups"]}
    site.good(with_vms(gone, two, three))
    assert site.record("db-3").static[0].address == "10.0.0.2/24"


def with_vms(*items: dict[str, Any]) -> dict[str, Any]:
    made = tree(0)
    made["photon_tenants"][0]["projects"][0]["vms"] = list(items)
    return made


def test_the_module_keeps_what_it_does_not_name_and_asks_for_metadata(site: Site) -> None:
    site.good(declared(lan(), vms=2, metadata={"user_data": "#cloud-config\n"}))
    before = meta_data(site, "web-01")
    assert site.vm(name="web-01", tags=["blue"])["failures"] == []
    assert meta_data(site, "web-01") == before
    outcome = site.vm(name="web-01", port_groups=[lan("10.0.0.9/24")])
    assert codes(outcome) == {"acme/web/web-01": "SpecInvalid"}
    assert "set metadata together with the addresses" in message(outcome)
    changed = site.vm(name="web-01", port_groups=[lan("10.0.0.9/24")], metadata={"user_data": "#cloud-config\n"})
    assert changed["failures"] == []
    assert meta_data(site, "web-01")["network"]["ethernets"]["adapter0"]["addresses"] == ["10.0.0.9/24"]


def test_what_somebody_changed_in_vsphere_is_put_back(site: Site) -> None:
    from pyVmomi import vim

    wanted = declared(lan())
    site.good(wanted)
    before = meta_data(site, "web-01")
    spoiled = guest.keys({}, "web-01", site.record("web-01").id)
    options = [vim.option.OptionValue(key=key, value=value) for key, value in spoiled.items()]
    site.admin["vc1"].reconfigure("web-01", extraConfig=options)
    assert "network" not in meta_data(site, "web-01")
    outcome = site.good(wanted)
    assert outcome["counts"]["vm"]["update"] == 1
    assert meta_data(site, "web-01") == before
    site.settled(wanted)


def test_a_lost_vm_is_created_again_with_its_addresses(site: Site) -> None:
    wanted = declared(lan())
    site.good(wanted)
    before = meta_data(site, "web-01")
    site.admin["vc1"].power("web-01", "poweredOff")
    site.admin["vc1"].delete("web-01")
    site.good(wanted)
    assert meta_data(site, "web-01") == before
    site.settled(wanted)
