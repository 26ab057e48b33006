# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of images: the first one on an endpoint is uploaded through the import lease, vSphere makes further ones."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from ... import vsphere
from ...model import entities, states
from ...model.entities import Document
from ...model.errors import PhotonError
from ..context import Applying
from ..fleet.record import HostFacts
from ..planning import Outcome
from .mark import mark_of
from .plan import Copies, CopyImage, DeleteImage, template_uuid

_FOLDER = "images"


def apply_images(applying: Applying) -> None:
    """Create the missing copies; failures become failures of the plan."""
    for action in applying.plan.of_type(CopyImage):
        if action.task is not None:
            _copy(action, applying)


def delete_images(applying: Applying) -> None:
    """Delete images with all their copies; their VMs are gone by then."""
    for action in applying.plan.of_type(DeleteImage):
        if action.outcome is None:
            _delete(action, applying)


def _copy(action: CopyImage, applying: Applying) -> None:
    copies, errors = _copies(action, applying)
    made = bool(copies.keys() - action.document.body["copies"].keys())
    document = replace(
        action.document,
        state=states.READY if copies else states.ERROR,
        body={**action.document.body, "copies": copies},
    )
    task = action.task

    def end(tx: Any) -> None:
        tx.settle([document])
        tx.finish_tasks({task.id: errors[0] if errors else None})  # type: ignore[union-attr]

    applying.context.store.run(end)
    action.document = applying.state.put(document)
    applying.plan.finish(action, Outcome(made, errors[0] if errors else None, document))
    for error in errors[1:]:
        applying.plan.fail(entities.IMAGE, action.name, error, action.path)


def _copies(action: CopyImage, applying: Applying) -> tuple[Copies, list[PhotonError]]:
    """``({datastore id: copy}, errors)``: endpoints in parallel, on each the first copy before the others."""
    by_endpoint: dict[str, list[Document]] = defaultdict(list)
    for store_id in action.targets:
        store = applying.state.must(store_id)
        by_endpoint[store.scope].append(store)
    copies: Copies = dict(action.document.body["copies"])
    errors: list[PhotonError] = []
    progress = _CopyProgress(action, applying, len(action.targets) - len(by_endpoint))
    with ThreadPoolExecutor(max(1, len(by_endpoint))) as pool:
        work = [pool.submit(_on_endpoint, i, stores, action, applying, progress) for i, stores in by_endpoint.items()]
        for future in work:
            made, failed = future.result()
            copies.update(made)
            errors += failed
    return copies, errors


@dataclass(slots=True)
class _CopyProgress:
    """Journals how many bytes of an image were uploaded, to all endpoints, and how many further copies were made."""

    action: CopyImage
    applying: Applying
    further: int
    uploads: dict[str, tuple[int, int]] = field(default_factory=dict)
    copied: set[str] = field(default_factory=set)

    def sent(self, endpoint_id: str, done: int, of: int) -> None:
        self.uploads[endpoint_id] = (done, of)
        done, of = (sum(part) for part in zip(*tuple(self.uploads.values()), strict=True))
        self._note("UPLOAD_IMAGE", {"done": done, "of": of, "unit": "B"})

    def copy(self, store_id: str) -> None:
        self.copied.add(store_id)
        self._note("REPLICATE_IMAGE", {"done": len(self.copied), "of": self.further, "unit": "COUNT"})

    def _note(self, operation: str, amounts: dict[str, Any]) -> None:
        self.applying.note(self.action.task, operation, open_with=amounts)


