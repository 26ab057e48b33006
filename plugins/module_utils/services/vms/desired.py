# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Desired VMs: a declared item's names become ids and amounts in one pass, so that nothing looks a name up again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...model import entities, flavors, states, units
from ...model.authorization import authorize
from ...model.entities import Document
from ...model.errors import PhotonError
from .. import guest
from ..planning import Planning
from . import networks
from .record import Cost, Disk, Group, Static, Vm

POWER = {"started": "STARTED", "stopped": "STOPPED", "suspended": "SUSPENDED"}
Item = Mapping[str, Any]


@dataclass(slots=True)
class Project:
    """What all VMs of one project share while they are planned."""

    document: Document
    path: str
    needs: tuple[str, ...]  # the documents that say who may do what here
    allowed: set[str] = field(default_factory=set)  # verbs that the actor was found to hold here
    specs: dict[Any, _Spec] = field(default_factory=dict)  # one resolution per distinct declaration


@dataclass(slots=True)
class Desired:
    """A VM as it is declared, resolved.

    ``vm`` has the recorded id and place of an existing VM. ``power`` None leaves the power state alone. ``needs`` are
    the documents that it was resolved from. ``wait`` are the seconds within which it has to report its address, 0
    for none. ``metadata`` is the item whose metadata the guest gets, None where a
    partial declaration leaves the guest's keys alone.
    """

    vm: Vm
    label: str
    path: str
    flavor_name: str
    image_name: str
    power: str | None
    force: bool
    register: bool
    wait: int
    needs: tuple[str, ...]
    metadata: Item | None

    def guest_keys(self) -> dict[str, str] | None:
        """The guestinfo keys that the guest gets; None leaves them alone."""
        if self.metadata is None:
            return None
        return guest.keys(dict(self.metadata), self.vm.name, self.vm.id, networks.configuration(self.vm))


@dataclass(slots=True)
class _Spec:
    """What does not depend on a VM's name."""

    flavor: Document
    image: Document
    vm_cost: Cost
    disks: tuple[Disk, ...]
    disk_costs: tuple[Cost, ...]
    needs: tuple[str, ...]


def project_of(item: Item, planning: Planning, known: dict[tuple[str, str], Project]) -> Project:
    """The project that an item names. Raises TenantNotFound, ProjectNotFound, DependencyFailed."""
    key = (item["tenant"], item["project"])
    if key not in known:
        project = planning.state.require_project(item)
        needs = tuple(document.id for document in planning.state.chain(project))
        known[key] = Project(project, planning.state.path_of(project), needs)
    return known[key]


def allow(planning: Planning, verb: str, project: Project) -> None:
    """Authorize once per project and verb: the VMs of a project differ in nothing that the rules look at."""
    if verb not in project.allowed:
        authorize(planning.actor, verb, entities.VM, *planning.state.chain(project.document))
        project.allowed.add(verb)


def resolve(item: Item, current: Document | None, project: Project, planning: Planning) -> Desired:
    """The desired VM of an item. Keys that are left out stay as recorded, but in a whole site's declaration.

    Raises the NotFound codes of what it names, SpecInvalid, InvalidFlavorState, InvalidImageState.
    """
    recorded = Vm.of(current) if current is not None else None
    kept = None if planning.whole else recorded  # where omitted keys are taken from
    spec = _spec(item, recorded, project, planning)
    disks = _disks(item, spec, recorded, kept, planning)
    spread_over, spread_group = _spread(item, kept, project)
    digest, declared = _metadata(item, kept, planning)
    vm = Vm(
        id=recorded.id if recorded else Document(entities.VM, item["name"]).id,
        name=item["name"],
        project=project.document.id,
        state=recorded.state if recorded else "CREATING",
        flavor=spec.flavor.id,
        image=spec.image.id,
        vcpus=spec.vm_cost["vm.cpu"][0],
        memory=spec.vm_cost["vm.memory"][0],
        cost=_cost(spec, disks, planning),
        disks=disks,
        port_groups=_port_groups(item, kept, planning),
        tags=tuple(sorted(_kept(item, "tags", kept) or ())),
        groups=_groups(item, kept, project),
        spread_over=spread_over,
        spread_group=spread_group,
        zone=_kept(item, "zone", kept),
        host_tags=tuple(sorted(_kept(item, "host_tags", kept) or ())),
        deletion_protection=bool(_kept(item, "deletion_protection", kept)),
        metadata_digest=digest,
        metadata_declared=declared,
        place=recorded.place if recorded else None,
        address=recorded.address if recorded else None,
        static=_static(item, kept),
        nics=recorded.nics if recorded else (),
        max_skew=_kept(item, "max_skew", kept),
    )
    writes_guest = item.get("metadata") is not None or not (recorded and recorded.metadata_declared) or planning.whole
    return Desired(
        vm,
        f"{project.path}/{vm.name}",
        item.get("path", ""),
        spec.flavor.name,
        spec.image.name,
        POWER.get(item.get("state") or ""),
        bool(item.get("force")),
        bool(item.get("register")),
        _wait(item, vm),
        (*project.needs, *spec.needs),
        item if writes_guest else None,
    )


