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
GIB = 1 << 30
Deed = Callable[["Schedule", random.Random], None]
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
    asked: set[str] = field(default_factory=set)  # uuids of VMs that a person or a declaration deleted
    moved: set[str] = field(default_factory=set)  # uuids of VMs that a person brought under another moid
    away: set[str] = field(default_factory=set)  # uuids of VMs on hosts that a person took out of the vCenter
    foreign: list[str] = field(default_factory=list)  # files of others that must stay
    unregistered: dict[str, str] = field(default_factory=dict)  # directory: uuid
    detached: dict[str, str] = field(default_factory=dict)  # disk of ours: uuid of its VM
    capacity: int = 1  # GB of the largest data disk that was declared or made
    undo: list[tuple[str, Callable[[], Any]]] = field(default_factory=list)  # what a person puts back at the end

    @property
    def admin(self) -> Any:
        return self.site.admin["vc1"]

    def ours(self, *, on: bool | None = None, plain: bool = False) -> list[dict[str, Any]]:
        """Our VMs on the vCenter as the lab knows them; ``on``: those that are on, or off, alone; ``plain``: those
        without disks of others."""
        rows = [row for row in self.site.lab.control.state("vc1")["vms"] if _is_ours(row) and not row["template"]]
        rows = [row for row in rows if on is None or (row["power_state"] == "poweredOn") == on]
        return [row for row in rows if not plain or not self.disks_of_others(row)]

    def some(self, chance: random.Random, **which: Any) -> dict[str, Any]:
        """One of our VMs. Raises LookupError where there is none."""
        rows = sorted(self.ours(**which), key=lambda row: row["name"])
        if not rows:
            raise LookupError("no such VM")
        return chance.choice(rows)

    def disks_of_others(self, row: dict[str, Any]) -> list[str]:
        return [disk["file"] for disk in row["disks"] if disk["file"] in self.foreign]


# -- deeds -----------------------------------------------------------------------------------------------------------


def rename(schedule: Schedule, chance: random.Random) -> None:
    schedule.admin.rename(schedule.some(chance)["moid"], f"by-hand-{chance.randrange(1 << 20)}")


def move_to_host(schedule: Schedule, chance: random.Random) -> None:
    schedule.admin.move_to_host(schedule.some(chance)["moid"], chance.choice(HOSTS))


def move_to_datastore(schedule: Schedule, chance: random.Random) -> None:
    """To the local datastore of the VM's host, from where it can only come back."""
    row = schedule.some(chance, plain=True)
    schedule.admin.move_to_datastore(row["moid"], chance.choice(["shared1", f"local-{row['host'].partition('.')[0]}"]))


def move_to_endpoint(schedule: Schedule, chance: random.Random) -> None:
    row = schedule.some(chance, plain=True)
    other = schedule.site.admin.get("vc2")
    if other is None:
        raise LookupError("there is no other vCenter")
    schedule.moved.add(row["instance_uuid"])
    schedule.admin.move_to_endpoint(row["moid"], other, "esx21.lab", "shared2")


def delete(schedule: Schedule, chance: random.Random) -> None:
    """A person deletes a VM of ours; what is attached to it of others is kept apart first."""
    row = schedule.some(chance)
    for file in schedule.disks_of_others(row):
        schedule.admin.detach(row["moid"], file)
    schedule.asked.add(row["instance_uuid"])
    schedule.admin.delete(row["moid"])


def unregister(schedule: Schedule, chance: random.Random) -> None:
    row = schedule.some(chance)
    schedule.moved.add(row["instance_uuid"])
    files = schedule.admin.unregister(row["moid"])
    schedule.unregistered[files.vmx.rpartition("/")[0].partition("] ")[2]] = row["instance_uuid"]


def register(schedule: Schedule, chance: random.Random) -> None:
    """A person unregisters a VM and registers it again."""
    row = schedule.some(chance)
    schedule.moved.add(row["instance_uuid"])
    schedule.admin.register(schedule.admin.unregister(row["moid"]))


def clone(schedule: Schedule, chance: random.Random) -> None:
    schedule.admin.clone(schedule.some(chance, on=False)["moid"], f"clone-{chance.randrange(1 << 20)}")


def restore_copy(schedule: Schedule, chance: random.Random) -> None:
    """A backup of a VM is restored as another VM."""
    _restore(schedule, schedule.some(chance), chance, same_uuid=False)


