# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage keys of encryption at rest: read and set a member's layout, find objects of old keys, rewrite them."""

from __future__ import annotations

import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...model.errors import PhotonError
from .. import encryption
from ..documents import kubeadm
from ..encryption import IDENTITY, Layout
from . import observe, static_pods
from .api import Api, Refused
from .commands import read, write
from .etcd_client import Etcd
from .storage import Catalog

ENCRYPTION = f"{observe.SETTINGS}/encryption.json"
_FLAG = "--encryption-provider-config="
_REGISTRY = "/registry/"
_PAGE = 200
_HEAD = 200  # bytes of a value, more than provider and key name need
_ENCRYPTED = b"k8s:enc:"
# kube-apiserver writes its allocation of addresses and ports again every three minutes.
_OWN_SECONDS, _OWN_POLL_SECONDS = 240, 5
Key = dict[str, str]


def read_layout() -> tuple[Layout, list[Key]]:
    """Return this member's layout and keys [{provider, name, secret}]; both are empty without a file."""
    text = read(ENCRYPTION)
    if not text:
        return Layout(), []
    try:
        return encryption.parse(text)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise PhotonError("InvalidHostState", f"{ENCRYPTION} cannot be read: {error}. Run cluster_repair.") from error


def observed() -> dict[str, Any]:
    """Return {enabled: whether this member's API server uses the file, None without an API server; layout, or None}."""
    manifest = read(f"{observe.MANIFESTS}/kube-apiserver.yaml")
    return {
        "enabled": _FLAG in manifest if manifest else None,
        "layout": read_layout()[0].to_dict() if read(ENCRYPTION) else None,
    }


def new_key(provider: str) -> Key:
    """Generate a key whose name contains its creation time."""
    name = time.strftime("made-%Y%m%dt%H%M%S", time.gmtime())
    return {"provider": provider, "name": name, "secret": b64encode(secrets.token_bytes(32)).decode()}


def labelled(key: Key) -> dict[str, str]:
    """Add its label to a key."""
    return {**key, "label": encryption.label(key["provider"], key["name"], key["secret"])}


def text(layout: Layout, keys: Sequence[Mapping[str, str]]) -> str:
    """Return the file of a layout."""
    return kubeadm.text([encryption.configuration(layout, keys)])


def set_layout(layout: Layout, keys: Sequence[Mapping[str, str]], check: bool) -> bool:
    """Write this member's file and restart its API server, which must answer; return False when nothing changes."""
    if read(ENCRYPTION) and read_layout()[0] == layout:
        return False
    if not check:
        write(ENCRYPTION, text(layout, keys))
        if _FLAG in read(f"{observe.MANIFESTS}/kube-apiserver.yaml"):
            static_pods.restart("kube-apiserver")
    return True


def stale(resources: Sequence[str], writer: str) -> list[str]:
    """Return the etcd keys of objects that are not stored as ``writer`` (a key's label or "identity") stores them.

    These are all objects encrypted with another key, and those of ``resources`` that are in plain text.
    """
    return _stale(resources, writer, Catalog.of(Api.of_member()))


def rewrite(resources: Sequence[str], writer: str) -> int:
    """Rewrite every stale object, so that the API server stores it again, and verify the result; return their number.

    Objects that are changed or deleted concurrently need no rewrite. The API server's own records are not objects of
    the API; it writes them itself, which is waited for.
    """
    api = Api.of_member()
    catalog = Catalog.of(api)
    written, deadline = 0, time.monotonic() + _OWN_SECONDS
    left = _stale(resources, writer, catalog)
    for key in left:
        written += _rewritten(api, catalog.path(key), key)
    while left:
        left = _stale(resources, writer, catalog)
        if not left:
            break
        if any(catalog.path(key) for key in left) or time.monotonic() >= deadline:
            how = "in plain text" if writer == IDENTITY else f"encrypted with {writer.rpartition(':')[0]}"
            raise PhotonError(
                "ClusterNotReady",
                f"{len(left)} objects are not stored {how} yet, such as {left[0]}. Run again; no key was removed.",
            )
        time.sleep(_OWN_POLL_SECONDS)
    return written


def _rewritten(api: Api, path: str | None, key: str) -> bool:
    if path is None:
        return False
    try:
        item = api.get(path)
        if item is None:
            return False
        # A patch without a change is stored again when the stored value is stale. A copy sent back would differ in the
        # bytes of free-form fields, some of which are immutable.
        version = {key: item["metadata"][key] for key in ("uid", "resourceVersion")}
        api.merge(path, {"metadata": version})
    except Refused as error:
        if error.status not in (404, 409):
            raise PhotonError(  # pylint: disable=bad-exception-cause
                "ApiRefused", f"{key} cannot be encrypted again, so no key was removed: {error.message}"
            ) from error
    return True


def _stale(resources: Sequence[str], writer: str, catalog: Catalog) -> list[str]:
    if writer == IDENTITY:
        return [key for key, value in _stored() if value.startswith(_ENCRYPTED)]
    wanted = encryption.writer_prefix(writer)

    def late(key: str, value: bytes) -> bool:
        if value.startswith(_ENCRYPTED):
            return not value.startswith(wanted)
        resource = catalog.resource(key)
        return bool(resource) and encryption.covers(resources, resource)

    return [key for key, value in _stored() if late(key, value)]


def _stored() -> Iterator[tuple[str, bytes]]:
    """Yield (etcd key, first bytes of the value) of everything that API servers store, whatever its resource."""
    etcd = Etcd(timeout=30)
    start, end = _REGISTRY.encode(), b"/registry0"
    while True:
        answer = etcd.call(
            "/v3/kv/range",
            {"key": b64encode(start).decode(), "range_end": b64encode(end).decode(), "limit": str(_PAGE)},
        )
        items = answer.get("kvs") or []
        for one in items:
            yield b64decode(one["key"]).decode(), b64decode(one.get("value") or "")[:_HEAD]
        if not answer.get("more") or not items:
            return
        start = b64decode(items[-1]["key"]) + b"\0"
