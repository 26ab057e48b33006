# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts and datastores as administrators change them: maintenance, renames, disconnected and removed hosts."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import open_store
from ansible_collections.photon.platform.plugins.module_utils.services.fleet.record import effective_state
from ansible_collections.photon.platform.plugins.module_utils.services.planning import Options
from ansible_collections.photon.platform.plugins.module_utils.services.run import Request, run_items, run_site

from lab import Lab
from tests.support import diskimages
from tests.support.administrator import Administrator

HOST = {"cores": 16, "memory": "64 GB"}
TOPOLOGY = {
    "endpoints": [
        {
            "name": "vc1", "kind": "vcenter", "datacenter": "dc1",
            "clusters": [{"name": "c1", "vcls": 2, "hosts": [{"name": "esx[01:02].lab", **HOST}]}],
            "datastores": [{"name": "shared1", "capacity": "1 TB"}],
            "port_groups": [{"name": "VM Network"}],
        },
        {
            "name": "esx9", "kind": "esxi", "hosts": [{"name": "esx09.lab", **HOST}],
            "datastores": [{"name": "datastore1", "capacity": "1 TB"}], "port_groups": [{"name": "VM Network"}],
        },
    ]
}  # fmt: skip
VM = {"flavor": "core-100", "image": "debian", "boot_disk_flavor": "core-100", "zone": "a"}


