# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cloud-init data of a guest as ``guestinfo.*`` keys, which cloud-init's VMware datasource reads."""

from __future__ import annotations

import json
from typing import Any

from ..model.errors import PhotonError
from ..vsphere import guestinfo

_ENVIRONMENT = "guestinfo.environment."
_OURS = ("guestinfo.metadata", "guestinfo.userdata", _ENVIRONMENT)
_ENCODED = ("guestinfo.metadata", "guestinfo.userdata")


def keys(item: dict[str, Any], name: str, identity: str, network: dict[str, Any] | None = None) -> dict[str, str]:
    """Return the ``guestinfo.*`` keys of a VM: meta-data always, user-data and the environment where declared.

    ``item["metadata"]``: ``{user_data: text, meta_data: text or mapping, ssh_keys: [text], environment: {..}}``.
    ``network``: cloud-init's network configuration, which is a part of the meta-data.
    """
    declared = item.get("metadata") or {}
    meta: dict[str, Any] = {"instance-id": identity, "local-hostname": name, **_mapping(declared.get("meta_data"))}
    if declared.get("ssh_keys"):
        meta["public-keys"] = list(declared["ssh_keys"])
    if network:
        meta["network"] = network
    encoded = guestinfo.extra_config(metadata=meta, userdata=_text(declared.get("user_data")))
    return encoded | {f"{_ENVIRONMENT}{key}": str(value) for key, value in (declared.get("environment") or {}).items()}


def fingerprint(item: dict[str, Any]) -> str:
    """Return one text for all declared guest data, without the VM's name; the CloudStore keeps a keyed digest of it."""
    declared = {key: value for key, value in (item.get("metadata") or {}).items() if value}
    return json.dumps(declared, sort_keys=True, separators=(",", ":"))


def changed_keys(wanted: dict[str, str], seen: dict[str, str]) -> dict[str, str]:
    """Return the keys to write, ``""`` for one to remove, so that the guest's keys become ``wanted``.

    Encoded values are compared decoded: two versions of zlib compress the same text differently.
    """
    changes = {}
    for key, value in wanted.items():
        if seen.get(key) != value and _decoded(key, seen) != _decoded(key, wanted):
            changes[key] = value
            if key in _ENCODED:
                changes[f"{key}.encoding"] = wanted[f"{key}.encoding"]
    removed = {key for key, value in seen.items() if value and key.startswith(_OURS) and key not in wanted}
    return changes | dict.fromkeys(removed, "")


def _decoded(key: str, values: dict[str, str]) -> str | None:
    if key not in values or key not in _ENCODED:
        return values.get(key)
    try:
        return guestinfo.decode(values[key], values.get(f"{key}.encoding", ""))
    except PhotonError:
        return values[key]  # not a valid encoding: it differs


def _mapping(meta_data: Any) -> dict[str, Any]:
    """Return meta-data as a mapping; a text that is not a JSON mapping is kept under ``meta-data``."""
    if not meta_data or isinstance(meta_data, dict):
        return dict(meta_data or {})
    try:
        loaded = json.loads(meta_data)
    except ValueError:
        loaded = None
    return loaded if isinstance(loaded, dict) else {"meta-data": meta_data}


def _text(user_data: Any) -> str | None:
    if not user_data or isinstance(user_data, str):
        return user_data or None
    return "#cloud-config\n" + json.dumps(user_data, sort_keys=True)  # JSON is YAML
