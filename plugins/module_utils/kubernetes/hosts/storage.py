# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Map the API server's keys in etcd to resources and paths of its API, as far as discovery knows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .api import Api

_REGISTRY = "/registry/"
# Resources that kube-apiserver stores under another name.
_NAMES = {
    ("", "endpoints"): "services/endpoints",
    ("", "nodes"): "minions",
    ("", "replicationcontrollers"): "controllers",
    ("", "services"): "services/specs",
    ("networking.k8s.io", "ingresses"): "ingress",
}
# Groups that it stores under group and plural name, as it does for custom resources.
_BY_GROUP = ("apiextensions.k8s.io", "apiregistration.k8s.io")
_EXTENSIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"


class _Resource(NamedTuple):
    group: str
    plural: str
    base: str  # path of its version
    namespaced: bool


class Catalog:
    """The stored resources of one cluster."""

    def __init__(self, resources: Mapping[str, _Resource]) -> None:
        self._resources = resources

    @classmethod
    def of(cls, api: Api) -> Catalog:
        """Read discovery; other servers' resources (aggregated APIs) are not in this etcd."""
        custom = {(one["spec"]["group"], one["spec"]["names"]["plural"]) for one in api.items(_EXTENSIONS)}
        foreign = {
            (one["spec"].get("group", ""), one["spec"]["version"])
            for one in api.items(_SERVICES)
            if one["spec"].get("service")
        }
        found: dict[str, _Resource] = {}
        for group, version, base in _versions(api):
            if (group, version) in foreign:
                continue
            for one in (api.get(base) or {}).get("resources") or ():
                plural = one["name"]
                if "/" in plural or "get" not in one.get("verbs", ()):
                    continue
                own = (group, plural)
                where = f"{group}/{plural}" if own in custom or group in _BY_GROUP else _NAMES.get(own, plural)
                found.setdefault(where, _Resource(group, plural, base, bool(one.get("namespaced"))))
        return cls(found)

    def resource(self, key: str) -> str:
        """Return the resource of a key, such as secrets or deployments.apps; "" for the API server's own records."""
        found, _rest = self._find(key)
        return "" if found is None else found.plural + (f".{found.group}" if found.group else "")

    def path(self, key: str) -> str | None:
        """Return the path of the object with this key; None for the API server's own records."""
        found, rest = self._find(key)
        if found is None or len(rest) != 1 + found.namespaced:
            return None
        space = f"/namespaces/{rest[0]}" if found.namespaced else ""
        return f"{found.base}{space}/{found.plural}/{rest[-1]}"

    def _find(self, key: str) -> tuple[_Resource | None, list[str]]:
        parts = key[len(_REGISTRY) :].split("/")
        for length in (2, 1):
            found = self._resources.get("/".join(parts[:length]))
            if found is not None:
                return found, parts[length:]
        return None, []


def _versions(api: Api) -> Iterator[tuple[str, str, str]]:
    """Yield (group, version, path) of each API version, a group's preferred version first, the core group first."""
    yield "", "v1", "/api/v1"
    groups: list[dict[str, Any]] = (api.get("/apis") or {}).get("groups") or []
    for group in groups:
        first = group["preferredVersion"]["version"]
        versions = sorted((one["version"] for one in group["versions"]), key=lambda version: version != first)
        for version in versions:
            yield group["name"], version, f"/apis/{group['name']}/{version}"
