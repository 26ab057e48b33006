# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Datastores as a plan: every datastore that a declared host mounts is recorded, and recognized by its identity.

A datastore is found by its URL and moid, never by its name: one that was renamed in vSphere keeps its record, its
allocations and its images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...model import entities
from ...model.authorization import authorize, permits
from ...model.entities import Document, name_key
from ...model.errors import PhotonError
from ..planning import CREATE, UPDATE, Planning, differing, record_action
from . import facts
from .image_datastores import plan_image_datastores
from .names import find_renamed, not_found
from .record import DatastoreFacts, HostFacts

Item = Mapping[str, Any]


@dataclass(slots=True)
class _Endpoint:
    """One endpoint's datastores. ``found``: the record of each moid; ``recorded``: the records by their name.

    ``doubled`` are names that several of its datastores have.
    """

    document: Document
    inventory: Any
    found: dict[str, Document]
    recorded: dict[str, Document]
    doubled: frozenset[str]

    def is_known(self, document: Document) -> bool:
        """Tell whether the last read shows this record's datastore."""
        return any(document.id == found.id for found in self.found.values())


@dataclass(slots=True)
class _Items:
    """The declared datastores by endpoint ("" for any) and name, and those that were found."""

    rows: dict[tuple[str, str], Item]
    used: set[tuple[str, str]] = field(default_factory=set)

    def take(self, endpoint: str, name: str) -> Item | None:
        """Return the item for a datastore; the one that names the endpoint comes first."""
        keys = [key for key in ((endpoint, name), ("", name)) if key in self.rows]
        self.used.update(keys)
        return self.rows[keys[0]] if keys else None


def plan_datastores(planning: Planning) -> None:
    """Record the datastores that the hosts mount, follow their names, and give declared ones their settings."""
    state = planning.state
    items = _Items({(item.get("endpoint") or "", item["name"]): item for item in planning.declaration.datastores})
    for endpoint in state.of(entities.ENDPOINT):
        inventory = state.inventories.get(endpoint.id)
        if inventory is None:
            continue
        view = _view_of(endpoint, inventory, planning)
        refused = set()
        for row in _rows(view, planning):
            item = items.take(endpoint.name, row.name)
            try:
                _plan_row(row, item, view, planning)
            except PhotonError as error:
                if row.name in refused:
                    continue  # once for all datastores of the name
                refused.add(row.name)
                if item is not None:
                    planning.plan.fail(entities.DATASTORE, f"{endpoint.name}/{row.name}", error, item.get("path", ""))
                else:
                    planning.plan.warnings.append(f"datastore {endpoint.name}/{row.name} is not used: {error.message}")
        _note_missing(view, planning)
        _link_hosts(view, planning)
    _fail_unknown(items, planning)
    plan_image_datastores(planning)


# -- identity ----------------------------------------------------------------------------------------------------


def _view_of(endpoint: Document, inventory: Any, planning: Planning) -> _Endpoint:
    records = planning.state.of(entities.DATASTORE, endpoint.id)
    found = _identify(records, list(inventory.datastores.values()))
    mounted = {moid for host in inventory.hosts.values() for moid in host.datastores} | found.keys()
    names = Counter(row.name for moid, row in inventory.datastores.items() if moid in mounted)
    return _Endpoint(
        endpoint,
        inventory,
        found,
        {record.name: record for record in records},
        frozenset(name for name, number in names.items() if number > 1),
    )


def _identify(records: list[Document], rows: list[Any]) -> dict[str, Document]:
    """``{moid: record}``: by URL and moid, then by URL alone (a new vCenter), then by moid alone (a new signature)."""
    identities: tuple[Callable[[Any], Any], ...] = (
        lambda thing: (thing.url, thing.moid),
        lambda thing: thing.url,
        lambda thing: thing.moid,
    )
    found: dict[str, Document] = {}
    for identity in identities:
        by_identity = _unique((identity(row), row) for row in rows if row.moid not in found)
        taken = {record.id for record in found.values()}
        left = _unique((identity(DatastoreFacts.of(r)), r) for r in records if r.id not in taken)
        found.update((by_identity[key].moid, record) for key, record in left.items() if key and key in by_identity)
    return found


