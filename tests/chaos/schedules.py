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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from pyVmomi import vmodl

from lab import Lab
from tests.chaos.interposer import Interposer
from tests.chaos.scene import small, tree
from tests.support.site import Site

VMS = 3
LEASE = 1.5
FOREIGN = "[shared1] of-others/data-{number}.vmdk"
HOSTS = ("esx01.lab", "esx02.lab", "esx03.lab")
DISKS = [{"name": "data", "flavor": "core-100", "capacity": "1 GB"}]
Deed = Callable[["Schedule"], None]
# What two controllers, or a controller and a person, may answer each other with until the next run.
EXPECTED = frozenset(
    "ConcurrentTask DependencyFailed StaleVersion NameTaken VmNotFound InvalidVmState StateError NotFound LeaseLost "
    "TaskNotCompleted InsufficientCapacity UpdateNotSupported DiskNotFound HostNotFound InvalidHostState "
    "EndpointUnreachable CloudStoreUnavailable QuotaError AccessForbidden HostDatastoreNotFound DatastoreNotFound "
    "InvalidLoginCredentials VCenterRequestError".split()
)


@dataclass
class Schedule:
    """One seed's site, its chance, and what a person has to remember."""

    seed: int
    site: Site
    chance: random.Random
    log: list[str] = field(default_factory=list)
    deleted: set[str] = field(default_factory=set)  # uuids that somebody asked to delete
    foreign: list[str] = field(default_factory=list)  # files of others that must stay
    left: list[str] = field(default_factory=list)  # directories of VMs that a person took out of the inventory

    @property
    def admin(self) -> Any:
        return self.site.admin["vc1"]

    def ours(self, *, on: bool | None = None) -> list[dict[str, Any]]:
        """Our VMs on the vCenter as the lab knows them; those that are on, or off, alone."""
        rows = [row for row in self.site.lab.control.state("vc1")["vms"] if _is_ours(row)]
        return [row for row in rows if on is None or (row["power_state"] == "poweredOn") == on]

    def some(self, **which: Any) -> str | None:
        """The moid of one of our VMs."""
        rows = sorted(self.ours(**which), key=lambda row: row["name"])
        return self.chance.choice(rows)["moid"] if rows else None


# -- deeds -----------------------------------------------------------------------------------------------------------


def rename(schedule: Schedule) -> None:
    if moid := schedule.some():
        schedule.admin.rename(moid, f"by-hand-{schedule.chance.randrange(1 << 20)}")


def move_to_host(schedule: Schedule) -> None:
    if moid := schedule.some():
        schedule.admin.move_to_host(moid, schedule.chance.choice(HOSTS))


def move_to_datastore(schedule: Schedule) -> None:
    """To the local datastore of the VM's host, from where it can only come back."""
    if moid := schedule.some():
        host = next(row["host"] for row in schedule.ours() if row["moid"] == moid)
        schedule.admin.move_to_datastore(moid, schedule.chance.choice(["shared1", f"local-{host.partition('.')[0]}"]))


def delete(schedule: Schedule) -> None:
    """A person deletes a VM of ours; what is attached to it of others is kept apart first."""
    if moid := schedule.some():
        row = next(row for row in schedule.ours() if row["moid"] == moid)
        for disk in row["disks"]:
            if disk["file"] in schedule.foreign:
                schedule.admin.detach(moid, disk["file"])
        schedule.deleted.add(row["instance_uuid"])
        schedule.admin.delete(moid)


def unregister(schedule: Schedule) -> None:
    if moid := schedule.some():
        schedule.admin.power(moid, "poweredOff")
        schedule.left.append(schedule.admin.unregister(moid).vmx.rpartition("/")[0].partition("] ")[2])


def clone(schedule: Schedule) -> None:
    if moid := schedule.some(on=False):
        schedule.admin.clone(moid, f"clone-{schedule.chance.randrange(1 << 20)}")


