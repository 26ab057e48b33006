# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of datastores, which administrators change in vSphere."""

from __future__ import annotations

from collections.abc import Iterable

from ...model.entities import Document
from ...model.errors import PhotonError


def find_renamed(name: str, stores: Iterable[Document]) -> Document | None:
    """Return the datastore that had this name before it was renamed in vSphere, if no other has the name now."""
    stores = list(stores)
    if any(store.name == name for store in stores):
        return None
    return next((store for store in stores if store.body.get("former_name") == name), None)


def not_found(name: str, stores: Iterable[Document]) -> PhotonError:
    """Return the error for a name that no known datastore has; it states the new name of a renamed one."""
    stores = list(stores)
    renamed = find_renamed(name, stores)
    if renamed is not None:
        return PhotonError(
            "DatastoreNotFound",
            f"datastore {name!r} was renamed to {renamed.name!r} in vSphere: use the new name",
            {"name": renamed.name},
        )
    names = sorted({store.name for store in stores})
    return PhotonError(
        "DatastoreNotFound",
        f"no declared host mounts a datastore named {name!r}; mounted: {', '.join(names[:10]) or 'none'}",
    )
