# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs: what a declaration asks of each, beside what is recorded and what runs, as a plan.

The plan is pure: it reads the World (documents, quota, inventories) and changes only that copy. vm_run.py does it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ..model import entities, flavors
from ..model.authorization import Actor, authorize
from ..model.entities import Document, name_key
from ..model.errors import PhotonError
from ..model.quota import charge, refund
from . import guest, vm_drift
from .placement import Candidate, name_in_vsphere, place_all, settle
from .planning import CREATE, DELETE, KEEP, UPDATE, Action, Plan
from .world import World

POWER = {"started": "STARTED", "stopped": "STOPPED", "suspended": "SUSPENDED"}
OPERATIONS = {
    ("STOPPED", "STARTED"): ["START_VM"],
    ("SUSPENDED", "STARTED"): ["RESUME_VM"],
    ("STARTED", "STOPPED"): ["STOP_VM"],
    ("SUSPENDED", "STOPPED"): ["STOP_VM"],
    ("STARTED", "SUSPENDED"): ["SUSPEND_VM"],
    ("STOPPED", "SUSPENDED"): ["START_VM", "SUSPEND_VM"],
}


@dataclass(slots=True)
class Settings:
    """How VMs are planned. ``digest(value)`` is the CloudStore's keyed digest; ``pinned`` maps a VM's path to
    ``{host, datastore}`` of a saved plan; ``gateway`` names the default port group."""

    managed_by: str
    digest: Any
    policy: str = "spread"
    quality: str = "normal"
    seed: int = 0
    atomic: bool = False
    default_port_group: str | None = None
    pinned: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(slots=True)
class _Project:
    """What all VMs of one project share while they are planned."""

    document: Document
    tenant: Document
    path: str
    allowed: set[str] = field(default_factory=set)  # verbs that the actor was found to hold here
    specs: dict[Any, dict[str, Any]] = field(default_factory=dict)  # one resolved body per distinct declaration


def plan_vms(items: Iterable[dict[str, Any]], world: World, plan: Plan, actor: Actor, settings: Settings) -> None:
    """Add an action or a failure for each item; place all that need a place in one scheduler call.

    An item: ``{tenant, project, name, flavor, image, boot_disk_flavor, disks, ..., state, path}`` as the declaration
    package makes it.
    """
    projects: dict[tuple[str, str], _Project] = {}
    candidates: list[Candidate] = []
    for item in items:
        try:
            project = _project(item, world, projects)
            current = world.find(entities.VM, project.document.id, item["name"])
            if item.get("state") == "absent":
                if current is not None:
                    plan_delete(
                        current, world, plan, actor, "declared absent", bool(item.get("force")), item.get("path", "")
                    )
                continue
            wanted = _wanted(item, current, project, world, settings)
            _authorize(actor, "update" if current else "create", project, world)
            if current is None or _needs_place(current, world):
                candidates.append(
                    _candidate(item, current, wanted, settings.pinned.get(f"{project.path}/{wanted.name}"), world)
                )
            else:
                _plan_existing(item, current, wanted, project, world, plan)
        except PhotonError as error:
            plan.fail(entities.VM, _label(item), error, item.get("path", ""))
    _plan_new(candidates, world, plan, settings)


def plan_delete(
    current: Document, world: World, plan: Plan, actor: Actor, reason: str, force: bool = False, path: str = ""
) -> None:
    """Deleting needs a VM that is off (InvalidVmState), unless ``force``; never a protected one (DeletionProtected)."""
    label = world.path_of(current)
    authorize(actor, "delete", entities.VM, *world.chain(current)[:-1])
    if current.body.get("deletion_protection"):
        raise PhotonError("DeletionProtected", f"VM {label} has deletion_protection: take that off first")
    row = inventory_row(current, world)
    if row is not None:
        vm_drift.refuse_unreadable(label, row)
    state = vm_drift.power_state(row) if row is not None else "STOPPED"
    if state != "STOPPED" and not force:
        raise PhotonError(
            "InvalidVmState", f"VM {label} is {state}: stop it first (state: stopped), or delete it with force: true"
        )
    if current.body.get("endpoint") in world.unreachable:
        raise world.unreachable[current.body["endpoint"]]
    world.drop(current.id)
    refund(world.counters.setdefault(current.scope, {}), _cost(current))
    plan.add(
        Action(
            DELETE,
            entities.VM,
            label,
            current,
            reason,
            path=path,
            data={"power_off": state != "STOPPED", "moid": row.moid if row is not None else None},
        )
    )


