# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a VM's action to the vSphere tool's jobs, and from its answers to the VM's record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from .. import vsphere
from ..model.entities import Document
from ..model.errors import PhotonError
from . import guest, vm_drift
from .planning import Action
from .world import World

_POWER = {
    "START_VM": vsphere.power_on,
    "RESUME_VM": vsphere.power_on,
    "STOP_VM": vsphere.power_off,
    "SUSPEND_VM": vsphere.suspend,
}
GUEST_SETTINGS = {"guestOS": "guest_id", "firmware": "firmware"}  # of an image, by their names in a specification
_TAKEN = {"DuplicateName", "AlreadyExists", "FileAlreadyExists"}


def run(session: Any, jobs: Iterable[Any], before_batch: Callable[[], Any]) -> Iterator[tuple[Any, Any]]:
    """As vsphere.run_jobs: ``(job, result or PhotonError)``."""
    return vsphere.run_jobs(session, jobs, before_batch=before_batch)


def folders(session: Any, inventory: Any, actions: list[Action], world: World) -> dict[tuple[str, str], str]:
    """``{(datacenter's VM folder, path): moid}`` of the projects' folders, made where missing; ESXi has none."""
    paths: dict[str, set[str]] = defaultdict(set)
    for action in actions:
        host, folder = world.get(action.document.body["host"]), action.document.body["vsphere"]["folder"]
        if folder and host is not None:
            paths[inventory.hosts[host.body["moid"]].vm_folder].add(folder)
    return {
        (root, path): moid
        for root, wanted in paths.items()
        for path, moid in vsphere.ensure_folders(session, inventory, root, sorted(wanted)).items()
    }


def create(
    action: Action, inventory: Any, folder_moids: dict[tuple[str, str], str], world: World, alone: bool = False
) -> Any:
    """CREATE_VM, and unless ``alone`` each further operation of the action as soon as the one before it is done."""
    document, body = action.document, action.document.body
    host, store, image = (world.must(body[key]) for key in ("host", "datastore", "image"))
    copy = image.body["copies"].get(store.id) or {}
    if not copy.get("path"):
        raise PhotonError(
            "DependencyFailed",
            f"VM {action.name}: image {image.name} has no copy on datastore {store.name} of endpoint "
            f"{world.must(host.body['endpoint']).name}; mend the image and run again",
        )
    row, target = inventory.hosts[host.body["moid"]], body["vsphere"]
    hardware = image.body.get("settings") or {}
    spec = vsphere.VmSpec(
        uuid=document.id,
        name=target["name"],
        site=document.managed_by,
        host=row,
        datastore=inventory.datastores[store.body["moid"]],
        folder=folder_moids[(row.vm_folder, target["folder"])] if target["folder"] else row.vm_folder,
        vcpus=body["vcpus"],
        memory=body["memory"],
        directory=target["directory"],
        disks=[
            vsphere.DiskSpec(disk["name"], disk["capacity"], parent=copy["path"] if disk["boot"] else None)
            for disk in body["disks"]
        ],
        nics=[
            vsphere.NicSpec(
                _network(inventory, row, name, action.name), adapter=hardware.get("ethernet0.virtualDev", "vmxnet3")
            )
            for name in body["port_groups"]
        ],
        controller=hardware.get("scsi0.virtualDev", "pvscsi"),
        **{field: hardware[key] for key, field in GUEST_SETTINGS.items() if hardware.get(key)},
        extra_config=guest.keys(action.data["item"], document.name, document.id),
    )
    following = [] if alone else action.data["operations"][1:]
    return vsphere.create_vm(
        spec,
        key=document.id,
        operation="CREATE_VM",
        then=lambda moid: _chain(following, moid, document.name, document.id, row.moid),
    )


def update_operations(action: Action) -> list[str]:
    """The steps of an update in order: stop where that comes first, reconfigure, then power."""
    steps = [*action.data["operations"]]
    if action.data["reconfigure"]:
        steps.insert(1 if steps[:1] == ["STOP_VM"] else 0, "RECONFIGURE_VM")
    return steps or ["SET_METADATA"]


