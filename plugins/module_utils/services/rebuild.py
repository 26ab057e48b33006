# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rebuild a lost CloudStore: what a site declares, and what carries its marks in vSphere, as if it had been applied.

Tenants, quotas, flavors, endpoints, hosts and datastores come from the declaration. Images, VMs and persistent disks
come from the records that they carry, so what was declared since and not applied still differs in the next plan.
Nothing in vSphere is changed. Everything is written in one transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ..cloudstore import Snapshot
from ..model import entities
from ..model.authorization import authorize
from ..model.entities import Document
from ..model.errors import PhotonError
from ..vsphere import guestinfo, read_heavy
from . import policies, registry, run, site, verify
from .context import Context
from .disks.rebuild import read_carriers
from .images.rebuild import describe_old, restore_datastores
from .planning import Plan, Planning
from .rebuilding import Carrier, Rebuilding
from .state import CurrentState
from .tenancy import limits


def rebuild(tree: Mapping[str, Any], request: run.Request, *, force: bool = False) -> dict[str, Any]:
    """Rebuild the CloudStore of a site from its variables and its endpoints; with ``request.check`` only tell.

    ``force`` replaces what the CloudStore holds. Returns ``{changed, rebuilt, contradictions, store_id ...}``. Raises
    CloudStoreNotEmpty, SpecInvalid, AccessForbidden, ConcurrentTask while runs work on it, and the error of an
    endpoint that cannot be read: a part of the whole is never written.
    """
    run.take_connection(tree, request)
    with run.reading(request) if request.check else run.changing(request) as context:
        _refuse_users(context, context.store.snapshot(), force)
        rebuilding = _read(tree, request, context)
        if not request.check:
            _write(rebuilding, force)
        return _outcome(rebuilding, request)


def _refuse_users(context: Context, snapshot: Snapshot, force: bool) -> None:
    own = {context.run.id} if context.run is not None else set()
    authorize(context.actor, "rebuild", entities.DEPLOYMENT)
    if snapshot.live_runs - own:
        raise PhotonError("ConcurrentTask", "another run works on this CloudStore: rebuild it when that has ended")
    if snapshot.documents and not force:
        raise PhotonError(
            "CloudStoreNotEmpty",
            f"the CloudStore has {len(snapshot.documents)} documents, so it is not rebuilt: verify and repair it "
            "(photon-verify), or set force: true to replace all that it holds",
            {"documents": len(snapshot.documents)},
        )


def _read(tree: Mapping[str, Any], request: run.Request, context: Context) -> Rebuilding:
    """Build every document: the declared ones by the planners of an empty CloudStore, the others from vSphere."""
    declaration = site.declare(tree, Snapshot())
    run.take_settings(declaration, context, request)
    authorize(context.actor, "rebuild", entities.DEPLOYMENT)  # the declaration may name another user
    store, plan = context.store, Plan(warnings=list(declaration.warnings))
    planning = Planning(
        declaration, CurrentState(), plan, context.actor, context.managed_by, context.options, store.digest,
        store.store_id, store.rules_tag, whole=True,
    )  # fmt: skip
    rebuilding = Rebuilding(planning, context, store.store_id or "", store.rules_tag)
    read = False
    for kind in registry.KINDS.values():
        if kind.needs_endpoints and not read:
            carriers = list(_carriers(planning, context))
            describe_old(carriers, rebuilding)
            rebuilding.take(carriers)
            planning.store_id, planning.rules_tag = rebuilding.store_id, rebuilding.rules_tag
            policies.read(planning.state, context)
            restore_datastores(rebuilding)
            read = True
        if kind.rebuild is not None:
            kind.rebuild(rebuilding)
        elif kind.plan is not None:
            kind.plan(planning)
    for kind in registry.KINDS.values():
        if kind.rebuild_after is not None:
            kind.rebuild_after(rebuilding)
    for failure in plan.failures:
        step = "correct the declaration, then rebuild again with force, or apply"
        rebuilding.report(failure.kind, failure.name, failure.error.code, failure.error.message, step)
    return rebuilding


def _carriers(planning: Planning, context: Context) -> Iterator[Carrier]:
    """Read all endpoints and yield what carries the platform's marks. Raises the error of one that cannot be read."""
    state = planning.state
    endpoints = sorted(state.of(entities.ENDPOINT), key=lambda endpoint: endpoint.name)
    context.read_endpoints(state, endpoints)
    site.check_identities(state)
    for endpoint_id, error in state.unreachable.items():
        raise PhotonError(error.code, f"endpoint {state.must(endpoint_id).name}: {error.message}", error.data)
    for endpoint in endpoints:
        inventory = state.inventories[endpoint.id]
        rows = {row.moid: row for rows in (inventory.vms.values(), *inventory.vms_by_uuid.values()) for row in rows}
        read_heavy(context.session(endpoint), rows.values(), inventory.networks)
        for row in rows.values():
            keys = row.extra_config or {}
            if guestinfo.ID_KEY in keys:
                kind = entities.IMAGE if guestinfo.TEMPLATE_KEY in keys else entities.VM
                yield Carrier.of(kind, endpoint, row.name, keys, row)
        yield from read_carriers(endpoint, state, context)


def _write(rebuilding: Rebuilding, force: bool) -> None:
    """Write everything in one transaction, or nothing."""
    state = rebuilding.state
    documents = _documents(state)
    claims = [claim for d in documents if (claim := registry.claim_of(d, state)) is not None]
    capacity = registry.inventories(state)
    owners = [d for d in documents if d.kind in (entities.TENANT, entities.PROJECT)]

    def work(tx: Any) -> None:
        tx.take_identity(rebuilding.store_id, rebuilding.rules_tag)
        if force:
            tx.erase()
        else:
            tx.refuse_content()
        tx.insert(documents)
        tx.set_inventories(capacity)
        for owner in owners:
            tx.set_limits(owner.id, owner.kind, limits.of(state, owner.id))
        tx.claim(claims, check=False)

    rebuilding.context.store.run(work)


def _documents(state: CurrentState) -> list[Document]:
    """All documents, those that others refer to first."""
    return [document for kind in registry.KINDS for document in state.of(kind)]


def _outcome(rebuilding: Rebuilding, request: run.Request) -> dict[str, Any]:
    state = rebuilding.state
    documents = _documents(state)
    limit = None if request.result == "full" else request.diff_limit or verify.SHOWN
    found = sorted(rebuilding.contradictions, key=lambda f: (f.kind, f.name, f.what))
    keys = ("kind", "name", "what", "expected", "found", "step")
    names = [f"{d.kind} {state.path_of(d)}\n" for d in documents]
    return {
        "changed": True,
        "rebuilt": dict(Counter(document.kind for document in documents)),
        "contradictions": [{key: getattr(each, key) for key in keys} for each in found][:limit],
        "contradicting": len(found),
        "store_id": rebuilding.store_id,
        "endpoints": {"read": sorted(endpoint.name for endpoint in state.of(entities.ENDPOINT))},
        "warnings": rebuilding.planning.plan.warnings,
        "diff": {"before": "", "after": "".join(names[:limit])},
    }
