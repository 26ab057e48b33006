# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quota counters inside a transaction: limits that usage never passes, whoever else charges at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..model import units
from ..model.errors import PhotonError
from ..model.quota import Counter, quota_error
from .base import Base


class Quotas(Base):
    """The part of Transaction that keeps counters. The owner is a tenant's or project's id."""

    def counters(self, owner_id: str) -> dict[str, Counter]:
        """``{key: Counter}``; the rows stay ours until the transaction ends."""
        table = self._tables.counters
        rows = self._rows(table, table.c.owner_id, [owner_id], lock=True)
        return {row.key: Counter(row.unit, row.limit, row.usage) for row in rows}

    def charge(self, owner_id: str, amounts: Mapping[str, tuple[int, str]], *, owner: str = "") -> None:
        """Add ``{key: (amount, unit)}`` to the usage, all keys or none; negative amounts give back.

        ``owner`` is how a message names the owner. Charge as late in a transaction as you can: the rows of a busy project
        are what others wait for. Raises QuotaError (model.quota.quota_error), InternalError when usage would fall below 0.
        """
        wanted = {key: (amount, unit) for key, (amount, unit) in sorted(amounts.items()) if amount}
        if not wanted:
            return
        known = self.counters(owner_id)
        for key, (amount, unit) in wanted.items():
            counter = known.get(key) or Counter(unit)
            if counter.would_exceed(amount):
                raise quota_error(owner or owner_id, key, counter, amount)
            _refuse_negative(counter, key, amount, owner or owner_id)
        fresh = [{"owner_id": owner_id, "key": key, "unit": unit, "limit": None, "usage": amount}
                 for key, (amount, unit) in wanted.items() if key not in known]
        more = [{"of_owner": owner_id, "of_key": key, "delta": amount}
                for key, (amount, _unit) in wanted.items() if key in known]
        if fresh:
            self.connection.execute(self._tables.counters.insert(), fresh)
        if more:
            done = self.connection.execute(self._guarded_update(), more)
            if done.rowcount not in (len(more), -1):
                raise PhotonError("InternalError", f"the counters of {owner or owner_id} changed under their lock: run again")

    def set_limits(self, owner_id: str, limits: Mapping[str, tuple[int | None, str]], *, replace: bool = False,
                   exclude: Iterable[str] = (), owner: str = "") -> dict[str, Counter]:
        """Set limits ``{key: (limit or None, unit)}``; returns the counters afterwards.

        ``replace``: keys that are not named lose their limit; ``exclude``: these lose it. A key without limit and usage is
        forgotten. Raises QuotaError (data key, limit, usage) for a limit below the usage; nothing is changed then.
        """
        known = self.counters(owner_id)
        excluded = set(exclude)
        after: dict[str, Counter] = {}
        for key in sorted({*known, *limits}):
            old = known.get(key) or Counter(limits[key][1] if key in limits else units.COUNT)
            limit, unit = limits.get(key, (None if replace else old.limit, old.unit))
            limit = None if key in excluded else limit
            if limit is not None and limit < old.usage and limit != old.limit:
                raise _below_usage(owner or owner_id, key, limit, unit, old.usage)
            if limit is not None or old.usage:
                after[key] = Counter(unit, limit, old.usage)
        self._store(owner_id, known, after)
        return after

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _store(self, owner_id: str, known: Mapping[str, Counter], after: Mapping[str, Counter]) -> None:
        table, sa = self._tables.counters, self._sa
        same = (table.c.owner_id == sa.bindparam("of_owner"), table.c.key == sa.bindparam("of_key"))
        gone = [{"of_owner": owner_id, "of_key": key} for key in known if key not in after]
        fresh = [{"owner_id": owner_id, "key": key, "unit": c.unit, "limit": c.limit, "usage": c.usage}
                 for key, c in after.items() if key not in known]
        changed = [{"of_owner": owner_id, "of_key": key, "new_limit": c.limit, "new_unit": c.unit}
                   for key, c in after.items() if key in known and c != known[key]]
        if gone:
            self.connection.execute(table.delete().where(*same), gone)
        if fresh:
            self.connection.execute(table.insert(), fresh)
        if changed:
            self.connection.execute(table.update().where(*same).values(
                {"limit": sa.bindparam("new_limit"), "unit": sa.bindparam("new_unit")}), changed)

    def _guarded_update(self) -> Any:
        table, sa = self._tables.counters, self._sa
        delta = sa.bindparam("delta", type_=sa.BigInteger)
        return table.update().where(
            table.c.owner_id == sa.bindparam("of_owner"), table.c.key == sa.bindparam("of_key"), table.c.usage + delta >= 0,
            sa.or_(table.c.limit.is_(None), delta <= 0, table.c.usage + delta <= table.c.limit),
        ).values(usage=table.c.usage + delta)


def _refuse_negative(counter: Counter, key: str, amount: int, owner: str) -> None:
    if counter.usage + amount < 0:
        raise PhotonError("InternalError", f"{owner} would give back {-amount} of {key} and has only {counter.usage} charged: "
                          "report this with the task's id", {"key": key, "usage": counter.usage})


def _below_usage(owner: str, key: str, limit: int, unit: str, usage: int) -> PhotonError:
    return PhotonError(
        "QuotaError", f"the limit of {key} of {owner} cannot be {units.show(limit, unit)}: {units.show(usage, unit)} are in use or "
        "allocated; free some first or set a higher limit", {"key": key, "unit": unit, "limit": limit, "usage": usage})
