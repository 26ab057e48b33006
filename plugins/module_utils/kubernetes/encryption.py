# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Describe encryption at rest: the keys and resources in a member's EncryptionConfiguration (pure).

A key is known by its label ``provider:name:digest``, which identifies its secret without revealing it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

IDENTITY = "identity"  # the provider, and the writer, of plain text
Key = Mapping[str, str]  # provider, name, secret


class Layout(NamedTuple):
    """Settings of one API server: the first of ``keys`` encrypts ``resources``; all of them decrypt both lists."""

    keys: tuple[str, ...] = ()  # labels
    resources: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()  # written in plain text

    @classmethod
    def of(cls, given: Mapping[str, Sequence[str]]) -> Layout:
        """Convert the result of ``to_dict``."""
        return cls(*(tuple(str(item) for item in given.get(field) or ()) for field in cls._fields))

    def to_dict(self) -> dict[str, list[str]]:
        return {field: list(getattr(self, field)) for field in self._fields}


def label(provider: str, name: str, secret: str) -> str:
    """Return the label of a key; its secret is random, so that a part of its digest reveals nothing."""
    return f"{provider}:{name}:{hashlib.sha256(secret.encode()).hexdigest()[:8]}"


def declared(encryption: Mapping[str, Any]) -> Layout | None:
    """Return the layout of a normalized cluster's ``encryption``, None when its keys are generated."""
    if encryption["provider"] == "none":
        return Layout()
    if not encryption["keys"]:
        return None
    return Layout(tuple(key["label"] for key in encryption["keys"]), tuple(encryption["resources"]))


def writer_prefix(writer: str) -> bytes:
    """Return the first bytes of values in etcd that this key encrypted."""
    provider, name = writer.split(":")[:2]
    return f"k8s:enc:{provider}:v1:{name}:".encode()


def covers(resources: Iterable[str], wanted: str) -> bool:
    """Return whether a list of resources such as secrets, deployments.apps, *.apps or *.* includes this one."""
    _plural, _dot, group = wanted.partition(".")
    return bool({wanted, f"*.{group}", "*.*"} & set(resources))


def configuration(layout: Layout, keys: Iterable[Key]) -> dict[str, Any]:
    """Return the EncryptionConfiguration of a layout with the secrets of ``keys``."""
    known = {label(key["provider"], key["name"], key["secret"]): key for key in keys}
    providers: list[dict[str, Any]] = []
    for one in layout.keys:
        key = known[one]
        if not providers or key["provider"] not in providers[-1]:
            providers.append({key["provider"]: {"keys": []}})
        providers[-1][key["provider"]]["keys"].append({"name": key["name"], "secret": key["secret"]})
    plain: dict[str, Any] = {IDENTITY: {}}
    entries = []
    if layout.resources:
        entries.append({"resources": list(layout.resources), "providers": [*providers, plain]})
    if layout.readable:
        entries.append({"resources": list(layout.readable), "providers": [plain, *providers]})
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": entries or [{"resources": ["secrets"], "providers": [plain]}],
    }


def parse(text: str) -> tuple[Layout, list[dict[str, str]]]:
    """Return the layout and the keys of a file written by ``configuration``; ValueError, KeyError or TypeError."""
    keys: dict[str, dict[str, str]] = {}
    resources: list[str] = []
    readable: list[str] = []
    for entry in json.loads(text)["resources"]:
        providers = [(name, settings) for one in entry["providers"] for name, settings in one.items()]
        if not [name for name, _settings in providers if name != IDENTITY]:
            continue
        (readable if providers[0][0] == IDENTITY else resources).extend(entry["resources"])
        for provider, settings in providers:
            for key in (settings or {}).get("keys") or ():
                found = {"provider": provider, "name": key["name"], "secret": key["secret"]}
                keys.setdefault(label(**found), found)
    return Layout(tuple(keys), tuple(resources), tuple(readable)), list(keys.values())
