# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the current state and the scheduler: the fleet it may use, the requests it gets, its answers as places."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..model import entities, states
from ..model.entities import Document
from ..model.errors import PhotonError
from ..vsphere import folder_path, unit_of
from . import policies
from .disks.record import Disk
from .fleet.record import DatastoreFacts, HostFacts, effective_state
from .images.record import Copy, template_uuids
from .planning import Demand
from .state import CurrentState
from .vms.claims import name_slot
from .vms.record import Place, Vm


@dataclass(slots=True)
class Usage:
    """What others use of a host or datastore: VMs that are not ours, or space that our VMs do not fill."""

    vcpus: int = 0
    memory: int = 0
    space: int = 0


@dataclass(slots=True)
class Candidate:
    """A VM that needs a place. ``host`` and ``datastore`` (ids) pin it; ``held``: it holds that place already.

    ``demands`` are the persistent disks that its host must reach.
    ``answer`` is the scheduler's row, or ``error`` why there is none.
    """

    vm: Vm
    host: str | None = None
    datastore: str | None = None
    held: bool = False
    demands: Sequence[Demand] = ()
    answer: dict[str, Any] = field(default_factory=dict)
    error: PhotonError | None = None


def foreign_usage(state: CurrentState, ours: Collection[str] = ()) -> dict[str, Usage]:
    """``{host or datastore id: Usage}`` as the inventories show it, without our own VMs, which hold allocations.

    ``ours``: ids that count as our own although the plan deletes them; without them what a VM leaves free stays used
    until it is deleted.
    """
    usage: dict[str, Usage] = defaultdict(Usage)
    hosts = {(h.body["endpoint"], h.observed.get("moid")): h.id for h in state.of(entities.HOST)}
    # An ESXi host has no templates: there an image's copy looks like any VM that is off. Copies hold their space.
    copies = template_uuids(state)
    for endpoint_id, inventory in state.inventories.items():
        committed: dict[str, int] = defaultdict(int)
        for row in inventory.vms.values():
            document = state.get(row.uuid)
            if (document is not None and document.kind == entities.VM) or row.uuid in ours or row.uuid in copies:
                for moid, space in row.space.items():
                    committed[moid] += space
            elif not row.template and (host_id := hosts.get((endpoint_id, row.host))):
                usage[host_id].vcpus += row.vcpus
                usage[host_id].memory += row.memory
        for store in state.of(entities.DATASTORE, endpoint_id):
            row = inventory.datastores.get(store.observed.get("moid", ""))
            if row is not None:
                usage[store.id].space = max(
                    0, row.capacity - row.free - committed[row.moid] - _detached(state, store.id)
                )
    return usage


def own_usage(state: CurrentState) -> dict[str, Usage]:
    """``{host or datastore id: Usage}`` of our own VMs, persistent disks and copies of images, those being made too."""
    usage: dict[str, Usage] = defaultdict(Usage)
    for document in state.of(entities.VM):
        vm = Vm.of(document)
        if vm.place is None:
            continue
        if vm.place.host is not None:
            usage[vm.place.host].vcpus += vm.vcpus
            usage[vm.place.host].memory += vm.memory
        for disk in vm.disks:
            if disk.datastore is not None:
                usage[disk.datastore].space += disk.capacity
    for persistent in map(Disk.of, state.of(entities.DISK)):
        if persistent.datastore is not None:
            usage[persistent.datastore].space += max(persistent.capacity, persistent.size or 0)
    for copy in map(Copy.of, state.of(entities.IMAGE_COPY)):
        usage[copy.datastore].space += copy.space
    return usage


