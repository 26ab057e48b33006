# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site on the small data centre whose VMs and persistent disks are on one endpoint: a vCenter, or an ESXi host.

First-class disks exist only simulated: no vCenter is at hand.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.photon.platform.plugins.module_utils.services.disks.record import Disk

from lab import Lab
from tests.chaos.scene import small
from tests.support.administrator import Administrator
from tests.support.site import Site

SITE = r"""
photon_site: disks
photon_zones: [{name: a}]
photon_images: [{name: debian, file: debian.ova, replication: EAGER}]
photon_default_port_group: VM Network
photon_tenants:
  - name: acme
    quota: {vm.count: 100, persistent-disk.count: 100, persistent-disk.capacity: 100 GB}
    projects:
      - name: web
        quota_percent: 100
"""
HOSTS = {
    "vc1": ({"name": "esx[01:03].lab", "endpoint": "vc1", "zone": "a"}, "shared1"),
    "esx9": ({"name": "esx09.lab", "endpoint": "esx9", "zone": "a"}, "datastore1"),
}
# The endpoint and photon_disk_backing of each backing.
BACKINGS = {
    "simulated-first-class-disks": ("vc1", "auto", "fcd"),
    "vmdks-on-a-vcenter": ("vc1", "vmdk", "vmdk"),
    "vmdks-on-an-esxi-host": ("esx9", "auto", "vmdk"),
}
VM = {"flavor": "core-100", "image": "debian", "boot_disk_flavor": "core-100"}


class DiskSite(Site):
    """A site with short ways to declare VMs and disks, and to look at a disk."""

    endpoint, setting, backing = BACKINGS["vmdks-on-a-vcenter"]

    def declare(self, vms: list[dict[str, Any]], disks: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        tree = copy.deepcopy(yaml.safe_load(SITE))
        host, store = HOSTS[self.endpoint]
        tree |= {
            "photon_hosts": [host],
            "photon_image_datastores": [store],
            "photon_disk_backing": self.setting,
            **more,
        }
        project = tree["photon_tenants"][0]["projects"][0]
        project["vms"] = [{**VM, **vm} for vm in vms]
        project["disks"] = [{"flavor": "core-100", "capacity": "1 GB", **disk} for disk in disks]
        return tree

    def disk(self, name: str) -> Disk:
        return Disk.of(self.named("disk", name))

    def files(self) -> list[str]:
        """The files of persistent disks on all datastores."""
        stores = [store for state in self.lab.control.state().values() for store in state["datastores"]]
        files = [f"[{s['name']}] {f}" for s in stores for f in s["files"]]
        ours = ("] photon-disks/", "] fcd/")
        return sorted(f for f in files if f.endswith(".vmdk") and "-flat" not in f and any(d in f for d in ours))

    def devices(self, vm: str) -> list[dict[str, Any]]:
        """The disks of a VM as vSphere has them."""
        [row] = [r for r in self.rows() if r["name"] == vm or r["name"].startswith(f"{vm}-")]
        return row["disks"]

    @property
    def endpoint_admin(self) -> Administrator:
        return self.admin[self.endpoint]

    def remove_file(self, name: str) -> None:
        """The file of a disk is lost."""
        self.lab.control.vanish(self.disk(name).path, endpoint=self.endpoint)

    def usage(self) -> dict[str, int]:
        """What the project is charged for persistent disks."""
        project = self.named("project", "web")
        counters = self.snapshot().counters()[project.id]
        return {k: c.usage for k, c in counters.items() if k.startswith("persistent-disk") and c.usage}


@pytest.fixture(params=list(BACKINGS))
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DiskSite]:
    with Lab.start(small()) as lab, contextlib.closing(DiskSite(lab, tmp_path)) as made:
        made.endpoint, made.setting, made.backing = BACKINGS[request.param]
        yield made