def restore_beside(schedule: Schedule) -> None:
    """A backup of a VM is restored as another VM."""
    if moid := schedule.some():
        backup = schedule.admin.backup(moid)
        name = f"restored-{schedule.chance.randrange(1 << 20)}"
        schedule.admin.restore(backup, schedule.chance.choice(HOSTS), "shared1", name=name)


def reconfigure(schedule: Schedule) -> None:
    if moid := schedule.some(on=False):
        schedule.admin.reconfigure(moid, numCPUs=schedule.chance.choice([1, 2, 3]))


def attach(schedule: Schedule) -> None:
    if moid := schedule.some():
        path = FOREIGN.format(number=len(schedule.foreign))
        schedule.admin.create_disk(path)
        schedule.foreign.append(path)
        schedule.admin.attach(moid, path)


def detach_and_attach(schedule: Schedule) -> None:
    """Our disk comes back at another place."""
    if moid := schedule.some(on=False):
        row = next(row for row in schedule.ours() if row["moid"] == moid)
        if len(row["disks"]) > 1:
            path = schedule.admin.detach(moid, row["disks"][1]["file"])
            schedule.admin.attach(moid, path, unit=schedule.chance.randrange(8, 14))


def suspend(schedule: Schedule) -> None:
    if moid := schedule.some(on=True):
        schedule.admin.suspend(moid)


def stop(schedule: Schedule) -> None:
    if moid := schedule.some(on=True):
        schedule.admin.power(moid, "poweredOff")


def move_folder(schedule: Schedule) -> None:
    if moid := schedule.some():
        schedule.admin.move_to_folder(moid, "")


DEEDS: tuple[Deed, ...] = (
    rename, move_to_host, move_to_datastore, delete, unregister, clone, restore_beside, reconfigure, attach,
    detach_and_attach, suspend, stop, move_folder,
)  # fmt: skip


# -- one schedule ------------------------------------------------------------------------------------------------------


class Hands(Interposer):
    """Does something by hand at chosen points of a run's external calls, in the thread that makes the call."""

    def __init__(self, schedule: Schedule, rate: float) -> None:
        super().__init__()
        self._schedule, self._rate = schedule, rate
        self._busy = threading.Lock()
        self._inside = threading.local()

    def point(self, name: str) -> None:
        if getattr(self._inside, "yes", False) or not name.startswith(("before ", "after ")) or name.endswith("commit"):
            return
        chance = self._schedule.chance
        if chance.random() >= self._rate or not self._busy.acquire(blocking=False):
            return
        self._inside.yes = True
        try:
            do(self._schedule, chance.choice(DEEDS), name)
        finally:
            self._inside.yes = False
            self._busy.release()


def do(schedule: Schedule, deed: Deed, where: str = "") -> None:
    """One deed; what vSphere refuses at this moment is not done."""
    try:
        deed(schedule)
        schedule.log.append(f"{deed.__name__} {where}".rstrip())
    except (vmodl.MethodFault, LookupError, PhotonError) as fault:
        schedule.log.append(f"({deed.__name__} {where}: {type(fault).__name__})")


def play(seed: int, directory: Path, url: str = "", interrupt: Callable[[], Any] | None = None) -> str:
    """Play one schedule: what is wrong at its end in words, empty where nothing is."""
    chance = random.Random(seed)
    with Lab.start(small()) as lab, contextlib.closing(Site(lab, directory, url)) as site:
        schedule = Schedule(seed, site, chance)
        problems = list(_play(schedule, interrupt))
    return "\n    ".join([f"seed {seed}: {'; '.join(schedule.log)}", *problems]) if problems else ""


def _play(schedule: Schedule, interrupt: Callable[[], Any] | None) -> Iterator[str]:
    chance, site = schedule.chance, schedule.site
    first = site.run(_declared(schedule))
    if first["failures"]:
        yield f"the first run failed: {first['failures']}"
        return
    for _round in range(chance.randint(1, 3)):
        wanted = _declared(schedule, count=chance.randint(1, VMS), **_change(chance))
        for _deed in range(chance.randint(0, 2)):
            do(schedule, chance.choice(DEEDS))
        yield from _run(schedule, wanted, interrupt)
        yield from _losses(schedule)
    yield from _converge(schedule)


