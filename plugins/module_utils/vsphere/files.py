# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on datastores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..model.errors import PhotonError
from . import api, retrieve
from .jobs import Job, run_jobs
from .rows import EndpointInventory
from .session import Session


def existing_files(session: Session, inventory: EndpointInventory, paths: Iterable[str]) -> set[str]:
    """Return those of the files (``[ds] dir/name``) that exist: one task for each, all at once.

    A file on a datastore that the inventory does not have counts as missing. Raises the fault of a search that
    fails for another reason than the missing directory.
    """
    stores = {row.name: moid for moid, row in inventory.datastores.items()}
    wanted = {path: stores[name] for path in paths if (name := path.partition("]")[0].lstrip("[")) in stores}
    if not wanted:
        return set()
    rows = retrieve.from_objects(session, "Datastore", sorted(set(wanted.values())), ["browser"])
    browsers = {moid: values["browser"] for _kind, moid, values in rows if values.get("browser")}
    jobs = [_search(path, browsers[moid]) for path, moid in wanted.items() if moid in browsers]
    found = set()
    for job, outcome in run_jobs(session, jobs):
        if not isinstance(outcome, PhotonError):
            found.update({job.key} if retrieve.children(outcome, "file") else ())
        elif outcome.data.get("fault") != "FileNotFound":
            raise outcome
    return found


def _search(path: str, browser: str) -> Job:
    what = f"search of {path}"
    directory, _, name = path.rpartition("/")

    def submit(session: Session) -> Any:
        spec = api.load().vim.host.DatastoreBrowser.SearchSpec(matchPattern=[name])
        reference = session.reference("HostDatastoreBrowser", browser)
        return session.call(what, reference.SearchDatastore_Task, directory, spec, read=True)

    return Job(path, what, submit)
