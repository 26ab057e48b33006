# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The current state as planners see it: documents, quota counters and inventories, plus what the plan has added."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from ..model import entities
from ..model.entities import Document
from ..model.errors import PhotonError
from ..model.quota import Counter


class CurrentState:
    """An index over documents that planners read and write in memory.

    ``counters``: ``{owner id: {quota key: Counter}}``, a copy that plans charge and refund. ``inventories``:
    ``{endpoint id: EndpointInventory}`` (see vsphere/inventory.py); an endpoint that could not be read is in
    ``unreachable`` with its error instead. ``versions``: each document's version when it was read. ``busy``: the open
    tasks of other controllers' live runs by entity id. ``exclusives``: who holds which exclusive key. ``capacity``: the
    recorded inventories by provider and resource. ``disk_files``: the listed directories of persistent disks, by
    datastore, directory and path; ``moved_disks`` the datastore and path of those that were moved, by disk.
    ``image_files``: the declared files of images, by image; ``made``: the copies that were completed after the read.
    ``policies``: the storage policies of each vCenter (see policies.py), or the PhotonError of reading them;
    ``disk_policies`` the names of those of detached first-class disks, by disk.
    """

    def __init__(
        self,
        documents: Iterable[Document] = (),
        counters: Mapping[str, dict[str, Counter]] | None = None,
        inventories: Mapping[str, Any] | None = None,
        *,
        busy: Mapping[str, Any] | None = None,
        exclusives: Mapping[str, str] | None = None,
        capacity: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._by_id: dict[str, Document] = {}
        self._copies: dict[tuple[str, str], Document] | None = None
        self._by_name: dict[tuple[str, str, str], dict[str, Document]] = {}
        self._by_scope: dict[tuple[str, str], dict[str, Document]] = {}
        self._by_kind: dict[str, dict[str, Document]] = {}
        self.counters: dict[str, dict[str, Counter]] = dict(counters or {})
        self.inventories: dict[str, Any] = dict(inventories or {})
        self.unreachable: dict[str, PhotonError] = {}
        self.failed: dict[tuple[str, str, str], PhotonError] = {}  # what cannot be created, by kind, scope and name
        self.busy: dict[str, Any] = dict(busy or {})
        self.exclusives: dict[str, str] = dict(exclusives or {})
        self.capacity: dict[str, dict[str, Any]] = {key: dict(rows) for key, rows in (capacity or {}).items()}
        self._names: dict[tuple[str, str], set[str]] = {}
        self._hosts: dict[str, dict[str, Document]] | None = None
        self._disks: dict[str, Document] | None = None  # persistent ones by uuid and by path
        self.disk_files: dict[str, dict[str, dict[str, Any]]] = {}
        self.moved_disks: dict[str, tuple[str, str]] = {}
        self.image_files: dict[str, str] = {}
        self.made: set[str] = set()
        self.policies: dict[str, Any] = {}
        self.disk_policies: dict[str, str] = {}
        for document in documents:
            self.put(document)
        self.versions: dict[str, int] = {document.id: document.version for document in self._by_id.values()}

    @classmethod
    def of_snapshot(cls, snapshot: Any, run_id: str = "") -> CurrentState:
        """The state that a CloudStore snapshot shows; ``run_id`` is the run that asks, whose own tasks lock nothing."""
        busy = {t.entity_id: t for t in snapshot.open_tasks if t.run_id != run_id and t.run_id in snapshot.live_runs}
        return cls(
            snapshot.documents,
            snapshot.counters(),
            busy=busy,
            exclusives=snapshot.exclusives,
            capacity=snapshot.inventories,
        )

    def get(self, entity_id: str | None) -> Document | None:
        return self._by_id.get(entity_id) if entity_id else None

    def must(self, entity_id: str) -> Document:
        """Return a document that others refer to. Raises InternalError when it does not exist."""
        document = self._by_id.get(entity_id)
        if document is None:
            raise PhotonError(
                "InternalError",
                f"the CloudStore refers to {entity_id!r}, which does not exist; check and repair it with photon-verify",
            )
        return document

    def of(self, kind: str, scope: str | None = None) -> list[Document]:
        """All documents of a kind, or those in one scope."""
        table = self._by_kind.get(kind, {}) if scope is None else self._by_scope.get((kind, scope), {})
        return list(table.values())

    def find(self, kind: str, scope: str, name: str) -> Document | None:
        """The one document of that name; None when there is none. Raises InvalidEntity when several share it."""
        found = self._by_name.get((kind, scope, name))
        if not found:
            return None
        if len(found) > 1:
            raise PhotonError(
                "InvalidEntity",
                f"{len(found)} entities of kind {kind} are named {name!r}: say which by id "
                f"({', '.join(sorted(found))})",
            )
        return next(iter(found.values()))

    def require(self, kind: str, scope: str, name: str) -> Document:
        """As find, but raises the kind's NotFound code with the closest known name.

        For a resource that this plan should create and cannot, raises DependencyFailed with the reason.
        """
        document = self.find(kind, scope, name)
        if document is None and (kind, scope, name) in self.failed:
            reason = self.failed[kind, scope, name].message
            raise PhotonError("DependencyFailed", f"{kind} {name} cannot be created: {reason}")
        if document is None:
            known = sorted({d.name for d in self.of(kind, scope)})
            close = difflib.get_close_matches(name, known, 1)
            hint = f": did you mean {close[0]!r}?" if close else f"; known: {', '.join(known[:10]) or 'none'}"
            raise PhotonError(entities.NOT_FOUND[kind], f"no {kind} named {name!r}{hint}")
        return document

    def name_of(self, entity_id: str | None) -> str | None:
        """The name of a document; the id of one that does not exist, None for no id."""
        document = self.get(entity_id)
        return document.name if document is not None else entity_id

    def declared(self, kind: str, item: Mapping[str, Any]) -> Document | None:
        """The document that a declared item names; None when it, or what it lives in, does not exist."""
        scope = item["kind"] if kind == entities.FLAVOR else ""
        containers = ((entities.TENANT, item.get("tenant")), (entities.PROJECT, item.get("project")))
        for container, name in containers:
            if name:
                found = self.find(container, scope, name)
                if found is None:
                    return None
                scope = found.id
        return self.find(kind, scope, item["name"])

    def require_project(self, item: Mapping[str, Any]) -> Document:
        """The project that a declared item names. Raises TenantNotFound, ProjectNotFound or DependencyFailed."""
        tenant = self.require(entities.TENANT, "", item["tenant"])
        return self.require(entities.PROJECT, tenant.id, item["project"])

    def put(self, document: Document) -> Document:
        """Add a document, or replace the one of the same id."""
        self.drop(document.id)
        self._forget_index(document.kind)
        self._by_id[document.id] = document
        self._by_name.setdefault((document.kind, document.scope, document.name), {})[document.id] = document
        self._by_scope.setdefault((document.kind, document.scope), {})[document.id] = document
        self._by_kind.setdefault(document.kind, {})[document.id] = document
        return document

    def drop(self, entity_id: str) -> None:
        old = self._by_id.pop(entity_id, None)
        if old is not None:
            self._forget_index(old.kind)
            del self._by_name[(old.kind, old.scope, old.name)][old.id]
            del self._by_scope[(old.kind, old.scope)][old.id]
            del self._by_kind[old.kind][old.id]

    def chain(self, document: Document) -> list[Document]:
        """Return the documents that a document lives in, itself last, as ``authorize`` takes them."""
        deployment = self.get(entities.DEPLOYMENT)
        chain, scope = [document], document.scope
        while (parent := self.get(scope)) is not None:
            chain.insert(0, parent)
            scope = parent.scope
        return [deployment, *chain] if deployment else chain

    def hosts_of(self, endpoint_id: str) -> dict[str, Document]:
        """``{moid: host}`` of one endpoint."""
        if self._hosts is None:
            self._hosts = {}
            for host in self.of(entities.HOST):
                self._hosts.setdefault(host.body["endpoint"], {})[host.observed.get("moid")] = host
        return self._hosts.get(endpoint_id, {})

    def disk_of(self, row: Any) -> Document | None:
        """The persistent disk that a VM's disk (a DiskRow) is: by the uuid of its backing, else by its files."""
        if self._disks is None:
            seen = [(d, d.observed) for d in self.of(entities.DISK)]
            self._disks = {key: d for d, facts in seen for key in (facts.get("uuid"), facts.get("path")) if key}
        return next((self._disks[key] for key in (row.uuid, *row.files) if key in self._disks), None)

    def copy_of(self, image_id: str, datastore_id: str) -> Document | None:
        """The copy of an image on a datastore, in whatever state."""
        if self._copies is None:
            self._copies = {(d.scope, d.body["datastore"]): d for d in self.of(entities.IMAGE_COPY)}
        return self._copies.get((image_id, datastore_id))

    def tenant_of(self, document: Document) -> Document:
        """The tenant that a VM or project belongs to."""
        while document.kind != entities.TENANT:
            parent = self.get(document.scope)
            if parent is None:
                raise LookupError(f"{document.kind} {document.name} belongs to no tenant")
            document = parent
        return document

    def names_in(self, endpoint_id: str, folder: str) -> set[str]:
        """The lower-case names of the VMs in an endpoint's folder (a path below its VM folder) at the last read."""
        key = (endpoint_id, folder)
        if key not in self._names:
            inventory = self.inventories.get(endpoint_id)
            self._names[key] = set()
            if inventory is not None:
                paths = {moid: row.path for moid, row in inventory.folders.items()}
                standalone = inventory.type == "esxi"
                self._names[key] = {
                    vm.name.lower() for vm in inventory.vms.values() if standalone or paths.get(vm.folder) == folder
                }
        return self._names[key]

    def elsewhere(self, uuid: str, endpoint_id: str | None) -> list[tuple[str, Any]]:
        """``(endpoint id, VmRow)`` of the VMs of this instanceUuid on other endpoints than ``endpoint_id``."""
        return [
            (other, row)
            for other, inventory in self.inventories.items()
            if other != endpoint_id
            for row in inventory.vms_of(uuid)
        ]

    def path_of(self, document: Document) -> str:
        """The path people use: ``acme/web/web-01`` for a VM, ``vm/core-100`` for a flavor, a plain name otherwise."""
        if document.kind == entities.FLAVOR:
            return f"{document.scope}/{document.name}"
        parent = self.get(document.scope)
        return f"{self.path_of(parent)}/{document.name}" if parent else document.name

    def _forget_index(self, kind: str) -> None:
        if kind == entities.HOST:
            self._hosts = None
        elif kind == entities.DISK:
            self._disks = None
        elif kind == entities.IMAGE_COPY:
            self._copies = None
