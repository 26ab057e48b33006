# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot disks that are larger than their image: on a vCenter and on an ESXi host, on creation and later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.vsphere import DatastoreReader, EndpointSpec, connect

from lab import Lab
from tests.chaos.scene import small, tree
from tests.support import diskimages
from tests.support.site import Site, codes, message

GB = 1 << 30
MARK = b"the image's first bytes"
ENDPOINTS = pytest.mark.parametrize(("endpoint", "zone"), [("vc1", "a"), ("esx9", "b")])


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab.start(small()) as running:
        yield running


@pytest.fixture
def site(lab: Lab, tmp_path: Path) -> Iterator[Site]:
    diskimages.ova(tmp_path / "debian.ova", MARK + bytes(2 << 20))
    made = Site(lab, tmp_path)
    yield made
    lab.control.reset()
    images = {"photon_images": [{"name": "debian", "state": "absent"}]}
    made.good(tree(1, state="absent", force=True) | images)
    made.close()


def declared(size: str | None = None, zone: str = "a", **item: Any) -> dict[str, Any]:
    boot = {} if size is None else {"boot_disk": {"capacity": size}}
    return tree(1, zone=zone, spread_over=None, **boot, **item)


def boot(site: Site) -> dict[str, Any]:
    """The boot disk of web-01 as the lab knows it."""
    [row] = site.rows(site.record("web-01").id)
    return dict(row["disks"][0])


def content(site: Site, endpoint: str, file: str) -> bytes:
    """The first 64 KiB of a disk, through its datastore."""
    known = site.lab.endpoints[endpoint]
    spec = EndpointSpec(endpoint, endpoint, known.kind, known.address, known.username, known.password,
                        port=known.port, ca_file=known.ca_file)  # fmt: skip
    with connect(spec) as session, DatastoreReader(session, known.datacenter or "ha-datacenter") as reader:
        return reader.read(file.replace(".vmdk", "-flat.vmdk"), 0, 1 << 16)


@ENDPOINTS
def test_a_new_vm_has_its_larger_boot_disk_before_its_first_start(site: Site, endpoint: str, zone: str) -> None:
    wanted = declared("2 GB", zone)
    site.good(wanted)
    disk = boot(site)
    assert (disk["capacity"], disk["parent"]) == (2 * GB, "")
    assert content(site, endpoint, disk["file"]).startswith(MARK)
    record = site.record("web-01")
    assert (record.state, record.boot_disk.capacity, record.boot_disk.path) == ("STARTED", 2 * GB, disk["file"])
    assert record.cost["ephemeral-disk.capacity"][0] == 2 * GB
    site.settled(wanted)
    site.good({**declared("3 GB", zone)})  # no child any more: it grows while the VM runs
    assert boot(site)["capacity"] == 3 * GB
    assert boot(site)["file"] == disk["file"]
    site.settled(declared("3 GB", zone))


@ENDPOINTS
def test_the_boot_disk_of_a_vm_that_exists_grows_while_it_is_off(site: Site, endpoint: str, zone: str) -> None:
    site.good(declared(None, zone))
    before, uuid = boot(site), site.record("web-01").boot_disk.uuid
    assert before["parent"]
    outcome = site.run(declared("2 GB", zone))
    assert codes(outcome) == {"acme/web/web-01": "InvalidVmState"}
    assert "force: true" in message(outcome)
    assert boot(site) == before
    outcome = site.good(declared("2 GB", zone, force=True))
    assert "boot_disk.capacity" in " ".join(outcome["changes"])
    after = boot(site)
    assert (after["capacity"], after["parent"]) == (2 * GB, "")
    assert content(site, endpoint, after["file"]).startswith(MARK)
    record = site.record("web-01")
    assert (record.state, record.boot_disk.uuid) == ("STARTED", uuid)
    site.settled(declared("2 GB", zone))


def test_a_boot_disk_never_shrinks(site: Site) -> None:
    outcome = site.run(declared("1 MB"))
    assert codes(outcome) == {"acme/web/web-01": "InvalidEntity"}
    assert "smaller than the image debian" in message(outcome)
    site.good(declared("2 GB"))
    outcome = site.run(declared("1 GB"))
    assert codes(outcome) == {"acme/web/web-01": "UpdateNotSupported"}
    assert "from 2 GB to 1 GB" in message(outcome)
    outcome = site.good(declared())
    assert not outcome["changed"]
    [warning] = outcome["warnings"]
    assert "boot disks stay 2 GB" in warning
    assert boot(site)["capacity"] == 2 * GB


def test_the_module_leaves_a_larger_boot_disk_as_it_is(site: Site) -> None:
    site.good(declared("2 GB"))
    outcome = site.vm(name="web-01", tags=["blue"])
    assert (outcome["failures"], outcome["warnings"]) == ([], [])
    assert site.record("web-01").boot_disk.capacity == 2 * GB
    site.vm(name="web-01", boot_disk={"capacity": "4 GB"})
    assert boot(site)["capacity"] == 4 * GB


@pytest.mark.parametrize(
    ("call", "where"),
    [
        ("CopyVirtualDisk_Task", "task"),
        ("ExtendVirtualDisk_Task", "drop_before"),
        ("ReconfigVM_Task", "task"),
        ("ReconfigVM_Task", "drop_after"),
    ],
)
def test_a_growth_that_fails_leaves_the_vm_with_its_disk_and_goes_on(site: Site, call: str, where: str) -> None:
    site.good(declared(state="stopped"))
    before = boot(site)
    fault = {"fault": "NoDiskSpace"} if where == "task" else {}
    site.lab.control.fault(call, where=where, endpoint="vc1", count=1, **fault)
    outcome = site.run(declared("2 GB", state="stopped"))
    assert set(codes(outcome)) == {"acme/web/web-01"}
    if (call, where) != ("ReconfigVM_Task", "drop_after"):
        assert boot(site) == before
    site.settled(declared("2 GB", state="stopped"))
    assert boot(site)["capacity"] == 2 * GB


def test_a_new_vm_whose_boot_disk_could_not_grow_is_completed(site: Site) -> None:
    site.good(tree(0))
    site.lab.control.fault("ReconfigVM_Task", "NoDiskSpace", where="task", endpoint="vc1", count=1)
    outcome = site.run(declared("2 GB"))
    assert set(codes(outcome)) == {"acme/web/web-01"}
    assert site.record("web-01").state == "STOPPED"
    site.settled(declared("2 GB"))
    assert (boot(site)["capacity"], site.record("web-01").state) == (2 * GB, "STARTED")


def test_a_vm_with_snapshots_is_refused_before_anything_is_copied(site: Site) -> None:
    site.good(declared(state="stopped"))
    site.admin["vc1"].snapshot("web-01")
    outcome = site.run(declared("2 GB", state="stopped"))
    assert codes(outcome) == {"acme/web/web-01": "StateError"}
    assert "snapshots" in message(outcome)
    assert site.disagreements() == []


def test_a_larger_boot_disk_counts_in_the_quota_and_in_the_placement(site: Site) -> None:
    outcome = site.run(declared("3000 GB"))
    assert codes(outcome) == {"acme/web/web-01": "QuotaError"}
    outcome = site.run(declared("1900 GB", zone="b"))
    assert codes(outcome) == {"acme/web/web-01": "NotEnoughDatastoreCapacity"}
