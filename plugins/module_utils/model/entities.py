# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents of the platform's resources: each has a kind, a state and an owner (``managed_by``).

A document is identified by its uuid; people say (kind, scope, name). The scope is the id of what the entity lives in:
a project's scope is its tenant, that of VMs and disks their project, a datastore's its endpoint, a flavor's its kind
(``vm``, ``ephemeral-disk``, ``persistent-disk``), an image copy's its image; an image's is a project or, for the
images of everybody, empty.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import Any

DEPLOYMENT = "deployment"
ENDPOINT = "endpoint"
ZONE = "zone"
HOST = "host"
DATASTORE = "datastore"
FLAVOR = "flavor"
IMAGE = "image"
IMAGE_COPY = "image-copy"  # of one image on one datastore
TENANT = "tenant"
PROJECT = "project"
VM = "vm"
DISK = "disk"  # a persistent one; ephemeral disks are part of their VM
KINDS = (DEPLOYMENT, ENDPOINT, ZONE, HOST, DATASTORE, FLAVOR, IMAGE, IMAGE_COPY, TENANT, PROJECT, VM, DISK)

NOT_FOUND = {
    DEPLOYMENT: "DeploymentNotFound",
    ENDPOINT: "EndpointNotFound",
    ZONE: "AvailabilityZoneNotFound",
    HOST: "HostNotFound",
    DATASTORE: "DatastoreNotFound",
    FLAVOR: "FlavorNotFound",
    IMAGE: "ImageNotFound",
    IMAGE_COPY: "ImageNotFound",
    TENANT: "TenantNotFound",
    PROJECT: "ProjectNotFound",
    VM: "VmNotFound",
    DISK: "DiskNotFound",
}


@dataclass(slots=True)
class Document:
    """One entity. ``body`` holds the kind's own fields as JSON values (see docs/cloudstore.md for each kind).

    ``body`` is intent and identity. ``observed`` holds facts that an endpoint owns and that change by themselves; they
    never change ``version``, which counts from 1.
    ``name_key`` reserves the entity's name (``kind/scope/name`` for everything that is declared; None for entities made
    by id, where the original allows equal names). Times are seconds since the epoch on the database's clock.
    """

    kind: str
    name: str
    scope: str = ""
    state: str = "READY"
    managed_by: str = "api"
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    version: int = 0
    name_key: str | None = None
    created_at: float = 0.0
    updated_at: float = 0.0
    deleted_at: float | None = None
    body: dict[str, Any] = field(default_factory=dict)
    observed: dict[str, Any] = field(default_factory=dict)

    def with_body(self, **changes: Any) -> Document:
        """A copy whose body has these fields changed."""
        return replace(self, body={**self.body, **changes})

    def with_observed(self, **changes: Any) -> Document:
        """A copy with these observed facts changed."""
        return replace(self, observed={**self.observed, **changes})


def name_key(kind: str, scope: str, name: str) -> str:
    """The unique key of a declared entity's name."""
    return f"{kind}/{scope}/{name}"
