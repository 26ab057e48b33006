# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeded schedules: an administrator works by hand between any two calls of runs that are killed, paused or doubled.

A schedule declares a few VMs, lets one or two controllers apply that, and does something by hand at random points of
their external calls. What each deed needs of a person afterwards (``register: true``, a disk attached again) is what
the product's messages say. Then the next runs must converge, everything must agree, and nothing may be gone that
nobody asked to delete.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

from lab import Lab
from tests.chaos.audit import OTHERS
from tests.chaos.deeds import REFUSED, Schedule, do, is_ours
from tests.chaos.interposer import Interposer
from tests.chaos.scene import small, tree
from tests.support.site import Site

VMS = 3
LEASE = 1.5
# What two controllers, or a controller and a person, may answer each other with until the next run.
EXPECTED = frozenset(
    "ConcurrentTask DependencyFailed StaleVersion NameTaken VmNotFound InvalidVmState StateError NotFound LeaseLost "
    "TaskNotCompleted InsufficientCapacity UpdateNotSupported DiskNotFound HostNotFound InvalidHostState "
    "EndpointUnreachable CloudStoreUnavailable QuotaError AccessForbidden HostDatastoreNotFound DatastoreNotFound "
    "InvalidLoginCredentials VCenterRequestError".split()
)


# -- one schedule ------------------------------------------------------------------------------------------------------


class Hands(Interposer):
    """Does something by hand at chosen points of a run's external calls, in the thread that makes the call.

    The chance of a deed comes from the seed, the run and the point's name and occurrence, so that threads do not share
    one sequence of numbers.
    """

    def __init__(self, schedule: Schedule, run: int, rate: float) -> None:
        super().__init__()
        self._schedule, self._run, self._rate = schedule, run, rate
        self._busy, self._counting = threading.Lock(), threading.Lock()
        self._met: Counter[str] = Counter()
        self._inside = threading.local()

    def point(self, name: str) -> None:
        if getattr(self._inside, "yes", False) or not name.startswith(("before ", "after ")) or name.endswith("commit"):
            return
        with self._counting:
            self._met[name] += 1
            chance = random.Random(f"{self._schedule.seed}/{self._run}/{name}/{self._met[name]}")
        if chance.random() >= self._rate or not self._busy.acquire(blocking=False):
            return
        self._inside.yes = True
        try:
            do(self._schedule, chance, name)
        finally:
            self._inside.yes = False
            self._busy.release()


def play(seed: int, directory: Path, url: str = "", interrupt: Callable[[], Any] | None = None) -> str:
    """Play one schedule: what is wrong at its end in words, empty where nothing is."""
    chance = random.Random(seed)
    with Lab.start(_topology(seed)) as lab, contextlib.closing(Site(lab, directory, url)) as site:
        schedule = Schedule(seed, site, chance)
        problems = list(_play(schedule, interrupt))
    return "\n    ".join([f"seed {seed}: {'; '.join(schedule.log)}", *problems]) if problems else ""


def _topology(seed: int) -> dict[str, Any]:
    """The small data centre; for every third seed with a second vCenter, to which VMs are moved by hand."""
    topology = small()
    if seed % 3 == 0:
        topology["endpoints"].append({
            "name": "vc2",
            "kind": "vcenter",
            "datacenter": "dc2",
            "clusters": [{"name": "cluster2", "hosts": [{"name": "esx21.lab", "cores": 16, "memory": "64 GB"}]}],
            "datastores": [{"name": "shared2", "capacity": "1 TB"}],
            "port_groups": [{"name": "VM Network"}],
        })  # fmt: skip
    return topology


def _play(schedule: Schedule, interrupt: Callable[[], Any] | None) -> Iterator[str]:
    chance, site = schedule.chance, schedule.site
    first = site.run(_declared(schedule))
    if first["failures"]:
        yield f"the first run failed: {first['failures']}"
        return
    for number in range(chance.randint(1, 3)):
        wanted = _declared(schedule, count=chance.randint(1, VMS), **_change(schedule))
        if chance.random() < 0.2:
            _delete_one(schedule, wanted)
        before = _existing(schedule)
        for _deed in range(chance.randint(0, 2)):
            do(schedule, chance)
        yield from _run(schedule, wanted, number, interrupt)
        yield from _losses(schedule, before)
    yield from _converge(schedule)


