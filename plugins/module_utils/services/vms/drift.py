# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The differences between a VM as desired, as recorded and as observed, and the steps that remove them.

Heavy properties were read only where ``config.changeVersion`` moved, so an unchanged VM costs nothing here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...model import entities, states, units
from ...model.errors import PhotonError
from ...vsphere.guestinfo import RECORD_KEY
from .. import guest, policies
from ..state import CurrentState
from . import networks
from .actions import Reconfigure
from .desired import Desired
from .observed import Observed
from .record import Disk, Vm

_FIXED = {
    "image": "the image of a VM is set when it is created",
    "boot_disk_flavor": "the flavor of a boot disk is set when the VM is created",
}
_RECORDED = ("tags", "groups", "deletion_protection", "spread_over", "max_skew")
_HARDWARE = ("vcpus", "memory")


@dataclass(slots=True)
class Drift:
    """``before`` and ``after`` per differing field, what vSphere has to change, and in which steps."""

    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    reconfigure: Reconfigure = field(default_factory=Reconfigure)
    steps: tuple[str, ...] = ()
    impossible: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    resized: bool = False  # what the VM holds of quota and capacity changes

    def note(self, name: str, before: Any, after: Any) -> None:
        self.before[name], self.after[name] = before, after


def compare(
    desired: Desired,
    recorded: Vm,
    seen: Observed,
    state: CurrentState,
    mark_of: Callable[[Vm], str] | None = None,
) -> Drift:
    """Compare the three values. ``mark_of`` returns the record that a VM is to carry in vSphere.

    Raises UpdateNotSupported for what cannot be changed in place, InvalidVmState where a running VM would have to be
    stopped and ``force`` does not allow it.
    """
    drift = Drift()
    _compare_records(desired, recorded, drift, state)
    _compare_place(desired, recorded, seen, drift, state)
    _compare_hardware(desired, seen, drift)
    _compare_policies(desired, seen, drift, state)
    if seen.detailed:
        _compare_disks(desired, seen, drift)
        _compare_adapters(desired, seen, drift)
        _compare_guest(desired, seen, drift)
    if drift.impossible:
        raise PhotonError(
            "UpdateNotSupported",
            f"VM {desired.label}: {'; '.join(drift.impossible)}; delete the VM and declare it again, "
            "or restore the declaration",
        )
    _refuse_unknown_port_groups(desired, seen, drift, state)
    if mark_of is not None and (seen.detailed or drift.after):
        _compare_mark(desired, recorded, seen, drift, mark_of)
    drift.steps = _steps(desired, seen, drift)
    return drift


def _refuse_unknown_port_groups(desired: Desired, seen: Observed, drift: Drift, state: CurrentState) -> None:
    """Refuse in the plan what the reconfiguration could not do: the VM's host must have each new port group."""
    inventory = state.inventories.get(seen.endpoint)
    host = inventory.hosts.get(seen.row.host) if inventory else None
    lacking = set(drift.reconfigure.port_groups or ()) - set(host.networks if host else ())
    if host and lacking:
        raise PhotonError(
            "PortGroupNotFound",
            f"VM {desired.label}: host {host.name} has no port group {min(lacking)!r}; it has "
            f"{', '.join(sorted(set(host.networks))[:10]) or 'none'}: correct port_groups, or create it in vSphere",
        )


# -- desired against recorded ------------------------------------------------------------------------------------


def _compare_records(desired: Desired, recorded: Vm, drift: Drift, state: CurrentState) -> None:
    new = desired.vm
    if recorded.image != new.image:
        drift.impossible.append(_FIXED["image"])
    if recorded.boot_disk.flavor != new.boot_disk.flavor:
        drift.impossible.append(_FIXED["boot_disk_flavor"])
    elif recorded.image == new.image:
        _compare_capacity(recorded.boot_disk, new.boot_disk, drift)
    _compare_disk_lists({d.name: d for d in recorded.disks[1:]}, {d.name: d for d in new.disks[1:]}, drift)
    if recorded.flavor != new.flavor:
        drift.note("flavor", state.name_of(recorded.flavor), state.name_of(new.flavor))
    drift.resized = recorded.cost != new.cost or (recorded.vcpus, recorded.memory) != (new.vcpus, new.memory)
    for key in _RECORDED:
        old, wanted = _plain(getattr(recorded, key)), _plain(getattr(new, key))
        if (old or None) != (wanted or None):
            drift.note(key, old, wanted)
    if recorded.port_groups != new.port_groups:
        drift.note("port_groups", list(recorded.port_groups), list(new.port_groups))
        drift.reconfigure.port_groups = new.port_groups
    _compare_addresses(desired, recorded, drift)
    if recorded.metadata_digest != new.metadata_digest and (keys := desired.guest_keys()) is not None:
        drift.note("metadata", "(different)", "(as declared)")
        drift.reconfigure.extra_config = keys


