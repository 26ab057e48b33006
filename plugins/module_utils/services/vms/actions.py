# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The typed actions on VMs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...cloudstore import Step, Task
from ...model import entities
from ...model.entities import Document
from ..planning import Action
from .desired import Desired
from .record import Vm


@dataclass(slots=True)
class Reconfigure:
    """What a VM's configuration is changed to; None and empty leave a part alone. Sizes in bytes by disk name."""

    vcpus: int | None = None
    memory: int | None = None
    disks: dict[str, int] = field(default_factory=dict)
    port_groups: tuple[str, ...] | None = None
    extra_config: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        hardware = self.vcpus is not None or self.memory is not None
        return hardware or bool(self.disks or self.extra_config) or self.port_groups is not None


@dataclass(slots=True, kw_only=True)
class CreateVm(Action):
    """Create a VM at its place, then bring it into its power state (``steps`` in order, CREATE_VM first).

    ``score`` and ``parts`` are the reasons of the scheduler for the place. ``lost`` is the record of a VM that existed
    before and is missing in vSphere; it stays as it is when the VM cannot be created again.
    """

    desired: Desired
    vm: Vm
    steps: tuple[str, ...]
    lost: Document | None = None
    score: float | None = None
    parts: dict[str, Any] | None = None

    def details(self) -> dict[str, Any]:
        reasons = {"score": self.score, "parts": self.parts}
        return {**_size(self.vm), **{key: value for key, value in reasons.items() if value is not None}}


@dataclass(slots=True, kw_only=True)
class RegisterVm(Action):
    """Take over a VM's files, or a restored VM that carries its mark (``marked`` is that VM's row)."""

    vm: Vm
    marked: Any = None


@dataclass(slots=True, kw_only=True)
class UpdateVm(Action):
    """Change a VM in vSphere (``steps``, none: the record alone). ``previous`` is the record before the change."""

    vm: Vm
    previous: Vm
    moid: str
    steps: tuple[str, ...] = ()
    reconfigure: Reconfigure = field(default_factory=Reconfigure)

    def details(self) -> dict[str, Any]:
        return _size(self.vm)


@dataclass(slots=True, kw_only=True)
class DeleteVm(Action):
    """Delete a VM with its own disks; disks of others are detached first. ``moid`` None: vSphere does not have it."""

    vm: Vm
    moid: str | None
    power_off: bool = False
    own_files: frozenset[str] = frozenset()
    foreign_disks: dict[str, int] = field(default_factory=dict)

    def details(self) -> dict[str, Any]:
        return _size(self.vm)


def task_of(operation: str, entity_id: str, steps: tuple[str, ...], data: dict[str, Any]) -> Task:
    """The journal entry of an action on a VM: what makes its calls repeatable is in ``data``."""
    return Task(
        operation,
        entities.VM,
        entity_id,
        state="STARTED",
        steps=[Step(number, name, "QUEUED") for number, name in enumerate(steps)],
        data=data,
    )


def _size(vm: Vm) -> dict[str, Any]:
    return {"vcpus": vm.vcpus, "memory": vm.memory}
