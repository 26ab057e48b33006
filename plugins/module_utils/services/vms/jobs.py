# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vSphere jobs of VM actions: what one action submits, step by step."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ... import vsphere
from ...model import states
from ...model.errors import PhotonError
from ...vsphere.guestinfo import RECORD_KEY
from .. import guest, marks, policies
from ..images.record import Copy
from ..state import CurrentState
from . import networks
from .actions import CreateVm, DeleteVm, Reconfigure, RegisterVm, UpdateVm
from .mark import mark_of
from .observed import observe
from .record import Vm

_POWER = {
    "START_VM": vsphere.power_on,
    "RESUME_VM": vsphere.power_on,
    "STOP_VM": vsphere.power_off,
    "SUSPEND_VM": vsphere.suspend,
}

# Steps that change more than a VM's power state.
CHANGES = ("GROW_BOOT_DISK", "RECONFIGURE_VM")
_TAKEN = {"DuplicateName", "AlreadyExists", "FileAlreadyExists"}
Then = Callable[[Any], Any]
Change = Callable[[Then], Any]  # makes the job of a step, which is followed by what it is given
Folders = dict[tuple[str, str], str]  # moids by (VM folder of the datacenter, path)


def folders(session: Any, inventory: Any, vms: Iterable[Vm], state: CurrentState) -> Folders:
    """The moids of the projects' folders, created where missing; an ESXi host has none."""
    paths: dict[str, set[str]] = defaultdict(set)
    for vm in vms:
        host = state.get(vm.place.host) if vm.place else None
        if host is not None and vm.place is not None and vm.place.folder:
            paths[inventory.hosts[host.observed["moid"]].vm_folder].add(vm.place.folder)
    return {
        (root, path): moid
        for root, wanted in paths.items()
        for path, moid in vsphere.ensure_folders(session, inventory, root, sorted(wanted)).items()
    }


def create(
    action: CreateVm,
    inventory: Any,
    made: Folders,
    state: CurrentState,
    owner: marks.Store,
    alone: bool,
    attached: Iterable[vsphere.DiskFile] = (),
) -> Any:
    """CREATE_VM, and unless ``alone`` each further step as soon as the one before it is done.

    ``attached`` are existing disks that the VM gets before it starts, as far as its first controller has room: managed
    VMDKs with its own disks, first-class disks in a call each.
    """
    vm, place = action.vm, action.vm.place
    host, store, image = state.must(place.host), state.must(vm.boot_disk.datastore), state.must(vm.image)  # type: ignore[union-attr, arg-type]
    document = state.copy_of(image.id, store.id)
    if document is None or document.state != states.READY:
        raise PhotonError(
            "DependencyFailed",
            f"VM {action.name}: image {image.name} has no copy on datastore {store.name} of endpoint "
            f"{state.must(host.body['endpoint']).name}; fix the image and run again",
        )
    parent = Copy.of(document).path_on(store)
    row = inventory.hosts.get(host.observed["moid"])
    if row is None:
        raise PhotonError("HostNotFound", f"VM {action.name}: host {host.name} left its endpoint; run again")
    hardware = image.body.get("settings") or {}
    chosen = [*attached][: max(0, vsphere.PER_BUS - len(vm.disks))]
    managed = [file for file in chosen if file.backing == vsphere.VMDK]
    first_class = [file for file in chosen if file.backing == vsphere.FCD]
    spec = vsphere.VmSpec(
        uuid=vm.id,
        name=place.name,  # type: ignore[union-attr]
        site=action.document.managed_by,
        store=owner.store_id or "",
        host=row,
        datastore=inventory.datastores[store.observed["moid"]],
        folder=made[(row.vm_folder, place.folder)] if place.folder else row.vm_folder,  # type: ignore[union-attr]
        vcpus=vm.vcpus,
        memory=vm.memory,
        directory=place.directory,  # type: ignore[union-attr]
        disks=[
            vsphere.DiskSpec(
                disk.name,
                # A child is as large as its parent.
                image.body["size"] if disk.boot else disk.capacity,
                parent=parent if disk.boot else None,
                policy=policies.id_on(disk.policy, disk.datastore, f"VM {action.name}: disk {disk.name}", state),
            )
            for disk in vm.disks
        ]
        + [vsphere.DiskSpec(file.name, file.capacity, path=file.path) for file in managed],
        nics=[
            vsphere.NicSpec(
                _network(inventory, row, name, action.name), hardware.get("ethernet0.virtualDev", "vmxnet3"), mac or ""
            )
            for name, mac in zip(vm.port_groups, networks.macs(vm), strict=True)
        ],
        controller=hardware.get("scsi0.virtualDev", "pvscsi"),
        **vsphere.hardware_of(hardware),
        extra_config={
            **guest.keys(dict(action.desired.metadata or {}), vm.name, vm.id, networks.configuration(vm)),
            RECORD_KEY: mark_of(vm, action.document, state, owner),
        },
    )
    following = () if alone else action.steps[1:]
    return vsphere.create_vm(
        spec,
        key=vm.id,
        operation="CREATE_VM",
        then=lambda moid: _attach_first(
            first_class,
            len(spec.disks),
            moid,
            vm,
            lambda: _chain(following, moid, vm, row.moid, _growing(action, moid, row, state)),
        ),
    )