def _compare_addresses(desired: Desired, recorded: Vm, drift: Drift) -> None:
    """Static addresses are a part of the guest's meta-data, which is written as a whole."""
    new = desired.vm
    before, after = networks.shown(recorded), networks.shown(new)
    if (before, recorded.static) == (after, new.static):
        return
    keys = desired.guest_keys()
    if keys is None:
        raise PhotonError(
            "SpecInvalid",
            f"VM {desired.label}: set metadata together with the addresses of its port_groups: the guest gets both in "
            "one piece, and the CloudStore does not keep metadata",
        )
    drift.note("addresses", before, after)
    drift.reconfigure.extra_config = keys


def _compare_disk_lists(old: dict[str, Disk], new: dict[str, Disk], drift: Drift) -> None:
    if set(old) != set(new):
        drift.impossible.append("ephemeral disks exist as long as their VM: none can be added or removed")
        return
    for name, disk in new.items():
        if old[name].flavor != disk.flavor:
            drift.impossible.append(f"the flavor of disk {name} is set when the VM is created")
        _compare_capacity(old[name], disk, drift)


def _compare_capacity(old: Disk, new: Disk, drift: Drift) -> None:
    if new.capacity < old.capacity:
        drift.impossible.append(
            f"disk {new.name} cannot shrink from {units.show(old.capacity)} to {units.show(new.capacity)}: "
            "declare its present size or more"
        )
    elif new.capacity > old.capacity:
        _grow(old.capacity, new, drift)
        drift.resized = True


def _grow(here: int, disk: Disk, drift: Drift) -> None:
    drift.note("boot_disk.capacity" if disk.boot else f"disks.{disk.name}.capacity", here, disk.capacity)
    drift.reconfigure.disks[disk.name] = disk.capacity


def _compare_place(desired: Desired, recorded: Vm, seen: Observed, drift: Drift, state: CurrentState) -> None:
    """Zone and host tags decide where a VM is created; later they must fit where it is."""
    host = seen.host
    zone = state.get(host.body.get("zone")) if host else None
    where = f"host {host.name} in zone {zone.name if zone else 'none'}" if host else "an undeclared host"
    wanted = desired.vm
    lacking = sorted(set(wanted.host_tags) - set(host.body["tags"] if host else ()))
    wrong_zone = wanted.zone is not None and (zone is None or zone.name != wanted.zone)
    for key, wrong, need in (
        ("zone", wrong_zone, f"zone {wanted.zone}"),
        ("host_tags", bool(lacking), f"the host tags {', '.join(lacking)}"),
    ):
        old, new = getattr(recorded, key), getattr(wanted, key)
        if (old or None) != (new or None):
            if wrong:
                drift.impossible.append(f"it runs on {where} and a running VM is not moved to {need}")
            drift.note(key, _plain(old), _plain(new))
        elif wrong:
            drift.warnings.append(f"VM {desired.label} runs on {where}, but is declared for {need}: move it in vSphere")


# -- desired against observed ------------------------------------------------------------------------------------


def _compare_hardware(desired: Desired, seen: Observed, drift: Drift) -> None:
    for key in _HARDWARE:
        here, wanted = getattr(seen.row, key), getattr(desired.vm, key)
        if here != wanted:
            drift.note(key, here, wanted)
            setattr(drift.reconfigure, key, wanted)


def _compare_disks(desired: Desired, seen: Observed, drift: Drift) -> None:
    if seen.missing:
        drift.impossible.append(f"its disks {', '.join(seen.missing)} were detached in vSphere: attach them again")
        return
    for disk in desired.vm.disks:
        here = seen.disks.get(disk.name)
        if here is None:
            continue
        if here.capacity > disk.capacity:
            drift.impossible.append(
                f"disk {disk.name} was grown in vSphere from {units.show(disk.capacity)} to "
                f"{units.show(here.capacity)} and cannot shrink: declare that size"
            )
        elif here.capacity < disk.capacity:
            _grow(here.capacity, disk, drift)
    if seen.foreign:
        drift.warnings.append(
            f"VM {desired.label} has disks attached that are not the platform's: {', '.join(sorted(seen.foreign))}"
        )


def _compare_policies(desired: Desired, seen: Observed, drift: Drift, state: CurrentState) -> None:
    """A VM that did not change has the storage policies that were recorded."""
    for disk in desired.vm.disks:
        here = seen.disks.get(disk.name)
        if here is not None and here.policy != disk.policy:
            policy = policies.id_on(disk.policy, here.datastore, f"VM {desired.label}: disk {disk.name}", state)
            drift.note(f"disks.{disk.name}.storage_policy", here.policy, disk.policy)
            drift.reconfigure.policies[disk.name] = policy


