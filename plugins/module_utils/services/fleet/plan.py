# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints and hosts as a plan. Intent comes from the declaration, facts from one bulk read of each endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...cloudstore import Task
from ...model import entities, states
from ...model.authorization import authorize
from ...model.declaration import with_initial
from ...model.entities import Document
from ...model.errors import PhotonError
from ...model.names import listed
from ...vsphere import blocking_vms
from ..planning import DELETE, Action, Planning, delete_action, record_action, task_of
from ..state import CurrentState
from . import facts
from .record import HostFacts, effective_state, host_state

Item = Mapping[str, Any]
_KEYS = (
    "usage_tags",
    "tags",
    "rack",
    "metadata",
    "cpu_overcommit",
    "memory_overcommit",
    "allowed_datastores",
    "address",
)
_SHOWN = ("zone", *_KEYS[:-1], "state")
_WANTED = {"ready": states.READY, "suspended": states.SUSPENDED, "maintenance": states.MAINTENANCE}
# Operations of vSphere; suspending and resuming a host is the platform's own.
IN_VSPHERE = frozenset({"ENTER_MAINTENANCE_MODE", "EXIT_MAINTENANCE_MODE"})


@dataclass(slots=True, kw_only=True)
class ChangeHost(Action):
    """Create or change a host, whose state is ``seen``, to the one in the document."""

    seen: str


def plan_endpoints(planning: Planning) -> None:
    """Plan vCenters and standalone ESXi hosts."""
    for item in planning.declaration.endpoints:
        if item.get("state") != "absent":
            with planning.creating(entities.ENDPOINT, item):
                _plan_endpoint(item, planning)


def plan_hosts(planning: Planning) -> None:
    """Plan the hosts of the endpoints that were read, and note the facts of all recorded ones."""
    facts.observe_fleet(planning)
    for item in planning.declaration.hosts:
        if item.get("state") != "absent":
            with planning.creating(entities.HOST, item):
                _plan_host(item, planning)
    planning.plan.warnings += facts.disconnected(planning)


def plan_delete_endpoint(current: Document, planning: Planning, reason: str, path: str = "") -> None:
    """Plan to delete an endpoint with its datastores. Raises EndpointInUse while hosts, VMs or disks are on it."""
    state = planning.state
    authorize(planning.actor, "delete", current.kind, *state.chain(current))
    hosts = [h.name for h in state.of(entities.HOST) if h.body["endpoint"] == current.id]
    if hosts:
        raise PhotonError(
            "EndpointInUse",
            f"endpoint {current.name} still has {len(hosts)} hosts ({listed(hosts, 5)}): declare them absent first",
        )
    vms = [path for vm, path in _vms(planning) if vm.observed.get("endpoint") == current.id]
    if vms:
        raise PhotonError(
            "EndpointInUse",
            f"endpoint {current.name} still has {len(vms)} VMs of the platform "
            f"({listed(vms, 5)}): delete them, or move "
            "them to a declared host, first",
        )
    disks = [state.path_of(d) for d in state.of(entities.DISK) if d.observed.get("endpoint") == current.id]
    if disks:
        raise PhotonError(
            "EndpointInUse",
            f"endpoint {current.name} still has {len(disks)} persistent disks ({listed(disks, 5)}): delete them first",
        )
    stores = state.of(entities.DATASTORE, current.id)
    ids = {store.id for store in stores}
    for copy in state.of(entities.IMAGE_COPY):  # their templates stay in vSphere
        if copy.body["datastore"] in ids:
            delete_action(planning, copy, "its endpoint is deleted")
    for store in stores:
        delete_action(planning, store, "its endpoint is deleted")
    delete_action(planning, current, reason, path)


def plan_delete_host(current: Document, planning: Planning, reason: str, path: str = "") -> None:
    """Plan to take a host out of the platform; vSphere keeps it.

    Raises InvalidHostState unless it is in maintenance or in error, HostHasVms while VMs of the platform are on it.
    """
    authorize(planning.actor, "delete", current.kind, *planning.state.chain(current))
    vms = _vms_on(current, planning)
    if vms:
        raise PhotonError(
            "HostHasVms",
            f"host {current.name} still has {len(vms)} VMs of the platform "
            f"({listed(vms, 5)}): move or delete them first",
        )
    _check_deletable(current)
    delete_action(planning, current, reason, path)


def plan_absent_host(current: Document, planning: Planning, reason: str, path: str = "") -> None:
    """Plan to delete a host that is declared absent. One that left its endpoint goes even with VMs on record.

    That is the administrator's word that the host is gone: nothing else could ever release those VMs.
    """
    state = planning.state
    inventory = state.inventories.get(current.body["endpoint"])
    vms = _vms_on(current, planning)
    if inventory is None or not vms or facts.is_there(current, inventory):
        plan_delete_host(current, planning, reason, path)
        return
    authorize(planning.actor, "delete", current.kind, *state.chain(current))
    planning.plan.warnings.append(
        f"host {current.name} left endpoint {state.must(current.body['endpoint']).name} with {len(vms)} VMs "
        f"({listed(vms, 5)}): they count as lost from now on"
    )
    delete_action(planning, current, reason, path)


