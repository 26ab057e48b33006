# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage keys of encryption at rest: read and set a member's keys, find objects of old keys, rewrite them."""

from __future__ import annotations

import json
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from ...model.errors import PhotonError
from ..documents import apiserver, kubeadm
from . import static_pods
from .api import Api, Refused
from .commands import read, write
from .etcd_client import Etcd
from .member import ENCRYPTION

_PREFIX = "/registry/"
_PAGE = 200
Key = dict[str, str]


def read_keys() -> list[Key]:
    """Return this member's keys [{name, secret}], the one used for writing first; [] when encryption is off."""
    text = read(ENCRYPTION)
    if not text:
        return []
    try:
        providers = json.loads(text)["resources"][0]["providers"]
        return [
            dict(key) for one in providers for settings in one.values() for key in (settings or {}).get("keys") or ()
        ]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise PhotonError("InvalidHostState", f"{ENCRYPTION} cannot be read: {error}. Run cluster_repair.") from error


def new_key() -> Key:
    """Generate a key whose name contains its creation time."""
    name = time.strftime("made-%Y%m%dt%H%M%S", time.gmtime())
    return {"name": name, "secret": b64encode(secrets.token_bytes(32)).decode()}


def set_keys(settings: Mapping[str, Any], wanted: Sequence[Key], check: bool) -> bool:
    """Set this member's keys in order and restart its API server; return False when nothing changes.

    ``settings``: provider, resources. Wait until the API server answers.
    """
    text = kubeadm.text([apiserver.encryption(settings["provider"], list(wanted), settings["resources"])])
    if [dict(key) for key in wanted] == read_keys():
        return False
    if not check:
        write(ENCRYPTION, text)
        static_pods.restart("kube-apiserver")
    return True


def stale(resources: Sequence[str], provider: str, name: str) -> list[str]:
    """Return the etcd keys of objects of ``resources`` that are not encrypted with ``name``."""
    wanted = f"k8s:enc:{provider}:v1:{name}:".encode()
    return [key for key, value in _stored(resources) if not value.startswith(wanted)]


def rewrite(resources: Sequence[str], provider: str, name: str) -> int:
    """Rewrite every object that is not encrypted with ``name``, so that the API server encrypts it again.

    Return their number. Objects that are changed or deleted concurrently need no rewrite.
    """
    api, written = Api.of_member(), 0
    paths = [_path(key) for key in stale(resources, provider, name)]
    for path in paths:
        item = api.get(path)
        if item is None:
            continue
        try:
            api.put(path, item)
        except Refused as error:
            if error.status not in (404, 409):
                raise
        written += 1
    left = stale(resources, provider, name)
    if left:
        raise PhotonError(
            "ClusterNotReady", f"{len(left)} objects are not encrypted with {name} yet, such as {left[0]}. Run again."
        )
    return written


def _stored(resources: Sequence[str]) -> list[tuple[str, bytes]]:
    """Return (etcd key, first bytes of the value) of all objects of these core resources."""
    found, etcd = [], Etcd(timeout=30)
    for resource in resources:
        start, end = f"{_PREFIX}{resource}/".encode(), f"{_PREFIX}{resource}0".encode()
        while True:
            answer = etcd.call(
                "/v3/kv/range",
                {"key": b64encode(start).decode(), "range_end": b64encode(end).decode(), "limit": str(_PAGE)},
            )
            items = answer.get("kvs") or []
            found += [(b64decode(one["key"]).decode(), b64decode(one.get("value") or "")[:200]) for one in items]
            if not answer.get("more") or not items:
                break
            start = b64decode(items[-1]["key"]) + b"\0"
    return found


def _path(key: str) -> str:
    """Convert /registry/secrets/default/one to /api/v1/namespaces/default/secrets/one."""
    _empty, _registry, resource, *place = key.split("/")
    if len(place) == 1:
        return f"/api/v1/{resource}/{place[0]}"
    return f"/api/v1/namespaces/{place[0]}/{resource}/{'/'.join(place[1:])}"
