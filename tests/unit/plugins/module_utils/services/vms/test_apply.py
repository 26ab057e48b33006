# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of work on VMs; vSphere's answers are given here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services.planning import DELETE
from ansible_collections.photon.platform.plugins.module_utils.services.vms import apply
from ansible_collections.photon.platform.plugins.module_utils.services.vms.actions import DeleteVm

from tests.support.accounts import VM, document

FAILURE = PhotonError("StateError", "no")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """vSphere's answer to each operation, by its name; None where it is not given."""
    given: dict[str, Any] = {}

    def run_jobs(_session: object, jobs: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        for first in jobs:
            job = first
            while job is not None:
                outcome = given.get(job.operation)
                yield job, outcome
                job = job.then(outcome) if job.then and outcome is None else None

    monkeypatch.setattr(apply.vsphere, "run_jobs", run_jobs)
    return given


def delete(**fields: Any) -> apply.Result:
    """Delete the VM; its result."""
    record = document(VM)
    action = DeleteVm(verb=DELETE, kind=entities.VM, name="acme/web/web-01", document=record, vm=VM, **fields)
    runner = apply._Runner(
        SimpleNamespace(context=SimpleNamespace(session=str), note=lambda *_step: None), SimpleNamespace()
    )
    runner._delete(record, [action])
    [result] = runner.results
    return result


def test_a_vm_that_vsphere_does_not_have_is_deleted(answers: dict[str, Any]) -> None:
    result = delete(moid=None)
    assert (result.document, result.changed, result.error) == (None, True, None)


@pytest.mark.parametrize(
    ("fails", "changed"), [("STOP_VM", False), ("DETACH_DISK", True), ("DELETE_VM", True), (None, True)]
)
def test_a_deletion_changed_something_once_its_first_step_was_done(
    answers: dict[str, Any], fails: str | None, changed: bool
) -> None:
    answers.update({fails: FAILURE} if fails else {})
    result = delete(moid="vm-1", power_off=True, foreign_disks={"[ds] other.vmdk": 2001})
    assert (result.changed, result.failed_step, result.error) == (changed, fails, FAILURE if fails else None)
    assert (result.document is None) == (fails is None)


@pytest.mark.parametrize(("foreign", "changed"), [({}, False), ({"[ds] other.vmdk": 2001}, True)])
def test_a_deletion_that_only_detached_a_disk_changed_something(
    answers: dict[str, Any], foreign: dict[str, int], changed: bool
) -> None:
    answers["DELETE_VM"] = FAILURE
    assert delete(moid="vm-1", foreign_disks=foreign).changed == changed