def cloud_hosts(state: CurrentState) -> list[Document]:
    """Return the hosts that tenants' VMs are placed on."""
    return [host for host in state.of(entities.HOST) if "CLOUD" in host.body["usage_tags"]]


# -- endpoints ---------------------------------------------------------------------------------------------------


def _plan_endpoint(item: Item, planning: Planning) -> None:
    state, name = planning.state, item["name"]
    current = state.find(entities.ENDPOINT, "", name)
    if not item.get("address") and current is None:
        raise PhotonError("SpecInvalid", f"endpoint {name} does not exist yet: set its address")
    body = {
        "type": item["kind"],
        "address": item.get("address") or current.body["address"],  # type: ignore[union-attr]
        "port": item.get("port") or 443,
        "credential": item.get("credential") or name,
        "tls": item.get("tls") or {"verify": True, "ca_file": None, "thumbprint": None},
        "datacenter": item.get("datacenter"),
        "folder": item.get("folder") or "photon",
        "timeout": item.get("timeout") or 60,
    }
    for other in state.of(entities.ENDPOINT):
        if other.name != name and _place(other.body) == _place(body):
            raise PhotonError(
                "DuplicateHost",
                f"endpoint {other.name} already has the address {body['address']}:{body['port']}: declare it once",
            )
    fresh = current or planning.new(entities.ENDPOINT, name)
    authorize(planning.actor, "update" if current else "create", entities.ENDPOINT, *state.chain(fresh))
    document = replace(fresh, body={**fresh.body, **body})
    record_action(
        planning, current, document, lambda d: {key: d.body.get(key) for key in body}, path=item.get("path", "")
    )


def _place(body: Mapping[str, Any]) -> tuple[str, int]:
    return body["address"].lower(), body["port"]


# -- hosts -------------------------------------------------------------------------------------------------------


def _plan_host(item: Item, planning: Planning) -> None:
    state, name = planning.state, item["name"]
    current = state.find(entities.HOST, "", name)
    endpoint = _endpoint_of(item, current, state)
    fresh = current or planning.new(entities.HOST, name)
    authorize(planning.actor, "update" if current else "create", entities.HOST, *state.chain(fresh))
    row = _row_of(item, current, endpoint, state)
    for other in state.of(entities.HOST):
        if other.name != name and (other.body["endpoint"], other.observed.get("moid")) == (endpoint.id, row.moid):
            raise PhotonError(
                "DuplicateHost", f"host {name} is already declared as {other.name} (same host on {endpoint.name})"
            )
    seen = HostFacts.seen(row, HostFacts.of(fresh).datastores)
    document = replace(fresh, body=_body(item, current, endpoint, planning), observed=seen.observed())
    before = host_state(fresh.state, seen.in_maintenance)
    wanted = _WANTED.get(item.get("state") or "")
    operations = tuple(states.route(entities.HOST, before, wanted)) if wanted and wanted != before else ()
    _check_operations(document, operations, seen, planning)
    document = replace(document, state=wanted or fresh.state)
    old = replace(current, state=before) if current is not None and operations else current
    action = record_action(
        planning,
        old,
        document,
        lambda d: _view(d, state),
        path=item.get("path", ""),
        needs=tuple(i for i in (endpoint.id, document.body["zone"]) if i),
        task=_task(document, operations),
        cls=ChangeHost,
        seen=before,
    )
    if current is not None and current.observed != document.observed:
        planning.plan.observed[document.id] = document.observed
    if action.changes == ["state"]:
        action.reason = f"{action.before['state']} -> {action.after['state']}"


def _endpoint_of(item: Item, current: Document | None, state: CurrentState) -> Document:
    name = item["name"]
    if item.get("endpoint"):
        endpoint = state.require(entities.ENDPOINT, "", item["endpoint"])
    elif current is None:
        raise PhotonError("SpecInvalid", f"host {name} does not exist yet: set the endpoint that manages it")
    else:
        endpoint = state.must(current.body["endpoint"])
    if endpoint.id in state.unreachable:
        raise PhotonError(
            "DependencyFailed",
            f"its endpoint {endpoint.name} cannot be read; see the failure of that endpoint",
        )
    return endpoint


