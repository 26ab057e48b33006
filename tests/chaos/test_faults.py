# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong at one endpoint or VM: an error that names it, everything else done, a second run that finishes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import entities

from lab import Lab
from lab.certificates import Authority
from tests.chaos.scene import Scene, small, tree

VMS = 4
Tree = dict[str, Any]
Failures = list[dict[str, Any]]


@pytest.fixture
def scene(tmp_path: Path) -> Any:
    with Lab.start(small()) as lab:
        yield Scene(lab, tmp_path)


def finishes(scene: Scene, wanted: Tree | None = None) -> None:
    """The faults are over: the next run does the rest, one more does nothing, and everything agrees."""
    wanted = tree(VMS) if wanted is None else wanted
    scene.lab.control.reset()
    assert scene.run(wanted)["failures"] == []
    idle = scene.run(wanted)
    assert (idle["failures"], idle["changed"]) == ([], False), idle["changes"]
    assert scene.disagreements() == []
    assert scene.sessions() == 0


def states(scene: Scene) -> list[str]:
    return sorted(d.state for d in scene.snapshot().documents if d.kind == entities.VM)


def codes(failures: Failures, kind: str) -> set[str]:
    return {failure["error_code"] for failure in failures if failure["kind"] == kind}


def named(failures: Failures, kind: str) -> str:
    return ", ".join(failure["name"] for failure in failures if failure["kind"] == kind)


# -- endpoints -----------------------------------------------------------------------------------------------------


def without_esx9(scene: Scene, code: str) -> None:
    """The ESXi host fails with ``code``; what needs only the vCenter is done."""
    failures = scene.run(tree(VMS))["failures"]
    assert codes(failures, entities.ENDPOINT) == {code}
    assert named(failures, entities.ENDPOINT) == "esx9"
    assert states(scene) == ["STARTED"] * VMS
    state = scene.lab.control.state()
    assert state["esx9"]["vms"] == []
    assert sum(not vm["template"] for vm in state["vc1"]["vms"]) == VMS
    assert [each for each in scene.disagreements() if "endpoint esx9 could not be read" not in each] == []


def test_an_unreachable_endpoint(scene: Scene) -> None:
    port, scene.endpoints[1]["port"] = scene.endpoints[1]["port"], 1
    without_esx9(scene, "EndpointUnreachable")
    scene.endpoints[1]["port"] = port
    finishes(scene)


def test_wrong_credentials(scene: Scene) -> None:
    right, scene.credentials["esx9"] = scene.credentials["esx9"], {"username": "root", "password": "guess"}
    without_esx9(scene, "InvalidLoginCredentials")
    scene.credentials["esx9"] = right
    finishes(scene)


@pytest.mark.parametrize("expired", [True, False], ids=["expired", "untrusted"])
def test_a_certificate_that_cannot_be_trusted(tmp_path: Path, expired: bool) -> None:
    issued = Authority(tmp_path / "authority").issue("bad", expired=expired)
    with Lab.start(small(), certificates={"esx9": (issued.file, issued.key)}) as lab:
        scene = Scene(lab, tmp_path)
        right = str(tmp_path / "authority" / "ca.pem")
        if expired:
            scene.endpoints[1]["tls"] = {"ca_file": right}
        without_esx9(scene, "EndpointCertificateError")
        if not expired:  # an expired one stays so
            scene.endpoints[1]["tls"] = {"ca_file": right}
            finishes(scene)


def test_an_endpoint_that_dies_in_the_middle(scene: Scene) -> None:
    """Its logins go on, so that the run has to find out call by call."""
    for method in ("CreateVM_Task", "PowerOnVM_Task", "RetrievePropertiesEx"):
        scene.lab.control.fault(method, where="drop_before", endpoint="esx9", skip=6 if method[0] == "R" else 1)
    failures = scene.run(tree(VMS))["failures"]
    assert failures
    assert {failure["error_code"] for failure in failures} <= {"EndpointUnreachable", "DependencyFailed"}
    assert [failure["message"] for failure in failures if "esx9" not in failure["message"]] == []
    state = scene.lab.control.state("vc1")
    assert sum(vm["power_state"] == "poweredOn" for vm in state["vms"]) >= 1
    finishes(scene)