def restore(schedule: Schedule, chance: random.Random) -> None:
    """A VM is deleted and restored from its backup, under its instanceUuid or a new one."""
    row = schedule.some(chance, plain=True)
    schedule.asked.add(row["instance_uuid"])
    _restore(schedule, row, chance, same_uuid=chance.random() < 0.5, delete=True)


def _restore(
    schedule: Schedule, row: dict[str, Any], chance: random.Random, same_uuid: bool, delete: bool = False
) -> None:
    backup = schedule.admin.backup(row["moid"])
    if delete:
        schedule.admin.delete(row["moid"])
    name = f"restored-{chance.randrange(1 << 20)}"
    schedule.admin.restore(backup, chance.choice(HOSTS), "shared1", name=name, same_uuid=same_uuid)


def reconfigure(schedule: Schedule, chance: random.Random) -> None:
    schedule.admin.reconfigure(schedule.some(chance, on=False)["moid"], numCPUs=chance.choice([1, 2, 3]))


def grow_disk(schedule: Schedule, chance: random.Random) -> None:
    """A person grows a data disk: the declaration has to follow, since no disk can shrink."""
    row = schedule.some(chance, on=False)
    at = next((at for at, disk in enumerate(row["disks"]) if disk["file"].endswith("/data.vmdk")), None)
    if at is None:
        raise LookupError("no data disk")
    capacity = row["disks"][at]["capacity"] // GIB + 1
    schedule.admin.grow_disk(row["moid"], at, capacity << 20)
    schedule.capacity = max(schedule.capacity, capacity)


def attach(schedule: Schedule, chance: random.Random) -> None:
    row = schedule.some(chance)
    path = schedule.admin.create_disk(FOREIGN.format(number=len(schedule.foreign)))
    schedule.foreign.append(path)
    schedule.admin.attach(row["moid"], path)


def detach(schedule: Schedule, chance: random.Random) -> None:
    """Our data disk is detached; it is attached again at the end, as the message says."""
    row = schedule.some(chance, on=False)
    own = [disk["file"] for disk in row["disks"][1:] if disk["file"] not in schedule.foreign]
    if not own:
        raise LookupError("no data disk")
    schedule.detached[schedule.admin.detach(row["moid"], own[0])] = row["instance_uuid"]


def detach_and_attach(schedule: Schedule, chance: random.Random) -> None:
    """Our disk comes back at another place."""
    row = schedule.some(chance, on=False)
    if len(row["disks"]) < 2:
        raise LookupError("no data disk")
    path = schedule.admin.detach(row["moid"], row["disks"][1]["file"])
    schedule.admin.attach(row["moid"], path, unit=chance.randrange(8, 14))


def suspend(schedule: Schedule, chance: random.Random) -> None:
    schedule.admin.suspend(schedule.some(chance, on=True)["moid"])


def stop(schedule: Schedule, chance: random.Random) -> None:
    schedule.admin.power(schedule.some(chance, on=True)["moid"], "poweredOff")


def move_folder(schedule: Schedule, chance: random.Random) -> None:
    schedule.admin.move_to_folder(schedule.some(chance)["moid"], "")


def rename_folder(schedule: Schedule, chance: random.Random) -> None:
    schedule.admin.rename_folder("acme", f"acme-by-hand-{chance.randrange(1 << 20)}")


def mark_as_template(schedule: Schedule, chance: random.Random) -> None:
    row = schedule.some(chance, on=False)
    schedule.admin.mark_as_template(row["moid"])
    schedule.undo.append(("mark_as_vm", lambda: schedule.admin.mark_as_vm(row["moid"], row["host"])))


def disconnect_host(schedule: Schedule, chance: random.Random) -> None:
    host = chance.choice(HOSTS)
    schedule.admin.disconnect(host)
    schedule.undo.append((f"reconnect {host}", lambda: schedule.admin.reconnect(host)))


def remove_host(schedule: Schedule, chance: random.Random) -> None:
    """A host is taken out of the vCenter with its VMs, which run on; it comes back at the end."""
    host = chance.choice(HOSTS)
    gone = {row["instance_uuid"] for row in schedule.site.rows() if row["host"] == host}
    cluster = schedule.admin.remove_host(host)
    schedule.moved |= gone
    schedule.away |= gone
    schedule.undo.append((f"add {host}", lambda: schedule.admin.add_host(host, cluster)))


def maintenance(schedule: Schedule, chance: random.Random) -> None:
    host = chance.choice(HOSTS)
    schedule.admin.enter_maintenance(host, timeout=2, evacuate=True)
    schedule.undo.append((f"exit_maintenance {host}", lambda: schedule.admin.exit_maintenance(host)))


