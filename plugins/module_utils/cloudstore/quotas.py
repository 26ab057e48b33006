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
from .bulk import NUMBER, TEXT, Bulk, Fetch, Guarded, Insert
from .errors import TryAgain
from .library import load

_KEY = {"of_owner": TEXT, "of_key": TEXT}
_OF_OWNER = Fetch("counters", "owner_id", lock=True)
_INSERT = Insert("counters", {"owner_id": TEXT, "key": TEXT, "unit": TEXT, "limit": NUMBER, "usage": NUMBER})
_REMOVE = Bulk(_KEY, lambda t, v: t.counters.delete().where(*_same(t.counters.c, v)))
_LIMIT = Bulk(
    {**_KEY, "new_limit": NUMBER, "new_unit": TEXT},
    lambda t, v: t.counters.update().where(*_same(t.counters.c, v)).values({"limit": v.new_limit, "unit": v.new_unit}),
)
_CHARGE = Guarded(
    "counters",
    {"owner_id": "of_owner", "key": "of_key"},
    {**_KEY, "delta": NUMBER},
    lambda c, v: _allowed(c, v.delta),
    lambda c, v: {"usage": c.usage + v.delta},
)


class Quotas(Base):
    """The part of Transaction that keeps counters. The owner is a tenant's or project's id."""

    def counters(self, owner_id: str) -> dict[str, Counter]:
        """``{key: Counter}``; the rows stay ours until the transaction ends."""
        rows = _OF_OWNER.rows(self.connection, [owner_id])
        return {row.key: Counter(row.unit, row.limit, row.usage) for row in rows}

    def charge(self, owner_id: str, amounts: Mapping[str, tuple[int, str]], *, owner: str = "") -> None:
        """Add ``{key: (amount, unit)}`` to the usage, all keys or none; negative amounts give back.

        ``owner`` is how a message names the owner. Charge as late in a transaction as you can: the rows of a
        busy project are what others wait for. Raises QuotaError (model.quota.quota_error), InternalError when usage
        would fall below 0.
        """
        wanted = {key: (amount, unit) for key, (amount, unit) in sorted(amounts.items()) if amount}
        if not wanted:
            return
        rows = [{"of_owner": owner_id, "of_key": key, "delta": amount} for key, (amount, _unit) in wanted.items()]
        if _CHARGE.all_at_once(self.connection, rows):
            return
        known = self.counters(owner_id)
        for key, (amount, unit) in wanted.items():
            counter = known.get(key) or Counter(unit)
            if counter.would_exceed(amount):
                raise quota_error(owner or owner_id, key, counter, amount)
            _refuse_negative(counter, key, amount, owner or owner_id)
        fresh = [
            _row(owner_id, key, Counter(unit, None, amount))
            for key, (amount, unit) in wanted.items()
            if key not in known
        ]
        more = [row for row in rows if row["of_key"] in known]
        if _INSERT.execute(self.connection, fresh) + _CHARGE.execute(self.connection, more) != len(rows):
            raise TryAgain("another transaction charged a key for the first time")

    def set_limits(
        self,
        owner_id: str,
        limits: Mapping[str, tuple[int | None, str]],
        *,
        replace: bool = False,
        exclude: Iterable[str] = (),
        owner: str = "",
    ) -> dict[str, Counter]:
        """Set limits ``{key: (limit or None, unit)}``; returns the counters afterwards.

        ``replace``: keys that are not named lose their limit; ``exclude``: these lose it. A key without limit and usage
        is forgotten. Raises QuotaError (data key, limit, usage) for a limit below the usage; nothing is changed then.
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
        _REMOVE.execute(self.connection, [{"of_owner": owner_id, "of_key": key} for key in known if key not in after])
        _LIMIT.execute(
            self.connection,
            [
                {"of_owner": owner_id, "of_key": key, "new_limit": c.limit, "new_unit": c.unit}
                for key, c in after.items()
                if key in known and c != known[key]
            ],
        )
        fresh = [_row(owner_id, key, c) for key, c in after.items() if key not in known]
        if _INSERT.execute(self.connection, fresh) != len(fresh):
            raise TryAgain("another transaction charged a key for the first time")


def _same(columns: Any, v: Any) -> tuple[Any, Any]:
    return columns.owner_id == v.of_owner, columns.key == v.of_key


def _allowed(columns: Any, delta: Any) -> list[Any]:
    after = columns.usage + delta
    return [after >= 0, load().or_(delta <= 0, columns.limit.is_(None), after <= columns.limit)]


def _row(owner_id: str, key: str, counter: Counter) -> dict[str, Any]:
    return {"owner_id": owner_id, "key": key, "unit": counter.unit, "limit": counter.limit, "usage": counter.usage}


def _refuse_negative(counter: Counter, key: str, amount: int, owner: str) -> None:
    if counter.usage + amount < 0:
        raise PhotonError(
            "InternalError",
            f"{owner} would give back {-amount} of {key} and has only {counter.usage} charged: "
            "report this with the task's id",
            {"key": key, "usage": counter.usage},
        )


def _below_usage(owner: str, key: str, limit: int, unit: str, usage: int) -> PhotonError:
    return PhotonError(
        "QuotaError",
        f"the limit of {key} of {owner} cannot be {units.show(limit, unit)}: {units.show(usage, unit)} are in use or "
        "allocated; free some first or set a higher limit",
        {"key": key, "unit": unit, "limit": limit, "usage": usage},
    )