# -- one resolution per distinct declaration ---------------------------------------------------------------------


def _spec(item: Item, recorded: Vm | None, project: Project, planning: Planning) -> _Spec:
    named = tuple(item.get(key) for key in ("flavor", "image", "boot_disk_flavor", "boot_disk_capacity"))
    has = (recorded.flavor, recorded.image, *(d.flavor for d in recorded.disks)) if recorded else ()
    key = (item.get("path"), named, has, recorded.boot_disk.capacity if recorded else None)
    if key not in project.specs:
        project.specs[key] = _resolve(item, recorded, frozenset(has), project, planning)
    return project.specs[key]


def _resolve(item: Item, recorded: Vm | None, has: frozenset[str], project: Project, planning: Planning) -> _Spec:
    state = planning.state
    _check_complete(item, recorded)
    flavor = _flavor(item.get("flavor"), recorded.flavor if recorded else None, flavors.VM, has, planning)
    image = _image(item.get("image"), recorded, project, planning)
    boot_flavor = _flavor(
        item.get("boot_disk_flavor"), recorded.boot_disk.flavor if recorded else None, flavors.EPHEMERAL_DISK, has,
        planning)  # fmt: skip
    made = [_disk("boot-disk", boot_flavor, _boot_size(item, recorded, image, planning), True)]
    for declared in item.get("disks") or ():
        disk_flavor = _flavor(declared["flavor"], None, flavors.EPHEMERAL_DISK, has, planning)
        made.append(_disk(declared["name"], disk_flavor, declared["capacity"], False))
    needs = {flavor.id, image.id, *(disk.flavor for disk, _cost in made)}
    return _Spec(
        flavor,
        image,
        flavors.vm_cost(flavor.name, _table(flavor)),
        tuple(disk for disk, _cost in made),
        tuple(cost for _disk_made, cost in made),
        tuple(sorted(i for i in needs if i in state.versions)),
    )


def _boot_size(item: Item, recorded: Vm | None, image: Document, planning: Planning) -> int:
    """The declared size of the boot disk, else the one that it has, for a new VM the image's. Raises InvalidEntity."""
    wanted, size = item.get("boot_disk_capacity"), int(image.body["size"])
    has = recorded.boot_disk.capacity if recorded and recorded.image == image.id else None
    if wanted is not None and has is None and wanted < size:
        raise PhotonError(
            "InvalidEntity",
            f"VM {item['name']}: its boot disk of {units.show(wanted)} is smaller than the image {image.name} "
            f"({units.show(size)}): declare that size or more, or no capacity",
        )
    if wanted is None and has is not None and has > size and planning.whole:
        planning.plan.warnings.append(
            f"{item.get('path') or item['name']}: boot disks stay {units.show(has)}, larger than the image: no disk "
            f"shrinks; declare boot_disk: {{capacity: {units.show(has)}}}"
        )
    return int(wanted or has or size)


def _check_complete(item: Item, recorded: Vm | None) -> None:
    missing = [key for key in ("flavor", "image", "boot_disk_flavor") if item.get(key) is None]
    if recorded is not None or not missing:
        return
    if missing == ["boot_disk_flavor"]:
        raise PhotonError("InvalidEntity", f"VM {item['name']} has no boot disk: set boot_disk_flavor")
    raise PhotonError("SpecInvalid", f"VM {item['name']} does not exist yet: set {', '.join(missing)} to create it")


def _flavor(name: str | None, recorded: str | None, kind: str, has: frozenset[str], planning: Planning) -> Document:
    flavor = planning.state.require(entities.FLAVOR, kind, name) if name else planning.state.must(str(recorded))
    if flavor.id not in has:
        states.check_usable(entities.FLAVOR, flavor.state, flavor.name)
    return flavor