def rename_datastore(schedule: Schedule, chance: random.Random) -> None:
    """The local one keeps its new name; the declared one gets its old name back at the end."""
    if chance.random() < 0.5:
        schedule.admin.rename_datastore("local-esx02", f"by-hand-{chance.randrange(1 << 20)}")
    elif not schedule.foreign:  # their paths name it
        schedule.admin.rename_datastore("shared1", "renamed")
        schedule.undo.append(("rename shared1", lambda: schedule.admin.rename_datastore("renamed", "shared1")))


DEEDS: tuple[Deed, ...] = (
    rename, move_to_host, move_to_datastore, move_to_endpoint, delete, unregister, register, clone, restore_copy,
    restore, reconfigure, grow_disk, attach, detach, detach_and_attach, suspend, stop, move_folder, rename_folder,
    mark_as_template, disconnect_host, remove_host, maintenance, rename_datastore,
)  # fmt: skip


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


def do(schedule: Schedule, chance: random.Random, where: str = "") -> None:
    """One deed; what vSphere refuses at this moment is not done."""
    deed = chance.choice(DEEDS)
    try:
        deed(schedule, chance)
        schedule.log.append(f"{deed.__name__} {where}".rstrip())
    except (vmodl.MethodFault, LookupError, PhotonError) as fault:
        schedule.log.append(f"({deed.__name__} {where}: {type(fault).__name__})")


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
        return site.run(wanted)
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
        except (vmodl.MethodFault, LookupError) as fault:
            schedule.log.append(f"({what}: {type(fault).__name__})")
    schedule.away.clear()
    before = _existing(schedule)
    wanted = _declared(schedule, register=True, force=True)
    last: dict[str, Any] = {}
    for _attempt in range(6):
        _follow_up(schedule)
        last = _outcome(site, wanted)
        if not last["failures"] and not last.get("changed"):
            break
        _remove_marks(schedule, last)
    if last["failures"]:
        yield f"the runs do not converge: {last['failures']}"
    elif last.get("changed"):
        yield f"the runs never come to rest: {last['changes']}"
    yield from _losses(schedule, before)
    by_hand = _by_hand(schedule)
    yield from (finding for finding in site.disagreements() if not any(word in finding for word in by_hand))
    uuids = [row["instance_uuid"] for row in site.rows()]
    recorded = {d.id for d in site.snapshot().documents if d.kind == "vm"}
    yield from (f"VM {uuid} is recorded and not in vSphere" for uuid in recorded if uuid not in uuids)
    yield from (f"VM {uuid} exists {uuids.count(uuid)} times" for uuid in recorded if uuids.count(uuid) > 1)


def _follow_up(schedule: Schedule) -> None:
    """Detached disks are attached again, where their VM is there."""
    for path, uuid in list(schedule.detached.items()):
        rows = [row for row in schedule.ours() if row["instance_uuid"] == uuid]
        if rows and all(disk["file"] != path for disk in rows[0]["disks"]):
            with contextlib.suppress(vmodl.MethodFault, LookupError):
                schedule.admin.attach(rows[0]["moid"], path)


def _remove_marks(schedule: Schedule, outcome: dict[str, Any]) -> None:
    """Of several copies of a missing VM a person leaves the mark to one, as the message says."""
    if not any("remove all but one" in failure["message"] for failure in outcome["failures"]):
        return
    copies = [row for row in schedule.site.rows() if not _is_ours(row) and row["extra_config"].get("photon.id")]
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


def _is_ours(row: dict[str, Any]) -> bool:
    return row["instance_uuid"] == row["extra_config"].get("photon.id") and "photon.template" not in row["extra_config"]


def _by_hand(schedule: Schedule) -> list[str]:
    """Names of what belongs to no record: clones, restored copies, disks of others, files of VMs that were deleted
    after a person had taken them out of the inventory, and what a paused controller made of a deleted VM."""
    recorded = {d.id for d in schedule.site.snapshot().documents if d.kind == "vm"}
    late = [row for row in schedule.site.rows() if row["instance_uuid"] in schedule.asked - recorded]
    return [
        "clone-", "restored-", "of-others/",
        *(directory for directory, uuid in schedule.unregistered.items() if uuid in schedule.asked),
        *(path.partition("] ")[2] for path, uuid in schedule.detached.items() if uuid in schedule.asked),
        *(row["name"] for row in late),
    ]  # fmt: skip
