# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The original scheduler's numbers: score(x) = 100 - round(100 x), the 95 % limit, the 9 : 1 mix with image transfer.

A host reports memory, CPU and storage scores; the worst counts as its utilization score U. T is 100 where the image
lies already on the datastore, and less by what must be copied (see transfer.py). The winner of a sample has the highest
(9 U + T) / 10.
"""

from __future__ import annotations

from .fleet import Host
from .requests import Shape
from .state import State, Stores
from .transfer import UTILIZATION_TRANSFER_RATIO, boots, share

LIMIT = 0.95
OPTIMAL_STORAGE = 0.8  # below this use of the datastores an optimal layout of the disks scores 100
BEST_EFFORT_DIVISOR = 10
BUSY_MEMORY_SCORE = 20  # below this score real memory consumption is mixed in


def photon_scores(state: State, host: int, shape: Shape, stores: Stores) -> tuple[str | None, dict[str, float]]:
    """Return the constraint that refuses the VM on the host or None, and ``{memory, cpu, storage, transfer}`` from 0 to
    100 with the VM on it."""
    row = state.fleet.hosts[host]
    cpu = _share(row.cpu_limit - state.cpu_free[host] + shape.vcpus, row.cpu_limit)
    memory = _share(row.memory_limit - state.memory_free[host] + shape.memory, row.memory_limit)
    storage, storage_score = _storage(state, row, shape, stores)
    shares = {"cpu": cpu, "memory": memory, "storage": storage}
    refused = next((name for name, share in shares.items() if share > LIMIT), None)
    return refused, {
        "memory": _memory_score(row, memory),
        "cpu": score(cpu),
        "storage": storage_score,
        "transfer": _transfer_score(state, shape, stores),
    }


def winner_score(scores: dict[str, float]) -> float:
    """Return (r U + T) / (r + 1) with the original's r = 9."""
    utilization = min(scores["memory"], scores["cpu"], scores["storage"])
    return (UTILIZATION_TRANSFER_RATIO * utilization + scores["transfer"]) / (UTILIZATION_TRANSFER_RATIO + 1)


def score(share: float) -> int:
    """Return 100 for unused, 0 for full."""
    return 100 - round(100 * share)


def scheduling_constants(ids: list[str], given: list[int | None]) -> list[int]:
    """Return each host's number in [0, 10000]: its own, or one of a Halton sequence (base 2) over the sorted ids."""
    constants = [0] * len(ids)
    for number, host in enumerate(sorted(range(len(ids)), key=ids.__getitem__), start=1):
        own = given[host]
        constants[host] = own if own is not None else int(_halton(number) * 10000)
    return constants


def _memory_score(host: Host, share: float) -> float:
    """Return the score of configured memory, lowered where the host really consumes more than that says."""
    configured = score(share)
    if host.consumed_memory is not None:
        real = score(_share(host.consumed_memory, host.physical_memory))
        if real < BUSY_MEMORY_SCORE and real < configured:
            return (configured + real) / 2
    return configured


def _storage(state: State, host: Host, shape: Shape, stores: Stores) -> tuple[float, float]:
    """Return the used share of the datastores for VMs and its score; boot disks are children of the image's disk and
    count nothing."""
    if not shape.disks:
        return 0.0, 100
    rows = state.fleet.datastores
    usable = [store for store in host.datastores if rows[store].usable]
    total = sum([rows[store].capacity for store in usable])
    asked = sum([disk.capacity for disk in shape.disks if not disk.boot])
    share = _share(total - sum([state.store_free[store] for store in usable]) + asked, total)
    optimal = len({store for disk, store in zip(shape.disks, stores, strict=True) if not disk.tags}) <= 1
    if optimal and share < OPTIMAL_STORAGE:
        return share, 100
    return share, score(share) if optimal else score(share) / BEST_EFFORT_DIVISOR


def _transfer_score(state: State, shape: Shape, stores: Stores) -> float:
    """Return 100 where the image need not be copied; an image of unknown size counts as 1 GiB or more."""
    image, fleet = shape.statics.image, state.fleet
    if image is None:
        return 100
    if state.transfers is not None and state.transfers.matter(shape):
        return score(share(sum(state.transfers.missing(shape, store) for store in boots(shape.disks, stores))))
    have = fleet.images.get(image, frozenset())
    return 100 if all(store in have for store in boots(shape.disks, stores)) else 0


def _halton(index: int) -> float:
    fraction, result = 1.0, 0.0
    while index:
        fraction /= 2
        result += fraction * (index % 2)
        index //= 2
    return result


def _share(amount: int, total: int) -> float:
    return amount / total if total > 0 else 1.0 if amount > 0 else 0.0
