# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the world and the scheduler: the fleet it may use, the requests it gets, the answers in the world's terms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..model import entities
from ..model.entities import Document
from ..model.errors import PhotonError
from .world import World

REQUEST_KEYS = ("zone", "host_tags", "port_groups", "spread_over", "max_skew")


@dataclass(slots=True)
class Usage:
    """What others use of a host or datastore: VMs that are not ours, or space that our VMs do not fill."""

    vcpus: int = 0
    memory: int = 0
    space: int = 0


@dataclass(slots=True)
class Candidate:
    """A VM that needs a place: its document (without one), its declaration, and where it may be pinned."""

    item: dict[str, Any]
    document: Document
    host: str | None = None
    datastore: str | None = None
    held: Document | None = None  # the record of an interrupted creation, which still claims its place
    placement: dict[str, Any] = field(default_factory=dict)
    error: PhotonError | None = None


def foreign_usage(world: World) -> dict[str, Usage]:
    """``{host or datastore id: Usage}`` as the inventories show it, our own VMs left out: their claims count."""
    usage: dict[str, Usage] = defaultdict(Usage)
    hosts = {(h.body["endpoint"], h.body["moid"]): h.id for h in world.of(entities.HOST)}
    # An ESXi host has no templates: there an image's copy looks like any VM that is off.
    copies = {copy.get("template_uuid") for i in world.of(entities.IMAGE) for copy in i.body["copies"].values()}
    for endpoint_id, inventory in world.inventories.items():
        committed: dict[str, int] = defaultdict(int)
        for vm in inventory.vms.values():
            document = world.get(vm.uuid)
            ours = document is not None and document.kind == entities.VM
            if ours:
                for moid in vm.datastores[:1]:
                    committed[moid] += vm.committed
            elif not vm.template and vm.uuid not in copies and (host_id := hosts.get((endpoint_id, vm.host))):
                usage[host_id].vcpus += vm.vcpus
                usage[host_id].memory += vm.memory
        for store in world.of(entities.DATASTORE, endpoint_id):
            row = inventory.datastores.get(store.body["moid"])
            if row is not None:
                usage[store.id].space = max(0, row.capacity - row.free - committed[row.moid])
    return usage


def claimed_usage(world: World) -> dict[str, Usage]:
    """``{host or datastore id: Usage}`` of the platform's own VMs, unfinished ones included."""
    usage: dict[str, Usage] = defaultdict(Usage)
    for vm in world.of(entities.VM):
        if vm.body.get("host"):
            usage[vm.body["host"]].vcpus += vm.body["vcpus"]
            usage[vm.body["host"]].memory += vm.body["memory"]
            for disk in vm.body["disks"]:
                usage[disk["datastore"]].space += disk["capacity"]
    return usage


def scheduler_fleet(world: World, recorded: Mapping[str, Usage] | None = None) -> dict[str, Any]:
    """The fleet in the scheduler's terms (see scheduler/fleet.py). Hosts of an unreachable endpoint are not READY.

    ``recorded``: what others use as it was last seen, for a world whose endpoints were not read.
    """
    foreign = foreign_usage(world) if recorded is None else defaultdict(Usage, recorded)
    claimed = claimed_usage(world)
    zones = {z.id: z.name for z in world.of(entities.ZONE)}
    hosts = []
    for host in world.of(entities.HOST):
        body = host.body
        reachable = recorded is not None or body["endpoint"] in world.inventories
        hosts.append(
            {
                "id": host.id,
                "name": host.name,
                "zone": zones.get(body.get("zone")),
                "rack": body.get("rack"),
                "state": host.state if reachable else "ERROR",
                "usage_tags": body["usage_tags"],
                "tags": body["tags"],
                "vcpus": body["vcpus"],
                "cpu_overcommit": body["cpu_overcommit"],
                "memory": body["memory"],
                "memory_overcommit": body["memory_overcommit"],
                "used_vcpus": foreign[host.id].vcpus + claimed[host.id].vcpus,
                "used_memory": foreign[host.id].memory + claimed[host.id].memory,
                "datastores": body["datastores"],
                "port_groups": body["port_groups"],
                "cluster": body.get("cluster"),
                "drs": bool(body.get("drs")),
                "endpoint": body["endpoint"],
            }
        )
    return {
        "hosts": hosts,
        "datastores": [
            {
                "id": d.id,
                "name": d.name,
                "type": d.body["type"],
                "tags": sorted(
                    {
                        d.body["type"],
                        d.body["type"].split("_")[0] if d.body["type"].startswith("NFS") else d.body["type"],
                        *d.body["tags"],
                    }
                ),
                "capacity": d.body["capacity"],
                "used": foreign[d.id].space + claimed[d.id].space,
                "usable_for_vms": d.state == "READY" and d.body["usable_for_vms"],
            }
            for d in world.of(entities.DATASTORE)
        ],
        "zones": [
            {"name": z.name, "state": z.state, "dedicated_tenants": z.body.get("dedicated_tenants") or []}
            for z in world.of(entities.ZONE)
        ],
        "images": {i.id: sorted(i.body["copies"]) for i in world.of(entities.IMAGE)},
        "vms": [
            {
                "id": v.id,
                "host": v.body["host"],
                "groups": v.body.get("groups") or [],
                "spread_group": v.body.get("spread_group"),
                "vcpus": v.body["vcpus"],
                "memory": v.body["memory"],
                "disks": [{"capacity": disk["capacity"], "datastore": disk["datastore"]} for disk in v.body["disks"]],
            }
            for v in world.of(entities.VM)
            if v.body.get("host")
        ],
    }