def inventory_row(document: Document, world: World) -> Any:
    """The VM as its endpoint's last bulk read showed it, or None."""
    inventory = world.inventories.get(document.body.get("endpoint"))
    if inventory is None:
        return None
    return inventory.vm(document.id, document.body.get("vsphere", {}).get("moid"))


# -- what is wanted ----------------------------------------------------------------------------------------------


def _wanted(
    item: dict[str, Any], current: Document | None, project: _Project, world: World, settings: Settings
) -> Document:
    """The document that the declaration describes, without its placement; what was left out stays as recorded."""
    spec = _spec(_complete(item, current, world), current, project, world, settings)
    if current is None:
        name = item["name"]
        body = {
            **spec,
            "deletion_protection": bool(item.get("deletion_protection")),
            "metadata_digest": settings.digest(guest.fingerprint(item)),
            "metadata_declared": bool(item.get("metadata")),
        }
        return Document(
            entities.VM,
            name,
            project.document.id,
            "CREATING",
            settings.managed_by,
            name_key=name_key(entities.VM, project.document.id, name),
            body=body,
        )
    recorded = current.body
    body = {**recorded, **spec}
    for key in ("tags", "port_groups", "deletion_protection", "zone"):
        if item.get(key) is None:
            body[key] = recorded.get(key)
        elif key == "deletion_protection":
            body[key] = bool(item[key])
    if item.get("affinity") is None and item.get("anti_affinity") is None:
        body["groups"] = recorded["groups"]
    if item.get("spread_over") is None:
        body.update(spread_over=recorded.get("spread_over"), spread_group=recorded.get("spread_group"))
    if item.get("metadata") is not None:
        body.update(metadata_digest=settings.digest(guest.fingerprint(item)), metadata_declared=bool(item["metadata"]))
    if item.get("disks") is None and len(recorded["disks"]) > 1:
        _keep_disks(body, current, world)
    elif _same_disks(recorded["disks"], body["disks"]):
        body["disks"] = recorded["disks"]
    return replace(current, body=body)


def _keep_disks(body: dict[str, Any], current: Document, world: World) -> None:
    """Further disks that the item does not speak of stay, and stay charged for."""
    body["disks"] = [*body["disks"][:1], *current.body["disks"][1:]]
    if _same_disks(current.body["disks"], body["disks"]):
        body["disks"] = current.body["disks"]
    old, new = _vm_share(current.body["flavor"], world), _vm_share(body["flavor"], world)
    cost = {key: list(value) for key, value in current.body["cost"].items()}
    for share, sign in ((old, -1), (new, 1)):
        for key, (amount, unit) in share.items():
            cost[key] = [cost.get(key, [0, unit])[0] + sign * amount, unit]
    body["cost"] = {key: value for key, value in cost.items() if value[0]}


def _vm_share(flavor_id: str, world: World) -> dict[str, tuple[int, str]]:
    flavor = world.must(flavor_id)
    return flavors.vm_cost(flavor.name, {key: tuple(value) for key, value in flavor.body["cost"].items()})


