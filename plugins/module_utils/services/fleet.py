# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet: endpoints, hosts, datastores and their facts; what of it the scheduler may use.

Intent (zone, tags, state) comes from the declaration, facts (sizes, what is mounted, what runs) from one bulk read of
each endpoint. Facts are observed, not changed: they make no difference to a plan's outcome.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..model import entities
from ..model.authorization import Actor, authorize
from ..model.declaration import with_initial
from ..model.entities import Document, name_key
from ..model.errors import PhotonError
from .planning import CREATE, DELETE, KEEP, UPDATE, Action, Plan
from .world import World

_DECLARED = (
    "zone",
    "usage_tags",
    "tags",
    "rack",
    "metadata",
    "cpu_overcommit",
    "memory_overcommit",
    "allowed_datastores",
)
# The state that a declaration asks for, and the operations that lead there from each state (section 1.8).
STATES = {"present": None, "ready": "READY", "suspended": "SUSPENDED", "maintenance": "MAINTENANCE"}
ROUTES = {
    ("READY", "SUSPENDED"): ["SUSPEND_HOST"],
    ("READY", "MAINTENANCE"): ["SUSPEND_HOST", "ENTER_MAINTENANCE_MODE"],
    ("SUSPENDED", "MAINTENANCE"): ["ENTER_MAINTENANCE_MODE"],
    ("SUSPENDED", "READY"): ["RESUME_HOST"],
    ("MAINTENANCE", "READY"): ["EXIT_MAINTENANCE_MODE"],
    ("MAINTENANCE", "SUSPENDED"): ["EXIT_MAINTENANCE_MODE", "SUSPEND_HOST"],
}


def plan_endpoints(items: Iterable[dict[str, Any]], world: World, plan: Plan, actor: Actor, managed_by: str) -> None:
    """vCenters and standalone ESXi hosts. An endpoint that still has hosts is not deleted (EndpointInUse)."""
    for item in items:
        _guard(
            plan, item, entities.ENDPOINT, lambda item=item: _plan_endpoint(item, world, plan, actor, managed_by), world
        )


def plan_hosts(items: Iterable[dict[str, Any]], world: World, plan: Plan, actor: Actor, managed_by: str) -> None:
    """Hosts of the read endpoints, with the datastores they mount. Needs ``world.inventories``."""
    for item in items:
        _guard(plan, item, entities.HOST, lambda item=item: _plan_host(item, world, plan, actor, managed_by), world)
    _observe_hosts(world, plan)


def plan_datastores(
    items: Iterable[dict[str, Any]],
    image_datastores: list[str],
    world: World,
    plan: Plan,
    actor: Actor,
    managed_by: str,
) -> None:
    """Datastores that the hosts mount become known; declared ones get their tags and use."""
    declared = {(item.get("endpoint") or "", item["name"]): item for item in items}
    used: set[tuple[str, str]] = set()
    for endpoint in world.of(entities.ENDPOINT):
        inventory = world.inventories.get(endpoint.id)
        if inventory is None:
            continue
        for row in _mounted(world, endpoint, inventory):
            keys = [key for key in ((endpoint.name, row.name), ("", row.name)) if key in declared]
            used.update(keys)
            _plan_datastore(declared[keys[0]] if keys else None, row, endpoint, world, plan, managed_by)
        _link_datastores(world, endpoint, inventory)
    for key, item in declared.items():
        if key not in used and not world.unreachable:
            names = sorted({d.name for d in world.of(entities.DATASTORE)})
            plan.fail(
                entities.DATASTORE,
                item["name"],
                PhotonError(
                    "DatastoreNotFound",
                    f"no declared host mounts a datastore named {item['name']!r}; mounted: "
                    f"{', '.join(names[:10]) or 'none'}",
                ),
                item.get("path", ""),
            )
    _plan_image_datastores(image_datastores, world, plan, actor)


