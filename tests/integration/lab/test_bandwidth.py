# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bandwidth of datastores: work is never faster than it allows, however busy the machine is."""

from __future__ import annotations

import threading
import time

import pytest
from pyVmomi import vmodl

from lab import LabError

MIB = 1 << 20
SLOW = 8 * MIB  # bytes per second


@pytest.fixture
def disk(either):
    path = either.make_disk("[shared] disks/a.vmdk", 64)
    either.write(path, b"data" * MIB)  # 4 MiB of data in a disk of 64
    return path


def finished(client, tasks):
    """The seconds until each task ended, by the server's clock."""
    for task in tasks:
        client.result(task, 120)
    began = min(task.info.startTime for task in tasks)
    return [(task.info.completeTime - began).total_seconds() for task in tasks]


def test_a_copy_takes_as_long_as_its_data_at_the_slower_end(either, control, disk):
    control.bandwidth(either.name, "second", write=SLOW)
    assert finished(either, [either.copy(disk, "[second] written.vmdk")])[0] >= 0.5  # 4 MiB at 8 MiB per second
    control.bandwidth(either.name, "second", write=0)
    control.bandwidth(either.name, "shared", read=SLOW, write=4 * SLOW)
    assert finished(either, [either.copy(disk, "[second] read.vmdk")])[0] >= 0.5
    assert control.traffic(either.name)["shared"]["read_rate"] == SLOW
    control.reset()
    assert control.traffic(either.name)["shared"] == {"read": 0, "written": 0, "read_rate": 0, "write_rate": 0}


def test_copies_at_once_share_what_there_is(either, control, disk):
    control.bandwidth(either.name, "shared", read="8 MB")
    alone = finished(either, [either.copy(disk, "[second] alone.vmdk")])
    together = finished(either, [either.copy(disk, f"[second] {n}.vmdk") for n in range(4)])
    assert alone[0] >= 0.5
    assert max(together) >= 2.0  # four times the data through one source
    assert min(together) >= 1.5  # nobody is served first


def test_what_each_datastore_moved_is_counted(either, control, disk):
    control.reset()
    either.result(either.copy(disk, "[second] source.vmdk"))
    for n in range(2):
        either.result(either.copy("[second] source.vmdk", f"[second] {n}.vmdk"))
    moved = {name: (each["read"], each["written"]) for name, each in control.traffic(either.name).items()}
    assert moved["shared"] == (4 * MIB, 0)  # of 64 MiB only what was written
    assert moved["second"] == (8 * MIB, 12 * MIB)
    assert either.read(disk, 0, MIB - 1)
    assert control.traffic(either.name)["shared"]["read"] == 5 * MIB


def test_transfers_and_copies_share_too(either, control, disk):
    control.bandwidth(either.name, "shared", read=SLOW, write=SLOW)
    task = either.copy(disk, "[second] copy.vmdk")
    reader = threading.Thread(target=lambda: either.read(disk, 0, 4 * MIB - 1))
    reader.start()
    assert finished(either, [task])[0] >= 0.5
    reader.join()
    began = time.monotonic()
    either.http("PUT", either.url("upload.bin"), data=bytes(4 * MIB))
    assert time.monotonic() - began >= 0.5
    began = time.monotonic()
    assert len(either.http("GET", either.url("upload.bin")).content) == 4 * MIB
    assert time.monotonic() - began >= 0.5


def test_a_copy_says_how_far_it_is_and_can_be_cancelled(either, control, disk):
    control.bandwidth(either.name, "shared", read=MIB)
    task = either.copy(disk, "[second] copy.vmdk")
    seen = set()
    while not seen & set(range(20, 90)):
        assert task.info.state == "running"
        seen.add(task.info.progress)
        time.sleep(0.02)
    task.CancelTask()
    with pytest.raises(vmodl.fault.RequestCanceled):
        either.result(task)
    deadline = time.monotonic() + 20
    while either.files("second"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_only_datastores_that_are_there_have_bandwidth(control, vc):
    with pytest.raises(LabError, match="no datastore"):
        control.bandwidth("vc", "nowhere", read=1)