def update(action: Action, session: Any, inventory: Any, world: World) -> Any:
    """The first job of an update; None when only the record changes."""
    steps = update_operations(action)
    if steps == ["SET_METADATA"]:
        return None
    row = inventory.vms[action.data["moid"]]
    return _chain(
        steps,
        row.moid,
        action.document.name,
        action.id,
        row.host,
        lambda: _reconfigure(action, row, session, inventory),
    )


def delete(action: Action) -> Any:
    """DELETE_VM, after a power-off where force asked for it; None when vSphere has no such VM."""
    moid, name = action.data["moid"], action.document.name
    if moid is None:
        return None
    last = vsphere.destroy(moid, name, action.id, key=action.id, operation="DELETE_VM")
    if not action.data["power_off"]:
        return last
    return vsphere.power_off(moid, name, key=action.id, operation="STOP_VM", then=lambda _result: last)


def is_doubtful(error: PhotonError) -> bool:
    """Whether a create that failed may have been done: its answer was lost, or its name was found taken."""
    return bool(error.data.get("unknown")) or error.data.get("fault") in _TAKEN


def settled(error: PhotonError) -> PhotonError:
    """The error of a create that was looked for and not found: nothing is unknown about it any more."""
    return PhotonError(error.code, error.message, {k: v for k, v in error.data.items() if k != "unknown"})


def is_last(action: Action, operation: str) -> bool:
    """Whether a create is finished with this operation."""
    return operation == action.data["operations"][-1]


def after_create(action: Action, moid: str, world: World) -> Any:
    """What follows CREATE_VM for a VM that was made alone or found made; None when nothing does."""
    host = world.must(action.document.body["host"]).body["moid"]
    return _chain(action.data["operations"][1:], moid, action.document.name, action.id, host)


def read(session: Any, uuids: list[str]) -> dict[str, Any]:
    """``{uuid: VmRow}`` in one call."""
    return {row.uuid: row for row in vsphere.lookup_vms(session, uuids=uuids)}


def seen(document: Document, row: Any, world: World) -> Document:
    """The document with what vSphere now says of the VM."""
    return replace(
        document, state=vm_drift.power_state(row), body={**document.body, **vm_drift.observed(document, row, world)}
    )


def _chain(
    operations: list[str],
    moid: str,
    name: str,
    key: str,
    host: str | None,
    reconfigure: Callable[[], Any] | None = None,
) -> Any:
    if not operations:
        return None
    first, rest = operations[0], operations[1:]
    job = (
        reconfigure()
        if first == "RECONFIGURE_VM" and reconfigure
        else _POWER[first](moid, name, key=key, operation=first, host=host)
    )
    job.then = lambda _result: _chain(rest, moid, name, key, host, reconfigure)
    return job


def _reconfigure(action: Action, row: Any, session: Any, inventory: Any) -> Any:
    wanted = dict(action.data["reconfigure"])
    options: dict[str, Any] = {key: wanted[key] for key in ("vcpus", "memory", "extra_config") if key in wanted}
    if "port_groups" in wanted or "disks" in wanted:
        vsphere.read_heavy(session, [row], inventory.networks)
    if "port_groups" in wanted:
        host = inventory.hosts[row.host]
        options["remove_devices"], missing = _nic_changes(row, wanted["port_groups"])
        options["add_nics"] = [vsphere.NicSpec(_network(inventory, host, name, action.name)) for name in missing]
    if "disks" in wanted:
        names = [disk["name"] for disk in action.document.body["disks"]]
        options["extend_disks"] = {row.disks[names.index(name)].key: size for name, size in wanted["disks"].items()}
    return vsphere.reconfigure(row.moid, action.document.name, key=action.id, operation="RECONFIGURE_VM", **options)


def _nic_changes(row: Any, wanted: list[str]) -> tuple[list[int], list[str]]:
    """Device keys to remove and port groups to add: adapters that fit stay as they are, so their addresses stay too."""
    missing, remove = list(wanted), []
    for nic in row.nics:
        if nic.network in missing:
            missing.remove(nic.network)
        else:
            remove.append(nic.key)
    return remove, missing


def _network(inventory: Any, host: Any, name: str, label: str) -> Any:
    network = inventory.network_of(host, name)
    if network is None:
        raise PhotonError(
            "PortGroupNotFound",
            f"VM {label}: host {host.name} has no port group {name!r}; it has "
            f"{', '.join(sorted(host.networks)[:10]) or 'none'}",
        )
    return network