def plan_delete_endpoint(
    current: Document, world: World, plan: Plan, actor: Actor, reason: str, path: str = ""
) -> None:
    """With its datastores; an endpoint that still has hosts is kept (EndpointInUse)."""
    _authorize(actor, "delete", current, world)
    hosts = [h.name for h in world.of(entities.HOST) if h.body["endpoint"] == current.id]
    if hosts:
        raise PhotonError(
            "EndpointInUse",
            f"endpoint {current.name} still has {len(hosts)} hosts ({', '.join(hosts[:5])}): declare them absent first",
        )
    for store in world.of(entities.DATASTORE, current.id):
        world.drop(store.id)
        plan.add(Action(DELETE, entities.DATASTORE, f"{current.name}/{store.name}", store, "its endpoint is deleted"))
    world.drop(current.id)
    plan.add(Action(DELETE, entities.ENDPOINT, current.name, current, reason, path=path))


def plan_delete_host(current: Document, world: World, plan: Plan, actor: Actor, reason: str, path: str = "") -> None:
    """A host leaves the platform, not vSphere. From NOT_PROVISIONED, MAINTENANCE or ERROR as in the original
    (InvalidHostState), and never with VMs of the platform on it (HostHasVms)."""
    _authorize(actor, "delete", current, world)
    vms = [v for v in world.of(entities.VM) if v.body.get("host") == current.id]
    if vms:
        raise PhotonError(
            "HostHasVms",
            f"host {current.name} still has {len(vms)} VMs of the platform "
            f"({', '.join(v.name for v in vms[:5])}): move or delete them first",
        )
    if current.state not in ("NOT_PROVISIONED", "MAINTENANCE", "ERROR"):
        raise PhotonError(
            "InvalidHostState",
            f"host {current.name} is {current.state}: it can be deleted from NOT_PROVISIONED, "
            "MAINTENANCE or ERROR; declare state: maintenance first",
        )
    world.drop(current.id)
    plan.add(Action(DELETE, entities.HOST, current.name, current, reason, path=path))


def image_datastores_of(world: World) -> list[Document]:
    """The datastores that hold images: the declared ones, else the fewest that serve every CLOUD host."""
    stores = [d for d in world.of(entities.DATASTORE) if d.state == "READY"]
    deployment = world.get(entities.DEPLOYMENT)
    names = deployment.body.get("image_datastores") if deployment else None
    if names:
        return [d for d in stores if d.name in names]
    serves = {d.id: {h.id for h in cloud_hosts(world) if d.id in h.body["datastores"]} for d in stores}
    chosen: list[Document] = []
    waiting = set().union(*serves.values()) if serves else set()
    while waiting:
        best = max(stores, key=lambda d: (len(serves[d.id] & waiting), d.body["capacity"], d.name))
        chosen.append(best)
        waiting -= serves[best.id]
    return chosen


def fact_of(document: Document) -> str:
    """What of a host or datastore is compared to tell whether its facts changed since they were recorded."""
    return json.dumps([document.state, document.body], sort_keys=True)


def cloud_hosts(world: World) -> list[Document]:
    return [h for h in world.of(entities.HOST) if "CLOUD" in h.body["usage_tags"]]


# -- endpoints ---------------------------------------------------------------------------------------------------


def _plan_endpoint(item: dict[str, Any], world: World, plan: Plan, actor: Actor, managed_by: str) -> None:
    name, current = item["name"], world.find(entities.ENDPOINT, "", item["name"])
    if item.get("state") == "absent":
        if current is not None:
            plan_delete_endpoint(current, world, plan, actor, "declared absent", item.get("path", ""))
        return
    if not item.get("address") and current is None:
        raise PhotonError("SpecInvalid", f"endpoint {name} does not exist yet: give its address")
    body = {
        "type": item["kind"],
        "address": item.get("address") or current.body["address"],
        "port": item.get("port") or 443,
        "credential": item.get("credential") or name,
        "tls": item.get("tls") or {"verify": True, "ca_file": None, "thumbprint": None},
        "datacenter": item.get("datacenter"),
        "folder": item.get("folder") or "photon",
        "timeout": item.get("timeout") or 60,
    }
    clash = next(
        (
            e
            for e in world.of(entities.ENDPOINT)
            if e.name != name and (e.body["address"], e.body["port"]) == (body["address"], body["port"])
        ),
        None,
    )
    if clash:
        raise PhotonError(
            "DuplicateHost", f"endpoint {clash.name} already has the address {body['address']}:{body['port']}"
        )
    fresh = current or Document(
        entities.ENDPOINT, name, managed_by=managed_by, name_key=name_key(entities.ENDPOINT, "", name)
    )
    _authorize(actor, "update" if current else "create", fresh, world)
    _put(world, plan, item, current, replace(fresh, body={**fresh.body, **body}), name)


