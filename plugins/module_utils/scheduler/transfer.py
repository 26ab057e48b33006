# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transfer: what a placement costs where the image must be copied to the datastore first.

The original's transfer score is T = 100 - round(100 min(1, missing bytes / 1 GiB)); a host's score mixes it with the
utilization score U: (9 U + T) / 10. Within one host the same weights compare its datastores: a GiB that is missing
counts as a ninth of the datastore's capacity in use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from .fleet import Fleet
from .requests import Disk, Shape

GIB = 1 << 30
UTILIZATION_TRANSFER_RATIO = 9

Pair = tuple[str, int]  # image and datastore


def share(missing: int) -> float:
    """Return the part of the transfer score that missing bytes cost."""
    return min(1.0, missing / GIB)


class Transfers:
    """The copies that the VMs placed so far make necessary: the first VM on a datastore pays for all."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._users: Counter[Pair] = Counter()

    def matter(self, shape: Shape) -> bool:
        """Return whether boot disks of a shape may lie where the image is not."""
        return bool(self._fleet.copyable.get(shape.statics.image or ""))

    def missing(self, shape: Shape, store: int) -> int:
        """Return the bytes that a copy on a datastore would take."""
        image = shape.statics.image
        if image is None or store in self._fleet.images.get(image, ()) or self._users[image, store] > 0:
            return 0
        return self._fleet.image_sizes.get(image, 0)

    def penalty(self, shape: Shape, store: int) -> float:
        """Return by how many free bytes a datastore without the image is worth less."""
        return share(self.missing(shape, store)) * self._fleet.datastores[store].capacity / UTILIZATION_TRANSFER_RATIO

    def add(self, shape: Shape, stores: Iterable[int], times: int) -> dict[int, int]:
        """Count VMs on their datastores (``times`` below 0: take them back); returns the bytes that copies take there,
        or give back."""
        image, taken = shape.statics.image or "", {}
        for disk, store in zip(shape.disks, stores, strict=True):
            if not disk.boot:
                continue
            before = self.missing(shape, store)
            self._users[image, store] += times
            if before != (after := self.missing(shape, store)):
                taken[store] = before - after
        return taken


def boots(disks: Iterable[Disk], stores: Iterable[int]) -> list[int]:
    """Return the datastores of the boot disks."""
    return [store for disk, store in zip(disks, stores, strict=True) if disk.boot]