class Site:
    """A vCenter with two hosts (zone a) and an ESXi host (zone b) that both keep the image."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab, self.directory = lab, directory
        self.admin = Administrator(lab, "vc1")
        diskimages.ova(directory / "debian.ova")

    def run(self, *vms: dict[str, Any], images: str = "shared1", check: bool = False) -> dict[str, Any]:
        tree = {
            "photon_site": "test",
            "photon_endpoints": [
                {"name": e.name, "kind": e.kind, "address": e.address, "port": e.port, "tls": {"ca_file": e.ca_file}}
                for e in self.lab.endpoints.values()
            ],
            "photon_zones": [{"name": "a"}, {"name": "b"}],
            "photon_hosts": [
                {"name": "esx[01:02].lab", "endpoint": "vc1", "zone": "a"},
                {"name": "esx09.lab", "endpoint": "esx9", "zone": "b"},
            ],
            "photon_images": [{"name": "debian", "file": "debian.ova", "replication": "EAGER"}],
            "photon_image_datastores": [images, "datastore1"],
            "photon_default_port_group": "VM Network",
            "photon_tenants": [
                {"name": "acme", "projects": [{"name": "web", "vms": list(vms)}]},
            ],
        }
        return run_site(tree, self.request(whole=True, check=check))

    def host(self, name: str, state: str) -> dict[str, Any]:
        return run_items("host", [{"name": name, "state": state}], self.request())

    def request(self, **more: Any) -> Request:
        logins = {e.name: {"username": e.username, "password": e.password} for e in self.lab.endpoints.values()}
        options = Options(base_directory=str(self.directory))
        return Request(cloudstore_url=self.url, allow_ephemeral=True, credentials=logins, options=options, **more)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.directory}/cloud.db"

    def find(self, kind: str, name: str) -> Any:
        with open_store(self.url, mode="read", allow_ephemeral=True) as store:
            return next(d for d in store.snapshot().documents if (d.kind, d.name) == (kind, name))


@pytest.fixture
def site(lab_factory: Any, tmp_path: Path) -> Iterator[Site]:
    site = Site(lab_factory(TOPOLOGY), tmp_path)
    yield site
    site.admin.close()


def codes(outcome: dict[str, Any]) -> dict[str, str]:
    return {failure["name"]: failure["error_code"] for failure in outcome["failures"]}


@pytest.mark.parametrize("name", ["esx01.lab", "esx09.lab"])
def test_image_copies_and_agents_do_not_keep_a_host_from_maintenance(site: Site, name: str) -> None:
    assert codes(site.run()) == {}
    outcome = site.host(name, "maintenance")
    assert (codes(outcome), outcome["changes"]) == ({}, [f"update host {name} (READY -> MAINTENANCE)"])
    assert effective_state(site.find("host", name)) == "MAINTENANCE"
    assert not site.run(check=True)["changed"]
    assert codes(site.host(name, "ready")) == {}
    assert effective_state(site.find("host", name)) == "READY"


def test_a_running_vm_hinders_and_a_stopped_one_does_not(site: Site) -> None:
    assert codes(site.run({"name": "web-[1:2]", **VM, "state": "started"})) == {}
    assert codes(site.host("esx01.lab", "maintenance")) == {"esx01.lab": "HostHasVms"}
    site.admin.power("web-1", "poweredOff")
    site.admin.power("web-2", "poweredOff")
    assert codes(site.host("esx01.lab", "maintenance")) == {}


def test_a_refused_maintenance_is_the_hosts_failure(site: Site) -> None:
    site.run()
    site.lab.control.fault("EnterMaintenanceMode_Task", "NoPermission", endpoint="vc1")
    outcome = site.host("esx01.lab", "maintenance")
    assert codes(outcome) == {"esx01.lab": "AccessForbidden"}
    assert effective_state(site.find("host", "esx01.lab")) == "SUSPENDED"
    site.lab.control.reset()
    assert codes(site.host("esx01.lab", "maintenance")) == {}
    assert effective_state(site.find("host", "esx01.lab")) == "MAINTENANCE"


def test_a_renamed_datastore_keeps_its_images_and_vms(site: Site) -> None:
    vm = {"name": "web-1", **VM}
    site.run(vm)
    before = site.find("datastore", "shared1")
    site.admin.rename_datastore("shared1", "SAN 01")
    uploads = site.lab.control.calls("vc1").get("ImportVApp", 0)
    refused = site.run(vm, images="shared1")
    assert set(codes(refused)) == {"image_datastores"}
    assert "renamed to 'SAN 01'" in refused["failures"][0]["message"]
    outcome = site.run(vm, images="SAN 01")
    assert codes(outcome) == {}
    assert site.find("datastore", "SAN 01").id == before.id
    assert site.lab.control.calls("vc1").get("ImportVApp", 0) == uploads
    assert codes(site.run(vm, {"name": "web-2", **VM}, images="SAN 01")) == {}
    assert not site.run(vm, {"name": "web-2", **VM}, images="SAN 01")["changed"]


def test_a_disconnected_host_is_a_warning(site: Site) -> None:
    site.run()
    site.admin.disconnect("esx01.lab")
    outcome = site.run()
    assert (codes(outcome), outcome["changed"]) == ({}, False)
    assert [w for w in outcome["warnings"] if w.startswith("host esx01.lab is disconnected on endpoint vc1")]
    assert codes(site.run({"name": "web-[1:4]", **VM})) == {}
    assert {row["host"] for row in site.lab.control.state("vc1")["vms"] if row["name"].startswith("web-")} == {
        "esx02.lab"
    }


def test_a_host_that_was_removed_and_added_again(site: Site) -> None:
    """Its VMs are neither lost nor created again, and it is known under its new moid when it returns."""
    vms = {"name": "web-[1:2]", **VM, "anti_affinity": [{"name": "apart", "level": "host", "hard": True}]}
    site.run(vms)
    before = site.find("host", "esx01.lab")
    [there] = [name for name in ("web-1", "web-2") if site.find("vm", name).observed["host"] == before.id]
    cluster = site.admin.remove_host("esx01.lab")
    failed = codes(site.run(vms))
    assert (failed["esx01.lab"], failed[f"acme/web/{there}"]) == ("HostNotFound", "DependencyFailed")
    assert site.find("host", "esx01.lab").observed["connected"] is False
    site.admin.add_host("esx01.lab", cluster)
    assert codes(site.run(vms)) == {}
    after = site.find("host", "esx01.lab")
    assert (after.id, after.observed["connected"]) == (before.id, True)
    assert after.observed["moid"] != before.observed["moid"]
    assert not site.run(vms)["changed"]


def test_two_first_applies_at_once(site: Site) -> None:
    """Both succeed: the second plans again, and no datastore is left without its endpoint."""
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda _number: site.run(), range(2)))
    failed = [failure for outcome in outcomes for failure in outcome["failures"]]
    assert [failure for failure in failed if failure["kind"] not in ("image", "image-copy")] == []
    with open_store(site.url, mode="read", allow_ephemeral=True) as store:
        documents = store.snapshot().documents
    ids = {document.id for document in documents}
    stores = [document for document in documents if document.kind == "datastore"]
    assert (len(stores), {store.scope for store in stores} <= ids) == (2, True)
    assert (codes(site.run()), site.run()["changed"]) == ({}, False)
