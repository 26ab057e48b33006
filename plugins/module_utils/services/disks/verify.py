# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Persistent disks against vSphere: lost files, and disks that are elsewhere than is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...model import entities
from ...model.entities import Document
from ...model.errors import PhotonError
from ..findings import Finding, differences
from ..state import CurrentState
from .observed import Sight
from .record import Disk


def verify(state: CurrentState) -> Iterator[Finding]:
    """Yield a finding per disk whose record is not what its endpoint shows; facts are repaired by recording them."""
    sight = Sight.of(state)
    for document in state.of(entities.DISK):
        if document.id not in state.busy:
            yield from _compare(document, Disk.of(document), sight, state)


def references(document: Document) -> Iterator[tuple[str, str]]:
    """Yield the documents that a disk's record names, each with its role."""
    seen = document.observed
    yield from (("project", document.scope), ("flavor", document.body["flavor"]))
    yield from ((key, seen[key]) for key in ("endpoint", "datastore") if seen.get(key))
    if seen.get("vm"):
        yield "vm", seen["vm"]


def _compare(document: Document, disk: Disk, sight: Sight, state: CurrentState) -> Iterator[Finding]:
    if disk.endpoint is None or disk.is_unfinished:
        return
    try:
        seen = sight.see(disk)
    except PhotonError:
        return  # its endpoint could not be read
    name = state.path_of(document)
    if seen.gone:
        step = "restore the file, or declare the disk absent: an empty one is never put in its place"
        yield Finding(entities.DISK, name, "lost file", disk.path or "", "none", step)
        return
    if seen.stranger:
        step = "detach it there"
        yield Finding(entities.DISK, name, "attached elsewhere", "a VM of its project", seen.stranger, step)
        return
    if seen.disk != disk:
        expected, found = differences(_shown(seen.disk, state), _shown(disk, state))
        yield Finding.to_repair(entities.DISK, name, "facts", expected, found, observed=seen.disk.write_to(document))


def _shown(disk: Disk, state: CurrentState) -> dict[str, Any]:
    """The facts of a disk as people read them."""
    return {
        "state": disk.state,
        "datastore": state.name_of(disk.datastore),
        "file": disk.path,
        "uuid": disk.uuid,
        "size": disk.size,
        "attached_to": state.name_of(disk.vm),
    }