def _run(schedule: Schedule, wanted: dict[str, Any], number: int, interrupt: Callable[[], Any] | None) -> Iterator[str]:
    """One run with hands in between; sometimes two or three controllers at once, or a kill in the middle."""
    chance, site = schedule.chance, schedule.site
    kind = chance.choice(["hands", "hands", "two", "three", "kill", "pause"])
    schedule.log.append(f"[{kind}]")
    if kind == "kill":
        site.start(wanted, kill_at=chance.randint(5, 80)).end()
        return
    if kind == "pause":
        yield from _pause(schedule, wanted)
        return
    overlapping = [_declared(schedule, count=VMS - at) for at in range({"hands": 0, "two": 1, "three": 2}[kind])]
    restart = interrupt is not None and chance.random() < 0.3
    with Hands(schedule, number, rate=0.03).installed(), ThreadPoolExecutor(len(overlapping) + 1) as controllers:
        running = [controllers.submit(_outcome, site, each) for each in (wanted, *overlapping)]
        if interrupt is not None and restart:
            schedule.log.append("[database restarts]")
            interrupt()
        outcomes = [each.result() for each in running]
    for outcome in outcomes:
        for failure in outcome["failures"]:
            if failure["error_code"] not in EXPECTED:
                yield f"a run failed oddly: {failure}"


def _pause(schedule: Schedule, wanted: dict[str, Any]) -> Iterator[str]:
    """A controller sleeps until its lease is over and another one did the work; then it wakes up."""
    point = schedule.chance.choice(["before CreateVM_Task", "before ReconfigVM_Task", "sent PowerOnVM_Task",
                                    "before Destroy_Task", "after PowerOffVM_Task"])  # fmt: skip
    sleeper = schedule.site.start(wanted, pause_at=(point, 1), lease_seconds=LEASE)
    try:
        if sleeper.paused():
            time.sleep(2 * LEASE)
            _outcome(schedule.site, wanted)
            do(schedule, schedule.chance)
            sleeper.wake()
        answer = sleeper.end()
    finally:
        sleeper.kill()
    error = answer.get("error")
    if error is not None and error["code"] not in EXPECTED:
        yield f"the paused controller failed oddly: {error}"


def _outcome(site: Site, wanted: dict[str, Any]) -> dict[str, Any]:
    try:
        return site.run(wanted, lease_seconds=4 * LEASE)
    except PhotonError as error:
        return {"failures": [{"error_code": error.code, "message": error.message, "name": "run"}]}


# -- what must not be lost ---------------------------------------------------------------------------------------------


def _existing(schedule: Schedule) -> dict[tuple[str, str], dict[str, Any]]:
    """All VMs, ours and others, by endpoint and moid."""
    state = schedule.site.lab.control.state()
    rows = {(name, row["moid"]): row for name, each in state.items() for row in each["vms"]}
    return {key: row for key, row in rows.items() if "photon.template" not in row["extra_config"]}


def _losses(schedule: Schedule, before: dict[tuple[str, str], dict[str, Any]]) -> Iterator[str]:
    """Whatever nobody asked to delete: VMs, their disks, the disks of others."""
    now = _existing(schedule)
    uuids = {row["instance_uuid"] for row in now.values()}
    files = {name: admin.files() for name, admin in schedule.site.admin.items()}
    yield from (f"{path} was deleted" for path in schedule.foreign if path not in files["vc1"])
    yield from (
        f"the detached {path} was deleted"
        for path, uuid in schedule.detached.items()
        if path not in files["vc1"] and uuid not in schedule.asked | schedule.moved
    )
    for key, row in before.items():
        uuid = row["instance_uuid"]
        if uuid in schedule.asked | schedule.away:
            continue
        if key not in now:
            kept = uuid in schedule.moved and (uuid in uuids or uuid in schedule.unregistered.values())
            if not kept:
                yield f"VM {row['name']} ({uuid}) is gone from {key[0]}"
            continue
        own = [disk for disk in row["disks"] if disk["file"] not in schedule.foreign]
        if len(now[key]["disks"]) < len(own) - (uuid in schedule.detached.values()):
            yield f"VM {row['name']} lost a disk: {row['disks']}, now {now[key]['disks']}"


# -- the end -----------------------------------------------------------------------------------------------------------


