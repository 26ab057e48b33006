# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The original scheduler's numbers: score(x) = 100 - round(100 x), the 95 % limit, the 9 : 1 mix with image transfer.

A host reports memory, CPU and storage scores; the worst counts as its utilization score U. T is 100 where the image
lies already on the datastore. The winner of a sample has the highest (9 U + T) / 10.
"""

from __future__ import annotations

from .fleet import Fleet
from .requests import Shape

LIMIT = 0.95
UTILIZATION_TRANSFER_RATIO = 9
OPTIMAL_STORAGE = 0.8  # below this use of the datastores an optimal layout of the disks scores 100
BEST_EFFORT_DIVISOR = 10
BUSY_MEMORY_SCORE = 20  # below this score real memory consumption is mixed in


def score(share: float) -> int:
    """100 for unused, 0 for full."""
    return 100 - round(100 * share)


def utilization_score(fleet: Fleet, host: int, shape: Shape, stores: tuple[int, ...]) -> dict[str, float] | str:
    """``{memory, cpu, storage}`` from 0 to 100 with the VM on the host, or the name of the constraint that refuses."""
    cpu = _share(fleet.cpu_limit[host] - fleet.cpu_free[host] + shape.vcpus, fleet.cpu_limit[host])
    memory = _share(fleet.memory_limit[host] - fleet.memory_free[host] + shape.memory, fleet.memory_limit[host])
    for name, share in (("cpu", cpu), ("memory", memory)):
        if share > LIMIT:
            return name
    storage = storage_score(fleet, host, shape, stores)
    if storage is None:
        return "storage"
    return {"memory": memory_score(fleet, host, memory), "cpu": score(cpu), "storage": storage}


def memory_score(fleet: Fleet, host: int, share: float) -> float:
    """The score of configured memory, lowered where the host really consumes more than that says."""
    configured, consumed = score(share), fleet.consumed_memory[host]
    if consumed is not None:
        real = score(_share(consumed, fleet.physical_memory[host]))
        if real < BUSY_MEMORY_SCORE and real < configured:
            return (configured + real) / 2
    return configured


def storage_score(fleet: Fleet, host: int, shape: Shape, stores: tuple[int, ...]) -> float | None:
    """Over the datastores for VMs; boot disks are children of the image's disk and count nothing. None past the
    limit."""
    if not shape.disks:
        return 100
    usable = [s for s in fleet.stores[host] if fleet.store_usable[s]]
    total = sum(fleet.store_capacity[s] for s in usable)
    asked = sum(disk.capacity for disk in shape.disks if not disk.boot)
    share = _share(total - sum(fleet.store_free[s] for s in usable) + asked, total)
    if share > LIMIT:
        return None
    optimal = len({store for disk, store in zip(shape.disks, stores, strict=True) if not disk.tags}) <= 1
    if optimal and share < OPTIMAL_STORAGE:
        return 100
    return score(share) if optimal else score(share) / BEST_EFFORT_DIVISOR


def transfer_score(fleet: Fleet, shape: Shape, stores: tuple[int, ...]) -> float:
    """100 where the image need not be copied. An image's size is not known here: a missing one counts as 1 GiB or
    more."""
    image = shape.statics.image
    if image is None or not stores:
        return 100
    have = fleet.images.get(image, frozenset())
    boots = [store for disk, store in zip(shape.disks, stores, strict=True) if disk.boot]
    return 100 if all(store in have for store in boots) else 0


def winner_score(utilization: float, transfer: float) -> float:
    """(r U + T) / (r + 1) with the original's r = 9."""
    return (UTILIZATION_TRANSFER_RATIO * utilization + transfer) / (UTILIZATION_TRANSFER_RATIO + 1)


def scheduling_constants(ids: list[str], given: list[int | None]) -> list[int]:
    """A host's place in [0, 10000]: its own where it has one, else a Halton sequence (base 2) over the sorted ids."""
    constants = [0] * len(ids)
    for number, host in enumerate(sorted(range(len(ids)), key=ids.__getitem__), start=1):
        own = given[host]
        constants[host] = own if own is not None else int(_halton(number) * 10000)
    return constants


def _halton(index: int, base: int = 2) -> float:
    fraction, result = 1.0, 0.0
    while index:
        fraction /= base
        result += fraction * (index % base)
        index //= base
    return result


def _share(amount: int, total: int) -> float:
    return amount / total if total > 0 else 1.0 if amount > 0 else 0.0
