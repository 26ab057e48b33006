# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run's lease: a row with an end on the database's clock and an epoch that fences a run off once it is taken over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..model.errors import PhotonError
from .tables import tables


@dataclass(frozen=True, slots=True)
class Lease:
    """``id`` is the run's."""

    id: str
    ttl: float
    epoch: int = 1

    def renew(self, connection: Any, now: float) -> None:
        """Extend the lease to ``now + ttl`` inside a transaction. Raises LeaseLost when another run took over."""
        values = {"expires_at": now + self.ttl}
        if connection.execute(self._mine(), values).rowcount != 1:
            raise PhotonError(
                "LeaseLost",
                "another controller took this run over because its lease expired: nothing more is done here. Look at "
                "the outcome of the other run, then run again",
                {"run": self.id},
            )

    def end(self, connection: Any, now: float) -> None:
        """Give the lease up; a lost lease stays as it is."""
        connection.execute(self._mine(), {"ended_at": now})

    def _mine(self) -> Any:
        table = tables().runs
        return table.update().where(table.c.id == self.id, table.c.epoch == self.epoch, table.c.ended_at.is_(None))
