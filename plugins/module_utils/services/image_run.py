# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images: makes and removes the copies that a plan asks for, several datastores at a time, and records them.

The first copy on an endpoint goes up through the import lease, further ones are made there by vSphere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from .. import vsphere
from ..cloudstore import Step, Task
from ..model import entities
from ..model.entities import Document
from ..model.errors import PhotonError
from . import vm_jobs
from .context import Context
from .images import template_uuid
from .planning import CREATE, DELETE, KEEP, UPDATE, Action, Plan
from .world import World

_FOLDER = "images"
Copies = dict[str, dict[str, Any]]


def apply_images(plan: Plan, world: World, context: Context, run: Any) -> None:
    """Bring up what is missing (creates and updates); failures are appended to the plan."""
    for action in plan.of(entities.IMAGE, CREATE, UPDATE):
        if action.data.get("targets"):
            _guard(plan, action, lambda action=action: _bring_up(action, plan, world, context, run))
        else:
            _guard(plan, action, lambda action=action: context.store.run(lambda tx: tx.update([action.document])))
    touched = [a.document for a in plan.of(entities.IMAGE, KEEP) if a.data.get("observed_only")]
    if touched:
        context.store.run(lambda tx: tx.update(touched))


def delete_images(plan: Plan, world: World, context: Context, run: Any) -> None:
    """Remove images with all their copies; after their VMs."""
    for action in plan.of(entities.IMAGE, DELETE):
        _guard(plan, action, lambda action=action: _remove(action, world, context, run))


def _bring_up(action: Action, plan: Plan, world: World, context: Context, run: Any) -> None:
    document = replace(
        action.document,
        state="CREATING",
        body={
            **action.document.body,
            "copies": {i: copy for i, copy in action.document.body["copies"].items() if copy},
        },
    )
    task = Task(
        "CREATE_IMAGE",
        entities.IMAGE,
        document.id,
        state="STARTED",
        data={"targets": action.data["targets"]},
        steps=[Step(0, "UPLOAD_IMAGE", "STARTED"), Step(1, "REPLICATE_IMAGE")],
    )

    def begin(tx: Any) -> Document:
        tx.add_tasks([task])
        return (tx.insert if action.verb == CREATE else tx.update)([document])[0]

    written = context.store.run(begin)
    copies, errors = _copies(action, written, world, context, run)
    state = "READY" if copies else "ERROR"
    made = replace(written, state=state, body={**written.body, "copies": copies})

    def end(tx: Any) -> Document:
        tx.finish_tasks({task.id: errors[0] if errors else None})
        return tx.update([made])[0]

    ready = world.put(context.store.run(end))
    action.document = ready
    action.data["partly"] = bool(copies)
    for error in errors:
        plan.fail(entities.IMAGE, action.name, error, action.path)


def _copies(
    action: Action, document: Document, world: World, context: Context, run: Any
) -> tuple[Copies, list[PhotonError]]:
    """``({datastore id: copy}, errors)``: endpoints side by side, on each the first copy before the others."""
    by_endpoint: dict[str, list[Document]] = defaultdict(list)
    for store_id in action.data["targets"]:
        store = world.get(store_id)
        if store is not None:
            by_endpoint[store.scope].append(store)
    copies: Copies = dict(document.body["copies"])
    errors: list[PhotonError] = []
    with ThreadPoolExecutor(max(1, len(by_endpoint))) as pool:
        work = [
            pool.submit(_on_endpoint, world.get(i), stores, action, document, world, context, run)
            for i, stores in by_endpoint.items()
        ]
        for future in work:
            made, failed = future.result()
            copies.update(made)
            errors += failed
    return copies, errors


