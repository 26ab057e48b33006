# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A data centre as plain data, for planners: what an endpoint's bulk read would have shown, and the plan made of it."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import CloudStore, Snapshot
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.authorization import SYSTEM, Actor
from ansible_collections.photon.platform.plugins.module_utils.model.declaration import Declaration, check_items
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services import site
from ansible_collections.photon.platform.plugins.module_utils.services.context import Context
from ansible_collections.photon.platform.plugins.module_utils.services.disks.actions import DiskAction
from ansible_collections.photon.platform.plugins.module_utils.services.images.copies import CopyImage, DeleteCopy
from ansible_collections.photon.platform.plugins.module_utils.services.planning import DELETE, KEEP, Options, Plan
from ansible_collections.photon.platform.plugins.module_utils.services.state import CurrentState
from ansible_collections.photon.platform.plugins.module_utils.services.vms.record import Vm
from ansible_collections.photon.platform.plugins.module_utils.vsphere.listing import ListedDisk
from ansible_collections.photon.platform.plugins.module_utils.vsphere.rows import (
    DatastoreRow,
    EndpointInventory,
    HostRow,
    VmRow,
)

GB = 1 << 30
POWER = {"STARTED": "poweredOn", "STOPPED": "poweredOff", "SUSPENDED": "suspended"}


class GivenContext(Context):
    """A context whose endpoints were read already."""

    given: dict[str, EndpointInventory | PhotonError]
    files: dict[str, ListedDisk]

    def session(self, endpoint: Document) -> Any:
        """Nothing is asked: the rows know all."""

    def read_endpoints(
        self, state: CurrentState, endpoints: Iterable[Document], detailed: Collection[str] = ()
    ) -> None:
        for endpoint in endpoints:
            answer = self.given[endpoint.name]
            (state.unreachable if isinstance(answer, PhotonError) else state.inventories)[endpoint.id] = answer

    def read_disks(self, state: CurrentState) -> None:
        """The files are those that the plans made."""
        for document in state.of(entities.DISK):
            path, store = document.observed.get("path"), document.observed.get("datastore")
            if path and document.observed["endpoint"] in state.inventories:
                listing = state.disk_files.setdefault(store, {}).setdefault(path.rpartition("/")[0], {})
                if path in self.files:
                    listing[path] = self.files[path]


class GivenSnapshot(Snapshot):
    """A snapshot whose quota counters are those that the last plan left."""

    given: dict[str, Any]

    def counters(self) -> dict[str, Any]:
        return copy.deepcopy(self.given)


