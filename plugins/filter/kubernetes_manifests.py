# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter kubernetes_manifests: entry point to the tool kubernetes (documented in kubernetes_manifests.yml)."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError

from ..module_utils.kubernetes import bundle
from ..module_utils.kubernetes.documents import addons, namespaces, network
from ..module_utils.model.errors import PhotonError

_PARTS = ("network", "addons", "namespaces")


def kubernetes_manifests(cluster: Mapping[str, Any], part: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """Return a cluster's objects and the objects to remove, of one part or of all."""
    if part is not None and part not in _PARTS:
        raise AnsibleFilterError(f"must be one of {', '.join(_PARTS)}, got {part!r}")
    present: list[dict[str, Any]] = []
    absent: list[dict[str, Any]] = []
    if part in (None, "network"):
        present += network.objects(cluster)
        if cluster["networks"]["plugin"] == "manifest":
            present += _read(cluster["networks"]["manifest"], cluster)
        absent += network.absent(cluster)
    if part in (None, "addons"):
        own = cluster["addons"]
        present += addons.objects(cluster)
        absent += addons.absent(cluster)
        for name in [*([own["storage_class"]["manifest"]] if own["storage_class"] else []), *own["manifests"]]:
            present += _read(name, cluster)
    if part in (None, "namespaces"):
        present += namespaces.objects(cluster)
        absent += namespaces.absent(cluster)
    return {"objects": present, "absent": absent}


def _read(name: str, cluster: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the objects in a file, with lists expanded."""
    try:
        text = bundle.manifest_text(
            name, cluster["packages"]["bundle"] or "", lambda one: pathlib.Path(one).expanduser().read_text("utf-8")
        )
        found = list(yaml.safe_load_all(text))
    except (OSError, yaml.YAMLError, PhotonError) as error:
        raise AnsibleFilterError(f"the manifest {name} cannot be read: {error}") from None
    items = [item for entry in found if entry for item in (entry["items"] if _is_list(entry) else [entry])]
    for index, item in enumerate(items):
        if not isinstance(item, dict) or not {"apiVersion", "kind", "metadata"} <= set(item):
            raise AnsibleFilterError(f"the manifest {name}: document {index + 1} is not a Kubernetes object")
    return items


def _is_list(entry: Any) -> bool:
    return (
        isinstance(entry, dict) and str(entry.get("kind", "")).endswith("List") and isinstance(entry.get("items"), list)
    )


class FilterModule:
    """Register the filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return filter name -> function."""
        return {"kubernetes_manifests": kubernetes_manifests}
