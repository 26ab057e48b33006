# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The normal form of a declared site."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .. import entities

Item = dict[str, Any]


def full_name(kind: str, item: Item) -> str:
    """The name of an item as people use it: ``acme/web/web-01``, ``vm/core-100`` of a flavor, else a plain name."""
    parts = [item.get("tenant"), item.get("project"), item["name"]]
    if kind == entities.FLAVOR:
        parts = [item["kind"], item["name"]]
    return "/".join(part for part in parts if part)


@dataclass(slots=True)
class Declaration:
    """A declared site in normal form.

    Each list holds one dict per entity: every key of its schema (docs/declaration.md), ranges expanded, quantities as
    integers in base units, quotas and costs as ``{key: (amount, unit)}``, and ``path``, its key path. None stands for
    an omitted key. Projects also have ``tenant``; images, VMs and disks ``tenant`` and ``project`` (both empty for an
    image of everybody); VMs ``spread_group``, the name of the set that ``spread_over`` keeps even; images
    ``file_type``.
    ``settings`` are the remaining variables without their prefix (``placement_policy``, ``prune`` ...).
    """

    site: str = "site"
    settings: dict[str, Any] = field(default_factory=dict)
    security_groups: list[str] | None = None
    image_datastores: list[str] | None = None
    endpoints: list[Item] = field(default_factory=list)
    zones: list[Item] = field(default_factory=list)
    hosts: list[Item] = field(default_factory=list)
    datastores: list[Item] = field(default_factory=list)
    flavors: list[Item] = field(default_factory=list)
    images: list[Item] = field(default_factory=list)
    tenants: list[Item] = field(default_factory=list)
    projects: list[Item] = field(default_factory=list)
    vms: list[Item] = field(default_factory=list)
    disks: list[Item] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def managed_by(self) -> str:
        return f"inventory:{self.site}"

    def of(self, kind: str) -> list[Item]:
        """The items of a kind; none of one that is not declared."""
        return list(getattr(self, f"{kind}s", ()))
