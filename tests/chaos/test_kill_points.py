# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``kill -9`` before and after every external call and every commit: the next run converges, and all records agree.

All points with PHOTON_CHAOS=all (``make chaos``), else a sample whose seed is printed and taken from PHOTON_SEED.
"""

from __future__ import annotations

import os
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lab import Lab
from tests.chaos.scene import Scene, small, tree
from tests.support import postgresql

ALL = os.environ.get("PHOTON_CHAOS") == "all"
SEED = int(os.environ.get("PHOTON_SEED") or random.randrange(1 << 30))
WORKERS = 2
RULES = "ReconfigureComputeResource_Task"
Tree = dict[str, Any]


def test_a_20_vm_create(tmp_path: Path) -> None:
    kill_everywhere("create of 20 VMs", tmp_path, tree(0), tree(20), sample=8, empty=True)


def test_a_delete_of_5_vms(tmp_path: Path) -> None:
    gone = tree(5, state="absent", force=True)
    kill_everywhere("delete of 5 VMs", tmp_path, tree(5), gone, sample=3)


def test_a_change_of_flavor(tmp_path: Path) -> None:
    larger = tree(3, flavor="core-200", state="stopped")
    kill_everywhere("change of flavor", tmp_path, tree(3, state="stopped"), larger, sample=3)


def test_a_single_vm_on_a_site_that_is_there(tmp_path: Path) -> None:
    names = kill_everywhere("create of a single VM", tmp_path, tree(1), tree(2), sample=2)
    assert len(names) >= 12


def test_vms_apart_in_a_cluster_with_drs(tmp_path: Path) -> None:
    kill_everywhere("create of 3 VMs apart under DRS", tmp_path, tree(0), apart(3), sample=3, empty=True, drs=True)


def test_a_rule_whose_vms_go_in_a_cluster_with_drs(tmp_path: Path) -> None:
    gone = apart(1)
    vms = gone["photon_tenants"][0]["projects"][0]["vms"]
    vms.append({**vms[0], "name": "web-[02:03]", "state": "absent", "force": True})
    names = kill_everywhere("delete of 2 of 3 VMs apart under DRS", tmp_path, apart(3), gone, sample=3, drs=True)
    assert f"before {RULES}" in names


@pytest.mark.parametrize("when", ["before", "sent", "after"])
def test_killed_between_vms_and_their_rule(tmp_path: Path, when: str) -> None:
    with Lab.start(small(drs=True)) as lab:
        scene = Scene(lab, tmp_path)
        child = scene.start(apart(3), pause_at=(f"{when} {RULES}", 1))
        assert child.paused()
        child.kill()
        state = lab.control.state("vc1")
        made = [vm for vm in state["vms"] if vm["name"].startswith("web-")]
        assert [vm["power_state"] for vm in made] == ["poweredOff"] * 3, "a rule comes before a start"
        if when == "before":
            assert state["clusters"][0]["rules"] == []
        second = scene.run(apart(3))
        assert second["failures"] == []
        if when != "sent":  # then it is a race of the kill with the call
            told = "create drs rule vc1/cluster1/acme/web/apart anti-affinity (hard anti-affinity)"
            assert (told in second["changes"]) == (when == "before")
        assert not scene.run(apart(3))["changed"]
        assert scene.disagreements() == []


def apart(vms: int) -> Tree:
    """VMs that a hard group keeps apart on the hosts of one cluster."""
    return tree(vms, anti_affinity=[{"name": "apart"}], zone="a", spread_over=None)


def test_a_create_on_postgresql(tmp_path: Path) -> None:
    reason = postgresql.missing()
    if reason:
        pytest.skip(f"CANNOT TEST POSTGRESQL: {reason}")
    with postgresql.running() as server:
        kill_everywhere(
            "create of 5 VMs on PostgreSQL",
            tmp_path,
            tree(0),
            tree(5),
            sample=3,
            empty=True,
            database=lambda: server.create(f"chaos-{uuid.uuid4().hex}"),
        )


def test_the_interposer_misses_no_call_and_no_commit(tmp_path: Path) -> None:
    with Lab.start(small()) as lab:
        answer = Scene(lab, tmp_path).start(tree(3)).end()
        called = sum((Counter(methods) for methods in lab.control.calls().values()), Counter())
    met = Counter(answer["points"])
    assert met["before commit"] == met["after commit"] == answer["commits"] > 5
    answered = Counter({name.removeprefix("after "): n for name, n in met.items() if name.startswith("after ")})
    del answered["commit"]
    assert answered.pop("POST nfc") == called.pop("NfcPost")
    assert answered == called
    begun = Counter({name.removeprefix("before "): n for name, n in met.items() if name.startswith("before ")})
    assert begun == answered + Counter({"commit": answer["commits"], "POST nfc": met["after POST nfc"]})


# -- how it is done ------------------------------------------------------------------------------------------------


def kill_everywhere(
    what: str,
    directory: Path,
    before: Tree,
    wanted: Tree,
    *,
    sample: int,
    empty: bool = False,
    drs: bool = False,
    database: Callable[[], str] | None = None,
) -> list[str]:
    """Kill the run from ``before`` to ``wanted`` at each of its points; with ``empty`` it starts from nothing."""

    def scene(lab: Lab, number: int) -> Scene:
        made = Scene(lab, directory / str(number), database() if database else "")
        if not empty:
            assert made.run(before)["failures"] == []
        return made

    with Lab.start(small(drs)) as lab:
        whole = scene(lab, 0)
        answer = whole.start(wanted).end()
        assert answer["error"] is None
        assert answer["outcome"]["failures"] == []
        assert whole.disagreements() == []
    names = answer["points"]
    points = list(chosen(len(names), sample))
    print(f"\n{what}: {len(names)} points, {len(points)} of them tried, PHOTON_SEED={SEED}")
    print("\n".join(f"  {number:4} {name}" for name, number in sorted(Counter(names).items())))

    def attempt(number: int) -> str:
        with Lab.start(small(drs)) as lab:
            return one_kill(scene(lab, number), wanted, number)

    with ThreadPoolExecutor(WORKERS) as pool:
        problems = []
        for problem in filter(None, pool.map(attempt, points)):
            print(f"  {problem}", flush=True)
            problems.append(problem)
    assert not problems, f"{len(problems)} of {len(points)} points:\n" + "\n".join(problems)
    return names


def chosen(number: int, sample: int) -> Iterator[int]:
    """All points, or one of each part of the run."""
    if ALL or number <= sample:
        yield from range(1, number + 1)
        return
    chance = random.Random(SEED)
    for part in range(sample):
        yield chance.randrange(part * number // sample, (part + 1) * number // sample) + 1


def one_kill(scene: Scene, wanted: Tree, number: int) -> str:
    """Kill a run at a point, run again; what is wrong then, in words."""
    said = scene.start(wanted, kill_at=number).end()["said"] or f"point {number} was not met"
    left = scene.sessions()
    second = scene.run(wanted)
    problems = [f"the next run failed: {failure}" for failure in second["failures"]]
    third = scene.run(wanted)
    if third["changed"] or third["failures"]:
        problems.append(f"the run after that was not idle: {third['changes']} {third['failures']}")
    problems += scene.disagreements()
    if scene.sessions() != left:
        problems.append(f"sessions: {left} after the kill, {scene.sessions()} now")
    return "\n    ".join([said, *problems]) if problems else ""
