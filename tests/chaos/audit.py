# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether CloudStore and vSphere agree, object by object, by the lab's own view of vSphere (its control port).

Allocations, exclusive keys, capacity and tasks are the product's own ``verify``; see Scene.disagreements.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from ansible_collections.photon.platform.plugins.module_utils.cloudstore import Snapshot
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.services.disks.record import Disk
from ansible_collections.photon.platform.plugins.module_utils.services.images.record import Copy
from ansible_collections.photon.platform.plugins.module_utils.services.state import CurrentState
from ansible_collections.photon.platform.plugins.module_utils.services.vms.record import Vm

POWER = {"STARTED": "poweredOn", "STOPPED": "poweredOff", "SUSPENDED": "suspended"}
OPEN_LEASES = ("initializing", "ready")
OTHERS = "of-others/"  # the directory of disks that are not the platform's
DISK_DIRECTORIES = ("photon-disks/", "fcd/")


def disagreements(snapshot: Snapshot, state: dict[str, Any]) -> list[str]:
    """Everything that does not agree, in words; none is what every test wants."""
    known = CurrentState(snapshot.documents)
    return [
        *_vms(known, state),
        *_images(known, state),
        *_disks(known, state),
        *_foreign(known, state),
        *_files(known, state),
        *open_leases(state),
        *_drs_rules(known, state),
        *(f"task {task.operation} of {task.entity_id} is open" for task in snapshot.open_tasks),
    ]


def open_leases(state: dict[str, Any]) -> list[str]:
    """Leases that still wait for an upload."""
    return [
        f"{name}: the lease of {lease['vm']} is {lease['state']}"
        for name, each in state.items()
        for lease in each["leases"]
        if lease["state"] in OPEN_LEASES
    ]


def _vms(known: CurrentState, state: dict[str, Any]) -> Iterator[str]:
    for vm in known.of(entities.VM):
        endpoint = known.get(vm.observed.get("endpoint"))
        if endpoint is None:
            yield f"{vm.name} ({vm.state}) has no place"
            continue
        rows = [row for each in state.values() for row in each["vms"] if row["instance_uuid"] == vm.id]
        if len(rows) != 1:
            yield f"{vm.name} is {len(rows)} times in vSphere"
        for row in rows:
            yield from _vm(vm, row, endpoint, known)
            if row not in state[endpoint.name]["vms"]:
                yield f"{vm.name} is on another endpoint than {endpoint.name}"


def _vm(document: Any, row: dict[str, Any], endpoint: Any, known: CurrentState) -> Iterator[str]:
    vm = Vm.of(document)
    assert vm.place is not None
    host = known.get(vm.place.host)
    persistent = [disk for disk in map(Disk.of, known.of(entities.DISK)) if disk.vm == vm.id]
    disks = [*vm.disks, *persistent]
    stores = {known.must(str(disk.datastore)).name for disk in disks}
    expected = {
        "moid": vm.place.moid,
        "name": vm.place.name,
        "folder": f"vm/{vm.place.folder}".rstrip("/"),
        "power_state": POWER.get(vm.state),
        "host": host.name if host else row["host"],
        "datastores": sorted(stores),
        "cpus": vm.vcpus,
        "memory_mb": vm.memory >> 20,
        "change_version": vm.place.change_version,
    }
    shown = {**row, "datastores": sorted(set(row["datastores"]) - _of_others(row))}
    yield from (
        f"{vm.name}: {key} is {value!r} in the CloudStore, {shown[key]!r} in vSphere"
        for key, value in expected.items()
        if shown[key] != value
    )
    if sorted(disk["capacity"] for disk in row["disks"]) != sorted(disk.capacity for disk in disks):
        yield f"{vm.name}: disks {row['disks']} are not {disks}"
    if row["extra_config"].get("photon.id") != vm.id:
        yield f"{vm.name} does not carry its id"


def _of_others(row: dict[str, Any]) -> set[str]:
    """The datastores that a VM uses for the disks of others alone."""
    stores: dict[bool, set[str]] = {True: set(), False: set()}
    for disk in row["disks"]:
        stores[OTHERS in disk["file"]].add(disk["file"].partition("]")[0].lstrip("["))
    return stores[True] - stores[False]