def _compare_adapters(desired: Desired, seen: Observed, drift: Drift) -> None:
    here = [nic.network for nic in seen.row.nics]
    if sorted(here) != sorted(desired.vm.port_groups):
        drift.note("port_groups", here, list(desired.vm.port_groups))
        drift.reconfigure.port_groups = desired.vm.port_groups
    for nic in seen.row.nics:
        if not (nic.connected if seen.power == states.STARTED else nic.start_connected):
            drift.note(f"adapter {nic.label or nic.mac}", "disconnected", "connected")
            drift.reconfigure.port_groups = desired.vm.port_groups


def _compare_guest(desired: Desired, seen: Observed, drift: Drift) -> None:
    """Note the keys by name, never their values: user-data may hold secrets."""
    keys = desired.guest_keys()
    if keys is None:
        return
    changes = guest.changed_keys(keys, seen.row.extra_config)
    for key in sorted(changes):
        drift.note(key, "(changed in vSphere)" if key in seen.row.extra_config else "(missing)", "(as declared)")
    drift.reconfigure.extra_config |= changes


def _compare_mark(desired: Desired, recorded: Vm, seen: Observed, drift: Drift, mark_of: Callable[[Vm], str]) -> None:
    """The record changes with what it describes, and by itself where it is missing or old. A VM that did not change has
    the one that follows from its document."""
    wanted, before = mark_of(desired.vm), mark_of(recorded)
    here = seen.row.extra_config.get(RECORD_KEY, "") if seen.detailed else before
    if here == wanted and not (drift.reconfigure and not seen.detailed):
        return
    if here != before or (here != wanted and not drift.after):
        drift.note(RECORD_KEY, "(outdated)" if here else "(missing)", "(current)")
    drift.reconfigure.record = wanted


# -- steps -------------------------------------------------------------------------------------------------------


def _steps(desired: Desired, seen: Observed, drift: Drift) -> tuple[str, ...]:
    """Stop first where that is wanted or needed, then reconfigure, then the remaining power operations."""
    target = desired.power or seen.power
    route = states.route(entities.VM, seen.power, target)
    if target != seen.power:
        drift.note("state", seen.power, target)
    change, boot = drift.reconfigure, desired.vm.boot_disk
    here = seen.disks.get(boot.name, boot)
    if here.linked is not False:  # unknown counts as linked: the step looks, and grows any other disk in place
        change.boot_disk = change.disks.pop(boot.name, None)
    steps = ("GROW_BOOT_DISK",) if change.boot_disk is not None else ()
    steps += ("RECONFIGURE_VM",) if change else ()
    if not steps:
        return tuple(route)
    reason = _needs_stop(seen, change)
    if route[:1] == ["STOP_VM"]:
        return ("STOP_VM", *steps, *route[1:])
    if reason is None:
        return (*steps, *route)
    if not desired.force:
        raise PhotonError(
            "InvalidVmState",
            f"VM {desired.label}: {reason}; set force: true to stop it, change it and start it again, "
            "or stop it first (state: stopped)",
        )
    return ("STOP_VM", *steps, *states.route(entities.VM, "STOPPED", target))


def _needs_stop(seen: Observed, change: Reconfigure) -> str | None:
    """Why the VM must be off for this change; None when it can be changed as it is."""
    hardware = {key: value for key in _HARDWARE if (value := getattr(change, key)) is not None}
    if seen.power != "STOPPED" and change.boot_disk is not None:
        return "its boot disk is a child of its image's disk, and grows only while the VM is off"
    if seen.power == "STOPPED" or not hardware:
        return None
    if seen.power == "SUSPENDED":
        return f"it is suspended, so its {' and '.join(hardware)} cannot be changed"
    shrinks = [key for key, value in hardware.items() if value < getattr(seen.row, key)]
    if shrinks:
        return f"its {' and '.join(shrinks)} cannot shrink while it runs"
    enabled = {"vcpus": seen.row.cpu_hot_add, "memory": seen.row.memory_hot_add}
    fixed = [key for key in hardware if not enabled[key]]
    return f"hot-add is off for its {' and '.join(fixed)}, so they cannot grow while it runs" if fixed else None


def _plain(value: Any) -> Any:
    """A field for a diff: tuples as lists, groups as mappings."""
    if isinstance(value, tuple):
        return [each.to_dict() if hasattr(each, "to_dict") else each for each in value]
    return value
