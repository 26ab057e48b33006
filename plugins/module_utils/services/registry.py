# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only list of resource kinds: how each is planned, applied, recovered, pruned, observed, verified and shown.

A new kind is one package and one row. Rows stand in the order in which they are planned and applied: a kind comes
after those it refers to; deletions run the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..cloudstore import Claim, Inventory, Task
from ..model import entities
from ..model.entities import Document
from . import policies
from .context import Applying, Context
from .disks import actions as disks_actions
from .disks import apply as disks_apply
from .disks import describe as disks_describe
from .disks import desired as disks_desired
from .disks import observed as disks_observed
from .disks import plan as disks
from .disks import rebuild as disks_rebuild
from .disks import record as disks_record
from .disks import recover as disks_recover
from .disks import verify as disks_verify
from .findings import Finding
from .fleet import apply as fleet_apply
from .fleet import capacity, datastores, zones
from .fleet import describe as fleet_describe
from .fleet import plan as fleet
from .fleet import verify as fleet_verify
from .images import apply as images_apply
from .images import describe as images_describe
from .images import plan as images
from .images import read as images_read
from .images import rebuild as images_rebuild
from .images import record as images_record
from .images import recover as images_recover
from .images import verify as images_verify
from .planning import Planning
from .rebuilding import Rebuilding
from .state import CurrentState
from .tenancy import describe as tenancy_describe
from .tenancy import flavors
from .tenancy import plan as tenancy
from .vms import actions as vms_actions
from .vms import apply as vms_apply
from .vms import claims as vms_claims
from .vms import describe as vms_describe
from .vms import lost, rules
from .vms import plan as vms
from .vms import rebuild as vms_rebuild
from .vms import recover as vms_recover
from .vms import verify as vms_verify


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of resource.

    ``plan`` plans the declared items, ``plan_placed`` what depends on the places of VMs,
    ``plan_absent(document, planning, reason, path)`` one that is declared absent and must wait for the plans of all
    kinds, ``plan_delete(document, planning, reason)`` one that is to go, ``plan_unused`` what waits for its last user,
    ``plan_after`` what follows from the whole plan. ``reads_all`` tells whether planning needs every endpoint, ``read``
    reads what it needs in addition to their inventories. ``apply`` does the external work, ``apply_after`` what must
    wait for the work on other kinds, ``apply_deletes`` the external deletions that must.
    ``recover(tx, task, document, state)`` settles an interrupted task. ``claim_of`` is everything that a resource
    holds, ``inventories`` the capacity that it offers. ``verify`` finds where records differ from the endpoints,
    ``verify_unknown`` what no record expects there, ``references`` names the documents that a record refers to.
    ``rebuild`` records what carries its marks in vSphere, ``rebuild_after`` what follows from other kinds; a kind
    without them is recorded as it is declared (see rebuild.py).
    ``describe`` returns its own fields for readers, ``item`` those that a full result shows of it.
    ``needs_endpoints``: planning it needs the endpoints' inventories. ``prunable``: what a site no longer declares
    may be deleted.
    """

    name: str
    plan: Callable[[Planning], None] | None = None
    plan_placed: Callable[[Planning], None] | None = None
    plan_absent: Callable[[Document, Planning, str, str], Any] | None = None
    plan_delete: Callable[[Document, Planning, str], Any] | None = None
    plan_unused: Callable[[Planning], None] | None = None
    plan_after: Callable[[Planning], None] | None = None
    reads_all: Callable[[Planning], bool] | None = None
    read: Callable[[Planning, Context], None] | None = None
    apply: Callable[[Applying], None] | None = None
    apply_after: Callable[[Applying], None] | None = None
    apply_deletes: Callable[[Applying], None] | None = None
    recover: Callable[[Any, Task, Document, CurrentState], None] | None = None
    claim_of: Callable[[Document, CurrentState], Claim] | None = None
    inventories: Callable[[CurrentState], list[Inventory]] | None = None
    verify: Callable[[CurrentState], Iterable[Finding]] | None = None
    verify_unknown: Callable[[CurrentState, Context], Iterable[Finding]] | None = None
    references: Callable[[Document], Iterable[tuple[str, str]]] | None = None
    rebuild: Callable[[Rebuilding], None] | None = None
    rebuild_after: Callable[[Rebuilding], None] | None = None
    describe: Callable[[Document, Any], dict[str, Any]] | None = None
    item: Callable[[Document, CurrentState], dict[str, Any]] | None = None
    needs_endpoints: bool = False
    prunable: bool = True


_ROWS = (
    Kind(entities.DEPLOYMENT, plan=tenancy.plan_security_groups, prunable=False),
    Kind(
        entities.ENDPOINT,
        plan=fleet.plan_endpoints,
        plan_absent=fleet.plan_delete_endpoint,
        plan_delete=fleet.plan_delete_endpoint,
        verify=fleet_verify.verify_endpoints,
        describe=fleet_describe.endpoint,
    ),
    Kind(
        entities.ZONE,
        plan=zones.plan_zones,
        plan_delete=zones.plan_delete,
        plan_unused=zones.plan_unused,
        describe=fleet_describe.zone,
    ),
    Kind(
        entities.FLAVOR,
        plan=flavors.plan_flavors,
        plan_delete=flavors.plan_delete,
        plan_unused=flavors.plan_unused,
        read=policies.read_planned,
        describe=tenancy_describe.flavor,
    ),
    Kind(
        entities.HOST,
        plan=fleet.plan_hosts,
        plan_absent=fleet.plan_absent_host,
        plan_delete=fleet.plan_delete_host,
        apply=fleet_apply.apply_hosts,
        inventories=capacity.host_inventories,
        verify=fleet_verify.verify_hosts,
        references=fleet_verify.references,
        describe=fleet_describe.host,
        needs_endpoints=True,
    ),
    Kind(
        entities.DATASTORE,
        plan=datastores.plan_datastores,
        inventories=capacity.datastore_inventories,
        verify=fleet_verify.verify_datastores,
        references=fleet_verify.references,
        describe=fleet_describe.datastore,
        needs_endpoints=True,
        prunable=False,
    ),
    Kind(
        entities.TENANT,
        plan=tenancy.plan_tenancy,
        plan_absent=tenancy.plan_delete,
        plan_delete=tenancy.plan_delete,
        describe=tenancy_describe.tenant,
    ),
    Kind(
        entities.PROJECT,  # planned with the tenants, whose quotas are settled together
        plan_absent=tenancy.plan_delete,
        plan_delete=tenancy.plan_delete,
        claim_of=tenancy.claim_of,
        references=tenancy.references,
        describe=tenancy_describe.project,
    ),
    Kind(
        entities.IMAGE,
        plan=images.plan_images,
        reads_all=images.waits_for_last_user,
        read=images_read.read,
        plan_delete=images.plan_delete,
        plan_unused=images.plan_unused,
        apply_deletes=images_apply.delete_images,
        recover=images_recover.recover,
        references=images_verify.references,
        rebuild=images_rebuild.rebuild_images,
        describe=images_describe.describe,
        item=images_describe.item_of,
        needs_endpoints=True,
    ),
    Kind(
        entities.IMAGE_COPY,  # planned with the images, and with the VMs that need them
        apply=images_apply.apply_copies,
        apply_deletes=images_apply.delete_copies,
        recover=images_recover.recover_copy,
        claim_of=images_record.claim_of,
        verify=images_verify.verify_copies,
        references=images_verify.copy_references,
        describe=images_describe.describe_copy,
        needs_endpoints=True,
        prunable=False,
    ),
    Kind(
        entities.DISK,  # before the VMs: their hosts must reach their disks
        plan=disks_desired.resolve_disks,
        plan_placed=disks.plan_disks,
        plan_delete=disks.plan_prune,
        plan_after=disks.refuse_attached,
        read=disks_observed.read_planned,
        apply=disks_apply.prepare_disks,
        apply_after=disks_apply.attach_disks,
        apply_deletes=disks_apply.delete_disks,
        recover=disks_recover.recover,
        claim_of=disks_record.claim_of,
        verify=disks_verify.verify,
        references=disks_verify.references,
        rebuild=disks_rebuild.rebuild_disks,
        rebuild_after=disks_rebuild.place_disks,
        describe=disks_describe.describe,
        item=disks_actions.item_of,
        needs_endpoints=True,
    ),
    Kind(
        entities.VM,
        plan=vms.plan_vms,
        plan_delete=vms.plan_delete,
        plan_after=rules.plan_rules,
        reads_all=lost.needs_marks,
        read=lost.read,
        apply=vms_apply.apply_vms,
        recover=vms_recover.recover,
        claim_of=vms_claims.claim_of,
        verify=vms_verify.verify,
        verify_unknown=vms_verify.verify_unknown,
        references=vms_verify.references,
        rebuild=vms_rebuild.rebuild_vms,
        describe=vms_describe.describe,
        item=vms_actions.item_of,
        needs_endpoints=True,
    ),
)
KINDS: dict[str, Kind] = {row.name: row for row in _ROWS}
_ORDER = {name: index for index, name in enumerate(KINDS)}


def order_of(kind: str) -> int:
    """The position of a kind in the order of planning; unknown kinds (DRS rules) come last."""
    return _ORDER.get(kind, len(_ORDER))


def backwards() -> Iterable[Kind]:
    """The kinds in the order of deletion: users before what they use."""
    return reversed(_ROWS)


def claim_of(document: Document, state: CurrentState) -> Claim | None:
    """Everything that a resource holds, as its record says; None for kinds that hold nothing."""
    kind = KINDS.get(document.kind)
    return kind.claim_of(document, state) if kind is not None and kind.claim_of is not None else None


def inventories(state: CurrentState) -> list[Inventory]:
    """The capacity of everything that the endpoints' last read showed."""
    return [row for kind in _ROWS if kind.inventories is not None for row in kind.inventories(state)]