def _attach_first(files: list[vsphere.DiskFile], taken: int, moid: str, vm: Vm, then: Callable[[], Any]) -> Any:
    """Attach first-class disks to a new VM, one after another, then do what follows. ``taken``: its places in use."""
    if not files:
        return then()
    slot = vsphere.Slot(vsphere.FIRST_BUS, vsphere.unit_of(taken), fresh=False)
    return vsphere.attach_first_class(
        moid,
        vm.name,
        files[0],
        slot,
        vm.id,
        {"operation": "ATTACH_DISK", "then": lambda _result: _attach_first(files[1:], taken + 1, moid, vm, then)},
    )


def after_create(action: CreateVm, moid: str, inventory: Any, state: CurrentState) -> Any:
    """The steps after CREATE_VM of a VM that was created alone, or that was found created; None when there are none."""
    host = state.must(action.vm.place.host).observed["moid"]  # type: ignore[union-attr, arg-type]
    return _chain(action.steps[1:], moid, action.vm, host, _growing(action, moid, inventory.hosts[host], state))


def update(action: UpdateVm, session: Any, inventory: Any, state: CurrentState) -> Any:
    """The first job of an update; None when only the record changes."""
    if not action.steps:
        return None
    row = inventory.vm(action.id, action.moid)
    host = inventory.hosts.get(row.host)
    if "GROW_BOOT_DISK" in action.steps and host is None:
        raise PhotonError(
            "HostNotFound", f"VM {action.name} is outside the endpoint's datacenter, so its boot disk is not grown"
        )

    def reconfigure(then: Then) -> Any:
        job = _reconfigure(action, row, session, inventory, state)
        job.then = then
        return job

    return _chain(
        action.steps,
        row.moid,
        action.vm,
        row.host,
        {**_growing(action, row.moid, host, state), "RECONFIGURE_VM": reconfigure},
    )


def register(action: RegisterVm, inventory: Any, made: Folders, state: CurrentState) -> Any:
    """Register a VM's files at its recorded place, or give a restored VM back its instanceUuid."""
    vm, place = action.vm, action.vm.place
    if action.marked is not None:
        return vsphere.set_uuid(action.marked[1].moid, vm.id, vm.name, key=vm.id, operation="REGISTER_VM")
    host = state.must(place.host)  # type: ignore[union-attr, arg-type]
    row = inventory.hosts[host.observed["moid"]]
    folder = made[(row.vm_folder, place.folder)] if place.folder else row.vm_folder  # type: ignore[union-attr]
    return vsphere.register_vm(
        str(place.vmx),  # type: ignore[union-attr]
        place.name,
        folder,
        row.pool,
        row.moid,
        key=vm.id,
        operation="REGISTER_VM",  # type: ignore[union-attr]
    )


def delete(action: DeleteVm) -> Any:
    """DELETE_VM: power off where ``force`` asked for it, detach the disks of others; None when the VM is gone."""
    if action.moid is None:
        return None
    moid, name = action.moid, action.document.name

    def destroy(_result: Any = None) -> Any:
        return vsphere.destroy(
            moid, name, action.id, key=action.id, operation="DELETE_VM", own_disks=action.own_files or None
        )

    def detach(_result: Any = None) -> Any:
        if not action.foreign_disks:
            return destroy()
        return vsphere.detach_disks(
            moid, name, action.foreign_disks.values(), key=action.id, operation="DETACH_DISK", then=destroy
        )

    if not action.power_off:
        return detach()
    return vsphere.power_off(moid, name, key=action.id, operation="STOP_VM", then=detach)


def is_doubtful(error: PhotonError) -> bool:
    """Whether a create that failed may have been done: its answer was lost, or its name was found taken."""
    return bool(error.data.get("unknown")) or error.data.get("fault") in _TAKEN


def settled(error: PhotonError) -> PhotonError:
    """The error of a create that was looked for and not found: nothing is unknown about it any more."""
    return PhotonError(error.code, error.message, {k: v for k, v in error.data.items() if k != "unknown"})


def read(session: Any, moids: Mapping[str, str | None]) -> dict[str, Any]:
    """``{uuid: VmRow}`` in one call; of several VMs with one instanceUuid the one of the given moid, else none."""
    found: dict[str, list[Any]] = defaultdict(list)
    for row in vsphere.lookup_vms(session, uuids=moids):
        found[row.uuid].append(row)
    return {row.uuid: row for rows in found.values() for row in rows if len(rows) == 1 or row.moid == moids[row.uuid]}


