# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guest metadata as cloud-init's VMware datasource reads it: guestinfo.metadata and guestinfo.userdata, gzip+base64."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import zlib
from collections.abc import Mapping
from typing import Any

from ..model.errors import PhotonError

ENCODING = "gzip+base64"
ID_KEY = "photon.id"  # marks a VM of the platform: the id of its document
SITE_KEY = "photon.site"  # the site that declares it
TEMPLATE_KEY = "photon.template"  # marks the copy of an image: its instanceUuid once more
STORE_KEY = "photon.store"  # the id of the CloudStore that holds the document
RECORD_KEY = "photon.record"  # what a lost CloudStore is rebuilt from


def extra_config(*, metadata: Mapping[str, Any] | None = None, userdata: str | None = None) -> dict[str, str]:
    """Return the guestinfo keys for metadata (as JSON, which is YAML) and user-data. Equal input gives equal bytes."""
    keys: dict[str, str] = {}
    if metadata:
        keys["guestinfo.metadata"] = encode(json.dumps(metadata, sort_keys=True, separators=(",", ":")))
        keys["guestinfo.metadata.encoding"] = ENCODING
    if userdata:
        keys["guestinfo.userdata"] = encode(userdata)
        keys["guestinfo.userdata.encoding"] = ENCODING
    return keys


def encode(text: str) -> str:
    """Encode the text of a guestinfo value."""
    # No time stamp in the gzip header: the same text must compare equal on every run.
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def decode(value: str, encoding: str = ENCODING) -> str:
    """Return the text of a guestinfo value in one of the encodings that cloud-init knows. Raises SpecInvalid."""
    try:
        if encoding in ("gzip+base64", "gz+b64"):
            return gzip.decompress(base64.b64decode(value, validate=True)).decode()
        if encoding in ("base64", "b64"):
            return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise PhotonError("SpecInvalid", f"a guestinfo value is not valid {encoding}: {error}") from error
    return value