def _image(name: str | None, recorded: Vm | None, project: Project, planning: Planning) -> Document:
    state = planning.state
    if name is None and recorded is not None:
        return state.must(recorded.image)
    image = state.find(entities.IMAGE, project.document.id, str(name)) or state.require(entities.IMAGE, "", str(name))
    if not (recorded and recorded.image == image.id):
        states.check_usable(entities.IMAGE, image.state, image.name)
    return image


def _disk(name: str, flavor: Document, capacity: int, boot: bool) -> tuple[Disk, Cost]:
    cost = _table(flavor)
    tags, policy = flavors.datastore_tags(cost), flavor.body.get("storage_policy") or ""
    disk = Disk(name, flavor.id, capacity, boot, flavors.EPHEMERAL_DISK, tags, policy=policy)
    return disk, flavors.disk_cost(flavors.EPHEMERAL_DISK, flavor.name, cost, capacity)


# -- single fields ------------------------------------------------------------------------------------------------


def _kept(item: Item, key: str, kept: Vm | None) -> Any:
    """The declared value; where it is left out that of ``kept``."""
    return item.get(key) if item.get(key) is not None or kept is None else getattr(kept, key)


def _disks(item: Item, spec: _Spec, recorded: Vm | None, kept: Vm | None, planning: Planning) -> tuple[Disk, ...]:
    """The desired disks, each with the place of the recorded disk of its name."""
    places = {disk.name: disk for disk in recorded.disks} if recorded is not None else {}
    disks = tuple(disk.seen_at(places[disk.name]) if disk.name in places else disk for disk in spec.disks)
    if item.get("disks") is None and kept is not None:
        return (*disks[:1], *(_with_policy(disk, planning) for disk in kept.disks[1:]))
    return disks


def _with_policy(disk: Disk, planning: Planning) -> Disk:
    """A disk that its item does not name, with the storage policy that its flavor has by now."""
    return replace(disk, policy=planning.state.must(disk.flavor).body.get("storage_policy") or "")


def _cost(spec: _Spec, disks: tuple[Disk, ...], planning: Planning) -> Cost:
    charged = list(spec.disk_costs)
    for disk in disks[len(charged) :]:  # further disks that the item does not name stay charged
        flavor = planning.state.must(disk.flavor)
        charged.append(flavors.disk_cost(disk.kind, flavor.name, _table(flavor), disk.capacity))
    return dict(flavors.add_costs([spec.vm_cost, *charged]))


def _table(flavor: Document) -> Cost:
    """The cost table of a flavor."""
    return {key: (amount, unit) for key, (amount, unit) in flavor.body["cost"].items()}


def _port_groups(item: Item, kept: Vm | None, planning: Planning) -> tuple[str, ...]:
    names = _kept(item, "port_groups", kept)
    default = planning.options.default_port_group
    return tuple(names if names is not None else [default] if default else ())


def _static(item: Item, kept: Vm | None) -> tuple[Static, ...]:
    if item.get("static") is None:
        return kept.static if kept is not None and item.get("port_groups") is None else ()
    return tuple(map(Static.of, item["static"]))


def _wait(item: Item, vm: Vm) -> int:
    seconds = item.get("wait_for_address") or 0
    if seconds and not vm.port_groups:
        raise PhotonError(
            "SpecInvalid", f"VM {vm.name} has no network adapter to wait for: set port_groups, or no wait_for_address"
        )
    return int(seconds)


def _groups(item: Item, kept: Vm | None, project: Project) -> tuple[Group, ...]:
    if item.get("affinity") is None and item.get("anti_affinity") is None and kept is not None:
        return kept.groups
    return tuple(
        Group(f"{project.path}/{group['name']}", kind, group["level"], group["hard"])
        for kind in ("affinity", "anti-affinity")
        for group in item.get(kind.replace("-", "_")) or ()
    )


def _spread(item: Item, kept: Vm | None, project: Project) -> tuple[str | None, str | None]:
    """What the VMs are spread over, and the group that they form: those of one item, spread or not."""
    if item.get("spread_over") is None and kept is not None and kept.spread_group:
        return kept.spread_over, kept.spread_group
    return item.get("spread_over"), f"{project.path}/{item['spread_group']}"


def _metadata(item: Item, kept: Vm | None, planning: Planning) -> tuple[str, bool]:
    if item.get("metadata") is None and kept is not None:
        return kept.metadata_digest, kept.metadata_declared
    return planning.digest(guest.fingerprint(dict(item))), bool(item.get("metadata"))