def _chain(steps: tuple[str, ...], moid: str, vm: Vm, host: str | None, changes: Mapping[str, Change]) -> Any:
    """The first of these steps, each followed by the next; ``changes`` makes those that are no power operation."""
    if not steps:
        return None
    first, rest = steps[0], steps[1:]

    def then(_result: Any) -> Any:
        return _chain(rest, moid, vm, host, changes)

    if first in changes:
        return changes[first](then)
    return _POWER[first](moid, vm.name, key=vm.id, operation=first, host=host, then=then)


def _growing(action: CreateVm | UpdateVm, moid: str, host: Any, state: CurrentState) -> dict[str, Change]:
    """What makes the step GROW_BOOT_DISK of a VM on a host (its row)."""
    vm, boot = action.vm, action.vm.boot_disk

    def grow(then: Then) -> Any:
        policy = policies.id_on(boot.policy, boot.datastore, f"VM {action.name}: disk {boot.name}", state)
        record = _record(action.reconfigure) if isinstance(action, UpdateVm) else {}
        disk = vsphere.BootDisk(
            moid, vm.name, boot.capacity, host.datacenter, boot.uuid, boot.path, boot.unit, policy, record
        )
        return vsphere.grow_boot_disk(disk, then=then, key=vm.id, operation="GROW_BOOT_DISK", host=host.moid)

    return {"GROW_BOOT_DISK": grow}


def _reconfigure(action: UpdateVm, row: Any, session: Any, inventory: Any, state: CurrentState) -> Any:
    change: Reconfigure = action.reconfigure
    options: dict[str, Any] = {"vcpus": change.vcpus, "memory": change.memory}
    options["extra_config"] = change.extra_config | _record(change)
    if change.port_groups is not None or change.disks or change.policies:
        vsphere.read_heavy(session, [row], inventory.networks)
    if change.port_groups is not None:
        options.update(_adapters(row, inventory.hosts.get(row.host), change.port_groups, inventory, action))
    if change.disks or change.policies:
        keys = observe(action.vm, row, action.previous.place.endpoint, state).keys  # type: ignore[union-attr]
        missing = sorted({*change.disks, *change.policies} - set(keys))
        if missing:
            raise PhotonError(
                "DiskNotFound", f"VM {action.name}: disk {missing[0]} was detached concurrently; run again"
            )
        options["extend_disks"] = {keys[name]: size for name, size in change.disks.items()}
        options["disk_policies"] = {keys[name]: policy for name, policy in change.policies.items()}
    return vsphere.reconfigure(row.moid, action.document.name, key=action.id, operation="RECONFIGURE_VM", **options)


def _record(change: Reconfigure) -> dict[str, str]:
    """The key that the VM's record is written to with a change."""
    return {RECORD_KEY: change.record} if change.record else {}


def _adapters(row: Any, host: Any, wanted: tuple[str, ...], inventory: Any, action: UpdateVm) -> dict[str, Any]:
    """Adapters that fit stay; others and disconnected ones are connected again, keeping type and MAC address."""
    missing, spare, cut, label = list(wanted), [], [], action.name
    here = {nic.mac for nic in row.nics}
    chosen = [mac for _name, mac in action.vm.nics if mac not in here] if action.vm.static else []
    for nic in row.nics:
        if nic.network in missing:
            missing.remove(nic.network)
            cut += [] if nic.connected or (nic.start_connected and row.power_state != "poweredOn") else [nic]
        else:
            spare.append(nic)
    pairs = [*zip(spare, missing, strict=False), *((nic, nic.network) for nic in cut)]
    return {
        "edit_nics": {nic.key: _network(inventory, host, name, label) for nic, name in pairs},
        "remove_devices": [nic.key for nic in spare[len(missing) :]],
        "add_nics": [
            vsphere.NicSpec(_network(inventory, host, name, label), mac=mac or "")
            for name, mac in itertools.zip_longest(missing[len(spare) :], chosen[: max(0, len(missing) - len(spare))])
        ],
    }


def _network(inventory: Any, host: Any, name: str, label: str) -> Any:
    if host is None:
        raise PhotonError(
            "HostNotFound",
            f"VM {label} is outside the endpoint's datacenter, so it cannot be connected to {name!r}: move it back, or "
            "declare the endpoint without datacenter",
        )
    network = inventory.network_of(host, name)
    if network is None:
        raise PhotonError(
            "PortGroupNotFound",
            f"VM {label}: host {host.name} has no port group {name!r}; it has "
            f"{', '.join(sorted(host.networks)[:10]) or 'none'}",
        )
    return network