def _disks(known: CurrentState, state: dict[str, Any]) -> Iterator[str]:
    """Each persistent disk has its file, and exactly the VM of its record has it attached."""
    files = {f"[{s['name']}] {file}" for each in state.values() for s in each["datastores"] for file in s["files"]}
    holders: dict[str, list[str]] = defaultdict(list)
    for each in state.values():
        for row in each["vms"]:
            for disk in row["disks"]:
                holders[disk["file"]].append(row["instance_uuid"])
    for disk in map(Disk.of, known.of(entities.DISK)):
        if disk.path not in files or not disk.uuid:
            yield f"disk {disk.name} ({disk.state}) has no file: {disk.path}, {disk.uuid}"
        if holders[str(disk.path)] != ([disk.vm] if disk.vm else []):
            yield f"disk {disk.name} is attached to {holders[str(disk.path)]}, recorded is {disk.vm}"
        if disk.state != ("ATTACHED" if disk.vm else "DETACHED"):
            yield f"disk {disk.name} is {disk.state}"


def _images(known: CurrentState, state: dict[str, Any]) -> Iterator[str]:
    for document in known.of(entities.IMAGE_COPY):
        copy, store = Copy.of(document), known.must(document.body["datastore"])
        name = f"image {known.must(copy.image).name} on {store.name}"
        rows = state[known.must(store.scope).name]["vms"]
        found = [row for row in rows if row["instance_uuid"] == copy.template_uuid]
        if copy.state != "READY":
            yield f"{name} is {copy.state}"
        elif len(found) != 1:
            yield f"{name} is {len(found)} times in vSphere"
        elif found[0]["disks"][0]["file"] != copy.path:  # its moid changes with a host that joins again
            yield f"{name}: {copy} is not {found[0]}"


def _foreign(known: CurrentState, state: dict[str, Any]) -> Iterator[str]:
    """The labs hold nothing but ours, so whatever no record names was left behind."""
    ids = {vm.id for vm in known.of(entities.VM)}
    ids |= {copy.body["template_uuid"] for copy in known.of(entities.IMAGE_COPY)}
    for name, each in state.items():
        others = [row["name"] for row in each["vms"] if row["instance_uuid"] not in ids]
        yield from (f"{other} on {name} is in no record" for other in others)


def _files(known: CurrentState, state: dict[str, Any]) -> Iterator[str]:
    """Files that belong to no VM and are no persistent disk and no record of one."""
    recorded = {Disk.of(document).path for document in known.of(entities.DISK)}
    ids = {document.id for document in known.of(entities.DISK)}
    for name, each in state.items():
        homes: dict[str, set[str]] = defaultdict(set)
        disks: dict[str, set[str]] = defaultdict(set)
        for vm in each["vms"]:
            for disk in vm["disks"]:
                store, _, path = disk["file"].lstrip("[").partition("] ")
                homes[store].add(path.split("/")[0])
                disks[store].add(path)
        for store in each["datastores"]:
            for file in store["files"]:
                name = f"[{store['name']}] {file.replace('-flat.vmdk', '.vmdk')}"
                is_record = file.endswith(".json") and file.rpartition("/")[2].removesuffix(".json") in ids
                if file in DISK_DIRECTORIES or name in recorded or is_record:
                    continue
                if file.split("/")[0] not in homes[store["name"]]:
                    yield f"{file} on {name}/{store['name']} belongs to no VM"
                elif file.endswith(".vmdk") and file.replace("-flat.vmdk", ".vmdk") not in disks[store["name"]]:
                    yield f"{file} on {name}/{store['name']} is no VM's disk"


def _drs_rules(known: CurrentState, state: dict[str, Any]) -> Iterator[str]:
    """Hard groups of level host, and the rules of the clusters that have DRS on; the labs hold no rules but ours."""
    for endpoint in known.of(entities.ENDPOINT):
        expected: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for vm in map(Vm.of, known.of(entities.VM)):
            for group in vm.groups if vm.place and vm.place.endpoint == endpoint.id else ():
                if group.hard and group.level == "host":
                    expected[vm.place.cluster, group.name, group.kind].append(vm.place.moid)
        for cluster in state[endpoint.name]["clusters"]:
            wanted = [
                (kind, sorted(vms), True, True)
                for (name, _group, kind), vms in expected.items()
                if name == cluster["name"] and cluster["drs"] and len(vms) > 1
            ]
            here = [(rule["kind"], rule["vms"], rule["enabled"], rule["mandatory"]) for rule in cluster["rules"]]
            if sorted(here) != sorted(wanted):
                yield f"the rules of cluster {cluster['name']} are {here}, its groups need {wanted}"
