# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Targets: a part of a declaration, named by patterns such as ``acme/web``, and what that part needs."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from ..model import entities, flavors
from ..model.declaration import Declaration, full_name
from ..model.entities import Document
from ..model.errors import PhotonError
from ..model.names import expand
from .planning import Planning
from .state import CurrentState

Item = dict[str, Any]
Name = tuple[str, str]  # kind and full name
# What can be a target, by the number of parts of its full name.
_PARTS = {entities.TENANT: 1, entities.PROJECT: 2, entities.IMAGE: 3, entities.VM: 3, entities.DISK: 3}
_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Targets:
    """Tenants, projects, and VMs, disks or images of projects. A tenant or project stands for all that is in it."""

    exact: frozenset[tuple[str, ...]] = frozenset()
    globs: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Targets:
        """Read ``acme``, ``acme/web``, ``acme/web/db-*`` and ranges (``web-[01:20]``). Raises SpecInvalid."""
        exact, globs = set(), []
        for pattern in patterns:
            for text in expand(pattern):
                parts = tuple(text.split("/"))
                if not all(parts) or len(parts) > 3:
                    raise PhotonError(
                        "SpecInvalid",
                        f"{pattern!r} is not a target: write tenant, tenant/project or tenant/project/name, for "
                        "example acme/web, acme/web/db-1 or acme/*/web-*",
                    )
                if _GLOB.search(text):
                    globs.append(parts)
                else:
                    exact.add(parts)
        return cls(frozenset(exact), tuple(globs))

    def cover(self, kind: str, name: str) -> bool:
        """Tell whether a resource is one of them, or in one of them."""
        parts = tuple(name.split("/"))
        if _PARTS.get(kind) != len(parts):
            return False
        if any(parts[:number] in self.exact for number in range(1, len(parts) + 1)):
            return True
        return any(len(glob) <= len(parts) and all(map(fnmatchcase, parts[: len(glob)], glob)) for glob in self.globs)


def narrow(planning: Planning, patterns: Sequence[str]) -> None:
    """Leave in the declaration the targets and what they need. Raises SpecInvalid for a pattern that matches nothing.

    They need what they refer to by name, as it is declared; and of the fleet, where something has to be placed, what
    is not recorded yet. Of their tenant and project, if these exist, only the quota is planned.
    """
    declaration = planning.declaration
    items = _Items.of(declaration, planning.state)
    _check(patterns, items, planning)
    targets = Targets.of(patterns)
    chosen = {name for name in items.by_name if targets.cover(*name)}
    needed = items.closure(chosen)
    if any(map(items.is_placed, needed)):
        needed |= items.closure(filter(items.is_new_in_fleet, items.by_name)) | items.known_endpoints()
    else:
        needed |= items.endpoints_of(needed)
    left: dict[str, list[Item]] = {kind: [] for kind in entities.KINDS if kind != entities.DEPLOYMENT}
    for name, item in items.by_name.items():
        if name in needed:
            left[name[0]].append(item if name in chosen or not items.is_known_container(name) else _quota_of(item))
    planning.targets, planning.everything = targets, declaration
    planning.plan.partial = True
    planning.declaration = replace(
        declaration,
        security_groups=None,
        image_datastores=declaration.image_datastores if left[entities.IMAGE] else None,
        **{f"{kind}s": rows for kind, rows in left.items() if rows or hasattr(declaration, f"{kind}s")},
    )


def _check(patterns: Sequence[str], items: _Items, planning: Planning) -> None:
    """Each pattern must name something that is declared, or recorded as this site's and no longer declared."""
    known = [name for name in items.by_name if name[0] in _PARTS]
    if planning.whole:
        known += [(kind, planning.state.path_of(d)) for kind in _PARTS for d in planning.undeclared(kind)]
    for index, pattern in enumerate(patterns):
        targets = Targets.of([pattern])
        if any(targets.cover(kind, name) for kind, name in known):
            continue
        names = sorted({name for kind, name in known if _PARTS[kind] == name.count("/") + 1})
        close = difflib.get_close_matches(pattern, names, 1)
        hint = f"did you mean {close[0]!r}?" if close else "write tenant, tenant/project or tenant/project/name"
        raise PhotonError(
            "SpecInvalid",
            f"the target {pattern!r} matches no declared tenant, project, VM, disk or image; nothing was done: {hint}",
            {"path": f"only[{index}]"},
        )