def _complete(item: dict[str, Any], current: Document | None, world: World) -> dict[str, Any]:
    """What a single-kind door left out: for a VM that exists it stays as it is, a new one needs it."""
    missing = [key for key in ("flavor", "image", "boot_disk_flavor") if item.get(key) is None]
    if not missing:
        return item
    if current is None:
        if missing == ["boot_disk_flavor"]:
            raise PhotonError("InvalidEntity", f"VM {item['name']} has no boot disk: give boot_disk_flavor")
        raise PhotonError("SpecInvalid", f"VM {item['name']} does not exist yet: give {', '.join(missing)} to make it")
    recorded = {
        "flavor": current.body["flavor"],
        "image": current.body["image"],
        "boot_disk_flavor": current.body["disks"][0]["flavor"],
    }
    names = {key: document.name for key in missing if (document := world.get(recorded[key]))}
    return {**item, **names}


def _spec(
    item: dict[str, Any], current: Document | None, project: _Project, world: World, settings: Settings
) -> dict[str, Any]:
    """Everything in a VM's body that does not depend on its name; resolved once per distinct declaration."""
    has = _has(current)
    key = (item["path"], item["flavor"], item["image"], item["boot_disk_flavor"], has)
    if key not in project.specs:
        project.specs[key] = _resolve(item, has, project, world, settings)
    return project.specs[key]


def _has(current: Document | None) -> tuple[str, ...]:
    """The image and flavors that a VM has: those it keeps even where nothing new can use them."""
    if current is None:
        return ()
    body = current.body
    return (body["image"], body["flavor"], *(disk["flavor"] for disk in body["disks"]))


def _resolve(
    item: dict[str, Any], has: tuple[str, ...], project: _Project, world: World, settings: Settings
) -> dict[str, Any]:
    flavor = _ready_flavor(world.require(entities.FLAVOR, flavors.VM, item["flavor"]), has)
    image = world.find(entities.IMAGE, project.document.id, item["image"]) or world.require(
        entities.IMAGE, "", item["image"]
    )
    if image.state != "READY" and image.id not in has:
        raise PhotonError("InvalidImageState", f"image {image.name} is {image.state}: only a READY image makes VMs")
    disks = [_disk("boot-disk", item["boot_disk_flavor"], image.body["size"], True, has, world)]
    disks += [
        _disk(disk["name"], disk["flavor"], disk["capacity"], False, has, world) for disk in item.get("disks") or []
    ]
    vm_cost = {key: tuple(value) for key, value in flavor.body["cost"].items()}
    cost = flavors.add_costs([flavors.vm_cost(flavor.name, vm_cost), *(disk.pop("cost") for disk in disks)])
    groups = [
        {**group, "kind": kind, "name": f"{project.path}/{group['name']}"}
        for kind in ("affinity", "anti-affinity")
        for group in item.get(kind.replace("-", "_")) or []
    ]
    port_groups = item.get("port_groups")
    if port_groups is None:
        port_groups = [settings.default_port_group] if settings.default_port_group else []
    return {
        "flavor": flavor.id,
        "image": image.id,
        "vcpus": vm_cost["vm.cpu"][0],
        "memory": vm_cost["vm.memory"][0],
        "cost": {key: list(value) for key, value in cost.items()},
        "disks": disks,
        "port_groups": list(port_groups),
        "tags": sorted(item.get("tags") or []),
        "groups": groups,
        "spread_over": item.get("spread_over"),
        "spread_group": f"{project.path}/{item['spread_group']}" if item.get("spread_over") else None,
        "zone": item.get("zone"),
    }


def _disk(name: str, flavor_name: str, capacity: int, boot: bool, has: tuple[str, ...], world: World) -> dict[str, Any]:
    flavor = _ready_flavor(world.require(entities.FLAVOR, flavors.EPHEMERAL_DISK, flavor_name), has)
    cost = {key: tuple(value) for key, value in flavor.body["cost"].items()}
    return {
        "name": name,
        "kind": flavors.EPHEMERAL_DISK,
        "flavor": flavor.id,
        "capacity": capacity,
        "boot": boot,
        "datastore_tags": list(flavors.datastore_tags(cost)),
        "cost": flavors.disk_cost(flavors.EPHEMERAL_DISK, flavor.name, cost, capacity),
    }


