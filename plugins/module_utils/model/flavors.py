# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flavors: what a VM or a disk of a flavor costs, the rules of a cost table, and the flavors that are always there.

A cost table is ``{key: (amount in base units, unit)}``. What one VM is charged:

- the keys of its flavor (``vm.cpu``, ``vm.memory``, ``vm.cost`` ...), ``vm`` 1, ``vm.count`` 1 and
  ``vm.flavor.<name>`` 1;
- for each disk the keys of its flavor, ``<kind>`` 1, ``<kind>.count`` 1, ``<kind>.flavor.<name>`` 1 and
  ``<kind>.capacity``, its size in bytes.

``vm`` and ``vm.count`` are the same number under the two names that people limit. A ``storage.<TYPE>`` key is no
cost: it names the type of datastore that the disk must be on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from . import quota, units
from .errors import PhotonError

VM, EPHEMERAL_DISK, PERSISTENT_DISK = "vm", "ephemeral-disk", "persistent-disk"
KINDS = (VM, EPHEMERAL_DISK, PERSISTENT_DISK)
_SHORT = {"ephemeral": EPHEMERAL_DISK, "persistent": PERSISTENT_DISK}
STORAGE_TYPES = ("LOCAL_VMFS", "SHARED_VMFS", "VSAN", "NFS")
MEMORY_STEP = 4 << 20  # vSphere takes the memory of a VM in steps of 4 MB
_STORAGE = "storage."

Cost = dict[str, tuple[int, str]]


def check_kind(kind: object) -> str:
    """The flavor kind in its long form. Raises InvalidEntity."""
    kind = _SHORT.get(kind, kind) if isinstance(kind, str) else kind
    if kind not in KINDS:
        raise PhotonError("InvalidEntity", f"{kind!r} is not a kind of flavor: use {', '.join(KINDS)}")
    return str(kind)


def check_cost(kind: str, cost: object) -> Cost:
    """Parse and check a declared cost table ``{key: quantity}`` of a flavor; ``storage.<type>`` is upper-cased.

    Raises InvalidFlavorSpecification (with ``data["mistakes"]``, one ``[key, message]`` each).
    """
    if not isinstance(cost, Mapping) or not cost:
        raise _invalid([("", f"a {kind} flavor needs at least one cost, for example {_EXAMPLES[kind]}")])
    parsed: Cost = {}
    mistakes: list[tuple[str, str]] = []
    for key, text in cost.items():
        try:
            name = _storage_key(str(key))
            if name in parsed:
                mistakes.append((str(key), f"{name} is defined twice"))
            parsed[name] = quota.parse(name, text)
        except PhotonError as error:
            mistakes.append((str(key), error.message))
    given = {_storage_key(str(key)) for key in cost}
    if kind == VM:
        for key, example in (("vm.cpu", "2"), ("vm.memory", '"4 GB"')):
            if key not in given:
                mistakes.append(("", f"a vm flavor needs {key}, for example {key}: {example}"))
            elif key in parsed and parsed[key][0] < 1:
                mistakes.append((key, f"{key} must be at least 1"))
        if "vm.memory" in parsed and parsed["vm.memory"][0] % MEMORY_STEP:
            mistakes.append(("vm.memory", f"vm.memory must be a multiple of {units.exact(MEMORY_STEP)}"))
    elif f"{kind}.capacity" in given:
        mistakes.append((f"{kind}.capacity", "a disk flavor has no capacity: each disk is charged for its own size"))
    if mistakes:
        raise _invalid(mistakes)
    return parsed


def vm_cost(name: str, cost: Mapping[str, tuple[int, str]]) -> Cost:
    """What one VM of this flavor is charged, its disks apart."""
    return _charged(VM, name, cost)


def disk_cost(kind: str, name: str, cost: Mapping[str, tuple[int, str]], capacity: int) -> Cost:
    """What one disk of this flavor and of ``capacity`` bytes is charged."""
    charged = _charged(kind, name, cost)
    charged[f"{kind}.capacity"] = (capacity, "GB")
    return charged


def add_costs(costs: Iterable[Mapping[str, tuple[int, str]]]) -> Cost:
    """The sum per key; the unit is that of the first table that has the key."""
    total: Cost = {}
    for cost in costs:
        for key, (amount, unit) in cost.items():
            before = total.get(key)
            total[key] = (before[0] + amount, before[1]) if before else (amount, unit)
    return total


def datastore_tags(cost: Mapping[str, tuple[int, str]]) -> tuple[str, ...]:
    """The datastore types that a flavor asks for (``storage.<TYPE>`` keys), in order.

    Raises NoConstraintMatchingDatastore for a type that no datastore can have.
    """
    tags = sorted(key[len(_STORAGE) :] for key in cost if key.startswith(_STORAGE))
    for tag in tags:
        if tag not in STORAGE_TYPES:
            raise PhotonError(
                "NoConstraintMatchingDatastore",
                f"no datastore is of type {tag}: a flavor can ask for "
                f"{', '.join(_STORAGE + known for known in STORAGE_TYPES)}",
            )
    return tuple(tags)


def shipped() -> list[tuple[str, str, Cost]]:
    """The flavors of every platform: ``(kind, name, cost table)``."""
    table = [
        (VM, name, {"vm.cpu": (cpu, units.COUNT), "vm.memory": units.parse(memory), "vm.cost": (price, units.COST)})
        for name, cpu, memory, price in _VM_FLAVORS
    ]
    for kind in (EPHEMERAL_DISK, PERSISTENT_DISK):
        table += [(kind, name, {f"{kind}.cost": (price, units.COST)}) for name, price in _DISK_FLAVORS]
    table.append((EPHEMERAL_DISK, "cluster-vm-disk", {f"{EPHEMERAL_DISK}.cost": (1000, units.COST)}))
    return table


# name, CPUs, memory, price in thousandths
_VM_FLAVORS = (
    ("core-10", 1, "32 MB", 25),
    ("core-100", 1, "2 GB", 1000),
    ("core-110", 1, "4 GB", 1500),
    ("core-200", 2, "4 GB", 2000),
    ("core-220", 2, "8 GB", 4000),
    ("core-240", 4, "16 GB", 12000),
    ("core-245", 4, "32 GB", 20000),
    ("core-280", 8, "32 GB", 25000),
    ("core-285", 8, "64 GB", 48000),
    ("cluster-master-vm", 4, "8 GB", 1000),
    ("cluster-other-vm", 1, "4 GB", 1000),
)
_DISK_FLAVORS = (("core-100", 1000), ("core-200", 1800), ("core-300", 2800))
_EXAMPLES = {
    VM: "{vm.cpu: 2, vm.memory: 4 GB}",
    EPHEMERAL_DISK: "{ephemeral-disk.cost: 1.0}",
    PERSISTENT_DISK: "{persistent-disk.cost: 1.0}",
}


def _charged(kind: str, name: str, cost: Mapping[str, tuple[int, str]]) -> Cost:
    charged = {key: (int(amount), unit) for key, (amount, unit) in cost.items() if not key.startswith(_STORAGE)}
    for key in (kind, f"{kind}.count", f"{kind}.flavor.{name}"):
        charged.setdefault(key, (1, units.COUNT))
    return charged


def _storage_key(key: str) -> str:
    return _STORAGE + key[len(_STORAGE) :].upper() if key.lower().startswith(_STORAGE) else key


def _invalid(mistakes: list[tuple[str, str]]) -> PhotonError:
    text = "; ".join(message for _key, message in mistakes)
    return PhotonError("InvalidFlavorSpecification", text, {"mistakes": [list(mistake) for mistake in mistakes]})