def _converge(schedule: Schedule) -> Iterator[str]:
    """A person puts back what the messages ask for; then the runs come to rest without hands, and everything agrees."""
    site = schedule.site
    for what, back in reversed(schedule.undo):
        try:
            back()
            schedule.log.append(what)
        except REFUSED as fault:
            schedule.log.append(f"({what}: {type(fault).__name__})")
    schedule.away.clear()
    before = _existing(schedule)
    wanted = _declared(schedule, register=True, force=True)
    last: dict[str, Any] = {}
    for _attempt in range(8):
        _follow_up(schedule)
        last = _outcome(site, wanted)
        if _is_open(last):
            time.sleep(LEASE)  # a run that lost its database could not end its lease
        elif not last["failures"] and not last.get("changed"):
            break
        _remove_marks(schedule, last)
    if last["failures"]:
        yield f"the runs do not converge: {last['failures']}"
    elif last.get("changed"):
        yield f"the runs never come to rest: {last['changes']}"
    yield from _losses(schedule, before)
    by_hand, findings = _by_hand(schedule), site.disagreements()
    if any("other run" in finding for finding in findings):
        time.sleep(4 * LEASE)  # that of a run that lost its database
        findings = site.disagreements()
    yield from (finding for finding in findings if not any(word in finding for word in by_hand))
    uuids = [row["instance_uuid"] for row in site.rows()]
    recorded = {d.id for d in site.snapshot().documents if d.kind == "vm"}
    yield from (f"VM {uuid} is recorded and not in vSphere" for uuid in recorded if uuid not in uuids)
    yield from (f"VM {uuid} exists {uuids.count(uuid)} times" for uuid in recorded if uuids.count(uuid) > 1)


def _is_open(outcome: dict[str, Any]) -> bool:
    """Whether another run's lease was in the way."""
    locked = any(failure["error_code"] == "ConcurrentTask" for failure in outcome["failures"])
    return locked or any("another run is working on" in warning for warning in outcome.get("warnings", ()))


def _follow_up(schedule: Schedule) -> None:
    """Detached disks are attached again, where their VM is there."""
    for path, uuid in list(schedule.detached.items()):
        rows = [row for row in schedule.ours() if row["instance_uuid"] == uuid]
        if rows and all(disk["file"] != path for disk in rows[0]["disks"]):
            with contextlib.suppress(*REFUSED):
                schedule.admin.attach(rows[0]["moid"], path)


def _remove_marks(schedule: Schedule, outcome: dict[str, Any]) -> None:
    """Of several copies of a missing VM a person leaves the mark to one, as the message says."""
    if not any("remove all but one" in failure["message"] for failure in outcome["failures"]):
        return
    copies = [row for row in schedule.site.rows() if not is_ours(row) and row["extra_config"].get("photon.id")]
    seen: set[str] = set()
    for row in sorted(copies, key=lambda row: row["moid"]):
        identity = row["extra_config"]["photon.id"]
        if identity in seen:
            schedule.admin.reconfigure(row["moid"], extra_config={"photon.id": ""})
        seen.add(identity)


def _declared(schedule: Schedule, count: int = VMS, **vm: Any) -> dict[str, Any]:
    disks = [{"name": "data", "flavor": "core-100", "capacity": f"{schedule.capacity} GB"}]
    declared = tree(count, **{"spread_over": None, "zone": "a", "disks": disks, "state": "started", **vm})
    if "vc2" in schedule.site.admin:
        declared["photon_hosts"].append({"name": "esx21.lab", "endpoint": "vc2", "zone": "b"})
    return {**declared, "photon_max_recreates": 100}


def _change(schedule: Schedule) -> dict[str, Any]:
    change = schedule.chance.choice([{}, {}, {"flavor": "core-200", "force": True}, {"state": "stopped"},
                                     {"tags": ["x"]}, {"register": True}, "larger"])  # fmt: skip
    if change == "larger":
        schedule.capacity += 1
        return {}
    return change


def _delete_one(schedule: Schedule, wanted: dict[str, Any]) -> None:
    """The declaration deletes the last VM."""
    vms = wanted["photon_tenants"][0]["projects"][0]["vms"]
    name = f"web-{VMS:02}"
    vms[0]["name"] = f"web-[01:{VMS - 1:02}]"
    vms.append({**vms[0], "name": name, "state": "absent", "force": True})
    schedule.asked |= {d.id for d in schedule.site.snapshot().documents if (d.kind, d.name) == ("vm", name)}
    schedule.log.append(f"{name} absent")


def _by_hand(schedule: Schedule) -> list[str]:
    """Names of what belongs to no record: clones, restored copies, disks of others, files of VMs that were deleted
    after a person had taken them out of the inventory, and what a paused controller made of a deleted VM."""
    recorded = {d.id for d in schedule.site.snapshot().documents if d.kind == "vm"}
    late = [row for row in schedule.site.rows() if row["instance_uuid"] in schedule.asked - recorded]
    return [
        "clone-", "restored-", OTHERS,
        *(directory for directory, uuid in schedule.unregistered.items() if uuid in schedule.asked),
        *(text for path, uuid in schedule.detached.items() if uuid in schedule.asked for text in _texts(path)),
        *(row["name"] for row in late),
    ]  # fmt: skip


def _texts(path: str) -> tuple[str, str]:
    """A left disk, and its directory, as the audit names them; the path is ``[ds] dir/file``."""
    file = path.partition("] ")[2]
    return file, f"{file.rpartition('/')[0]}/ on "