def _on_endpoint(
    endpoint_id: str, stores: list[Document], action: CopyImage, applying: Applying, progress: _CopyProgress
) -> tuple[Copies, list[PhotonError]]:
    endpoint, context = applying.state.must(endpoint_id), applying.context
    made: Copies = {}
    errors: list[PhotonError] = []
    source: tuple[Any, str] | None = None
    for store in stores:
        try:
            session = context.session(endpoint)
            spec = _spec(action.document, store, endpoint, session, applying)
            if source is not None:
                template = vsphere.copy_image(session, source[0], source[1], spec)
                progress.copy(store.id)
            elif action.file is None:
                raise PhotonError("ImageUploadError", "its file is not declared, so no copy can be uploaded: set file")
            else:
                report = functools.partial(progress.sent, endpoint_id)
                template = vsphere.import_image(session, context.image_file(action.file), spec, report)
            source = source or (template, spec.host.datacenter)
            made[store.id] = {"path": template.path, "template_moid": template.moid, "template_uuid": template.uuid}
        except PhotonError as error:
            if error.ends_run:
                raise
            errors.append(
                PhotonError(
                    error.code,
                    f"image {action.document.name} on {endpoint.name}/{store.name}: {error.message}",
                    error.data,
                )
            )
    return made, errors


def _spec(document: Document, store: Document, endpoint: Document, session: Any, applying: Applying) -> Any:
    inventory = applying.state.inventories[endpoint.id]
    host = _host_for(store, endpoint, applying)
    folder = host.vm_folder
    if endpoint.body["type"] == "vcenter":
        path = vsphere.folder_path(endpoint.body["folder"], _FOLDER)
        folder = vsphere.ensure_folders(session, inventory, folder, [path])[path]
    name = f"{document.name}-{document.id[:8]}-{store.name}"[:80]
    settings = document.body.get("settings") or {}
    return vsphere.TemplateSpec(
        uuid=template_uuid(document.id, store.id),
        name=name,
        site=document.managed_by,
        store=applying.context.store.store_id,
        document_id=document.id,
        sha256=document.body["sha256"],
        capacity=document.body["size"],
        host=host,
        datastore=inventory.datastores[store.observed["moid"]],
        folder=folder,
        directory=name,
        record=mark_of(document, store, applying.state, applying.context.store),
        controller=settings.get("scsi0.virtualDev", "lsilogic"),
        **vsphere.hardware_of(settings),
    )


def _host_for(store: Document, endpoint: Document, applying: Applying) -> Any:
    """Any ready host that mounts the datastore takes the upload."""
    inventory = applying.state.inventories[endpoint.id]
    for host in sorted(applying.state.hosts_of(endpoint.id).values(), key=lambda h: h.name):
        facts = HostFacts.of(host)
        row = inventory.hosts.get(facts.moid or "")
        if row is not None and row.ready and store.id in facts.datastores:
            return row
    raise PhotonError(
        "InvalidHostState",
        f"no READY host of {endpoint.name} mounts datastore {store.name}: take one out of maintenance, or choose "
        "other image datastores",
    )


def _delete(action: DeleteImage, applying: Applying) -> None:
    document, task = action.document, action.task
    error = None
    try:
        for store in applying.state.of(entities.DATASTORE):  # all of them: an interrupted upload is in no record
            _delete_copy(document, store, applying)
    except PhotonError as failure:
        if failure.ends_run:
            raise
        error = failure

    def end(tx: Any) -> None:
        if error is None:
            tx.bury([document])
        tx.finish_tasks({task.id: error})  # type: ignore[union-attr]

    applying.context.store.run(end)
    applying.plan.finish(action, Outcome(error is None, error, document if error else None))


def _delete_copy(document: Document, store: Document, applying: Applying) -> None:
    state = applying.state
    endpoint = state.must(store.scope)
    if endpoint.id in state.unreachable and store.id in document.body["copies"]:
        raise state.unreachable[endpoint.id]
    inventory = state.inventories.get(endpoint.id)
    row = inventory.vm(template_uuid(document.id, store.id)) if inventory is not None else None
    if row is not None:
        _raise_first(
            vsphere.run_jobs(
                applying.context.session(endpoint), [vsphere.delete_template(row.moid, row.name, row.uuid)]
            )
        )


def _raise_first(outcomes: Iterable[tuple[Any, Any]]) -> None:
    for _job, outcome in outcomes:
        if isinstance(outcome, PhotonError):
            raise outcome
