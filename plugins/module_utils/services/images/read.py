# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the declared image files that planning must know: new ones, and those whose size, time or checksum changed."""

from __future__ import annotations

import os

from ...model.errors import PhotonError
from ...vsphere import inspect_image, stat_image
from ..context import Context
from ..planning import Planning
from .fetch import Download
from .plan import files_to_read


def read(planning: Planning, context: Context) -> None:
    """Note the facts of each file, or the PhotonError of reading it, by the name that the declaration gives it; one
    that has a url is called by its path on the controller from now on, and downloaded where it must be read.
    """
    for item in planning.declaration.images:
        if item.get("url") and item["state"] != "absent":
            download = Download.of(item, context.path(item["ca_file"]) if item["ca_file"] else None)
            context.downloads[download.path] = download
            item["file"] = download.path
    for name in files_to_read(planning, lambda file: _stat(file, context)):
        try:
            facts = inspect_image(context.image_file(name))
        except PhotonError as error:
            if error.ends_run or error.code == "Interrupted":
                raise
            planning.files[name] = error
            continue
        download = context.downloads.get(name)
        if download is not None and facts["sha256"] != download.sha256:
            os.unlink(name)
            planning.files[name] = PhotonError(
                "ImageUploadError", f"{name} is not what was downloaded: it was damaged, and is removed; run again"
            )
            continue
        shown = download.name if download is not None else os.path.basename(name)
        planning.files[name] = {**facts, "file": shown, "stat": _stat(name, context)}


def _stat(file: str, context: Context) -> list[int] | list[str] | None:
    """What tells whether a file changed; of one with a url, that is its checksum."""
    if file in context.downloads:
        return [context.downloads[file].sha256]
    return stat_image(context.path(file))
