# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VM folders on a vCenter: one per site, tenant and project. An ESXi host has a single one and cannot make more."""

from __future__ import annotations

from collections.abc import Iterable

from ..model.errors import PhotonError
from . import retrieve
from .names import escape, folder_names, folder_path, unescape
from .rows import EndpointInventory, FolderRow
from .session import Session


def ensure_folders(
    session: Session, inventory: EndpointInventory, vm_folder: str, paths: Iterable[str]
) -> dict[str, str]:
    """Create what is missing of these paths (``site/acme/web``) below a datacenter's VM folder: ``{path: moid}``.

    ``inventory.folders`` gets the new ones. One call per missing folder; a folder that another client created at the
    same time is used. On an ESXi host every path is the host's only folder.
    """
    made: dict[str, str] = {}
    for path in dict.fromkeys(paths):
        parent, at = vm_folder, ""
        for name in folder_names(path) if session.is_vcenter else []:
            at = folder_path(at, escape(name))
            row = next((f for f in inventory.folders.values() if f.parent == parent and f.name == name), None)
            if row is None:
                row = FolderRow(_make(session, parent, name, at), name, parent, at)
                inventory.folders[row.moid] = row
            parent = row.moid
        made[path] = parent
    return made


def _make(session: Session, parent: str, name: str, path: str) -> str:
    what = f"create folder {path}"
    try:
        return session.call(what, session.reference("Folder", parent).CreateFolder, escape(name))._moId
    except PhotonError as error:
        if error.data.get("fault") != "DuplicateName" and not error.data.get("unknown"):
            raise
        found = _child(session, parent, name)
        if found is None:
            raise
        return found


def _child(session: Session, parent: str, name: str) -> str | None:
    """The moid of a folder's child folder by name, read fresh."""
    for _kind, moid, values in retrieve.from_view(session, {"Folder": ["name", "parent"]}):
        if unescape(values.get("name", "")) == name and values.get("parent") == parent:
            return moid
    return None
