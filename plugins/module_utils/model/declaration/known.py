# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names that a declaration may refer to without declaring them: those in the CloudStore."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .. import entities, flavors
from ..entities import Document


@dataclass(slots=True)
class Known:
    """Names by kind. Flavors are (kind, name); projects (tenant, project); images and VMs (tenant, project, name), the
    first two empty for everybody's images. The shipped flavors are always known."""

    endpoints: set[str] = field(default_factory=set)
    zones: set[str] = field(default_factory=set)
    hosts: set[str] = field(default_factory=set)
    tenants: set[str] = field(default_factory=set)
    projects: set[tuple[str, str]] = field(default_factory=set)
    images: set[tuple[str, str, str]] = field(default_factory=set)
    vms: set[tuple[str, str, str]] = field(default_factory=set)
    flavors: set[tuple[str, str]] = field(
        default_factory=lambda: {(kind, name) for kind, name, _cost in flavors.shipped()}
    )

    @classmethod
    def of(cls, documents: Iterable[Document]) -> Known:
        """From the documents of a CloudStore."""
        documents = list(documents)
        known = cls()
        by_id = {d.id: d for d in documents if d.kind in (entities.TENANT, entities.PROJECT)}
        simple = {
            entities.ENDPOINT: known.endpoints,
            entities.ZONE: known.zones,
            entities.HOST: known.hosts,
            entities.TENANT: known.tenants,
        }
        for document in documents:
            if document.kind in simple:
                simple[document.kind].add(document.name)
            elif document.kind == entities.FLAVOR:
                known.flavors.add((document.scope, document.name))
            elif document.kind == entities.PROJECT and document.scope in by_id:
                known.projects.add((by_id[document.scope].name, document.name))
            elif document.kind in (entities.IMAGE, entities.VM):
                project = by_id.get(document.scope)
                tenant = by_id.get(project.scope) if project else None
                names = known.images if document.kind == entities.IMAGE else known.vms
                names.add((tenant.name if tenant else "", project.name if project else "", document.name))
        return known
