# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller that is paused in the middle of a create and wakes up after another one took its work over."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

from lab import Lab
from tests.chaos.scene import Scene, small, tree

VMS = 8
LEASE = 1.5
PATIENCE = 60.0
# CreateFolder is not among them: a folder that is there already is taken as it is, so a late one changes nothing.
CHANGES = (
    "CreateVM_Task",
    "PowerOnVM_Task",
    "PowerOffVM_Task",
    "ReconfigVM_Task",
    "Destroy_Task",
    "ImportVApp",
    "MarkAsTemplate",
    "CopyVirtualDisk_Task",
    "DeleteDatastoreFile_Task",
)


@pytest.mark.parametrize(
    ("point", "occurrence"),
    [
        ("before CreateVM_Task", 2),  # the first one is an image's template
        ("sent CreateVM_Task", 4),
        ("before PowerOnVM_Task", 1),
        ("after PowerOnVM_Task", 3),
    ],
)
def test_a_paused_controller_sends_one_batch_at_most(tmp_path: Path, point: str, occurrence: int) -> None:
    with Lab.start(small()) as lab:
        scene = Scene(lab, tmp_path)
        wanted = tree(VMS)
        paused = scene.start(wanted, pause_at=(point, occurrence), lease_seconds=LEASE)
        try:
            assert paused.paused(), paused.end()["said"]
            outcome = taken_over(scene, wanted)
            assert outcome["failures"] == []
            assert scene.disagreements() == []
            lab.control.calls(reset=True)
            paused.wake()
            answer = paused.end()
        finally:
            paused.kill()
        assert answer["error"] is not None, answer["outcome"]
        assert answer["error"]["code"] == "LeaseLost"
        sent = changes(lab)
        # The rest of each endpoint's batch, in which a VM has one call: its create or its start.
        assert set(sent) <= {"CreateVM_Task", "PowerOnVM_Task"}
        assert sent.total() <= VMS
        converges(scene, wanted)


def test_what_a_paused_controller_makes_of_a_deleted_vm_is_reported_and_left_alone(tmp_path: Path) -> None:
    with Lab.start(small()) as lab:
        scene = Scene(lab, tmp_path)
        paused = scene.start(tree(VMS), pause_at=("before CreateVM_Task", 5), lease_seconds=LEASE)
        try:
            assert paused.paused(), paused.end()["said"]
            assert taken_over(scene, tree(VMS))["failures"] == []
            gone = tree(VMS, state="absent", force=True)
            assert scene.run(gone)["failures"] == []
            assert vms(lab) == []
            lab.control.calls(reset=True)
            paused.wake()
            assert paused.end()["error"]["code"] == "LeaseLost"
        finally:
            paused.kill()
        sent = changes(lab)
        assert set(sent) == {"CreateVM_Task"}
        left = vms(lab)
        assert 1 <= len(left) <= sent["CreateVM_Task"] <= VMS
        outcome = scene.run(gone)
        assert (outcome["failures"], outcome["changed"]) == ([], False), outcome["changes"]
        findings = scene.disagreements()
        for name in left:
            assert any(name in text and "was deleted by the platform and exists again" in text
                       for text in outcome["warnings"])  # fmt: skip
            assert any(name in text and "orphan" in text for text in findings)
        assert vms(lab) == left


def taken_over(scene: Scene, wanted: dict[str, Any]) -> dict[str, Any]:
    """Run until the other controller's lease has ended: as long as it lives, its items are busy."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            outcome = scene.run(wanted)
        except PhotonError as error:  # the lease ended while the run planned
            if error.code != "ConcurrentTask" or time.monotonic() > until:
                raise
        else:
            if not outcome["failures"] or time.monotonic() > until:
                return outcome
            assert {failure["error_code"] for failure in outcome["failures"]} <= {"ConcurrentTask", "DependencyFailed"}
        time.sleep(0.2)


def converges(scene: Scene, wanted: dict[str, Any]) -> None:
    assert scene.run(wanted)["failures"] == []
    idle = scene.run(wanted)
    assert idle["failures"] == []
    assert not idle["changed"], idle["changes"]
    assert scene.disagreements() == []
    assert scene.sessions() == 0


def changes(lab: Lab) -> Counter[str]:
    """Calls that change something, on all endpoints."""
    called = sum((Counter(methods) for methods in lab.control.calls().values()), Counter())
    return Counter({method: number for method, number in called.items() if method in CHANGES})


def vms(lab: Lab) -> list[str]:
    """Everything but templates; on the ESXi host those are VMs like others, known by their image's mark."""
    rows = [row for state in lab.control.state().values() for row in state["vms"]]
    return [row["name"] for row in rows if "photon.image" not in row["extra_config"]]
