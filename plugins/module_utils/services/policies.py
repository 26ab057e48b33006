# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage policies: which of them flavors name, what the vCenters know of them, and which disk has which.

A name is looked up on the vCenter that a disk is on. Policies are read once in a run, and only where a flavor names one
or a disk has one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..model import entities
from ..model.entities import Document
from ..model.errors import PhotonError
from ..vsphere import read_policies
from .planning import Planning
from .state import CurrentState

_TAG = "storage policy "  # begins the datastore tag that stands for a policy in the scheduler


@dataclass(frozen=True, slots=True)
class Policies:
    """One vCenter's policies: ids by name, and the moids of the datastores that satisfy those that flavors name."""

    ids: dict[str, str] = field(default_factory=dict)
    stores: dict[str, frozenset[str]] = field(default_factory=dict)


def read_planned(planning: Planning, context: Any) -> None:
    """Read what planning VMs or disks needs."""
    if planning.whole or planning.declaration.disks or planning.declaration.vms:
        read(planning.state, context)


def read(state: CurrentState, context: Any) -> None:
    """Read the policies of all vCenters that were read, and those of the disks that were; errors are kept."""
    names = {policy for flavor in state.of(entities.FLAVOR) if (policy := flavor.body.get("storage_policy"))}
    if not names and not any(_has_policy(document) for document in _holders(state)):
        return
    for endpoint_id, inventory in state.inventories.items():
        if inventory.type != "vcenter":
            continue
        try:
            state.policies[endpoint_id] = _read_one(state, context, endpoint_id, names)
        except PhotonError as error:
            if error.ends_run:
                raise
            state.policies[endpoint_id] = error


def check(name: str, label: str, state: CurrentState, endpoint_id: str | None = None) -> None:
    """Refuse a policy that no place can satisfy: UpdateNotSupported where only ESXi hosts come into question (or the
    endpoint is one), NoConstraintMatchingDatastore for an unknown name."""
    if not name:
        return
    if endpoint_id is not None:
        _ids(name, endpoint_id, label, state)
        return
    vcenters = [i for i, inventory in state.inventories.items() if inventory.type == "vcenter"]
    errors = []
    for each in vcenters:
        try:
            _ids(name, each, label, state)
            return
        except PhotonError as error:
            errors.append(error)
    raise errors[0] if errors else _no_policies(name, label, "the platform's endpoints")


def id_on(name: str, datastore: str | None, label: str, state: CurrentState) -> str:
    """The id of the policy on the endpoint of a datastore (a document's id); empty without a name.

    Raises as check, and NoConstraintMatchingDatastore where the datastore does not satisfy the policy.
    """
    if not name:
        return ""
    store = state.must(str(datastore))
    found = _ids(name, store.scope, label, state)
    if store.observed.get("moid") not in found.stores.get(name, ()):
        raise PhotonError(
            "NoConstraintMatchingDatastore",
            f"{label}: datastore {store.name} does not satisfy the storage policy {name!r}, and a disk is not moved: "
            "use a policy that it satisfies, or move the disk in vSphere",
            {"storage_policy": name, "datastore": store.name},
        )
    return found.ids[name]


def tags_of(store: Document, state: CurrentState) -> Iterable[str]:
    """The tags that a datastore has in the scheduler for the policies that it satisfies."""
    found = state.policies.get(store.scope)
    if not isinstance(found, Policies):
        return []
    return [tag_of(name) for name, moids in found.stores.items() if store.observed.get("moid") in moids]


def tag_of(name: str) -> str:
    return _TAG + name


def with_tag(tags: Iterable[str], name: str) -> list[str]:
    """The tags that a disk asks for in the scheduler."""
    return [*tags, *([tag_of(name)] if name else [])]


def _ids(name: str, endpoint_id: str, label: str, state: CurrentState) -> Policies:
    endpoint = state.must(endpoint_id)
    if endpoint.body["type"] != "vcenter":
        raise _no_policies(name, label, f"endpoint {endpoint.name}")
    found = state.policies.get(endpoint_id)
    if isinstance(found, PhotonError):
        raise PhotonError(found.code, f"{label}: {found.message}", found.data)
    if found is None:
        raise PhotonError(
            "DependencyFailed", f"{label}: the storage policies of {endpoint.name} were not read; run again"
        )
    if name not in found.ids:
        raise PhotonError(
            "NoConstraintMatchingDatastore",
            f"{label}: endpoint {endpoint.name} has no storage policy {name!r}; it has "
            f"{', '.join(sorted(found.ids)) or 'none'}",
            {"storage_policy": name},
        )
    return found


def _no_policies(name: str, label: str, where: str) -> PhotonError:
    return PhotonError(
        "UpdateNotSupported",
        f"{label}: its flavor has the storage policy {name!r}, and {where} has no policies, as an ESXi host without a "
        "vCenter: use a flavor without storage_policy there",
        {"storage_policy": name},
    )


def _read_one(state: CurrentState, context: Any, endpoint_id: str, names: set[str]) -> Policies:
    policies = read_policies(context.session(state.must(endpoint_id)))
    known = {identity: name for name, identity in policies.ids.items()}
    disks = {
        document.observed["first_class"]: document.id
        for document in state.of(entities.DISK)
        if document.observed.get("first_class") and document.observed.get("endpoint") == endpoint_id
    }
    rows = {
        f"{vm.moid}:{disk.key}": disk for vm in state.inventories[endpoint_id].vms.values() for disk in vm.disks or ()
    }
    found = {key: known.get(identity, identity) for key, identity in policies.of_disks([*rows, *disks]).items()}
    for key, row in rows.items():
        row.policy = found.get(key, "")
    for key, disk_id in disks.items():
        state.disk_policies[disk_id] = found.get(key, "")
    return Policies(
        policies.ids, {name: frozenset(policies.datastores(name)) for name in names if name in policies.ids}
    )


def _holders(state: CurrentState) -> Iterable[Document]:
    return [*state.of(entities.VM), *state.of(entities.DISK)]


def _has_policy(document: Document) -> bool:
    seen = document.observed
    return bool(seen.get("policy")) or any(disk.get("policy") for disk in (seen.get("disks") or {}).values())