# -- hosts -------------------------------------------------------------------------------------------------------


def _plan_host(item: dict[str, Any], world: World, plan: Plan, actor: Actor, managed_by: str) -> None:
    name, current = item["name"], world.find(entities.HOST, "", item["name"])
    if item.get("state") == "absent":
        if current is not None:
            plan_delete_host(current, world, plan, actor, "declared absent", item.get("path", ""))
        return
    if not item.get("endpoint") and current is None:
        raise PhotonError("SpecInvalid", f"host {name} does not exist yet: say which endpoint manages it")
    endpoint = (
        world.require(entities.ENDPOINT, "", item["endpoint"])
        if item.get("endpoint")
        else world.get(current.body["endpoint"])
    )
    if endpoint.id in world.unreachable:
        raise PhotonError(
            "DependencyFailed",
            f"host {name}: its endpoint {endpoint.name} could not be read: {world.unreachable[endpoint.id].message}",
        )
    fresh = current or Document(
        entities.HOST, name, state="CREATING", managed_by=managed_by, name_key=name_key(entities.HOST, "", name)
    )
    _authorize(actor, "update" if current else "create", fresh, world)
    row = _host_row(name, item.get("address"), endpoint, world)
    taken = next(
        (
            h
            for h in world.of(entities.HOST)
            if h.name != name and h.body["endpoint"] == endpoint.id and h.body["moid"] == row.moid
        ),
        None,
    )
    if taken:
        raise PhotonError(
            "DuplicateHost", f"host {name} is already declared as {taken.name} (same host on {endpoint.name})"
        )
    zone_id = _zone_of(item, current, world)
    declared = (
        with_initial(entities.HOST, item)
        if current is None
        else {key: fresh.body.get(key) if item.get(key) is None else item[key] for key in (*_DECLARED, "address")}
    )
    body = {
        **fresh.body,
        "endpoint": endpoint.id,
        "zone": zone_id,
        "address": declared["address"],
        "rack": declared["rack"],
        "metadata": declared["metadata"],
        "cpu_overcommit": declared["cpu_overcommit"],
        "memory_overcommit": declared["memory_overcommit"],
        **{key: sorted(declared[key]) for key in ("usage_tags", "tags", "allowed_datastores")},
    }
    document = _with_facts(replace(fresh, body=body), row)
    seen = _state_seen(row, current.state if current else "READY")
    operations, wanted = _route(item, document, seen, world)
    action = _put(
        world,
        plan,
        item,
        current and replace(current, state=seen),
        replace(document, state=wanted),
        name,
        fields=_DECLARED,
        show=lambda body: _host_view(world, body),
    )
    action.data["operations"] = operations
    if operations:
        action.verb, action.reason = (UPDATE if current else CREATE), action.reason or f"{seen} -> {wanted}"
        action.changes = [*action.changes, *operations]


def _host_row(name: str, address: str | None, endpoint: Document, world: World) -> Any:
    inventory = world.inventories.get(endpoint.id)
    rows = list(inventory.hosts.values()) if inventory else []
    if endpoint.body["type"] == "esxi" and len(rows) == 1:
        return rows[0]
    for row in rows:
        if row.name in (name, address):
            return row
    known = sorted(row.name for row in rows)
    raise PhotonError(
        "HostNotFound",
        f"endpoint {endpoint.name} has no host named {name!r}; it has "
        f"{', '.join(known[:10]) or 'none'}{' ...' if len(known) > 10 else ''}",
    )


def _zone_of(item: dict[str, Any], current: Document | None, world: World) -> str | None:
    before = current.body.get("zone") if current else None
    if not item.get("zone"):
        return before
    zone = world.require(entities.ZONE, "", item["zone"])
    if zone.state != "READY":
        raise PhotonError("InvalidAvailabilityZoneState", f"zone {zone.name} is {zone.state}: it takes no hosts")
    if before and before != zone.id:
        old = world.get(before)
        raise PhotonError(
            "HostAvailabilityZoneAlreadySet",
            f"host {item['name']} is in zone {old.name if old else before}: "
            "a host's zone is set once; delete the host and declare it again to move it",
        )
    return zone.id


