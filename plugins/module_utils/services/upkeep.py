# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CloudStore itself: its schema version and the explicit upgrade, its verification and repair."""

from __future__ import annotations

import os
from typing import Any

from ..cloudstore import open_store
from ..cloudstore.schema import nothing_to_upgrade
from ..model.errors import PhotonError
from . import verify as verification
from .run import Request, changing, reading


def upgrade(url: str | None, *, allow_ephemeral: bool = False, check: bool = False, by: str = "") -> dict[str, Any]:
    """``{changed, version_before, version}``: bring the schema to this collection's version; ``check`` only tells.

    Raises CloudStoreNotFound, SchemaTooNew, CloudStoreUnavailable.
    """
    url = url or os.environ.get("PHOTON_CLOUDSTORE")
    if not url:
        raise PhotonError("CloudStoreUnavailable", "no CloudStore: set cloudstore_url or PHOTON_CLOUDSTORE")
    before, supported = _version(url, allow_ephemeral)
    if before == supported or check:
        return {"changed": before != supported, "version_before": before, "version": supported}
    with open_store(url, mode="upgrade", allow_ephemeral=allow_ephemeral, by=by) as store:
        return {"changed": True, "version_before": before, "version": store.schema_version}


def verify(request: Request) -> dict[str, Any]:
    """Compare documents, allocations and endpoints, and repair what needs no decision unless ``request.check``.

    Returns verify.Verified.outcome, with ``result: full`` every finding. Raises AccessForbidden, CloudStoreNotFound.
    """
    limit = None if request.result == "full" else request.diff_limit or verification.SHOWN
    with reading(request) as context:
        context.store.database  # noqa: B018 - raises CloudStoreNotFound: a repair, too, must not create one
        if request.check:
            return verification.verify(context).outcome(check=True, limit=limit)
    with changing(request) as context:
        found = verification.verify(context, repair=True)
    return found.outcome(check=False, limit=limit)


def _version(url: str, allow_ephemeral: bool) -> tuple[int, int]:
    """The version that is there and the one that this collection works with."""
    try:
        with open_store(url, allow_ephemeral=allow_ephemeral) as store:
            if store.schema_version is None:
                raise nothing_to_upgrade()
            return store.schema_version, store.schema_version
    except PhotonError as error:
        if error.code != "SchemaTooOld":
            raise
        return error.data["found"], error.data["supported"]
