# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Searches on datastores: the disks on each, the disks in a directory, given files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
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
    found: dict[str, ListedDisk] = {}
    for _path, outcome in search(session, {f"[{row.name}]": row.moid for row in datastores}, _of_disks, deep=True):
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
    found: dict[str, dict[str, ListedDisk]] = {}
    for path, outcome in search(session, directories, _of_disks):
        if not isinstance(outcome, PhotonError):
            found[path] = {f"{path}/{name}": disk for name, disk in _listed(outcome)}
        elif outcome.data.get("fault") == "FileNotFound":
            found[path] = {}
    return found


def list_names(session: Session, directories: Mapping[str, str], pattern: str) -> dict[str, list[str]]:
    """List the names of the files in these directories that match a pattern; as ``list_directories`` otherwise."""
    found: dict[str, list[str]] = {}
    spec = api.load().vim.host.DatastoreBrowser.SearchSpec
    for path, outcome in search(session, directories, lambda _path: spec(matchPattern=[pattern])):
        if not isinstance(outcome, PhotonError):
            found[path] = [retrieve.text(file, "path") for file in retrieve.children(outcome, "file")]
        elif outcome.data.get("fault") == "FileNotFound":
            found[path] = []
    return found


def search(
    session: Session, directories: Mapping[str, str], spec_of: Callable[[str], Any], *, deep: bool = False
) -> Iterator[tuple[str, Any]]:
    """Search directories (``{[ds] dir: datastore's moid}``), all at once: yields each with its result or PhotonError.

    ``spec_of(directory)`` is the SearchSpec; with ``deep`` the directories in it are searched too. Those on datastores
    that do not exist are omitted.
    """
    rows = retrieve.from_objects(session, "Datastore", sorted(set(directories.values())), ["browser"])
    browsers = {moid: values["browser"] for _kind, moid, values in rows if values.get("browser")}
    method = "SearchDatastoreSubFolders_Task" if deep else "SearchDatastore_Task"

    def job(path: str, browser: str) -> Job:
        what = f"search of {path}"

        def submit(session: Session) -> Any:
            reference = session.reference("HostDatastoreBrowser", browser)
            return session.call(what, getattr(reference, method), path, spec_of(path), read=True)

        return Job(path, what, submit)

    jobs = [job(path, browsers[moid]) for path, moid in directories.items() if moid in browsers]
    yield from ((done.key, outcome) for done, outcome in run_jobs(session, jobs))


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


def _of_disks(_path: str) -> Any:
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
