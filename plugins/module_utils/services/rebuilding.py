# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rebuild works with: what carries the platform's marks in vSphere, and the contradictions that it meets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..model import entities, names
from ..model.entities import Document
from ..model.errors import PhotonError
from ..vsphere import guestinfo
from . import marks
from .context import Context
from .findings import Finding
from .planning import Planning
from .state import CurrentState

_UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_TAG = re.compile(r"^[0-9a-f]{8}$")


@dataclass(slots=True)
class Carrier:
    """A VM, a copy of an image or a disk that carries the platform's marks; ``label`` is its place for people.

    ``thing`` is its VmRow or DiskFile, ``identity`` the id in its marks, ``record`` None where it cannot be used:
    ``error`` says why. ``whole``: the record is one that it carries; else it follows from something else.
    """

    kind: str
    endpoint: Document
    label: str
    identity: str
    store: str
    thing: Any
    record: marks.Fields | None = None
    error: str = ""
    whole: bool = True

    @classmethod
    def of(cls, kind: str, endpoint: Document, name: str, keys: Any, thing: Any) -> Carrier:
        """Read the marks among ``keys``. An identity that is not one of ours is an error."""
        store, identity = keys.get(guestinfo.STORE_KEY, ""), keys.get(guestinfo.ID_KEY, "").lower()
        carrier = cls(kind, endpoint, f"{endpoint.name}/{name}", identity, store, thing)
        text = keys.get(guestinfo.RECORD_KEY, "")
        try:
            if not text:
                raise PhotonError("SpecInvalid", "it has no photon.record")
            record = marks.decode(text, kind)
            _check(record, carrier)
        except PhotonError as error:
            carrier.error = error.message
        else:
            carrier.record, carrier.store = record, record.text("store")
        return carrier


@dataclass(slots=True)
class Rebuilding:
    """One rebuild. ``carriers`` are those of this CloudStore whose record can be used; its documents are in the state
    of ``planning``."""

    planning: Planning
    context: Context
    store_id: str = ""
    rules_tag: str = ""
    carriers: list[Carrier] = field(default_factory=list)
    contradictions: list[Finding] = field(default_factory=list)

    @property
    def state(self) -> CurrentState:
        return self.planning.state

    def of(self, kind: str) -> list[Carrier]:
        """The carriers of a kind, in a fixed order."""
        return sorted((each for each in self.carriers if each.kind == kind), key=lambda each: each.label)

    def report(self, kind: str, name: str, what: str, found: str, step: str, expected: str = "") -> None:
        """Add a contradiction."""
        self.contradictions.append(Finding(kind, name, what, expected, found, step))

    def refuse(self, carrier: Carrier, what: str, found: str, step: str) -> None:
        """Report why a carrier is not recorded."""
        self.report(carrier.kind, carrier.label, what, found, step)

    def take(self, carriers: Iterable[Carrier]) -> None:
        """Keep the carriers of one CloudStore, the lost one, and report the others."""
        every = list(carriers)
        self._choose(every)
        others: Counter[tuple[str, str]] = Counter()
        for carrier in every:
            if carrier.store not in (self.store_id, ""):
                others[carrier.kind, carrier.store] += 1
            elif carrier.record is None:
                step = "correct it in vSphere, or adopt it once the CloudStore is there; it is left alone"
                self.refuse(carrier, "unusable record", carrier.error, step)
            else:
                self.carriers.append(carrier)
        for (kind, store), number in sorted(others.items()):
            found = f"{number} of {store}"
            step = "nothing, if another platform uses these endpoints too; else see docs/rebuild.md"
            self.report(kind, store, "another CloudStore", found, step, self.store_id)

    def project_of(self, carrier: Carrier) -> Document | None:
        """The project that a record names; None where it is not declared, which is reported."""
        record, state = carrier.record, self.state
        tenant_name, project_name = record.text("tenant"), record.text("project")  # type: ignore[union-attr]
        tenant = state.find(entities.TENANT, "", tenant_name)
        project = state.find(entities.PROJECT, tenant.id, project_name) if tenant is not None else None
        if project is None:
            what = "undeclared tenant" if tenant is None else "undeclared project"
            path = f"{tenant_name}/{project_name}"
            self.refuse(carrier, what, path, f"declare {path}, then rebuild again; it is left alone")
        return project

    def flavor_of(self, kind: str, name: str) -> Document:
        """The flavor that a record names. Raises FlavorNotFound."""
        return self.state.require(entities.FLAVOR, kind, name)

    def unique(self, carriers: Iterable[Carrier]) -> Iterator[Carrier]:
        """Yield the carriers but those that share their project and name with one of another id, which are reported."""
        every = list(carriers)
        owners: dict[tuple[str, ...], set[str]] = {}
        for carrier in every:
            owners.setdefault(_path(carrier), set()).add(carrier.identity)
        for carrier in every:
            if len(owners[_path(carrier)]) == 1:
                yield carrier
            else:
                step = "remove the copy, or its photon.id, then rebuild again; none of them is recorded"
                self.refuse(carrier, "two with one name", "/".join(_path(carrier)), step)

    def _choose(self, carriers: Iterable[Carrier]) -> None:
        """The lost CloudStore is the one that most of what this site declares carries; else what it names tells."""
        usable = [each for each in carriers if each.record is not None and _UUID.match(each.store)]
        ours = [each for each in usable if each.record.text("managed_by") == self.planning.managed_by]  # type: ignore[union-attr]
        declared = {item["name"] for item in self.planning.declaration.tenants}
        chosen = ours or [each for each in usable if each.record.optional("tenant") in declared]  # type: ignore[union-attr]
        votes = Counter(each.store for each in chosen)
        if not votes:
            return
        self.store_id = max(sorted(votes), key=lambda store: votes[store])
        tags = Counter(each.record.text("rules") for each in chosen if each.store == self.store_id and each.whole)  # type: ignore[union-attr]
        if tags:
            self.rules_tag = max(sorted(tags), key=lambda tag: tags[tag])


def _check(record: marks.Fields, carrier: Carrier) -> None:
    """Raise SpecInvalid for identities and names that the platform does not give."""
    identity = record.text("id")
    if not _UUID.match(identity):
        raise PhotonError("SpecInvalid", f"its photon.record cannot be used: {identity[:80]!r} is not an id")
    if identity != carrier.identity:
        found = carrier.identity[:80]
        raise PhotonError("SpecInvalid", f"its photon.id is {found}, and its photon.record is {identity}'s")
    if not _TAG.match(record.text("rules")) or not _UUID.match(record.text("store")):
        raise PhotonError("SpecInvalid", "its photon.record cannot be used: it names no CloudStore")
    record.text("managed_by")
    for key in ("name", "tenant", "project"):
        if key == "name" or record.has(key) or carrier.kind != entities.IMAGE:
            names.check(record.text(key), key)


def _path(carrier: Carrier) -> tuple[str, ...]:
    record = carrier.record
    return tuple(record.optional(key) or "" for key in ("tenant", "project", "name"))  # type: ignore[union-attr]
