# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on datastores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self
from urllib.parse import quote, urlencode

from ..model.errors import PhotonError
from . import api, faults, retrieve, tls
from .jobs import Job
from .listing import search
from .names import unescape
from .rows import EndpointInventory
from .session import CONVERSATION_ERRORS, Session

_REFUSALS = {401: "NotAuthenticated", 403: "NoPermission", 423: "FileLocked"}


class DatastoreReader:
    """Reads ranges of files on datastores over HTTP, on one connection; a context manager.

    ``datacenter`` is the datacenter's name. Several threads need a reader each.
    """

    def __init__(self, session: Session, datacenter: str) -> None:
        self._session, self._datacenter = session, datacenter
        self._connection = session.connection()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._connection.close()

    def read(self, path: str, first: int, length: int) -> bytes:
        """Read ``length`` bytes of a file (``[ds] dir/name``) from offset ``first``.

        A disk's bytes are in its ``-flat.vmdk``. Raises NotFound where the file is missing or ends before, and
        EndpointUnreachable.
        """
        what = f"read of {path}"
        datastore, _bracket, file = path.removeprefix("[").partition("] ")
        query = urlencode({"dcPath": self._datacenter, "dsName": datastore})
        headers = {"Cookie": self._session.cookie, "Range": f"bytes={first}-{first + length - 1}"}
        self._session.count()
        try:
            self._connection.request("GET", f"/folder/{quote(file)}?{query}", headers=headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except CONVERSATION_ERRORS as error:
            self._connection.close()  # the next read opens it again
            raise tls.failure(f"{self._session.spec.where} ({what})", error, {"what": what}) from error
        if answer.status == 206 and len(content) == length:
            return content
        data = {"what": what, "status": answer.status}
        if answer.status in (206, 404, 416):
            raise PhotonError("NotFound", f"{what}: it has no bytes {first} to {first + length - 1}", data)
        raise faults.from_name(
            what, _REFUSALS.get(answer.status, "MethodFault"), faults.Details(f"HTTP {answer.status}")
        )


def read_file(session: Session, path: str, datacenter: str, limit: int) -> bytes:
    """Read a small file (``[ds] dir/name``); ``datacenter`` is a moid. Of one that is larger than ``limit`` the bytes
    up to there and one more are returned. Raises NotFound and EndpointUnreachable."""
    return _request(session, "GET", path, datacenter, f"read of {path}", limit=limit + 1)


def write_file(path: str, datacenter: str, content: bytes, **options: Any) -> Job:
    """Write a file (``[ds] dir/name``) whose directory exists, or replace it; ``datacenter`` is a moid."""
    what = f"write of {path}"

    def submit(session: Session) -> None:
        session.check_guard()
        _request(session, "PUT", path, datacenter, what, content)

    return Job(what=what, submit=submit, **{"key": path, "operation": "write_file", **options})


def delete_file(path: str, datacenter: str, **options: Any) -> Job:
    """Delete a file (``[ds] dir/name``); one that does not exist is done."""
    what = f"delete {path}"

    def submit(session: Session) -> Any:
        center = session.reference("Datacenter", datacenter) if session.is_vcenter else None
        return session.call(what, session.content.fileManager.DeleteDatastoreFile_Task, path, center)

    options = {"key": path, "operation": "delete_file", "done_by": frozenset({"FileNotFound"}), **options}
    return Job(what=what, submit=submit, **options)


def _request(
    session: Session, method: str, path: str, datacenter: str, what: str, content: bytes | None = None, limit: int = 0
) -> bytes:
    datastore, _bracket, file = path.removeprefix("[").partition("] ")
    query = urlencode({"dcPath": _datacenter_path(session, datacenter), "dsName": datastore})
    headers = {"Cookie": session.cookie, "Content-Type": "application/octet-stream"}
    connection = session.connection()
    session.count()
    try:
        connection.request(method, f"/folder/{quote(file)}?{query}", content, headers)
        answer = connection.getresponse()
        body = answer.read(limit or 500)
    except CONVERSATION_ERRORS as error:
        failure = tls.failure(f"{session.spec.where} ({what})", error, {"what": what})
        raise PhotonError(failure.code, failure.message, {**failure.data, "unknown": method == "PUT"}) from error
    finally:
        connection.close()
    if answer.status in (200, 201, 204):
        return body
    if answer.status == 404:
        raise PhotonError("NotFound", f"{what}: there is no such file or datastore", {"what": what, "status": 404})
    raise faults.from_name(what, _REFUSALS.get(answer.status, "MethodFault"), faults.Details(f"HTTP {answer.status}"))


def _datacenter_path(session: Session, moid: str) -> str:
    """A datacenter as URLs of files name it: with the folders that it is in. An ESXi host has one of a fixed name."""
    if not session.is_vcenter:
        return "ha-datacenter"
    if moid in session.datacenter_paths:
        return session.datacenter_paths[moid]
    names: list[str] = []
    kind, here = "Datacenter", moid
    while here:
        rows = retrieve.from_objects(session, kind, [here], ["name", "parent"])
        if not rows or not rows[0][2].get("parent"):
            break  # the root folder is not named
        names.insert(0, unescape(rows[0][2]["name"]))
        kind, here = "Folder", rows[0][2]["parent"]
    session.datacenter_paths[moid] = "/".join(names)
    return session.datacenter_paths[moid]


def existing_files(session: Session, inventory: EndpointInventory, paths: Iterable[str]) -> set[str]:
    """Return those of the files (``[ds] dir/name``) that exist: one task for each directory, all at once.

    A file on a datastore that the inventory does not have counts as missing. Raises the fault of a search that
    fails for another reason than the missing directory.
    """
    stores = {row.name: moid for moid, row in inventory.datastores.items()}
    names: dict[str, list[str]] = {}
    for directory, _, name in (path.rpartition("/") for path in paths):
        names.setdefault(directory, []).append(name)
    places = {directory: directory.partition("]")[0].lstrip("[") for directory in names}
    wanted = {directory: stores[name] for directory, name in places.items() if name in stores}
    spec = api.load().vim.host.DatastoreBrowser.SearchSpec
    found = set()
    for directory, outcome in search(session, wanted, lambda path: spec(matchPattern=names[path])):
        if not isinstance(outcome, PhotonError):
            there = {retrieve.text(file, "path").lower() for file in retrieve.children(outcome, "file")}
            found.update(f"{directory}/{name}" for name in names[directory] if name.lower() in there)
        elif outcome.data.get("fault") != "FileNotFound":
            raise outcome
    return found