def _on_endpoint(
    endpoint: Document,
    stores: list[Document],
    action: Action,
    document: Document,
    world: World,
    context: Context,
    run: Any,
) -> tuple[Copies, list[PhotonError]]:
    inventory = world.inventories[endpoint.id]
    made: Copies = {}
    errors: list[PhotonError] = []
    source: tuple[Any, str] | None = None
    for store in stores:
        try:
            session = context.session(endpoint)
            spec = _spec(document, store, endpoint, inventory, session, world)
            if source is None:
                template = vsphere.import_image(session, context.path(action.data["file"]), spec, before_call=run.renew)
            else:
                template = vsphere.copy_image(session, source[0], source[1], spec, before_call=run.renew)
            source = source or (template, spec.host.datacenter)
            made[store.id] = {"path": template.path, "template_moid": template.moid, "template_uuid": template.uuid}
        except PhotonError as error:
            if error.code == "LeaseLost":
                raise
            errors.append(
                PhotonError(
                    error.code, f"image {document.name} on {endpoint.name}/{store.name}: {error.message}", error.data
                )
            )
    return made, errors


def _spec(document: Document, store: Document, endpoint: Document, inventory: Any, session: Any, world: World) -> Any:
    host = _host_for(store, endpoint, inventory, world)
    folder = host.vm_folder
    if endpoint.body["type"] == "vcenter":
        path = f"{endpoint.body['folder']}/{_FOLDER}"
        folder = vsphere.ensure_folders(session, inventory, folder, [path])[path]
    name = f"{document.name}-{document.id[:8]}-{store.name}"[:80]
    settings = document.body.get("settings") or {}
    return vsphere.TemplateSpec(
        uuid=template_uuid(document.id, store.id),
        name=name,
        site=document.managed_by,
        image_id=document.id,
        sha256=document.body["sha256"],
        capacity=document.body["size"],
        host=host,
        datastore=inventory.datastores[store.body["moid"]],
        folder=folder,
        directory=name,
        controller=settings.get("scsi0.virtualDev", "lsilogic"),
        **{field: settings[key] for key, field in vm_jobs.GUEST_SETTINGS.items() if settings.get(key)},
    )


def _host_for(store: Document, endpoint: Document, inventory: Any, world: World) -> Any:
    """Any ready host that mounts the datastore takes the upload."""
    for host in sorted(world.hosts_of(endpoint.id).values(), key=lambda h: h.name):
        row = inventory.hosts.get(host.body["moid"])
        if row is not None and row.ready and store.id in host.body["datastores"]:
            return row
    raise PhotonError("InvalidHostState", f"no READY host of {endpoint.name} mounts datastore {store.name}")


def _remove(action: Action, world: World, context: Context, run: Any) -> None:
    document = action.document
    task = Task(
        "DELETE_IMAGE", entities.IMAGE, document.id, state="STARTED", steps=[Step(0, "DELETE_IMAGE", "STARTED")]
    )
    context.store.run(lambda tx: tx.add_tasks([task]))
    error = None
    try:
        for store in world.of(entities.DATASTORE):  # all of them: an upload that was cut short is in no record
            endpoint = world.get(store.scope)
            if endpoint is None:
                continue
            if endpoint.id in world.unreachable:
                if store.id in document.body["copies"]:
                    raise world.unreachable[endpoint.id]
                continue
            row = world.inventories[endpoint.id].vm(template_uuid(document.id, store.id))
            if row is not None:
                _one(
                    vsphere.run_jobs(
                        context.session(endpoint),
                        [vsphere.delete_template(row.moid, row.name, row.uuid)],
                        before_batch=run.renew,
                    )
                )
    except PhotonError as failure:
        error = failure
    context.store.run(lambda tx: (tx.delete([document]) if error is None else None, tx.finish_tasks({task.id: error})))
    if error is not None:
        raise error


def _one(outcomes: Iterable[tuple[Any, Any]]) -> None:
    for _job, outcome in outcomes:
        if isinstance(outcome, PhotonError):
            raise outcome


def _guard(plan: Plan, action: Action, work: Any) -> None:
    try:
        work()
    except PhotonError as error:
        if error.code == "LeaseLost":
            raise
        plan.fail(entities.IMAGE, action.name, error, action.path)