def scheduler_fleet(state: CurrentState, recorded: Mapping[str, Usage] | None = None) -> dict[str, Any]:
    """The fleet in the scheduler's terms (see scheduler/fleet.py). Hosts of an unreachable endpoint are not READY.

    ``recorded``: the use of others as it was last seen, for a state whose endpoints were not read.
    """
    foreign = foreign_usage(state) if recorded is None else defaultdict(Usage, recorded)
    own = own_usage(state)
    zones = {z.id: z.name for z in state.of(entities.ZONE)}
    hosts = []
    for host in state.of(entities.HOST):
        body, facts = host.body, HostFacts.of(host)
        reachable = recorded is not None or body["endpoint"] in state.inventories
        hosts.append(
            {
                "id": host.id,
                "name": host.name,
                "zone": zones.get(body.get("zone")),
                "rack": body.get("rack"),
                "state": effective_state(host) if reachable else "ERROR",
                "usage_tags": body["usage_tags"],
                "tags": body["tags"],
                "vcpus": facts.vcpus,
                "cpu_overcommit": body["cpu_overcommit"],
                "memory": facts.memory,
                "memory_overcommit": body["memory_overcommit"],
                "used_vcpus": foreign[host.id].vcpus + own[host.id].vcpus,
                "used_memory": foreign[host.id].memory + own[host.id].memory,
                "datastores": list(facts.datastores),
                "port_groups": list(facts.port_groups),
                "cluster": facts.cluster,
                "drs": facts.drs,
                "endpoint": body["endpoint"],
            }
        )
    return {
        "hosts": hosts,
        "datastores": [
            {
                "id": d.id,
                "name": d.name,
                "type": facts.type,
                "tags": sorted({facts.type, _family(facts.type), *d.body["tags"], *policies.tags_of(d, state)}),
                "capacity": facts.capacity,
                "used": foreign[d.id].space + own[d.id].space,
                "usable_for_vms": facts.accessible and d.body["usable_for_vms"],
            }
            for d in state.of(entities.DATASTORE)
            for facts in (DatastoreFacts.of(d),)
        ],
        "zones": [
            {"name": z.name, "state": z.state, "dedicated_tenants": z.body.get("dedicated_tenants") or []}
            for z in state.of(entities.ZONE)
        ],
        "images": {image.id: _image(image, state) for image in state.of(entities.IMAGE)},
        "vms": [_member(vm) for d in state.of(entities.VM) if (vm := Vm.of(d)).place is not None and vm.place.host],
    }


def place_all(
    candidates: Iterable[Candidate],
    state: CurrentState,
    *,
    policy: str,
    quality: str,
    seed: int,
    tenant_of: Callable[[Vm], str],
) -> None:
    """Place all candidates in one scheduler call; each gets ``answer`` or ``error``.

    Identical VMs go as one request with a count, so that the scheduler's work and answer stay small.
    """
    batches: dict[Any, list[Candidate]] = {}
    for candidate in candidates:
        batches.setdefault(_likeness(candidate), []).append(candidate)
    if not batches:
        return
    lists = list(batches.values())
    names = _Names(state)
    requests = [
        names.request(_request(str(number), batch[0], len(batch), tenant_of(batch[0].vm)))
        for number, batch in enumerate(lists)
    ]
    from ..scheduler import place  # late: a run that places nothing does not load the scheduler

    answer = place(requests, names.fleet(scheduler_fleet(state)), policy=policy, seed=seed, quality=quality)
    for row in answer["placements"]:
        lists[int(row["request"])][row["index"]].answer = names.placement(row)
    unread = ", ".join(sorted(state.must(i).name for i in state.unreachable))
    for row in answer["unplaced"]:
        message = row["message"] + (f" (endpoint {unread} could not be read)" if unread else "")
        lists[int(row["request"])][row["index"]].error = PhotonError(
            row["code"], message, {"eliminated": row["eliminated"], "nearest": row.get("nearest")}
        )


def place_volumes(
    requests: Mapping[str, dict[str, Any]], state: CurrentState, *, policy: str, seed: int
) -> dict[str, str | PhotonError]:
    """``{request's id: datastore id or error}`` of requests for one disk each, without CPUs and memory."""
    if not requests:
        return {}
    from ..scheduler import place  # late: a run that places nothing does not load the scheduler

    names = _Names(state)
    rows = [names.request({"id": key, "vcpus": 0, "memory": 0, **each}) for key, each in requests.items()]
    answer = place(rows, names.fleet(scheduler_fleet(state)), policy=policy, seed=seed, quality="normal")
    found: dict[str, str | PhotonError] = {
        row["request"]: names.placement(row)["datastores"][0] for row in answer["placements"]
    }
    for row in answer["unplaced"]:
        found[row["request"]] = PhotonError(row["code"], row["message"], {"eliminated": row["eliminated"]})
    return found


