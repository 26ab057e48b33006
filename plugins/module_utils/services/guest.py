# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest is told at its first boot: cloud-init's VMware datasource reads it from ``guestinfo.*`` keys.

Values are encoded ``gzip+base64`` with a fixed time stamp, so that equal data gives equal text and a changed key shows.
"""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

MARKER = "photon.id"
SITE = "photon.site"


def guestinfo(item: dict[str, Any], name: str, identity: str) -> dict[str, str]:
    """The ``guestinfo.*`` keys of a VM: meta-data (always), user-data and the environment where they are declared.

    ``item["metadata"]``: ``{user_data: text, meta_data: mapping, ssh_keys: [text], environment: {name: value}}``.
    """
    declared = item.get("metadata") or {}
    meta: dict[str, Any] = {"instance-id": identity, "local-hostname": name, **(declared.get("meta_data") or {})}
    if declared.get("ssh_keys"):
        meta["public-keys"] = list(declared["ssh_keys"])
    keys = {"guestinfo.metadata": _encode(json.dumps(meta, sort_keys=True)), "guestinfo.metadata.encoding": "gzip+base64"}
    if declared.get("user_data"):
        keys["guestinfo.userdata"] = _encode(declared["user_data"])
        keys["guestinfo.userdata.encoding"] = "gzip+base64"
    for key, value in sorted((declared.get("environment") or {}).items()):
        keys[f"guestinfo.environment.{key}"] = str(value)
    return keys


def fingerprint(item: dict[str, Any]) -> str:
    """One text for all that a guest is told, whatever its name: the CloudStore keeps a keyed digest of it."""
    return json.dumps(item.get("metadata") or {}, sort_keys=True, separators=(",", ":"))


def changed_keys(wanted: dict[str, str], seen: dict[str, str]) -> dict[str, str]:
    """The keys to write, ``""`` for one to take away, so that the guestinfo keys become ``wanted``."""
    ours = {key for key in seen if key.startswith(("guestinfo.metadata", "guestinfo.userdata", "guestinfo.environment."))}
    changes = {key: value for key, value in wanted.items() if seen.get(key) != value}
    return changes | {key: "" for key in ours - set(wanted) if seen[key]}


def _encode(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