def _with_facts(document: Document, row: Any) -> Document:
    facts = {
        "moid": row.moid,
        "cluster": row.cluster,
        "drs": row.drs,
        "vcpus": row.cores,
        "memory": row.memory,
        "port_groups": sorted(row.networks),
        "datastores": document.body.get("datastores", []),
    }
    return replace(document, body={**document.body, **facts})


def _state_seen(row: Any, recorded: str) -> str:
    """What vSphere says wins over what was recorded; SUSPENDED is the platform's own state."""
    if row.connection_state != "connected":
        return "ERROR"
    if row.in_maintenance:
        return "MAINTENANCE"
    return "SUSPENDED" if recorded == "SUSPENDED" else "READY"


def _route(item: dict[str, Any], document: Document, seen: str, world: World) -> tuple[list[str], str]:
    """The operations that lead from the seen to the declared state, and the state afterwards."""
    wanted = STATES[item.get("state") or "present"]
    if wanted is None or wanted == seen:
        return [], seen
    route = ROUTES.get((seen, wanted))
    if route is None:
        raise PhotonError("InvalidHostState", f"host {document.name} is {seen}: it cannot become {wanted} from there")
    if "ENTER_MAINTENANCE_MODE" in route:
        inventory = world.inventories[document.body["endpoint"]]
        running = [vm.name for vm in inventory.vms.values() if vm.host == document.body["moid"] and not vm.template]
        if running:
            raise PhotonError(
                "HostHasVms",
                f"host {document.name} has {len(running)} VMs ({', '.join(running[:5])}): move or "
                "delete them before it enters maintenance",
            )
    return route, wanted


def _observe_hosts(world: World, plan: Plan) -> None:
    """Refresh the facts of hosts that are known but not part of this declaration."""
    planned = {action.id for action in plan.of(entities.HOST)}
    for host in world.of(entities.HOST):
        inventory = world.inventories.get(host.body["endpoint"])
        if host.id in planned or inventory is None:
            continue
        row = inventory.hosts.get(host.body["moid"])
        world.put(
            replace(host, state="ERROR")
            if row is None
            else replace(_with_facts(host, row), state=_state_seen(row, host.state))
        )


def _host_view(world: World, body: dict[str, Any]) -> dict[str, Any]:
    zone = world.get(body.get("zone"))
    return {**{key: body.get(key) for key in _DECLARED}, "zone": zone.name if zone else None}


# -- datastores --------------------------------------------------------------------------------------------------


def _mounted(world: World, endpoint: Document, inventory: Any) -> list[Any]:
    """Datastore rows that a declared host of the endpoint mounts and may use."""
    rows = {}
    for host in world.of(entities.HOST):
        if host.body["endpoint"] != endpoint.id:
            continue
        row = inventory.hosts.get(host.body["moid"])
        allowed = host.body["allowed_datastores"]
        for moid in row.datastores if row else ():
            store = inventory.datastores.get(moid)
            if store is not None and (not allowed or store.name in allowed):
                rows[moid] = store
    return [rows[moid] for moid in sorted(rows)]


def _plan_datastore(
    item: dict[str, Any] | None, row: Any, endpoint: Document, world: World, plan: Plan, managed_by: str
) -> None:
    current = world.find(entities.DATASTORE, endpoint.id, row.name)
    fresh = current or Document(
        entities.DATASTORE,
        row.name,
        endpoint.id,
        managed_by=managed_by,
        name_key=name_key(entities.DATASTORE, endpoint.id, row.name),
        body={"tags": []},
    )
    body = {
        **fresh.body,
        "endpoint": endpoint.id,
        "moid": row.moid,
        "url": row.url,
        "type": row.type,
        "capacity": row.capacity,
    }
    body.setdefault("usable_for_vms", True)
    if item is not None:
        body["tags"] = sorted(body["tags"] if item.get("tags") is None else item["tags"])
        body["usable_for_vms"] = (
            body["usable_for_vms"] if item.get("usable_for_vms") is None else item["usable_for_vms"]
        )
    document = replace(fresh, body=body, state="READY" if row.accessible else "ERROR")
    action = _put(
        world, plan, item or {}, current, document, f"{endpoint.name}/{row.name}", fields=("tags", "usable_for_vms")
    )
    if action.verb == CREATE:
        action.reason = "mounted by declared hosts"