@dataclass(frozen=True, slots=True)
class _Items:
    """The declared items by kind and full name; ``disks``: the names of the disks of each VM, by its full name."""

    by_name: dict[Name, Item]
    disks: dict[str, list[Name]]
    state: CurrentState

    @classmethod
    def of(cls, declaration: Declaration, state: CurrentState) -> _Items:
        kinds = [kind for kind in entities.KINDS if kind != entities.DEPLOYMENT]
        by_name = {(kind, _key(kind, item)): item for kind in kinds for item in declaration.of(kind)}
        disks: dict[str, list[Name]] = defaultdict(list)
        for item in declaration.disks:
            if item.get("attached_to"):
                disks[_in_project(item, item["attached_to"])].append((entities.DISK, full_name(entities.DISK, item)))
        return cls(by_name, disks, state)

    def closure(self, chosen: Iterable[Name]) -> set[Name]:
        """Add what these items refer to, and so on. What is declared absent is of no use to others."""
        found = set(chosen)
        queue = list(found)
        while queue:
            name = queue.pop()
            needs = filter(self._stays, self._references(name)) if self._stays(name) else self._attached(name)
            for need in needs:
                if need not in found:
                    found.add(need)
                    queue.append(need)
        return found

    def is_placed(self, name: Name) -> bool:
        """Tell whether an item may have to be put somewhere: then the whole fleet matters."""
        if not self._stays(name) or name[0] not in (entities.IMAGE, entities.VM, entities.DISK):
            return False
        current = self._recorded(name)
        return name[0] == entities.IMAGE or current is None or not current.observed.get("endpoint")

    def is_new_in_fleet(self, name: Name) -> bool:
        if name[0] not in (entities.HOST, entities.DATASTORE) or not self._stays(name):
            return False
        return all(document.name != self.by_name[name]["name"] for document in self.state.of(name[0]))

    def is_known_container(self, name: Name) -> bool:
        """Tell whether it is a tenant or project that exists."""
        return name[0] in (entities.TENANT, entities.PROJECT) and self._recorded(name) is not None

    def known_endpoints(self) -> set[Name]:
        """The declared endpoints that are recorded."""
        recorded = {(entities.ENDPOINT, document.name) for document in self.state.of(entities.ENDPOINT)}
        return {name for name in recorded & self.by_name.keys() if self._stays(name)}

    def endpoints_of(self, names: Iterable[Name]) -> set[Name]:
        """The declared endpoints that VMs and disks are recorded on."""
        found = [self._recorded(name) for name in names if name[0] in (entities.VM, entities.DISK)]
        on = {self.state.name_of(document.observed.get("endpoint")) for document in found if document is not None}
        return {name for name in self.known_endpoints() if name[1] in on}

    def _stays(self, name: Name) -> bool:
        """Tell whether an item is declared, and not as absent."""
        return name in self.by_name and self.by_name[name].get("state") != "absent"

    def _recorded(self, name: Name) -> Document | None:
        return self.state.declared(name[0], self.by_name[name])

    def _attached(self, name: Name) -> Iterator[Name]:
        """Yield the declared disks that a VM has: it cannot be deleted with them."""
        vm = self._recorded(name) if name[0] == entities.VM else None
        for disk in self.state.of(entities.DISK, vm.scope) if vm is not None else ():
            if disk.observed.get("vm") == vm.id and (entities.DISK, self.state.path_of(disk)) in self.by_name:  # type: ignore[union-attr]
                yield entities.DISK, self.state.path_of(disk)

    def _references(self, name: Name) -> Iterator[Name]:
        """Yield what an item refers to; not all of it need be declared."""
        kind, item = name[0], self.by_name[name]
        yield entities.ENDPOINT, item.get("endpoint") or ""
        yield entities.ZONE, item.get("zone") or ""
        if item.get("tenant"):
            yield entities.TENANT, item["tenant"]
        if item.get("project"):
            yield entities.PROJECT, f"{item['tenant']}/{item['project']}"
        if kind == entities.VM:
            yield from self._references_of_vm(name, item)
        elif kind == entities.DISK:
            yield entities.FLAVOR, f"{flavors.PERSISTENT_DISK}/{item.get('flavor')}"
            for vm in filter(None, (item.get("attached_to"), *(item.get("affinity") or ()))):
                other = (entities.VM, _in_project(item, vm))
                if other in self.by_name and self._recorded(other) is None:
                    yield other

    def _references_of_vm(self, name: Name, item: Item) -> Iterator[Name]:
        yield entities.FLAVOR, f"{flavors.VM}/{item.get('flavor')}"
        for flavor in (item.get("boot_disk_flavor"), *(disk["flavor"] for disk in item.get("disks") or ())):
            yield entities.FLAVOR, f"{flavors.EPHEMERAL_DISK}/{flavor}"
        own = (entities.IMAGE, _in_project(item, item.get("image")))
        yield own if own in self.by_name else (entities.IMAGE, str(item.get("image")))
        if self._recorded(name) is None:  # its disks are attached before its first start
            yield from self.disks.get(name[1], ())


def _key(kind: str, item: Item) -> str:
    """The full name; datastores of one name may be on several endpoints."""
    return f"{item.get('endpoint')}:{item['name']}" if kind == entities.DATASTORE else full_name(kind, item)


def _in_project(item: Item, name: object) -> str:
    return f"{item['tenant']}/{item['project']}/{name}"


def _quota_of(item: Item) -> Item:
    return {**item, "security_groups": None, "deletion_protection": None}