def _unique(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    pairs = list(pairs)
    number = Counter(key for key, _thing in pairs)
    return {key: thing for key, thing in pairs if number[key] == 1}


def _rows(view: _Endpoint, planning: Planning) -> Iterator[Any]:
    """Yield the datastores that are recorded, or that a declared host mounts and may use."""
    wanted = set(view.found)
    for host in planning.state.of(entities.HOST):
        row = view.inventory.hosts.get(host.observed.get("moid"))
        if row is None or host.body["endpoint"] != view.document.id:
            continue
        allowed = host.body["allowed_datastores"]
        stores = [view.inventory.datastores[moid] for moid in row.datastores if moid in view.inventory.datastores]
        wanted.update(store.moid for store in stores if not allowed or store.name in allowed)
    for moid in sorted(wanted):
        yield view.inventory.datastores[moid]


# -- one datastore -----------------------------------------------------------------------------------------------


def _plan_row(row: Any, item: Item | None, view: _Endpoint, planning: Planning) -> None:
    current = view.found.get(row.moid)
    if row.name in view.doubled:
        _refuse_doubled(row, current, view, planning)
    current = current or _replaced(row, view, planning)
    endpoint, state = view.document, planning.state
    fresh = current or Document(
        entities.DATASTORE, row.name, endpoint.id, managed_by=planning.managed_by, body={"tags": []}
    )
    changes = {"name"} if fresh.name != row.name else set()
    document = replace(fresh, name=row.name, body=_body(item, fresh, row, endpoint))
    _refuse_flag(fresh, document, planning)
    seen = DatastoreFacts.seen(row)
    if not _may(planning, "update" if current else "create", document, item):
        if current is not None:  # shown and used under its new name, recorded by a run that may
            view.found[row.moid] = facts.observe(planning, state.put(replace(current, name=row.name)), seen.observed())
        return
    name = _free_name(row, fresh, view)
    document = replace(document, name_key=name_key(entities.DATASTORE, endpoint.id, name))
    keys = ("tags", "usable_for_vms", "image") + (("name",) if current else ())
    action = record_action(
        planning,
        current,
        document,
        lambda d: {key: d.name if key == "name" else d.body.get(key) for key in keys},
        path=item.get("path", "") if item else "",
        needs=(endpoint.id,),
    )
    view.found[row.moid] = facts.observe(planning, document, seen.observed())
    if action.verb in (CREATE, UPDATE):
        action.document = replace(view.found[row.moid], name=name)
    if action.verb == CREATE:
        action.reason = "mounted by declared hosts"
    elif changes:
        others = [key for key in action.changes if key != "name"]
        action.reason = "renamed in vSphere" + (f"; {differing(others)}" if others else "")
        _rename_in_deployment(fresh.name, row.name, planning)


def _body(item: Item | None, fresh: Document, row: Any, endpoint: Document) -> dict[str, Any]:
    body = {"usable_for_vms": True, "image": False, **fresh.body, "endpoint": endpoint.id}
    if fresh.name != row.name:
        body["former_name"] = fresh.name
    if item is None:
        return body
    declared = {key: item[key] for key in ("tags", "usable_for_vms", "image") if item.get(key) is not None}
    if "tags" in declared:
        declared["tags"] = sorted(declared["tags"])
    return {**body, **declared}


def _refuse_flag(current: Document, document: Document, planning: Planning) -> None:
    """A datastore that keeps images stays one: its flag goes only where photon_image_datastores names it."""
    deployment = planning.state.get(entities.DEPLOYMENT)
    recorded = (deployment.body.get("image_datastores") or []) if deployment else []
    listed = {*(planning.declaration.image_datastores or ()), *recorded}
    if current.body.get("image") and not document.body["image"] and not {current.name, document.name} & listed:
        raise PhotonError(
            "InvalidImageDatastoreSet",
            f"datastore {document.name} keeps images and cannot stop doing so: set image: true, "
            "or name it in photon_image_datastores",
        )


def _may(planning: Planning, verb: str, document: Document, item: Item | None) -> bool:
    """Raise AccessForbidden for a declared datastore; what the run finds by itself is left to a run that may."""
    chain = planning.state.chain(document)
    if item is not None:
        authorize(planning.actor, verb, entities.DATASTORE, *chain)
    return permits(planning.actor, verb, entities.DATASTORE, *chain)


def _refuse_doubled(row: Any, current: Document | None, view: _Endpoint, planning: Planning) -> None:
    if current is not None:
        seen = replace(DatastoreFacts.seen(row), accessible=False)
        view.found[row.moid] = facts.observe(planning, current, seen.observed())
    moids = sorted(each.moid for each in view.inventory.datastores.values() if each.name == row.name)
    raise PhotonError(
        "InvalidEntity",
        f"endpoint {view.document.name} has {len(moids)} datastores named {row.name!r} ({', '.join(moids)}), "
        "so a path on them is ambiguous: rename all but one in vSphere, or limit the endpoint to one datacenter",
        {"moids": moids},
    )


def _replaced(row: Any, view: _Endpoint, planning: Planning) -> Document | None:
    """Return the record of a datastore that is gone, was not in use and had the name of this new one."""
    holder = view.recorded.get(row.name)
    if holder is None or view.is_known(holder):
        return None
    if not _in_use(holder, planning):
        return holder
    old = DatastoreFacts.of(holder)
    raise PhotonError(
        "InvalidEntity",
        f"it has the name of a recorded datastore that is no longer there ({old.moid}, {old.url}) and that VMs or "
        f"images are recorded on, but another identity ({row.moid}, {row.url}): rename it in vSphere to use it as a "
        "new one",
        {"moid": row.moid},
    )


def _in_use(document: Document, planning: Planning) -> bool:
    state = planning.state
    disks = (disk for vm in state.of(entities.VM) for disk in (vm.observed.get("disks") or {}).values())
    persistent = (disk.observed for disk in state.of(entities.DISK))
    copies = (copy.body for copy in state.of(entities.IMAGE_COPY))
    return any(each.get("datastore") == document.id for each in (*disks, *persistent, *copies))


def _free_name(row: Any, document: Document, view: _Endpoint) -> str:
    """The name to record. One that another record has until it is renamed itself is taken by the next run."""
    holder = view.recorded.get(row.name)
    return row.name if holder is None or holder.id == document.id else f"{row.name} ({row.moid})"


def _rename_in_deployment(old: str, new: str, planning: Planning) -> None:
    """Follow the new name in the recorded list of image datastores, which is one of names."""
    state = planning.state
    deployment = state.get(entities.DEPLOYMENT)
    names = deployment.body.get("image_datastores") or [] if deployment else []
    if deployment is None or old not in names or any(d.name == old for d in state.of(entities.DATASTORE)):
        return
    document = deployment.with_body(image_datastores=sorted({new, *names} - {old}))
    record_action(
        planning,
        deployment,
        document,
        lambda d: {"image_datastores": d.body.get("image_datastores")},
        reason="renamed in vSphere",
    )


# -- what follows ------------------------------------------------------------------------------------------------


def _note_missing(view: _Endpoint, planning: Planning) -> None:
    """Note that a recorded datastore is not in its endpoint any more."""
    for record in planning.state.of(entities.DATASTORE, view.document.id):
        if not view.is_known(record):
            seen = replace(DatastoreFacts.of(record), accessible=False)
            facts.observe(planning, record, seen.observed())


def _link_hosts(view: _Endpoint, planning: Planning) -> None:
    """Note which of the recorded datastores each host mounts and may use."""
    declared = {item["name"] for item in planning.declaration.hosts}
    stores = list(view.found.values())
    for moid, host in planning.state.hosts_of(view.document.id).items():
        row = view.inventory.hosts.get(moid)
        if row is None:
            continue
        allowed = set(host.body["allowed_datastores"])
        for name in sorted(allowed):
            renamed = find_renamed(name, stores)
            if renamed is not None:
                allowed.add(renamed.name)
                if host.name in declared:
                    planning.plan.warnings.append(
                        f"host {host.name}: allowed_datastores names {name!r}, which was renamed to {renamed.name!r} "
                        "in vSphere: use the new name"
                    )
        mounted = [view.found[each] for each in row.datastores if each in view.found]
        ids = tuple(sorted(d.id for d in mounted if not allowed or d.name in allowed))
        facts.observe(planning, host, replace(HostFacts.of(host), datastores=ids).observed())


def _fail_unknown(items: _Items, planning: Planning) -> None:
    state = planning.state
    endpoints = {endpoint.name: endpoint for endpoint in state.of(entities.ENDPOINT)}
    for (where, name), item in items.rows.items():
        endpoint = endpoints.get(where)
        unread = endpoint.id in state.unreachable if endpoint is not None else bool(state.unreachable)
        if (where, name) not in items.used and not unread:
            scope = endpoint.id if endpoint is not None else None
            error = not_found(name, state.of(entities.DATASTORE, scope))
            planning.plan.fail(entities.DATASTORE, name, error, item.get("path", ""))