def _run(schedule: Schedule, wanted: dict[str, Any], interrupt: Callable[[], Any] | None) -> Iterator[str]:
    """One run with hands in between; sometimes two controllers at once, or a kill in the middle."""
    chance, site = schedule.chance, schedule.site
    kind = chance.choice(["hands", "hands", "two", "kill", "pause"])
    schedule.log.append(f"[{kind}]")
    if kind == "kill":
        site.start(wanted, kill_at=chance.randint(5, 80)).end()
        return
    if kind == "pause":
        yield from _pause(schedule, wanted)
        return
    hands = Hands(schedule, rate=0.03)
    others: list[threading.Thread] = []
    outcomes: list[dict[str, Any]] = []
    if kind == "two":
        overlapping = _declared(schedule, count=VMS)
        others = [threading.Thread(target=lambda: outcomes.append(_outcome(site, overlapping)))]
    with hands.installed():
        for thread in others:
            thread.start()
        if interrupt is not None and chance.random() < 0.3:
            interrupt()
        outcomes.append(_outcome(site, wanted))
        for thread in others:
            thread.join()
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
            do(schedule, schedule.chance.choice(DEEDS))
            sleeper.wake()
        answer = sleeper.end()
    finally:
        sleeper.kill()
    error = answer.get("error")
    if error is not None and error["code"] not in EXPECTED:
        yield f"the paused controller failed oddly: {error}"


def _outcome(site: Site, wanted: dict[str, Any]) -> dict[str, Any]:
    try:
        return site.run(wanted)
    except PhotonError as error:
        return {"failures": [{"error_code": error.code, "message": error.message, "name": "run"}]}


def _losses(schedule: Schedule) -> Iterator[str]:
    """Whatever nobody asked to delete: the disks of others."""
    files = schedule.admin.files()
    yield from (f"{path} was deleted" for path in schedule.foreign if path not in files)


def _converge(schedule: Schedule) -> Iterator[str]:
    """Without hands: three runs at most until nothing is to do, and everything agrees."""
    site = schedule.site
    wanted = _declared(schedule, register=True, force=True)
    last: dict[str, Any] = {}
    for _attempt in range(4):
        last = _outcome(site, wanted)
        if not last["failures"] and not last.get("changed"):
            break
    if last["failures"]:
        yield f"the runs do not converge: {last['failures']}"
    elif last.get("changed"):
        yield f"the runs never come to rest: {last['changes']}"
    yield from (finding for finding in site.disagreements() if not _is_by_hand(finding, schedule))
    yield from _losses(schedule)
    uuids = [row["instance_uuid"] for row in site.rows()]
    recorded = {d.id for d in site.snapshot().documents if d.kind == "vm"}
    yield from (f"VM {uuid} is recorded and not in vSphere" for uuid in recorded if uuid not in uuids)
    yield from (f"VM {uuid} exists {uuids.count(uuid)} times" for uuid in recorded if uuids.count(uuid) > 1)


def _declared(schedule: Schedule, count: int = VMS, **vm: Any) -> dict[str, Any]:
    declared = tree(count, **{"spread_over": None, "zone": "a", "disks": DISKS, "state": "started", **vm})
    return {**declared, "photon_max_recreates": 100}


def _change(chance: random.Random) -> dict[str, Any]:
    return chance.choice([{}, {}, {"flavor": "core-200", "force": True}, {"state": "stopped"}, {"tags": ["x"]},
                          {"disks": [{**DISKS[0], "capacity": "2 GB"}]}])  # fmt: skip


def _is_ours(row: dict[str, Any]) -> bool:
    return row["instance_uuid"] == row["extra_config"].get("photon.id") and "photon.template" not in row["extra_config"]


def _is_by_hand(finding: str, schedule: Schedule) -> bool:
    """Clones and restored copies belong to no record, nor do files of others and of VMs that were unregistered."""
    return any(word in finding for word in ("clone-", "restored-", "of-others/", "orphan", *schedule.left))
