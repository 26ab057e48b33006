# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``kill -9`` around every call and commit of work on persistent disks: the next run converges, and no disk is lost.

The audit compares each disk's record with its file and with the VM that has it (tests/chaos/audit.py).
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.scene import tree
from tests.chaos.test_kill_points import kill_everywhere

Tree = dict[str, Any]
SAMPLE = 2


def declared(*disks: Tree, vms: int = 2, **vm: Any) -> Tree:
    """Two VMs in one zone, and these disks."""
    made = copy.deepcopy(tree(vms, **{"zone": "a", "spread_over": None, **vm}))
    made["photon_flavors"] = [{"name": "shared", "kind": "persistent-disk", "cost": {"storage.SHARED_VMFS": 1}}]
    made["photon_tenants"][0]["quota"]["persistent-disk.capacity"] = "100 GB"
    project = made["photon_tenants"][0]["projects"][0]
    project["disks"] = [{"flavor": "shared", "capacity": "1 GB", **disk} for disk in disks]
    return made


def data(vm: str, **more: Any) -> Tree:
    return {"name": "data-[1:2]", "attached_to": vm, **more}


CASES: dict[str, tuple[Tree, Tree]] = {
    "create": (declared(), declared(data(""))),
    "create and attach": (declared(), declared(data("web-[01:02]"))),
    "create with its VMs": (declared(vms=0), declared(data("web-[01:02]"))),
    "attach": (declared(data("")), declared(data("web-01"))),
    "move": (declared(data("web-01")), declared(data("web-02"))),
    "grow attached": (declared(data("web-01")), declared(data("web-01", capacity="2 GB"))),
    "grow and detach": (declared(data("web-01")), declared(data("", capacity="2 GB"))),
    "delete": (declared(data("web-01")), declared(data("", state="absent"))),
    "delete of the VMs": (declared(data("web-01")), declared(data(""), state="absent", force=True)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("backing", ["vmdk", "simulated-fcd"])
def test_work_on_disks(tmp_path: Path, backing: str, case: str) -> None:
    """First-class disks exist only simulated."""
    setting = {"photon_disk_backing": backing.rpartition("-")[2]}
    before, wanted = ({**each, **setting} for each in CASES[case])
    names = kill_everywhere(f"{case} of 2 disks ({backing})", tmp_path, before, wanted, sample=SAMPLE)
    assert "before commit" in names
