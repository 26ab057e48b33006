# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether CloudStore, vSphere and counters agree, object by object. What the lab says is read from its control port."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from ansible_collections.photon.platform.plugins.module_utils.cloudstore import Snapshot
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.services import claims
from ansible_collections.photon.platform.plugins.module_utils.services.world import World

POWER = {"STARTED": "poweredOn", "STOPPED": "poweredOff", "SUSPENDED": "suspended"}
OPEN_LEASES = ("initializing", "ready")


def disagreements(snapshot: Snapshot, state: dict[str, Any]) -> list[str]:
    """Everything that does not agree, in words; none is what every test wants."""
    world = World(snapshot.documents, snapshot.counters)
    return [
        *_vms(world, state),
        *_images(world, state),
        *_foreign(world, state),
        *_files(state),
        *open_leases(state),
        *_quotas(world),
        *_capacity(snapshot, world),
        *_groups(snapshot, world),
        *_drs_rules(world, state),
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


def _vms(world: World, state: dict[str, Any]) -> Iterator[str]:
    for vm in world.of(entities.VM):
        endpoint = world.get(vm.body.get("endpoint"))
        if endpoint is None:
            yield f"{vm.name} ({vm.state}) has no place"
            continue
        rows = [row for each in state.values() for row in each["vms"] if row["instance_uuid"] == vm.id]
        if len(rows) != 1:
            yield f"{vm.name} is {len(rows)} times in vSphere"
        for row in rows:
            yield from _vm(vm, row, endpoint, world)
            if row not in state[endpoint.name]["vms"]:
                yield f"{vm.name} is on another endpoint than {endpoint.name}"


def _vm(vm: Any, row: dict[str, Any], endpoint: Any, world: World) -> Iterator[str]:
    body = vm.body
    expected = {
        "moid": body["vsphere"]["moid"],
        "name": body["vsphere"]["name"],
        "folder": f"vm/{body['vsphere']['folder']}".rstrip("/"),
        "power_state": POWER.get(vm.state),
        "host": world.must(body["host"]).name,
        "datastores": [world.must(body["datastore"]).name],
        "cpus": body["vcpus"],
        "memory_mb": body["memory"] >> 20,
        "change_version": body["vsphere"]["change_version"],
    }
    yield from (
        f"{vm.name}: {key} is {value!r} in the CloudStore, {row[key]!r} in vSphere"
        for key, value in expected.items()
        if row[key] != value
    )
    if [disk["capacity"] for disk in row["disks"]] != [disk["capacity"] for disk in body["disks"]]:
        yield f"{vm.name}: disks {row['disks']} are not {body['disks']}"
    parent = world.must(body["image"]).body["copies"][body["datastore"]]["path"]
    if row["disks"] and row["disks"][0]["parent"] != parent:
        yield f"{vm.name}: its boot disk's parent is {row['disks'][0]['parent']!r}, not the image's {parent!r}"
    if row["extra_config"].get("photon.id") != vm.id:
        yield f"{vm.name} does not carry its id"


def _images(world: World, state: dict[str, Any]) -> Iterator[str]:
    for image in world.of(entities.IMAGE):
        for store_id, copy in image.body["copies"].items():
            store = world.must(store_id)
            rows = state[world.must(store.scope).name]["vms"]
            found = [row for row in rows if row["instance_uuid"] == copy.get("template_uuid")]
            if len(found) != 1:
                yield f"image {image.name} on {store.name} is {len(found)} times in vSphere"
            elif (found[0]["moid"], found[0]["disks"][0]["file"]) != (copy["template_moid"], copy["path"]):
                yield f"image {image.name} on {store.name}: {copy} is not {found[0]}"


def _foreign(world: World, state: dict[str, Any]) -> Iterator[str]:
    """The labs hold nothing but ours, so whatever no record names was left behind."""
    known = {vm.id for vm in world.of(entities.VM)}
    known |= {
        copy.get("template_uuid") for image in world.of(entities.IMAGE) for copy in image.body["copies"].values()
    }
    for name, each in state.items():
        strangers = [row["name"] for row in each["vms"] if row["instance_uuid"] not in known]
        yield from (f"{stranger} on {name} is in no record" for stranger in strangers)


def _files(state: dict[str, Any]) -> Iterator[str]:
    """Files that belong to no VM."""
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
                if file.split("/")[0] not in homes[store["name"]]:
                    yield f"{file} on {name}/{store['name']} belongs to no VM"
                elif file.endswith(".vmdk") and file.replace("-flat.vmdk", ".vmdk") not in disks[store["name"]]:
                    yield f"{file} on {name}/{store['name']} is no VM's disk"


def _quotas(world: World) -> Iterator[str]:
    for project in world.of(entities.PROJECT):
        costs: Counter[str] = Counter()
        for vm in world.of(entities.VM, project.id):
            costs.update({key: amount for key, (amount, _unit) in vm.body["cost"].items()})
        used = {key: counter.usage for key, counter in world.counters.get(project.id, {}).items() if counter.usage}
        if used != {key: amount for key, amount in costs.items() if amount}:
            yield f"project {project.name} is charged {used}, its VMs cost {dict(costs)}"
    for tenant in world.of(entities.TENANT):
        given: Counter[str] = Counter()
        for project in world.of(entities.PROJECT, tenant.id):
            given.update({k: c.limit for k, c in world.counters.get(project.id, {}).items() if c.limit is not None})
        used = {key: counter.usage for key, counter in world.counters.get(tenant.id, {}).items() if counter.usage}
        if used != {key: amount for key, amount in given.items() if amount}:
            yield f"tenant {tenant.name} is charged {used}, its projects were given {dict(given)}"


def _capacity(snapshot: Snapshot, world: World) -> Iterator[str]:
    claimed: dict[str, Counter[str]] = defaultdict(Counter)
    for claim in claims.capacity_claims(world.of(entities.VM), world):
        claimed[claim.id].update({"vcpu": claim.vcpus, "memory": claim.memory, "space": claim.space})
    for key, row in snapshot.capacity.items():
        here = {"vcpu": row.vcpu_claimed, "memory": row.memory_claimed, "space": row.space_claimed}
        expected = {name: claimed[key][name] for name in here}
        if here != expected:
            yield f"capacity of {world.must(key).name}: {here} is claimed, its VMs need {expected}"
    yield from (f"{key} is claimed and has no capacity" for key in claimed if key not in snapshot.capacity)


def _groups(snapshot: Snapshot, world: World) -> Iterator[str]:
    placed = [vm for vm in world.of(entities.VM) if vm.body.get("host")]
    expected = {(m.group, m.topology_key, m.entity_id) for m in claims.group_members(placed, world)}
    here = {(m.group, m.topology_key, m.entity_id) for m in snapshot.groups}
    yield from (f"group row {row} stands for nothing that lives" for row in here - expected)
    yield from (f"group row {row} is missing" for row in expected - here)


def _drs_rules(world: World, state: dict[str, Any]) -> Iterator[str]:
    """Hard groups of level host, and the rules of the clusters that have DRS on; the labs hold no rules but ours."""
    for endpoint in world.of(entities.ENDPOINT):
        expected: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for vm in world.of(entities.VM):
            body = vm.body
            for group in body["groups"] if body.get("endpoint") == endpoint.id else ():
                if group["hard"] and group["level"] == "host":
                    expected[body["cluster"], group["name"], group["kind"]].append(body["vsphere"]["moid"])
        for cluster in state[endpoint.name]["clusters"]:
            wanted = [
                (kind, sorted(vms), True, True)
                for (name, _group, kind), vms in expected.items()
                if name == cluster["name"] and cluster["drs"] and len(vms) > 1
            ]
            here = [(rule["kind"], rule["vms"], rule["enabled"], rule["mandatory"]) for rule in cluster["rules"]]
            if sorted(here) != sorted(wanted):
                yield f"the rules of cluster {cluster['name']} are {here}, its groups need {wanted}"
