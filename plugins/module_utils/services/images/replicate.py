# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the copies of one image: uploaded to each endpoint that has none, from one read of the file, then copied there.

Copies on an endpoint fan out as a tree: every complete copy is the source of one further copy at a time, so that n
copies take about log2(n) times as long as one. Each is recorded as soon as it is complete; the first makes the image
READY.
"""

from __future__ import annotations

import functools
import threading
from collections import Counter, deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any, NamedTuple

from ... import vsphere
from ...model import states
from ...model.entities import Document
from ...model.errors import PhotonError
from ..context import Applying
from ..fleet.record import HostFacts
from ..planning import KEEP, Outcome
from .copies import COPY, CREATE_COPY, CopyImage
from .mark import mark_of
from .plan import ReplicateImage
from .record import Copy, claim_of, complete_copies

COPIES_PER_HOST = 4  # at a time: a copy takes 4 of a host's 16 units
_MOST_COPIES = 32  # at a time on an endpoint
_FOLDER = "images"


class Source(NamedTuple):
    """A complete copy that others are made from, and its datacenter."""

    template: vsphere.Template
    datacenter: str


class Replication:
    """The work on one image. ``image_action`` is the plan's action on the image, where it has one that lasts."""

    def __init__(
        self, applying: Applying, image_id: str, actions: list[CopyImage], image_action: ReplicateImage | None
    ) -> None:
        self.applying, self.image_action, self.actions = applying, image_action, actions
        self.image = image_action.document if image_action is not None else applying.state.must(image_id)
        self._lock = threading.Lock()
        self._errors: list[PhotonError] = []
        self._progress = _Progress(self)

    def run(self) -> None:
        """Make all copies; endpoints work in parallel."""
        groups: dict[str, list[CopyImage]] = {}
        for action in self.actions:
            groups.setdefault(self.applying.state.must(action.copy.datastore).scope, []).append(action)
        sources = {endpoint_id: self._sources(endpoint_id) for endpoint_id in groups}
        uploading = [endpoint_id for endpoint_id in groups if not sources[endpoint_id]]
        self._progress.further = len(self.actions) - len(uploading)
        file = next((action.file for action in self.actions if action.file), None)
        sha256 = self.image.body["sha256"]
        digesting = bool(uploading) and not self.applying.context.store.run(lambda tx: tx.raw_digests(sha256))
        locate = functools.partial(self.applying.context.image_file, file) if file else None
        stream = vsphere.SharedImage(locate, sha256, uploading, digesting=digesting)
        with stream, ThreadPoolExecutor(max(1, len(groups))) as pool:
            work = [
                pool.submit(self._on_endpoint, endpoint_id, some, sources[endpoint_id], stream)
                for endpoint_id, some in groups.items()
            ]
            for future in work:
                future.result()
        self._finish(stream.raw_digests)

    # -- one endpoint --------------------------------------------------------------------------------------------------

    def _sources(self, endpoint_id: str) -> list[Source]:
        """The complete copies on an endpoint that was read."""
        state = self.applying.state
        inventory = state.inventories.get(endpoint_id)
        if inventory is None:
            return []
        found = []
        for copy in map(Copy.of, complete_copies(self.image.id, state)):
            store = state.must(copy.datastore)
            row = inventory.datastores.get(store.observed.get("moid", "")) if store.scope == endpoint_id else None
            if row is not None:
                template = vsphere.Template(copy.template_uuid, copy.template_moid, copy.path_on(store))
                found.append(Source(template, row.datacenter))
        return found

    def _on_endpoint(
        self, endpoint_id: str, actions: list[CopyImage], sources: list[Source], stream: vsphere.SharedImage
    ) -> None:
        waiting = deque(actions)
        try:
            endpoint = self.applying.state.must(endpoint_id)
            session = self.applying.context.session(endpoint)
            while waiting and not sources:
                sources = self._upload(waiting.popleft(), endpoint, session, stream)
            self._fan_out(waiting, endpoint, session, deque(sources))
        except PhotonError as error:  # the endpoint itself failed
            if error.ends_run:
                raise
            for action in waiting:
                self._failed(action, error)
        finally:
            stream.leave(endpoint_id)

    def _upload(self, action: CopyImage, endpoint: Document, session: Any, stream: vsphere.SharedImage) -> list[Source]:
        """Upload the first copy of an endpoint; returns it as the source of the others, or nothing."""
        try:
            disk = stream.reader(endpoint.id)
            host = self._host(self.applying.state.must(action.copy.datastore), endpoint, Counter())
            spec = self._spec(action, host, endpoint, session)

            def report(sent: int, of: int) -> None:
                self._progress.sent(action, endpoint.id, sent, of)

            template = vsphere.import_image(session, disk, spec, report)
        except PhotonError as error:
            if error.ends_run:
                raise
            self._failed(action, error)
            return []
        finally:
            stream.leave(endpoint.id)  # what it did not read would hold up the uploads to others
        self._done(action, template)
        return [Source(template, host.datacenter)]

    def _fan_out(self, waiting: deque[CopyImage], endpoint: Document, session: Any, idle: deque[Source]) -> None:
        """Each idle source makes one copy at a time; each copy is a source from then on."""
        busy: Counter[str] = Counter()  # copies by host
        running: dict[Future[Any], tuple[CopyImage, Source, str]] = {}
        with ThreadPoolExecutor(_MOST_COPIES) as pool:
            while waiting or running:
                while idle and len(running) < _MOST_COPIES and (chosen := self._next(waiting, endpoint, busy)):
                    action, host = chosen
                    source = idle.popleft()
                    busy[host.moid] += 1
                    future = pool.submit(self._copy, action, source, host, endpoint, session)
                    running[future] = (action, source, host.moid)
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    action, source, moid = running.pop(future)
                    busy[moid] -= 1
                    idle.append(source)
                    made = self._copied(action, future)
                    if made is not None:
                        idle.append(made)

    def _next(self, waiting: deque[CopyImage], endpoint: Document, busy: Counter[str]) -> tuple[CopyImage, Any] | None:
        """Take the first copy that a host has room for in its budget."""
        for action in list(waiting):
            try:
                host = self._host(self.applying.state.must(action.copy.datastore), endpoint, busy)
            except PhotonError as error:
                waiting.remove(action)
                self._failed(action, error)
                continue
            if busy[host.moid] < COPIES_PER_HOST:
                waiting.remove(action)
                return action, host
        return None

    def _copy(self, action: CopyImage, source: Source, host: Any, endpoint: Document, session: Any) -> Source:
        spec = self._spec(action, host, endpoint, session)
        template = vsphere.copy_image(session, source.template, source.datacenter, spec)
        return Source(template, host.datacenter)

    def _copied(self, action: CopyImage, future: Future[Any]) -> Source | None:
        try:
            made = future.result()
        except PhotonError as error:
            if error.ends_run:
                raise
            self._failed(action, error)
            return None
        self._done(action, made.template)
        self._progress.copied(action)
        return made

    def _spec(self, action: CopyImage, host: Any, endpoint: Document, session: Any) -> vsphere.TemplateSpec:
        state, image = self.applying.state, self.image
        inventory, store = state.inventories[endpoint.id], state.must(action.copy.datastore)
        folder = host.vm_folder
        if endpoint.body["type"] == "vcenter":
            path = vsphere.folder_path(endpoint.body["folder"], _FOLDER)
            with self._lock:
                folder = vsphere.ensure_folders(session, inventory, folder, [path])[path]
        name = f"{image.name}-{image.id[:8]}-{store.name}"[:80]
        settings = image.body.get("settings") or {}
        return vsphere.TemplateSpec(
            uuid=action.copy.template_uuid,
            name=name,
            site=image.managed_by,
            store=self.applying.context.store.store_id,
            document_id=image.id,
            sha256=image.body["sha256"],
            capacity=image.body["size"],
            host=host,
            datastore=inventory.datastores[store.observed["moid"]],
            folder=folder,
            directory=name,
            record=mark_of(image, store, state, self.applying.context.store),
            controller=settings.get("scsi0.virtualDev", "lsilogic"),
            **vsphere.hardware_of(settings),
        )

    def _host(self, store: Document, endpoint: Document, busy: Counter[str]) -> Any:
        """The ready host that mounts a datastore and makes the fewest copies now."""
        inventory = self.applying.state.inventories[endpoint.id]
        rows = []
        for host in self.applying.state.hosts_of(endpoint.id).values():
            facts = HostFacts.of(host)
            row = inventory.hosts.get(facts.moid or "")
            if row is not None and row.ready and store.id in facts.datastores:
                rows.append(row)
        if rows:
            return min(rows, key=lambda row: (busy[row.moid], row.name))
        raise PhotonError(
            "InvalidHostState",
            f"no READY host of {endpoint.name} mounts datastore {store.name}: take one out of maintenance, or choose "
            "other image datastores",
        )

    # -- results -------------------------------------------------------------------------------------------------------

    def _done(self, action: CopyImage, template: vsphere.Template) -> None:
        copy = replace(action.copy, state=states.READY, path=template.path, template_moid=template.moid)
        document = copy.write_to(action.document)
        with self._lock:
            image = self.image
            first = self.image_action is not None and image.state != states.READY
            if first:
                image = replace(image, state=states.READY)
            self._record(action, document, None, [image] if first else [])
            self.image = image
        for task in action.waiting:
            self.applying.note(task, COPY)

    def _failed(self, action: CopyImage, error: PhotonError) -> None:
        copy = replace(action.copy, state=states.ERROR, path="", template_moid="")
        message = f"image {self.image.name} on {action.document.name}: {error.message}"
        shown = PhotonError(error.code, message, error.data)
        with self._lock:
            self._errors.append(shown)
            self._record(action, copy.write_to(action.document), shown, [])

    def _record(self, action: CopyImage, document: Document, error: PhotonError | None, images: list[Document]) -> None:
        """Commit one result; called with the lock held."""
        state, task = self.applying.state, action.task

        def end(tx: Any) -> None:
            tx.settle([*images, document])
            tx.claim([claim_of(document, state)], check=False)
            tx.finish_tasks({task.id: error})  # type: ignore[union-attr]

        self.applying.context.store.run(end)
        for each in (*images, document):
            state.put(each)
        if error is None:
            state.made.add(document.id)
        self.applying.plan.finish(action, Outcome(error is None, error, document))

    def _finish(self, raw_digests: list[str]) -> None:
        """Record the digests of what was uploaded; end the image's own task, which failed where no copy is complete."""
        action, store, sha256 = self.image_action, self.applying.context.store, self.image.body["sha256"]
        if raw_digests:
            store.run(lambda tx: tx.add_raw_digests(sha256, raw_digests))
        if action is None:
            return
        state, task = self.applying.state, action.task
        error = None
        if not complete_copies(self.image.id, state):
            first = self._errors[0]
            error = PhotonError(first.code, f"no copy of it could be made: {first.message}", first.data)
        document = replace(self.image, state=states.READY if error is None else states.ERROR)

        def end(tx: Any) -> None:
            tx.settle([document])
            tx.finish_tasks({task.id: error})  # type: ignore[union-attr]

        store.run(end)
        state.put(document)
        self.applying.plan.finish(action, Outcome(action.verb != KEEP and error is None, error, document))


class _Progress:
    """Journals the bytes of uploads to all endpoints together, and how many further copies were made."""

    def __init__(self, replication: Replication) -> None:
        self._of = replication
        self.further = 0
        self._uploads: dict[str, tuple[int, int]] = {}
        self._copied = 0
        self._lock = threading.Lock()

    def sent(self, action: CopyImage, endpoint_id: str, done: int, of: int) -> None:
        with self._lock:
            self._uploads[endpoint_id] = (done, of)
            done, of = (sum(part) for part in zip(*self._uploads.values(), strict=True))
        self._note(action, "UPLOAD_IMAGE", {"done": done, "of": of, "unit": "B"})

    def copied(self, action: CopyImage) -> None:
        with self._lock:
            self._copied += 1
            done = self._copied
        self._note(action, "REPLICATE_IMAGE", {"done": done, "of": self.further, "unit": "COUNT"})

    def _note(self, action: CopyImage, operation: str, amounts: dict[str, Any]) -> None:
        whole = self._of.image_action
        if whole is not None:
            self._of.applying.note(whole.task, operation, open_with=amounts)
        elif operation == "UPLOAD_IMAGE":
            self._of.applying.note(action.task, CREATE_COPY, open_with=amounts)