def settle(candidate: Candidate, state: CurrentState) -> Vm:
    """The candidate's VM at its place, with its name in vSphere and the files of its disks."""
    row, vm = candidate.answer, candidate.vm
    host = state.must(row["host"])
    endpoint, project = state.must(host.body["endpoint"]), state.must(vm.project)
    vcenter = endpoint.body["type"] == "vcenter"
    folder = folder_path(endpoint.body["folder"], state.path_of(project)) if vcenter else ""
    suffix = f"{vm.name}-{vm.id[:8]}"
    taken = state.names_in(endpoint.id, folder)
    holder = state.exclusives.get(name_slot(endpoint.id, folder, vm.name), vm.id)
    name = suffix if vm.name.lower() in taken or holder != vm.id else vm.name
    taken.add(name.lower())
    # Files of a VM that is created again may still be in its old directory.
    directory = f"{suffix}-{state.versions[vm.id]}" if vm.id in state.versions else suffix
    vmx = _file(state, row["datastores"][0], directory, f"{name}.vmx")
    place = Place(endpoint.id, host.id, name, folder, directory, host.observed.get("cluster"), vmx=vmx)
    disks = tuple(
        replace(disk, datastore=store, path=_file(state, store, directory, f"{disk.name}.vmdk"), uuid=None,
                unit=unit_of(at))
        for at, (disk, store) in enumerate(zip(vm.disks, row["datastores"], strict=False))
    )  # fmt: skip
    for demand, store in zip(candidate.demands, row["datastores"][len(vm.disks) :], strict=True):
        demand.datastore = store
    return replace(vm, state="CREATING", place=place, disks=disks, address=None)


def _image(image: Document, state: CurrentState) -> dict[str, Any]:
    """``{size, datastores, copyable}``: where a copy is or is being made, and where one can be made for a new VM: on
    the endpoints that have one, with a declared file on all."""
    copies = [Copy.of(copy) for copy in state.of(entities.IMAGE_COPY, image.id)]
    present = {copy.datastore for copy in copies if copy.state != states.ERROR}
    damaged = {copy.datastore for copy in copies if copy.state == states.ERROR and copy.path}
    sources = {store.scope for i in present if (store := state.get(i)) is not None}
    anywhere = image.id in state.image_files
    stores = (d for d in state.of(entities.DATASTORE) if anywhere or d.scope in sources)
    copyable = sorted(d.id for d in stores if d.id not in present and d.id not in damaged)
    return {"size": image.body.get("size") or 0, "datastores": sorted(present), "copyable": copyable}


def _demanded(demand: Demand) -> dict[str, Any]:
    if demand.datastore is not None:
        return {"capacity": 0, "tags": [], "boot": False, "datastore": demand.datastore}
    return {"capacity": demand.capacity, "tags": list(demand.tags), "boot": False}


def _detached(state: CurrentState, store_id: str) -> int:
    """What the listed files of detached persistent disks take; those of attached ones count with their VMs."""
    files = {path: file for folder in state.disk_files.get(store_id, {}).values() for path, file in folder.items()}
    if not files:
        return 0
    detached = (disk for disk in map(Disk.of, state.of(entities.DISK)) if disk.datastore == store_id and not disk.vm)
    return sum(files[disk.path].size for disk in detached if disk.path in files)


def _file(state: CurrentState, store_id: str, directory: str, name: str) -> str | None:
    store = state.must(store_id)
    return None if DatastoreFacts.of(store).type == "VSAN" else f"[{store.name}] {directory}/{name}"


def _family(kind: str) -> str:
    return kind.split("_")[0] if kind.startswith("NFS") else kind