def _row_of(item: Item, current: Document | None, endpoint: Document, state: CurrentState) -> Any:
    """Find the host that is declared by its name in vSphere; a recorded one that was renamed there by its moid."""
    inventory = state.inventories.get(endpoint.id)
    rows = dict(inventory.hosts) if inventory else {}
    if endpoint.body["type"] == "esxi" and len(rows) == 1:
        return next(iter(rows.values()))
    address = item.get("address") or (current.body.get("address") if current is not None else None)
    for row in rows.values():
        if row.name in (address, item["name"]):
            return row
    recorded = rows.get(current.observed.get("moid")) if current is not None else None
    if recorded is not None and current.body["endpoint"] == endpoint.id and facts.same_host(current, recorded):  # type: ignore[union-attr]
        return recorded
    known = sorted(row.name for row in rows.values())
    raise PhotonError(
        "HostNotFound",
        f"endpoint {endpoint.name} has no host named {address or item['name']!r}; it has "
        f"{', '.join(known[:10]) or 'none'}{' ...' if len(known) > 10 else ''}",
    )


def _body(item: Item, current: Document | None, endpoint: Document, planning: Planning) -> dict[str, Any]:
    recorded = current.body if current is not None else {}
    if current is None:
        declared: Mapping[str, Any] = with_initial(entities.HOST, item)
    else:
        keep = {} if planning.whole else recorded
        declared = {key: keep.get(key) if item.get(key) is None else item[key] for key in _KEYS}
    values = {key: declared.get(key) for key in _KEYS}
    lists = {key: sorted(values[key]) for key in ("usage_tags", "tags", "allowed_datastores")}
    return {**recorded, **values, **lists, "endpoint": endpoint.id, "zone": _zone_of(item, current, planning.state)}


def _zone_of(item: Item, current: Document | None, state: CurrentState) -> str | None:
    before = current.body.get("zone") if current else None
    if not item.get("zone"):
        return before
    zone = state.require(entities.ZONE, "", item["zone"])
    if zone.id == before:
        return before
    states.check_usable(entities.ZONE, zone.state, zone.name)
    if before:
        raise PhotonError(
            "HostAvailabilityZoneAlreadySet",
            f"host {item['name']} is in zone {state.name_of(before)}: a host's zone is set once. Declare zone: "
            f"{state.name_of(before)}, or to move it put the host into maintenance, delete it (state: absent) and "
            "declare it again",
        )
    return zone.id


def _check_operations(host: Document, operations: tuple[str, ...], seen: HostFacts, planning: Planning) -> None:
    if not IN_VSPHERE.intersection(operations):
        return
    if not seen.connected:
        raise PhotonError(
            "InvalidHostState",
            f"host {host.name} is not connected to its endpoint, so its maintenance mode cannot be changed: "
            "reconnect it, then run again",
        )
    if "ENTER_MAINTENANCE_MODE" in operations:
        inventory = planning.state.inventories[host.body["endpoint"]]
        running = sorted(row.name for row in blocking_vms(inventory, str(seen.moid)))
        if running:
            raise PhotonError(
                "HostHasVms",
                f"host {host.name} has {len(running)} VMs that are powered on "
                f"({listed(running, 5)}): move, stop or delete "
                "them before it enters maintenance",
            )


def _task(host: Document, operations: tuple[str, ...]) -> Task | None:
    """The journal entry of operations in vSphere; the platform's own need none."""
    names = [name for name in operations if name in IN_VSPHERE]
    return task_of(entities.HOST, names[0], host.id, names) if names else None


def _check_deletable(host: Document) -> None:
    state, possible = effective_state(host), states.OPERATIONS[entities.HOST]["DELETE_HOST"].sources
    if state not in possible:
        raise PhotonError(
            "InvalidHostState",
            f"host {host.name} is {state}: it can be deleted from {', '.join(map(str, possible))}; "
            "declare state: maintenance first",
        )


def _view(host: Document, state: CurrentState) -> dict[str, Any]:
    zone = state.get(host.body.get("zone"))
    shown = {**host.body, "zone": zone.name if zone else None, "state": host.state}
    return {key: shown.get(key) for key in _SHOWN}


# -- helpers -----------------------------------------------------------------------------------------------------


def _vms_on(host: Document, planning: Planning) -> list[str]:
    """The paths of the platform's VMs on a host: where vSphere shows them, else where they are recorded."""
    inventory, moid = planning.state.inventories.get(host.body["endpoint"]), host.observed.get("moid")
    found = []
    for vm, path in _vms(planning):
        row = None
        if inventory is not None:
            row = inventory.vm(vm.id, (vm.observed.get("vsphere") or {}).get("moid"))
        if row.host == moid if row is not None else vm.observed.get("host") == host.id:
            found.append(path)
    return sorted(found)


def _vms(planning: Planning) -> Iterator[tuple[Document, str]]:
    """All VMs with their paths. Those that this plan deletes count too: their deletion may fail."""
    for vm in planning.state.of(entities.VM):
        yield vm, planning.state.path_of(vm)
    for action in planning.plan.of(entities.VM, DELETE):
        yield action.document, action.name
