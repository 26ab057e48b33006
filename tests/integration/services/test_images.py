# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images on real endpoints: one read for all uploads, copies as a tree, copies on demand, and two runs at once."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import open_store
from ansible_collections.photon.platform.plugins.module_utils.services import info
from ansible_collections.photon.platform.plugins.module_utils.services.run import Request, reading
from ansible_collections.photon.platform.plugins.module_utils.vsphere import sharedimage

from lab import Lab
from tests.support import diskimages
from tests.support.site import Site, codes

CONTENT = os.urandom(4 << 20)
SIZE = 4 << 20
TOPOLOGY = {
    "endpoints": [
        {
            "name": "vc1",
            "kind": "vcenter",
            "datacenter": "dc1",
            "clusters": [{"name": "c1", "hosts": [{"name": "esx[01:04].lab", "cores": 64, "memory": "512 GB"}]}],
            "datastores": [
                *({"name": f"ds{n}", "capacity": "1 TB"} for n in range(9)),
                {"name": "local1", "capacity": "1 TB", "hosts": ["esx01.lab"]},
            ],
            "port_groups": [{"name": "VM Network"}],
        },
        {
            "name": "esx9",
            "kind": "esxi",
            "hosts": [{"name": "esx09.lab", "cores": 16, "memory": "64 GB"}],
            "datastores": [{"name": "datastore1", "capacity": "1 TB"}],
            "port_groups": [{"name": "VM Network"}],
        },
    ]
}
IMAGE = {"name": "debian", "file": "debian.ova", "replication": "EAGER"}
OFF = [{"name": "local1", "endpoint": "vc1", "usable_for_vms": False}]
HOSTS = [
    {"name": "esx[01:04].lab", "endpoint": "vc1", "zone": "a"},
    {"name": "esx09.lab", "endpoint": "esx9", "zone": "b"},
]