def test_an_image_that_does_not_reach_an_endpoint(scene: Scene) -> None:
    """VMs that were to be placed there say which endpoint lacks it; the others are made."""
    scene.lab.control.fault("ImportVApp", "NoDiskSpace", endpoint="esx9", message="datastore1 is full")
    failures = scene.run(tree(VMS))["failures"]
    lacking = [failure for failure in failures if failure["kind"] == entities.VM]
    assert {failure["error_code"] for failure in lacking} == {"DependencyFailed"}
    assert [failure["message"] for failure in lacking if "endpoint esx9" not in failure["message"]] == []
    assert "STARTED" in states(scene)
    finishes(scene)


# -- datastores and hosts ------------------------------------------------------------------------------------------


def test_a_datastore_that_fills_up(scene: Scene) -> None:
    scene.lab.control.fault("CreateVM_Task", "NoDiskSpace", where="task", endpoint="esx9", message="datastore1 is full")
    failures = scene.run(tree(VMS))["failures"]
    assert codes(failures, entities.VM) == {"NotEnoughDatastoreCapacity"}
    assert "web-" in named(failures, entities.VM)
    assert "STARTED" in states(scene)
    finishes(scene)


def test_a_host_in_maintenance(scene: Scene) -> None:
    assert scene.run(tree(0))["failures"] == []
    wanted = tree(VMS)
    wanted["photon_hosts"] = [
        {"name": "esx[01:02].lab", "endpoint": "vc1", "zone": "a"},
        {"name": "esx03.lab", "endpoint": "vc1", "zone": "a", "state": "maintenance"},
        {"name": "esx09.lab", "endpoint": "esx9", "zone": "b"},
    ]
    assert scene.run(wanted)["failures"] == []
    state = scene.lab.control.state("vc1")
    there = [row for row in state["vms"] if row["host"] == "esx03.lab"]
    assert [row["name"] for row in there if "photon.template" not in row["extra_config"]] == []
    assert states(scene) == ["STARTED"] * VMS
    finishes(scene, wanted)


# -- calls and tasks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["CreateVM_Task", "PowerOnVM_Task"])
def test_a_task_that_fails(scene: Scene, method: str) -> None:
    scene.lab.control.fault(method, "InsufficientResourcesFault", where="task", name="web-02*")
    failures = scene.run(tree(VMS))["failures"]
    assert named(failures, entities.VM) == "acme/web/web-02"
    assert len(failures) == 1
    assert "InsufficientResources" in failures[0]["message"]
    assert states(scene) == sorted(["STARTED"] * (VMS - 1) + ["ERROR" if method[0] == "C" else "STOPPED"])
    finishes(scene)


@pytest.mark.parametrize("where", ["drop_before", "drop_after"])
@pytest.mark.parametrize(
    "method",
    [
        "CreateVM_Task",
        "PowerOnVM_Task",
        "ImportVApp",
        "HttpNfcLeaseComplete",
        "MarkAsTemplate",
        "CopyVirtualDisk_Task",
        "CreateFolder",
    ],
)
def test_a_connection_that_drops_in_a_create(scene: Scene, method: str, where: str) -> None:
    scene.lab.control.fault(method, where=where, count=1)
    failures = scene.run(tree(VMS))["failures"]
    assert scene.lab.control.faults()[0]["hits"] == 1
    for failure in failures:
        assert failure["error_code"] in ("EndpointUnreachable", "DependencyFailed")
        assert failure["name"]
    finishes(scene)


@pytest.mark.parametrize("where", ["drop_before", "drop_after"])
def test_a_connection_that_drops_in_a_change(scene: Scene, where: str) -> None:
    assert scene.run(tree(VMS, state="stopped"))["failures"] == []
    scene.lab.control.fault("ReconfigVM_Task", where=where, count=1)
    larger = tree(VMS, flavor="core-200", state="stopped")
    failures = scene.run(larger)["failures"]
    assert codes(failures, entities.VM) == {"EndpointUnreachable"}
    assert sum(failure["count"] for failure in failures) == 1
    finishes(scene, larger)


@pytest.mark.parametrize("where", ["drop_before", "drop_after"])
def test_a_connection_that_drops_in_a_delete(scene: Scene, where: str) -> None:
    assert scene.run(tree(VMS))["failures"] == []
    scene.lab.control.fault("Destroy_Task", where=where, count=1)
    gone = tree(VMS, state="absent", force=True)
    failures = scene.run(gone)["failures"]
    assert codes(failures, entities.VM) == {"EndpointUnreachable"}
    assert sum(failure["count"] for failure in failures) == 1
    finishes(scene, gone)
