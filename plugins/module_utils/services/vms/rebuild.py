# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs out of their records in vSphere: the intent is what was applied last, the place where they are now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ...model import entities, flavors
from ...model.entities import Document
from ...model.errors import PhotonError
from ...model.names import check, listed
from ...vsphere import unit_of
from .. import guest, marks
from ..rebuilding import Carrier, Rebuilding
from . import networks
from .mark import FLAGS, LISTS, TEXTS, group_of, static_of
from .observed import observe
from .record import Disk, Vm

_LEFT = "it is left alone"


def rebuild_vms(rebuilding: Rebuilding) -> None:
    """Record each VM; what contradicts another is reported."""
    items = {(i["tenant"], i["project"], i["name"]): i for i in rebuilding.planning.declaration.vms}
    for carrier in rebuilding.unique(_winners(rebuilding)):
        project = rebuilding.project_of(carrier)
        if project is None:
            continue
        try:
            vm = _intent(carrier, project, rebuilding)
        except PhotonError as error:
            step = f"declare what it names, then rebuild again; {_LEFT}"
            rebuilding.refuse(carrier, "unusable record", error.message, step)
            continue
        _record(vm, carrier, items, rebuilding)


def _winners(rebuilding: Rebuilding) -> Iterator[Carrier]:
    """Yield one VM of each id: the one whose instanceUuid it is. Copies of a VM, made by hand, have another."""
    by_id: dict[str, list[Carrier]] = {}
    for carrier in rebuilding.of(entities.VM):
        by_id.setdefault(carrier.identity, []).append(carrier)
    for identity, carriers in by_id.items():
        own = [each for each in carriers if each.thing.uuid == identity]
        winner = own[0] if len(own) == 1 else None
        for carrier in carriers:
            if carrier is winner:
                continue
            others = listed([each.label for each in carriers if each is not carrier])
            if winner is not None or len(carriers) > 1:
                found = f"{others} has it too" if others else ""
                step = f"remove the copy, or its photon.id; {_LEFT}"
                rebuilding.refuse(carrier, "two with one id", found, step)
            else:
                step = f"give it the instanceUuid {identity}, or remove its photon.id, then rebuild again; {_LEFT}"
                rebuilding.refuse(carrier, "another instanceUuid", carrier.thing.uuid, step)
        if winner is not None:
            yield winner


def _intent(carrier: Carrier, project: Document, rebuilding: Rebuilding) -> Vm:
    """The VM as its record describes it. Raises SpecInvalid and the NotFound codes of what it names."""
    record: Any = carrier.record
    state = rebuilding.state
    disks = tuple(_disk(row, at, carrier, rebuilding) for at, row in enumerate(record.rows("disks")))
    if not disks:
        raise PhotonError("SpecInvalid", "its photon.record cannot be used: it has no disks")
    scope, image = _split(record.text("image"))
    owner = project.id if scope else ""
    if scope and scope != state.path_of(project):
        raise PhotonError("ImageNotFound", f"image {scope}/{image} is in another project")
    static = tuple(map(static_of, record.rows("static")))
    vm = Vm(
        id=carrier.identity,
        name=record.text("name"),
        project=project.id,
        state="STOPPED",
        flavor=rebuilding.flavor_of(flavors.VM, record.text("flavor")).id,
        image=state.require(entities.IMAGE, owner, image).id,
        vcpus=record.number("vcpus"),
        memory=record.number("memory"),
        cost=record.cost("cost"),
        disks=disks,
        groups=tuple(map(group_of, record.rows("groups"))),
        static=static,
        max_skew=record.number("max_skew") if record.has("max_skew") else None,
        **{key: record.optional(key) for key in TEXTS},
        **{key: record.flag(key) for key in FLAGS},
        **{key: record.texts(key) for key in LISTS},
    )
    if any(each.adapter >= len(vm.port_groups) for each in static):
        raise PhotonError("SpecInvalid", "its photon.record cannot be used: it has an address for no adapter")
    _check_groups(vm)
    return vm


def _disk(row: marks.Fields, at: int, carrier: Carrier, rebuilding: Rebuilding) -> Disk:
    """A disk with the unit and the file that it was made with, by which it is found."""
    name, kind = check(row.text("name"), "disk name"), row.text("kind")
    directory = (carrier.thing.vmx or "").rpartition("/")[0]
    return Disk(
        name,
        rebuilding.flavor_of(kind, row.text("flavor")).id,
        row.number("capacity"),
        row.flag("boot"),
        kind,
        row.texts("datastore_tags"),
        path=f"{directory}/{name}.vmdk" if directory else None,
        unit=unit_of(at),
    )


def _check_groups(vm: Vm) -> None:
    for group in vm.groups:
        for part in group.name.split("/"):
            check(part, "group name")
        if group.kind not in ("affinity", "anti-affinity") or group.level not in ("host", "rack", "zone"):
            message = f"its photon.record cannot be used: group {group.name} is of no known kind"
            raise PhotonError("SpecInvalid", message)


def _record(
    vm: Vm, carrier: Carrier, items: Mapping[tuple[str, ...], Mapping[str, Any]], rebuilding: Rebuilding
) -> None:
    state, row, record = rebuilding.state, carrier.thing, carrier.record
    if not row.readable:
        step = f"bring its host or datastore back, then rebuild again; {_LEFT}"
        rebuilding.refuse(carrier, "unreadable", row.connection_state, step)
        return
    seen = observe(vm, row, carrier.endpoint.id, state)
    if seen.missing:
        step = "attach it again, or delete the VM"
        rebuilding.refuse(carrier, "detached disk", ", ".join(seen.missing), step)
        lost = [disk.name for disk in vm.disks if disk.name in seen.missing]
        vm = replace(vm, disks=tuple(replace(d, path=None) if d.name in lost else d for d in vm.disks))
    directory = (row.vmx or "").partition("] ")[2].rpartition("/")[0]
    now = seen.record(vm)
    # Without the change version the next plan compares in detail.
    now = replace(now, place=replace(now.place, change_version=None, directory=directory))  # type: ignore[type-var]
    names = tuple(record.text(key) for key in ("tenant", "project", "name"))  # type: ignore[union-attr]
    now.metadata_digest = _metadata(now, items.get(names), row, rebuilding)
    fresh = rebuilding.planning.new(
        entities.VM,
        vm.name,
        vm.project,
        id=vm.id,
        managed_by=record.text("managed_by"),  # type: ignore[union-attr]
    )
    state.put(now.write_to(fresh))


def _metadata(vm: Vm, item: Mapping[str, Any] | None, row: Any, rebuilding: Rebuilding) -> str:
    """The digest of the declared metadata, where the guest's keys are those that follow from it; else none."""
    if item is None:
        return ""
    wanted = guest.keys(dict(item), vm.name, vm.id, networks.configuration(vm))
    if guest.changed_keys(wanted, row.extra_config):
        return ""
    return rebuilding.planning.digest(guest.fingerprint(dict(item)))


def _split(path: str) -> tuple[str, str]:
    """``acme/web/img`` -> ``("acme/web", "img")``."""
    scope, _slash, name = path.rpartition("/")
    return scope, check(name, "image name")
