# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listings of the disks on datastores: one search for each datastore or directory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..model.errors import PhotonError
from . import api, retrieve
from .jobs import Job, run_jobs
from .rows import DatastoreRow
from .session import Session


@dataclass(frozen=True, slots=True)
class ListedDisk:
    """A disk as a listing of its datastore shows it: the space that it takes and its capacity, in bytes."""

    size: int
    capacity: int
    thin: bool


def list_disks(session: Session, datastores: Iterable[DatastoreRow]) -> dict[str, ListedDisk]:
    """List every disk on these datastores by path; one search per datastore. Raises the first search's error."""
    names = {row.moid: row.name for row in datastores}
    rows = retrieve.from_objects(session, "Datastore", sorted(names), ["browser"])
    found: dict[str, ListedDisk] = {}
    jobs = [_search(names[moid], each["browser"]) for _kind, moid, each in rows]
    for _job_done, outcome in run_jobs(session, jobs):
        if isinstance(outcome, PhotonError):
            raise outcome
        for folder in outcome or []:
            where = retrieve.text(folder, "folderPath").rstrip("/")
            where = where.replace("]/", "] ", 1) + (" " if where.endswith("]") else "/")
            found.update((where + name, disk) for name, disk in _listed(folder))
    return found


def list_directories(session: Session, directories: Mapping[str, str]) -> dict[str, dict[str, ListedDisk]]:
    """List the disks in these directories (``{[ds] dir: datastore's moid}``) by path, one search for each.

    One that does not exist is empty; one that cannot be searched is omitted.
    """
    if not directories:
        return {}
    rows = retrieve.from_objects(session, "Datastore", sorted(set(directories.values())), ["browser"])
    browsers = {moid: each["browser"] for _kind, moid, each in rows}
    jobs = [_search_one(path, browsers[moid]) for path, moid in directories.items() if moid in browsers]
    found: dict[str, dict[str, ListedDisk]] = {}
    for job, outcome in run_jobs(session, jobs):
        if not isinstance(outcome, PhotonError):
            found[job.key] = {f"{job.key}/{name}": disk for name, disk in _listed(outcome)}
        elif outcome.data.get("fault") == "FileNotFound":
            found[job.key] = {}
    return found


def _search_one(path: str, browser: str) -> Job:
    what = f"listing of the disks in {path}"

    def submit(session: Session) -> Any:
        reference = session.reference("HostDatastoreBrowser", browser)
        return session.call(what, reference.SearchDatastore_Task, path, _search_spec(), read=True)

    return Job(key=path, what=what, submit=submit, operation="list_disks")


def _listed(folder: Any) -> Iterator[tuple[str, ListedDisk]]:
    for file in retrieve.children(folder, "file"):
        yield (
            retrieve.text(file, "path"),
            ListedDisk(
                int(retrieve.text(file, "fileSize", "0")),
                int(retrieve.text(file, "capacityKb", "0")) << 10,
                retrieve.text(file, "thin") == "true",
            ),
        )


def _search_spec() -> Any:
    kind = api.load().vim.host.DatastoreBrowser
    return kind.SearchSpec(
        query=[
            kind.VmDiskQuery(
                details=kind.VmDiskQuery.Details(diskType=False, capacityKb=True, hardwareVersion=False, thin=True)
            )
        ],
        details=kind.FileInfo.Details(fileType=True, fileSize=True, modification=False, fileOwner=False),
        matchPattern=["*"],
    )


def _search(datastore: str, browser: str) -> Job:
    what = f"listing of the disks on datastore {datastore}"

    def submit(session: Session) -> Any:
        reference = session.reference("HostDatastoreBrowser", browser)
        return session.call(what, reference.SearchDatastoreSubFolders_Task, f"[{datastore}]", _search_spec(), read=True)

    return Job(key=datastore, what=what, submit=submit, operation="list_disks")