def _ready_flavor(flavor: Document, has: tuple[str, ...]) -> Document:
    if flavor.state != "READY" and flavor.id not in has:
        raise PhotonError("InvalidFlavorState", f"flavor {flavor.name} is {flavor.state}: nothing new can use it")
    return flavor


def _same_disks(recorded: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> bool:
    keys = ("name", "flavor", "capacity", "boot")
    return [[d[k] for k in keys] for d in recorded] == [[d[k] for k in keys] for d in wanted]


# -- new VMs -----------------------------------------------------------------------------------------------------


def _needs_place(current: Document, world: World) -> bool:
    """A VM that was never made, whose making was cut short, or that somebody removed from vSphere."""
    endpoint = current.body.get("endpoint")
    if endpoint is None:
        return True
    if endpoint in world.unreachable:
        raise world.unreachable[endpoint]
    return inventory_row(current, world) is None


def _candidate(
    item: dict[str, Any], current: Document | None, wanted: Document, pinned: dict[str, Any] | None, world: World
) -> Candidate:
    """Pinned to the place of a saved plan, or to the one that an interrupted creation holds already."""
    candidate = Candidate(item, wanted)
    if pinned:
        host = world.require(entities.HOST, "", pinned["host_name"])
        stores = [
            store for i in host.body["datastores"] if (store := world.get(i)) and store.name == pinned["datastore_name"]
        ]
        candidate.host, candidate.datastore = host.id, stores[0].id if stores else pinned["datastore_name"]
    elif current is not None and world.get(current.body.get("host")):
        candidate.held = current
        candidate.host, candidate.datastore = current.body["host"], current.body["datastore"]
    return candidate


def _plan_new(candidates: list[Candidate], world: World, plan: Plan, settings: Settings) -> None:
    """Quota first, in list order, then one placement for all that have quota."""
    accepted: list[Candidate] = []
    for candidate in candidates:
        current = world.get(candidate.document.id)
        try:
            if current is None:
                project = world.must(candidate.document.scope)
                charge(
                    world.counters.setdefault(project.id, {}),
                    _cost(candidate.document),
                    f"project {world.path_of(project)}",
                )
            elif current.body.get("host"):
                _release_place(current, world)
            accepted.append(candidate)
        except PhotonError as error:
            plan.fail(entities.VM, _label(candidate.item), error, candidate.item.get("path", ""))
    how = {"policy": settings.policy, "quality": settings.quality, "seed": settings.seed}
    place_all(accepted, world, tenant_of=lambda d: world.tenant_of(d).name, **how)
    moved = [candidate for candidate in accepted if candidate.error is not None and candidate.held is not None]
    for candidate in moved:  # the place that it holds is no longer fit: any other
        candidate.host = candidate.datastore = candidate.error = None
    if moved:
        place_all(moved, world, tenant_of=lambda d: world.tenant_of(d).name, **how)
    for candidate in accepted:
        if candidate.error is not None:
            if world.get(candidate.document.id) is None:
                refund(world.counters[candidate.document.scope], _cost(candidate.document))
            plan.fail(entities.VM, _label(candidate.item), candidate.error, candidate.item.get("path", ""))
            continue
        again = world.get(candidate.document.id) is not None
        document = name_in_vsphere(replace(settle(candidate, world).with_body(address=None), state="CREATING"), world)
        world.put(document)
        plan.add(_create_action(candidate, document, world, again))


def _why(candidate: Candidate, again: bool) -> str:
    if not again:
        return "declared"
    return (
        "its creation is taken up again" if candidate.document.state in ("CREATING", "ERROR") else "gone from vSphere"
    )


def _release_place(current: Document, world: World) -> None:
    """Before a lost VM is placed again its old place counts as free."""
    kept = {key: value for key, value in current.body.items() if key not in ("host", "datastore")}
    world.put(replace(current, body=kept))


def _create_action(candidate: Candidate, document: Document, world: World, again: bool) -> Action:
    host, store = world.must(document.body["host"]), world.must(document.body["datastore"])
    item = candidate.item
    power = POWER.get(item.get("state") or "", "STOPPED")
    row = candidate.placement
    return Action(
        CREATE,
        entities.VM,
        world.path_of(document),
        document,
        path=item.get("path", ""),
        reason=_why(candidate, again),
        after={
            "flavor": item["flavor"],
            "image": item["image"],
            "host": host.name,
            "zone": row.get("zone"),
            "datastore": store.name,
            "state": power,
        },
        data={
            "item": item,
            "power": power,
            "again": again,
            "held": candidate.held,
            "score": row.get("score"),
            "parts": row.get("parts"),
            "operations": [
                "CREATE_VM",
                *(["START_VM"] if power != "STOPPED" else []),
                *(["SUSPEND_VM"] if power == "SUSPENDED" else []),
            ],
        },
    )


# -- existing VMs ------------------------------------------------------------------------------------------------


def _plan_existing(
    item: dict[str, Any], current: Document, wanted: Document, project: _Project, world: World, plan: Plan
) -> None:
    label = f"{project.path}/{current.name}"
    row = inventory_row(current, world)
    vm_drift.refuse_unreadable(label, row)
    seen = vm_drift.power_state(row)
    target = POWER.get(item.get("state") or "", seen)
    difference = vm_drift.compare(current, wanted, row, world, item)
    difference.refuse_impossible(label)
    operations = OPERATIONS.get((seen, target), []) if seen != target else []
    if seen != target:
        difference.note("state", seen, target)
    document = replace(wanted, state=target, body={**wanted.body, **vm_drift.observed(wanted, row, world)})
    if difference.cost_changes:
        _recharge(current, document, world)
    world.put(document)
    changed = bool(difference.fields or operations)
    plan.add(
        Action(
            UPDATE if changed else KEEP,
            entities.VM,
            label,
            document,
            path=item.get("path", ""),
            reason=f"{', '.join(difference.fields)} differ" if changed else "",
            before=difference.before,
            after=difference.after,
            changes=[*difference.fields],
            data={
                "item": item,
                "operations": operations,
                "reconfigure": difference.reconfigure,
                "seen": seen,
                "moid": row.moid,
                "previous": current,
                "observed_only": not changed and (document.body, document.state) != (current.body, current.state),
            },
        )
    )


def _recharge(current: Document, document: Document, world: World) -> None:
    """A larger flavor costs more; the quota decides before anything is touched."""
    counters = world.counters.setdefault(current.scope, {})
    project = world.must(current.scope)
    refund(counters, _cost(current))
    try:
        charge(counters, _cost(document), f"project {world.path_of(project)}")
    except PhotonError:
        charge(counters, _cost(current), world.path_of(project))
        raise


# -- helpers -----------------------------------------------------------------------------------------------------


def _project(item: dict[str, Any], world: World, known: dict[tuple[str, str], _Project]) -> _Project:
    key = (item["tenant"], item["project"])
    if key not in known:
        tenant = world.require(entities.TENANT, "", item["tenant"])
        project = world.require(entities.PROJECT, tenant.id, item["project"])
        known[key] = _Project(project, tenant, f"{tenant.name}/{project.name}")
    return known[key]


def _authorize(actor: Actor, verb: str, project: _Project, world: World) -> None:
    """Once per project and verb: a project's VMs differ in nothing that the rules look at."""
    if verb not in project.allowed:
        authorize(actor, verb, entities.VM, *world.chain(project.document))
        project.allowed.add(verb)


def _cost(document: Document) -> dict[str, tuple[int, str]]:
    return {key: (amount, unit) for key, (amount, unit) in document.body["cost"].items()}


def _label(item: dict[str, Any]) -> str:
    return f"{item['tenant']}/{item['project']}/{item['name']}"