def place_all(
    candidates: Iterable[Candidate],
    world: World,
    *,
    policy: str = "spread",
    quality: str = "normal",
    seed: int = 0,
    tenant_of: Callable[[Document], str],
) -> None:
    """Place all candidates in one scheduler call; each gets ``placement`` or ``error``.

    Identical VMs go as one request with a count, so that the scheduler's work and answer stay small.
    """
    batches: dict[Any, list[Candidate]] = {}
    for candidate in candidates:
        batches.setdefault(_likeness(candidate), []).append(candidate)
    if not batches:
        return
    lists = list(batches.values())
    names = _Names(world)
    requests = [
        names.request(_request(str(number), batch[0], len(batch), tenant_of(batch[0].document)))
        for number, batch in enumerate(lists)
    ]
    from ..scheduler import place  # late: a run that places nothing does without the scheduler

    answer = place(requests, names.fleet(scheduler_fleet(world)), policy=policy, quality=quality, seed=seed)
    for row in answer["placements"]:
        lists[int(row["request"])][row["index"]].placement = names.placement(row)
    for row in answer["unplaced"]:
        candidate = lists[int(row["request"])][row["index"]]
        candidate.error = PhotonError(
            row["code"], row["message"], {"eliminated": row["eliminated"], "nearest": row.get("nearest")}
        )


def settle(candidate: Candidate, world: World) -> Document:
    """The candidate's document with its placement written in, as the claim and vSphere will know it."""
    row, document = candidate.placement, candidate.document
    host = world.must(row["host"])
    disks = [
        {**disk, "datastore": store} for disk, store in zip(document.body["disks"], row["datastores"], strict=True)
    ]
    return document.with_body(
        host=host.id,
        endpoint=host.body["endpoint"],
        cluster=host.body.get("cluster"),
        datastore=disks[0]["datastore"],
        disks=disks,
    )


def name_in_vsphere(document: Document, world: World, suffixed: bool = False) -> Document:
    """Decide the VM's folder, name and directory: the plain name, with a suffix of the id where that is taken.

    On a vCenter each project has its folder; an ESXi host has one for all.
    """
    endpoint, project = world.must(document.body["endpoint"]), world.must(document.scope)
    folder = f"{endpoint.body['folder']}/{world.path_of(project)}" if endpoint.body["type"] == "vcenter" else ""
    suffix = f"{document.name}-{document.id[:8]}"
    taken = world.names_in(endpoint.id, folder)
    name = suffix if suffixed or document.name.lower() in taken else document.name
    taken.add(name.lower())
    return document.with_body(vsphere={"name": name, "folder": folder, "directory": suffix})


class _Names:
    """The scheduler breaks ties by what it knows hosts and datastores by. That is names, so that a plan made before
    anything has an id in the CloudStore places as its application does."""

    def __init__(self, world: World) -> None:
        documents = [*world.of(entities.HOST), *world.of(entities.DATASTORE)]
        self.of = {document.id: world.path_of(document) for document in documents}
        self.ids = {(d.kind, self.of[d.id]): d.id for d in documents}

    def fleet(self, fleet: dict[str, Any]) -> dict[str, Any]:
        of = self.of
        hosts = [{**h, "id": of[h["id"]], "datastores": self.list(h["datastores"])} for h in fleet["hosts"]]
        stores = [{**d, "id": of[d["id"]]} for d in fleet["datastores"]]
        return {
            **fleet,
            "hosts": sorted(hosts, key=lambda h: h["id"]),
            "datastores": sorted(stores, key=lambda d: d["id"]),
            "images": {image: self.list(copies) for image, copies in fleet["images"].items()},
            "vms": [
                {key: of[vm[key]] if key == "host" else vm[key] for key in ("id", "host", "groups", "spread_group")}
                for vm in fleet["vms"]
            ],
        }

    def list(self, ids: Iterable[str]) -> list[str]:
        return sorted(self.of[each] for each in ids if each in self.of)

    def request(self, request: dict[str, Any]) -> dict[str, Any]:
        pins = {key: self.of.get(request[key], request[key]) for key in ("host", "datastore") if key in request}
        return {**request, **pins}

    def placement(self, row: dict[str, Any]) -> dict[str, Any]:
        stores = [self.ids[entities.DATASTORE, name] for name in row["datastores"]]
        return {**row, "host": self.ids[entities.HOST, row["host"]], "datastores": stores}


def _likeness(candidate: Candidate) -> Any:
    body, item = candidate.document.body, candidate.item
    return (
        candidate.document.scope,
        body["flavor"],
        body["image"],
        candidate.host,
        candidate.datastore,
        tuple((d["flavor"], d["capacity"]) for d in body["disks"]),
        body.get("spread_group"),
        tuple((g["name"], g["kind"], g["level"], g["hard"]) for g in body["groups"]),
        tuple(_frozen(item.get(key)) for key in REQUEST_KEYS),
        tuple(body["port_groups"]),
    )


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _request(name: str, candidate: Candidate, count: int, tenant: str) -> dict[str, Any]:
    body, item = candidate.document.body, candidate.item
    request = {
        "id": name,
        "count": count,
        "vcpus": body["vcpus"],
        "memory": body["memory"],
        "tenant": tenant,
        "disks": [
            {"flavor": d["flavor"], "capacity": d["capacity"], "tags": d["datastore_tags"], "boot": d["boot"]}
            for d in body["disks"]
        ],
        "image": body["image"],
        "port_groups": body["port_groups"],
        "groups": body["groups"],
        "spread_group": body.get("spread_group"),
        "usage": "CLOUD",
    }
    request.update({key: item[key] for key in ("zone", "host_tags", "spread_over", "max_skew") if item.get(key)})
    if candidate.host:
        request["host"] = candidate.host
    if candidate.datastore:
        request["datastore"] = candidate.datastore
    return request
