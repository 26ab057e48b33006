# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The typed actions on VMs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...model.entities import Document
from ..planning import Action
from ..state import CurrentState
from . import networks
from .desired import Desired
from .record import Vm


@dataclass(slots=True)
class Reconfigure:
    """What a VM's configuration is changed to; None and empty leave a part alone. ``disks`` are sizes in bytes,
    ``policies`` ids of storage policies ("": the default), both by disk name.

    ``boot_disk`` is the new size of a boot disk that is a child of its image's: a step of its own, with the VM off.
    ``record`` is the text that replaces the VM's record in vSphere, with whatever is changed.
    """

    boot_disk: int | None = None
    vcpus: int | None = None
    memory: int | None = None
    disks: dict[str, int] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)
    port_groups: tuple[str, ...] | None = None
    extra_config: dict[str, str] = field(default_factory=dict)
    record: str = ""

    def __bool__(self) -> bool:
        """Whether the VM is to be reconfigured; a boot disk that grows takes the record with it."""
        hardware = self.vcpus is not None or self.memory is not None
        parts = bool(self.disks or self.policies or self.extra_config) or self.port_groups is not None
        return hardware or parts or bool(self.record and self.boot_disk is None)


@dataclass(slots=True, kw_only=True)
class VmAction(Action):
    """An action on a VM; ``vm`` is the VM as it is afterwards, before a deletion as it was."""

    vm: Vm

    def details(self) -> dict[str, Any]:
        """The size of the VM."""
        return {"vcpus": self.vm.vcpus, "memory": self.vm.memory}

    def signature(self, state: CurrentState) -> dict[str, Any]:
        """Digest of its metadata."""
        return {"metadata": self.vm.metadata_digest}


@dataclass(slots=True, kw_only=True)
class CreateVm(VmAction):
    """Create a VM at its place, then bring it into its power state (``steps`` in order, CREATE_VM first).

    ``score`` and ``parts`` are the reasons of the scheduler for the place. ``lost`` is the record of a VM that existed
    before and is missing in vSphere; it stays as it is when the VM cannot be created again.
    """

    desired: Desired
    steps: tuple[str, ...]
    lost: Document | None = None
    score: float | None = None
    parts: dict[str, Any] | None = None

    def details(self) -> dict[str, Any]:
        """The size of the VM and the reasons for its place."""
        reasons = {"score": self.score, "parts": self.parts}
        return {**VmAction.details(self), **{key: value for key, value in reasons.items() if value is not None}}

    def signature(self, state: CurrentState) -> dict[str, Any]:
        """Digest of its metadata, its host and the datastore of each disk."""
        disks = {disk.name: state.name_of(disk.datastore) for disk in self.vm.disks}
        host = state.name_of(self.vm.place.host) if self.vm.place else None
        return {**VmAction.signature(self, state), "host": host, "disks": disks}


@dataclass(slots=True, kw_only=True)
class RegisterVm(VmAction):
    """Take over a VM's files, or a restored VM that carries its mark (``marked`` is that VM's row)."""

    marked: Any = None


@dataclass(slots=True, kw_only=True)
class UpdateVm(VmAction):
    """Change a VM in vSphere (``steps``, none: the record alone). ``previous`` is the record before the change."""

    previous: Vm
    moid: str
    steps: tuple[str, ...] = ()
    reconfigure: Reconfigure = field(default_factory=Reconfigure)


@dataclass(slots=True, kw_only=True)
class DeleteVm(VmAction):
    """Delete a VM with its own disks; disks of others are detached first. ``moid`` None: vSphere does not have it."""

    moid: str | None
    power_off: bool = False
    own_files: frozenset[str] = frozenset()
    foreign_disks: dict[str, int] = field(default_factory=dict)


def item_of(document: Document, state: CurrentState) -> dict[str, Any]:
    """The fields of a VM in a full result: names of its host and of its boot disk's datastore, and its address."""
    vm = Vm.of(document)
    return {
        "host": state.name_of(vm.place.host if vm.place else None),
        "datastore": state.name_of(vm.boot_disk.datastore),
        "address": networks.address(vm),
    }
