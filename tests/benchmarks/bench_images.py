# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of images on datastores of limited bandwidth: a tree against its ideal and against one after the other, the
first VM of EAGER and ON_DEMAND images, and 50 VMs that need one copy."""

from __future__ import annotations

import copy
import math
import os
import pathlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lab import Lab
from tests.support import diskimages
from tests.support.site import Site

MEGABYTES, RATE = 8, "2 MB"  # an image's size, and what a datastore reads and writes in a second
TREES, FIRST = (8, 32), (1, 8, 32)
MANY = 50
HOSTS = "esx[01:10].lab"
IMAGE = {"name": "debian", "file": "debian.ova", "replication": "EAGER"}
ON_DEMAND = {**IMAGE, "replication": "ON_DEMAND"}
VM = {"flavor": "core-100", "image": "debian", "boot_disk_flavor": "core-100"}


def run(context: Any) -> dict[str, float]:
    """Figures: seconds of copies over their ideal and a series, of first VMs, and the space and copies they take."""
    figures: dict[str, float] = {}
    with _cloud(context, 1) as cloud:
        one = _replicate(cloud)
    rows = [["1 copy", one, ""]]
    for number in TREES:
        with _cloud(context, number) as cloud:
            seconds = _replicate(cloud)
        ideal = math.ceil(math.log2(number + 1)) * one
        figures[f"image_copy_{number}_over_ideal"] = seconds / ideal
        figures[f"image_copy_{number}_over_serial"] = seconds / (number * one)
        rows.append([f"{number} copies", seconds, f"ideal {ideal:.1f}"])
    for number in FIRST:
        eager, eager_space = _first_vm(context, number, IMAGE)
        demand, demand_space = _first_vm(context, number, ON_DEMAND)
        figures[f"first_vm_ondemand_over_eager_{number}"] = demand / eager
        figures[f"space_ondemand_over_eager_{number}"] = demand_space / eager_space
        rows.append([f"first VM, {number} further datastores: EAGER", eager, f"{eager_space >> 20} MiB"])
        rows.append([f"first VM, {number} further datastores: ON_DEMAND", demand, f"{demand_space >> 20} MiB"])
    with _cloud(context, 1) as cloud:
        figures["ondemand_copies"] = _many_vms(cloud)
    context.table(["work", "seconds", ""], rows)
    return figures


@contextmanager
def _cloud(context: Any, further: int) -> Iterator[Site]:
    """A vCenter whose hosts mount the image datastore ds0 and so many further ones."""
    endpoint = {
        "name": "vc1",
        "kind": "vcenter",
        "datacenter": "dc1",
        "clusters": [{"name": "c1", "hosts": [{"name": HOSTS, "cores": 64, "memory": "512 GB"}]}],
        "datastores": [{"name": f"ds{number}", "capacity": "1 TB"} for number in range(further + 1)],
        "port_groups": [{"name": "VM Network"}],
    }
    folder = context.work / f"images-{time.monotonic_ns()}"
    folder.mkdir()
    with Lab.start({"endpoints": [endpoint]}) as lab:
        diskimages.ova(pathlib.Path(folder) / "debian.ova", os.urandom(MEGABYTES << 20))
        site = Site(lab, folder)
        try:
            yield site
        finally:
            site.close()


def _tree(image: dict[str, Any] | None, vms: int = 0, **vm: Any) -> dict[str, Any]:
    item = {**VM, "name": f"web-[01:{vms:02}]", **vm}
    project = {"name": "web", "quota_percent": 100, "vms": [item] if vms else []}
    return {
        "photon_site": "bench",
        "photon_zones": [{"name": "a"}],
        "photon_hosts": [{"name": HOSTS, "endpoint": "vc1", "zone": "a"}],
        "photon_image_datastores": ["ds0"],
        "photon_images": [copy.deepcopy(image)] if image else [],
        "photon_default_port_group": "VM Network",
        "photon_tenants": [{"name": "acme", "quota": {"vm.count": 500}, "projects": [project]}],
    }


def _slow(site: Site) -> None:
    for name in site.lab.control.traffic("vc1"):
        site.lab.control.bandwidth("vc1", name, read=RATE, write=RATE)


def _replicate(site: Site) -> float:
    """Seconds in which an image that is on ds0 comes to all further datastores."""
    site.good(_tree(ON_DEMAND))
    _slow(site)
    return _timed(site, _tree(IMAGE))


def _first_vm(context: Any, further: int, image: dict[str, Any]) -> tuple[float, int]:
    """Seconds from nothing to the first VM, and the bytes that the copies' disks may take."""
    with _cloud(context, further) as site:
        site.good(_tree(None))
        _slow(site)
        seconds = _timed(site, _tree(image, 1))
        copies = [d for d in site.snapshot().documents if d.kind == "image-copy"]
        return seconds, sum(copy_.body["size"] for copy_ in copies)


def _many_vms(site: Site) -> int:
    """How many copies MANY new VMs on a datastore without one make."""
    site.good(_tree(ON_DEMAND))
    declared = _tree(ON_DEMAND, MANY)
    declared["photon_datastores"] = [{"name": "ds0", "endpoint": "vc1", "usable_for_vms": False}]
    before = site.lab.control.calls("vc1").get("CopyVirtualDisk_Task", 0)
    site.good(declared)
    return int(site.lab.control.calls("vc1").get("CopyVirtualDisk_Task", 0) - before)


def _timed(site: Site, declared: dict[str, Any]) -> float:
    began = time.monotonic()
    site.good(declared)
    return time.monotonic() - began
