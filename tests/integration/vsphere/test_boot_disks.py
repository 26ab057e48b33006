# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Boot disks that grow: children of an image's disk, disks on their own, and what must stay as it is."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.vsphere import (
    BootDisk,
    DiskSpec,
    connect,
    create_vm,
    destroy,
    grow_boot_disk,
    read_inventory,
    run_jobs,
)

GIB = 1 << 30


class Boot:
    """A VM whose first disk is a child of another VM's disk, beside a disk with a similar name."""

    def __init__(self, bench, vm_spec, session, name):
        self.bench, self.name, self.session = bench, name, session
        parent, self.spec = vm_spec(name, "parent"), vm_spec(name, "child")
        self.run(create_vm(parent))
        file = f"[{parent.datastore.name}] {parent.directory}/boot.vmdk"
        self.spec.disks = [DiskSpec("boot", GIB, parent=file), DiskSpec("boot-full", GIB)]
        self.run(create_vm(self.spec))

    def run(self, job):
        outcomes = [outcome for _job, outcome in run_jobs(self.session, [job])]
        for outcome in outcomes:
            if isinstance(outcome, PhotonError):
                raise outcome

    @property
    def row(self):
        return read_inventory(self.session, {self.spec.uuid: None}).vm(self.spec.uuid)

    def grow(self, gib):
        row, center = self.row, self.spec.host.datacenter
        disk = BootDisk(row.moid, row.name, gib * GIB, center, path=row.disks[0].path)
        self.run(grow_boot_disk(disk, key=row.uuid))


@pytest.fixture(params=["vc", "esx"])
def boot(request, bench, vm_spec):
    with connect(bench.spec(request.param)) as session:
        boot = Boot(bench, vm_spec, session, request.param)
        yield boot
        bench.lab.control.reset()
        boot.run(destroy(boot.row.moid, "child", boot.spec.uuid))  # before its disk's parent


def test_a_child_grows_as_a_copy_and_then_in_place(boot):
    boot.grow(2)
    [first, second] = boot.row.disks
    assert (first.capacity, len(first.files), second.capacity) == (2 * GIB, 1, GIB)
    boot.grow(3)
    assert [(disk.path, disk.capacity) for disk in boot.row.disks] == [(first.path, 3 * GIB), (second.path, GIB)]


def test_no_other_disk_of_the_vm_is_taken_for_an_unfinished_copy(boot):
    before = boot.row.disks[1]
    boot.bench.lab.control.damage(before.path, 0, 1, endpoint=boot.name)
    content = boot.bench.download(boot.name, before.path.replace(".vmdk", "-flat.vmdk"))[:1]
    boot.grow(2)
    after = boot.row.disks[1]
    assert (after.path, after.uuid) == (before.path, before.uuid)
    assert boot.bench.download(boot.name, after.path.replace(".vmdk", "-flat.vmdk"))[:1] == content