def tree(image: dict[str, Any] | None = IMAGE, vms: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    """The declaration: images seed ds0, VMs of the project acme/web."""
    common = {"flavor": "core-100", "image": "debian", "boot_disk_flavor": "core-100", "spread_over": None}
    project = {"name": "web", "quota_percent": 100, "vms": [{**common, **vm} for vm in vms or []]}
    return {
        "photon_site": "images",
        "photon_zones": [{"name": "a"}, {"name": "b"}],
        "photon_hosts": HOSTS,
        "photon_image_datastores": ["ds0"],
        "photon_datastores": OFF,
        "photon_images": [image] if image else [],
        "photon_default_port_group": "VM Network",
        "photon_tenants": [{"name": "acme", "quota": {"vm.count": 500}, "projects": [project]}],
        **more,
    }


ON_DEMAND = {**IMAGE, "replication": "ON_DEMAND"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Lab.start(TOPOLOGY) as lab:
        diskimages.ova(tmp_path / "debian.ova", CONTENT)
        made = Site(lab, tmp_path)
        yield made
        made.close()


def copies(site: Site) -> dict[str, str]:
    """``{name: state}`` of the recorded copies."""
    return {d.name: d.state for d in site.snapshot().documents if d.kind == "image-copy"}


def calls(site: Site, method: str, endpoint: str = "vc1") -> int:
    return int(site.lab.control.calls(endpoint).get(method, 0))


def shown(site: Site, kind: str = "image") -> list[dict[str, Any]]:
    request = Request(cloudstore_url=site.url, allow_ephemeral=True, credentials=site.credentials)
    with reading(request) as context:
        return info.resources(context, info.Query(kind=kind, live=True))["resources"]


def raw_digests(site: Site, sha256: str) -> list[str]:
    with open_store(site.url, mode="write", allow_ephemeral=True) as store:
        return store.run(lambda tx: tx.raw_digests(sha256))


def test_endpoints_upload_from_one_read_and_the_raw_disk_is_digested(site: Site, monkeypatch) -> None:
    reads = []

    class Counted(sharedimage.DiskReader):
        def __iter__(self):
            reads.append(1)
            return super().__iter__()

    monkeypatch.setattr(sharedimage, "DiskReader", Counted)
    site.good(tree())
    assert calls(site, "ImportVApp") == calls(site, "ImportVApp", "esx9") == 1
    assert len(reads) == 1
    image = site.named("image", "debian")
    assert raw_digests(site, image.body["sha256"]) == [hashlib.sha256(CONTENT).hexdigest()]
    for document in (d for d in site.snapshot().documents if d.kind == "image-copy"):
        admin = site.admin[document.name.partition("/")[0]]
        assert admin.lab.control.files(admin.name)[document.observed["path"].replace(".vmdk", "-flat.vmdk")] == SIZE
    site.settled(tree())
    assert len(reads) == 1
    site.good(tree({"name": "debian", "state": "absent"}))
    assert copies(site) == {}
    assert raw_digests(site, image.body["sha256"]) == []
    assert not site.lab.control.state("vc1")["vms"]


def test_copies_fan_out_as_a_tree(site: Site) -> None:
    """From a star the seed would be read eight times; in a tree as often as there are rounds."""
    for n in range(9):
        site.lab.control.bandwidth("vc1", f"ds{n}", write="2 MB", read="100 MB")
    site.lab.control.bandwidth("vc1", "ds0", write="200 MB")
    site.good(tree())
    assert set(copies(site).values()) == {"READY"}
    assert len(copies(site)) == 10
    traffic = site.lab.control.traffic("vc1")
    reads = {f"ds{n}": round(traffic[f"ds{n}"]["read"] / SIZE) for n in range(9)}
    assert sum(reads.values()) == 8
    assert reads["ds0"] <= 4  # ceil(log2(9)) rounds
    assert sum(number > 0 for number in reads.values()) >= 3


def test_progress_is_shown(site: Site) -> None:
    outcome = site.good(tree(ON_DEMAND), result="full")
    [item] = [item for item in outcome["items"] if item["kind"] == "image"]
    assert (item["seedingProgress"], item["replicationProgress"]) == ("100.0%", "10.0%")
    [row] = shown(site)
    assert (row["seedingProgress"], row["replicationProgress"], row["datastores"]) == ("100.0%", "10.0%", ["ds0"])
    site.good(tree())
    [row] = shown(site)
    assert (row["seedingProgress"], row["replicationProgress"]) == ("100.0%", "100.0%")
    assert len(shown(site, "image-copy")) == 10
    assert {row["image"] for row in shown(site, "image-copy")} == {"debian"}


ONLY_DS5 = [*OFF, *({"name": f"ds{n}", "endpoint": "vc1", "usable_for_vms": n == 5} for n in range(9))]


def test_fifty_vms_on_a_new_datastore_make_one_copy(site: Site) -> None:
    site.good(tree(ON_DEMAND))
    assert copies(site) == {"vc1/ds0": "READY"}
    assert calls(site, "CopyVirtualDisk_Task") == 0
    wanted = tree(ON_DEMAND, [{"name": "web-[01:50]", "zone": "a"}], photon_datastores=ONLY_DS5)
    site.good(wanted)
    assert copies(site) == {"vc1/ds0": "READY", "vc1/ds5": "READY"}
    assert calls(site, "CopyVirtualDisk_Task") == 1
    assert {disk["file"].split()[0] for row in site.rows() for disk in row["disks"]} == {"[ds5]"}
    store, copied = site.named("datastore", "ds5"), site.named("image-copy", "vc1/ds5")
    with open_store(site.url, allow_ephemeral=True) as opened:
        assert opened.snapshot(allocations=True).held[copied.id] == {(store.id, "space"): SIZE}
    site.settled(wanted)
    assert calls(site, "CopyVirtualDisk_Task") == 1


def test_two_runs_at_once_make_a_copy_once(site: Site, tmp_path: Path) -> None:
    """Both need it for their VMs: one makes it, the other waits and uses it."""
    site.good(tree(ON_DEMAND))
    site.lab.control.bandwidth("vc1", "ds5", write="4 MB")
    other = Site(site.lab, tmp_path / "other", site.url)
    diskimages.ova(tmp_path / "other" / "debian.ova", CONTENT)
    outcomes: dict[str, Any] = {}

    def work(each: Site, names: str) -> None:
        wanted = tree(None, [{"name": names, "zone": "a"}], photon_datastores=ONLY_DS5)
        outcomes[names] = each.start(wanted).end()

    threads = [
        threading.Thread(target=work, args=(each, names))
        for each, names in ((site, "web-[01:10]"), (other, "db-[01:10]"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert [outcome["outcome"]["failures"] for outcome in outcomes.values()] == [[], []]
    assert len(site.rows()) == 20
    assert calls(site, "CopyVirtualDisk_Task") == 1
    assert site.disagreements() == []


def test_a_copy_that_fails_fails_alone_and_is_made_by_the_next_run(site: Site) -> None:
    site.lab.control.fault("CopyVirtualDisk_Task", "NoDiskSpace", where="task", name="*ds3*")
    outcome = site.run(tree())
    assert codes(outcome) == {"debian/vc1/ds3": "NotEnoughDatastoreCapacity"}
    assert site.named("image", "debian").state == "READY"
    found = copies(site)
    assert found.pop("vc1/ds3") == "ERROR"
    assert set(found.values()) == {"READY"}
    site.lab.control.reset()
    site.good(tree())
    assert (calls(site, "CopyVirtualDisk_Task"), calls(site, "ImportVApp")) == (1, 0)
    assert set(copies(site).values()) == {"READY"}
    site.settled(tree())


def test_an_image_without_any_copy_is_in_error_and_recovers(site: Site) -> None:
    site.lab.control.fault("NfcPost", where="drop_before")
    only = tree(ON_DEMAND, photon_datastores=OFF)
    assert codes(site.run(only)) == {"debian": "ImageUploadError", "debian/vc1/ds0": "ImageUploadError"}
    assert (site.named("image", "debian").state, copies(site)) == ("ERROR", {"vc1/ds0": "ERROR"})
    site.lab.control.reset()
    site.settled(only)
    assert (site.named("image", "debian").state, copies(site)) == ("READY", {"vc1/ds0": "READY"})


def test_a_killed_run_is_resumed_without_making_complete_copies_again(site: Site) -> None:
    for n in range(9):
        site.lab.control.bandwidth("vc1", f"ds{n}", write="2 MB")
    site.lab.control.bandwidth("vc1", "ds0", write="200 MB")
    child = site.start(tree(), lease_seconds=3.0)
    while calls(site, "CopyVirtualDisk_Task") < 3:
        assert child.process.poll() is None
    child.kill()
    complete = {name for name, state in copies(site).items() if state == "READY"}
    assert "vc1/ds0" in complete
    moids = {d.name: d.observed.get("template_moid") for d in site.snapshot().documents if d.kind == "image-copy"}
    site.lab.control.bandwidth("vc1", "ds0", write=0)
    site.lab.control.calls(reset=True)
    site.good(tree())
    assert set(copies(site).values()) == {"READY"}
    after = {d.name: d.observed.get("template_moid") for d in site.snapshot().documents if d.kind == "image-copy"}
    assert {name: after[name] for name in complete} == {name: moids[name] for name in complete}
    assert calls(site, "ImportVApp") == 0
    site.settled(tree())


def test_a_vm_on_an_endpoint_without_a_copy_is_uploaded_for(site: Site) -> None:
    """The image's file is declared, so the ESXi host gets a copy with its first VM."""
    wanted = tree(ON_DEMAND, [{"name": "web-01", "zone": "b"}])
    site.good(wanted)
    assert copies(site) == {"vc1/ds0": "READY", "esx9/datastore1": "READY"}
    site.settled(wanted)


def test_an_image_goes_with_its_last_vm_and_all_its_copies(site: Site) -> None:
    wanted = tree(ON_DEMAND, [{"name": "web-01", "zone": "a"}], photon_datastores=ONLY_DS5)
    site.good(wanted)
    gone = {"name": "debian", "state": "absent"}
    site.good(tree(gone, photon_datastores=ONLY_DS5))
    assert site.named("image", "debian").state == "PENDING_DELETE"
    assert len(copies(site)) == 2
    site.good(tree(gone, [{"name": "web-01", "zone": "a", "state": "absent"}], photon_datastores=ONLY_DS5))
    assert copies(site) == {}
    assert not [row["name"] for row in site.lab.control.state("vc1")["vms"]]
    with open_store(site.url, allow_ephemeral=True) as store:
        assert not [key for held in store.snapshot(allocations=True).held.values() for key in held if key[1] == "space"]