class Datacenter:
    """Plans against inventories and takes each plan's outcome as done, VMs included."""

    def __init__(self, store: CloudStore, directory: Path) -> None:
        self.store, self.directory = store, directory
        self.documents: list[Document] = []
        self.counters: dict[str, Any] = {}
        self.endpoints: dict[str, EndpointInventory | PhotonError] = {}
        self.files: dict[str, ListedDisk] = {}  # of persistent disks

    # -- what is there ---------------------------------------------------------------------------------------------

    def endpoint(self, name: str, kind: str = "vcenter") -> EndpointInventory:
        self.endpoints[name] = EndpointInventory(kind)
        return self.endpoints[name]

    def datastore(self, endpoint: str, name: str, kind: str = "SHARED_VMFS", size: int = 1000 * GB) -> DatastoreRow:
        row = DatastoreRow(f"datastore-{name}", name, f"ds:///{name}/", kind, size, size, True)
        self.endpoints[endpoint].datastores[row.moid] = row
        return row

    def host(self, endpoint: str, name: str, datastores: Iterable[str], **facts: Any) -> HostRow:
        values = {
            "cluster": "c1",
            "cluster_moid": "domain-c1",
            "pool": "resgroup-1",
            "datacenter": "dc-1",
            "vm_folder": "group-v1",
            "connection_state": "connected",
            "in_maintenance": False,
            "power_state": "poweredOn",
            "cores": 8,
            "memory": 64 * GB,
            "networks": ["VM Network"],
            "network_moids": ["network-1"],
        }
        row = HostRow(f"host-{name}", name, **{**values, **facts}, datastores=[f"datastore-{d}" for d in datastores])
        self.endpoints[endpoint].hosts[row.moid] = row
        return row

    def vm(self, endpoint: str, name: str, uuid: str, host: str, power: str = "STOPPED", **facts: Any) -> VmRow:
        values = {
            "change_version": "1",
            "folder": "group-v1",
            "datastores": [],
            "vcpus": 1,
            "memory": 2 * GB,
            "space": {},
            "guest_address": None,
            "tools": "",
            "template": False,
            "connection_state": "connected",
            "extra_config": {},  # nobody's mark
        }
        row = VmRow(f"vm-{uuid}", name, uuid, host, POWER[power], **{**values, **facts})
        inventory = self.endpoints[endpoint]
        inventory.vms[row.moid] = row
        inventory.vms_by_uuid[uuid] = [row]
        return row

    def row(self, path: str) -> VmRow:
        """The running VM of a document."""
        document = self.find(entities.VM, path)
        return self.endpoints[self.by_id(document.observed["endpoint"]).name].vms_by_uuid[document.id][0]

    # -- what is done ----------------------------------------------------------------------------------------------

    def plan(
        self,
        text: str,
        actor: Actor = SYSTEM,
        whole: bool = False,
        pinned: Any = None,
        only: Sequence[str] = (),
        **options: Any,
    ) -> site.Planned:
        snapshot = self._snapshot()
        declared, context = site.declare(yaml.safe_load(text), snapshot), self._context(actor, options)
        return site.plan(declared, context, snapshot, whole=whole, pinned=pinned, only=only)

    def apply(self, text: str, actor: Actor = SYSTEM, whole: bool = False, **options: Any) -> Plan:
        return self._take(self.plan(text, actor, whole, **options))

    def items(self, kind: str, items: list[dict[str, Any]], actor: Actor = SYSTEM, **options: Any) -> Plan:
        """What the module of one kind does; VMs and disks of the project acme/web."""
        return self._take(self._plan_items(kind, items, actor, **options))

    def plan_items(self, items: list[dict[str, Any]], actor: Actor = SYSTEM) -> Plan:
        """What the module for VMs would do."""
        return self._plan_items(entities.VM, items, actor).plan

    def find(self, kind: str, path: str) -> Document:
        state = CurrentState(self.documents)
        return next(d for d in state.of(kind) if state.path_of(d) == path)

    def by_id(self, entity_id: str) -> Document:
        return CurrentState(self.documents).must(entity_id)

    def usage(self, path: str) -> dict[str, int]:
        """What a project is charged."""
        counters = self.counters.get(self.find(entities.PROJECT, path).id, {})
        return {key: counter.usage for key, counter in counters.items() if counter.usage}

    def _plan_items(self, kind: str, items: list[dict[str, Any]], actor: Actor, **options: Any) -> site.Planned:
        scope = {"tenant": "acme", "project": "web"} if kind in (entities.VM, entities.DISK) else {}
        declaration = Declaration(**{f"{kind}s": check_items(kind, items, scope=scope)})
        return site.plan(declaration, self._context(actor, options), self._snapshot())

    def _snapshot(self) -> Snapshot:
        snapshot = GivenSnapshot(list(self.documents))
        snapshot.given = self.counters
        return snapshot

    def _context(self, actor: Actor, options: dict[str, Any]) -> GivenContext:
        context = GivenContext(
            self.store,
            actor,
            "inventory:site",
            options=Options(base_directory=str(self.directory), default_port_group="VM Network", **options),
        )
        context.given, context.files = self.endpoints, self.files
        return context

    def _take(self, planned: site.Planned) -> Plan:
        state, plan = planned.state, planned.plan
        for copy_image in plan.of_type(CopyImage):
            self._copy(copy_image, state)
        for gone in plan.of_type(DeleteCopy):
            self._delete(gone.copy.template_uuid)
        for action in plan.of(entities.VM):
            if action.verb != KEEP:
                self._make(action, state)
        for entity_id, observed in plan.observed.items():
            document = state.get(entity_id)
            if document is not None:
                state.put(
                    replace(document, observed=observed, state=plan.observed_states.get(entity_id, document.state))
                )
        for action in plan.of_type(DiskAction):
            self._work(action, state)
        self.documents = [replace(d, version=d.version or 1) for kind in entities.KINDS for d in state.of(kind)]
        self.counters = state.counters
        return plan

    def _copy(self, action: CopyImage, state: CurrentState) -> None:
        """The template of a copy that the plan would have made."""
        copy, store = action.copy, state.must(action.copy.datastore)
        endpoint = state.must(store.scope).name
        host = next(iter(self.endpoints[endpoint].hosts))
        row = self.vm(endpoint, f"{action.document.name}-{store.name}", copy.template_uuid, host, template=True)
        if state.get(action.id) is not None:
            path = f"[{store.name}] image/disk.vmdk"
            made = replace(copy, state="READY", path=path, template_moid=row.moid)
            state.put(made.write_to(state.must(action.id)))

    def _work(self, action: DiskAction, state: CurrentState) -> None:
        """Do to the files what the plan would have vSphere do; the VMs' rows show no devices, so records hold."""
        disk = action.disk
        if action.verb == DELETE:
            self.files.pop(str(disk.path), None)
            return
        disk = replace(disk, uuid=disk.uuid or disk.id, size=disk.capacity, vm=disk.wanted_vm, described=True)
        self.files[str(disk.path)] = ListedDisk(0, disk.capacity, True)
        state.put(disk.settled().write_to(state.must(disk.id)))

    def _make(self, action: Any, state: CurrentState) -> None:
        """Do to the rows what the plan would have vSphere do."""
        vm = action.vm
        name = state.must(vm.place.endpoint).name if action.verb != DELETE else ""
        if action.verb == DELETE:
            self._delete(action.id)
            return
        host = state.must(vm.place.host).observed["moid"]
        power = action.after.get("state") or vm.state
        row = self.vm(name, vm.place.name, action.id, host, power, vcpus=vm.vcpus, memory=vm.memory)
        place = replace(vm.place, moid=row.moid, change_version="1")
        state.put(replace(Vm.of(action.document), place=place, state=power).write_to(action.document))

    def _delete(self, uuid: str) -> None:
        for inventory in self.endpoints.values():
            for row in inventory.vms_by_uuid.pop(uuid, []):
                del inventory.vms[row.moid]


def failures(plan: Plan) -> dict[str, str]:
    """{name: code} of what a plan cannot do."""
    return {failure.name: failure.error.code for failure in plan.failures}


def changes(plan: Plan, *kinds: str) -> list[tuple[str, str]]:
    """(verb, name) of what a plan would change, of these kinds or of all."""
    return [(a.verb, a.name) for a in plan.actions if a.verb != KEEP and (not kinds or a.kind in kinds)]