def _link_datastores(world: World, endpoint: Document, inventory: Any) -> None:
    """Write into each host which of the known datastores it mounts."""
    by_moid = {d.body["moid"]: d for d in world.of(entities.DATASTORE, endpoint.id)}
    for host in world.of(entities.HOST):
        row = inventory.hosts.get(host.body["moid"]) if host.body["endpoint"] == endpoint.id else None
        if row is None:
            continue
        allowed = host.body["allowed_datastores"]
        mounted = [by_moid[m] for m in row.datastores if m in by_moid]
        host.body["datastores"] = sorted(d.id for d in mounted if not allowed or d.name in allowed)


def _plan_image_datastores(names: list[str] | None, world: World, plan: Plan, actor: Actor) -> None:
    """The declared list must be a superset of the old one (InvalidImageDatastoreSet)."""
    if names is None:
        return
    deployment = world.get(entities.DEPLOYMENT)
    old = deployment.body.get("image_datastores") or [] if deployment else []
    try:
        missing = sorted(set(old) - set(names))
        if missing:
            raise PhotonError(
                "InvalidImageDatastoreSet",
                f"photon_image_datastores lacks {', '.join(missing)}: the new list "
                "must contain every datastore of the old one",
            )
        known = {d.name for d in world.of(entities.DATASTORE)}
        unknown = [name for name in names if name not in known]
        if unknown and not world.unreachable:
            raise PhotonError(
                "DatastoreNotFound",
                f"photon_image_datastores names {', '.join(unknown)}, which no declared "
                f"host mounts; mounted: {', '.join(sorted(known)[:10]) or 'none'}",
            )
        if deployment is None:
            deployment = Document(
                entities.DEPLOYMENT,
                entities.DEPLOYMENT,
                id=entities.DEPLOYMENT,
                name_key=name_key(entities.DEPLOYMENT, "", entities.DEPLOYMENT),
            )
            _authorize(actor, "create", deployment, world)
            _put(world, plan, {}, None, deployment.with_body(image_datastores=sorted(names)), entities.DEPLOYMENT)
        elif sorted(old) != sorted(names):
            _authorize(actor, "update", deployment, world)
            _put(world, plan, {}, deployment, deployment.with_body(image_datastores=sorted(names)), entities.DEPLOYMENT)
    except PhotonError as error:
        plan.fail(entities.DEPLOYMENT, "image_datastores", error, "photon_image_datastores")


# -- helpers -----------------------------------------------------------------------------------------------------


def _put(
    world: World,
    plan: Plan,
    item: dict[str, Any],
    current: Document | None,
    document: Document,
    name: str,
    fields: tuple[str, ...] | None = None,
    show: Any = None,
) -> Action:
    """Compare what is declared with what is recorded; facts outside ``fields`` make no difference."""
    view = show or (lambda body: {key: body.get(key) for key in (fields or body)})
    after, before = view(document.body), view(current.body) if current else {}
    differs = [key for key in after if before.get(key) != after[key]]
    verb = CREATE if current is None else UPDATE if differs else KEEP
    world.put(document)
    return plan.add(
        Action(
            verb,
            document.kind,
            name,
            document,
            path=item.get("path", ""),
            changes=differs if verb == UPDATE else [],
            reason="declared" if verb == CREATE else f"{', '.join(differs)} differ" if differs else "",
            before={key: before.get(key) for key in differs} if current else {},
            after={key: after[key] for key in differs},
        )
    )


def _authorize(actor: Actor, verb: str, document: Document, world: World) -> None:
    authorize(actor, verb, document.kind, *world.chain(document))


def _guard(plan: Plan, item: dict[str, Any], kind: str, work: Any, world: World) -> None:
    try:
        work()
    except PhotonError as error:
        world.failed[kind, "", item["name"]] = error
        plan.fail(kind, item["name"], error, item.get("path", ""))