def _member(vm: Vm) -> dict[str, Any]:
    return {
        "id": vm.id,
        "host": vm.place.host if vm.place else None,
        "groups": [group.to_dict() for group in vm.groups],
        "spread_group": vm.spread_group,
        "project": vm.project,
        "vcpus": vm.vcpus,
        "memory": vm.memory,
        "disks": [{"capacity": disk.capacity, "datastore": disk.datastore} for disk in vm.disks],
    }


# What the scheduler needs of VMs that stay where they are.
_MEMBER_KEYS = ("id", "host", "groups", "spread_group", "project")


class _Names:
    """The scheduler breaks ties by the ids of hosts and datastores. It gets names for ids, so that a plan made before
    anything has an id in the CloudStore places as its application does."""

    def __init__(self, state: CurrentState) -> None:
        documents = [*state.of(entities.HOST), *state.of(entities.DATASTORE)]
        self.of = {document.id: state.path_of(document) for document in documents}
        self.ids = {(d.kind, self.of[d.id]): d.id for d in documents}

    def fleet(self, fleet: dict[str, Any]) -> dict[str, Any]:
        of = self.of
        hosts = [{**h, "id": of[h["id"]], "datastores": self.list(h["datastores"])} for h in fleet["hosts"]]
        stores = [{**d, "id": of[d["id"]]} for d in fleet["datastores"]]
        return {
            **fleet,
            "hosts": sorted(hosts, key=lambda h: h["id"]),
            "datastores": sorted(stores, key=lambda d: d["id"]),
            "images": {
                name: {**image, **{key: self.list(image[key]) for key in ("datastores", "copyable")}}
                for name, image in fleet["images"].items()
            },
            "vms": [
                {key: of[vm[key]] if key == "host" else vm[key] for key in _MEMBER_KEYS}
                for vm in fleet["vms"]
                if vm["host"] in of
            ],
        }

    def list(self, ids: Iterable[str]) -> list[str]:
        return sorted(self.of[each] for each in ids if each in self.of)

    def request(self, request: dict[str, Any]) -> dict[str, Any]:
        pins = {key: self.of.get(request[key], request[key]) for key in ("host", "datastore") if key in request}
        disks = [{**d, "datastore": self.of[d["datastore"]]} if "datastore" in d else d for d in request["disks"]]
        return {**request, **pins, "disks": disks}

    def placement(self, row: dict[str, Any]) -> dict[str, Any]:
        stores = [self.ids[entities.DATASTORE, name] for name in row["datastores"]]
        return {**row, "host": self.ids[entities.HOST, row["host"]], "datastores": stores}


def _likeness(candidate: Candidate) -> Any:
    vm = candidate.vm
    return (
        vm.project,
        vm.flavor,
        vm.image,
        candidate.host,
        candidate.datastore,
        tuple((disk.flavor, disk.capacity) for disk in vm.disks),
        vm.spread_group,
        vm.groups,
        vm.zone,
        vm.host_tags,
        vm.spread_over,
        vm.max_skew,
        vm.port_groups,
        tuple((each.capacity, each.tags, each.datastore) for each in candidate.demands),
    )


def _request(name: str, candidate: Candidate, count: int, tenant: str) -> dict[str, Any]:
    vm = candidate.vm
    request = {
        "id": name,
        "count": count,
        "vcpus": vm.vcpus,
        "memory": vm.memory,
        "tenant": tenant,
        "disks": [
            {
                "flavor": d.flavor,
                "capacity": d.capacity,
                "tags": policies.with_tag(d.datastore_tags, d.policy),
                "boot": d.boot,
            }
            for d in vm.disks
        ]
        + [_demanded(each) for each in candidate.demands],
        "image": vm.image,
        "port_groups": list(vm.port_groups),
        "groups": [group.to_dict() for group in vm.groups],
        "spread_group": vm.spread_group,
        "project": vm.project,
        "usage": "CLOUD",
    }
    optional = {"zone": vm.zone, "host_tags": list(vm.host_tags), "spread_over": vm.spread_over,
                "max_skew": vm.max_skew, "host": candidate.host, "datastore": candidate.datastore}  # fmt: skip
    return {**request, **{key: value for key, value in optional.items() if value}}
