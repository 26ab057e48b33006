# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Allocations inside a transaction: rows per consumer. Usage is always their sum; no running total exists.

PostgreSQL runs this at READ COMMITTED: the providers that a claim uses more of are locked first, and a later statement
reads the sums, so that its snapshot contains all that earlier holders of the lock committed. Without the lock, or
at REPEATABLE READ, whose snapshot is older than the lock, two claims can together pass a limit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from ..model import units
from ..model.quota import Counter, quota_error
from .base import Base
from .bulk import CHANGE, NUMBER, TEXT, Bulk, Delete, Fetch, Insert, array, contained
from .errors import Conflict
from .library import load
from .location import SQLITE
from .rows import QUOTA_OWNERS, Claim, Inventory
from .tables import tables

Key = tuple[str, str]  # provider and resource

_CONSUMERS = Fetch("documents", "id", lock=CHANGE, columns=("id",))
_LOCK = Fetch("providers", "id", lock=CHANGE)
_HELD = Fetch("allocations", "consumer")
_TAKE = Insert("allocations", {"consumer": TEXT, "provider": TEXT, "resource": TEXT, "amount": NUMBER})
_RELEASE = Delete("allocations", "consumer")
_RESERVE = Insert("exclusives", {"key": TEXT, "consumer": TEXT})
_HOLDERS = Fetch("exclusives", "key")
_RELEASE_KEYS = Delete("exclusives", "consumer")
_RELEASE_KEY = Delete("exclusives", "key")
_NAMES = Fetch("documents", "id", columns=("id", "kind", "scope", "name"))
_ADD_PROVIDERS = Insert("providers", {"id": TEXT, "kind": TEXT})
_INVENTORY = {"provider": TEXT, "resource": TEXT, "unit": TEXT, "limit": NUMBER, "foreign": NUMBER}
_ADD_INVENTORIES = Insert("inventories", _INVENTORY)
_SET_INVENTORIES = Bulk(
    {f"new_{name}": kind for name, kind in _INVENTORY.items()},
    lambda t, v: (
        t.inventories.update()
        .where(t.inventories.c.provider == v.new_provider, t.inventories.c.resource == v.new_resource)
        .values({"unit": v.new_unit, "limit": v.new_limit, "foreign": v.new_foreign})
    ),
)
_REMOVE_INVENTORIES = Bulk(
    {"of_provider": TEXT, "of_resource": TEXT},
    lambda t, v: t.inventories.delete().where(
        t.inventories.c.provider == v.of_provider, t.inventories.c.resource == v.of_resource
    ),
)
_INVENTORIES = Fetch("inventories", "provider")
_sums: dict[str, Any] = {}


class Allocations(Base):
    """The part of Transaction that keeps allocations, exclusive keys, capacity and limits."""

    def claim(self, claims: Iterable[Claim], *, check: bool = True, leaving: Iterable[str] = ()) -> None:
        """Replace everything that these consumers hold. Call it late: others wait for the rows of a busy project.

        ``leaving``: consumers that this run is about to delete. They keep their rows until then, so that no other run
        takes what they hold, but these claims may use it already.

        With ``check`` raises Conflict where a consumer's growing amount does not fit: QuotaError for projects and
        tenants, InsufficientCapacity for hosts and datastores (also for those without a recorded capacity), NameTaken
        (data: key, consumer, holder) for an exclusive key of another consumer. Without it amounts are recorded as they
        are, and keys of other consumers stay with them.
        """
        wanted = {claim.consumer: claim for claim in claims}
        if self.connection.dialect.name != SQLITE:
            _CONSUMERS.rows(self.connection, wanted)  # two claims of one consumer must not both leave rows
        growth = self._replace_rows(wanted)
        gone = set(leaving) - set(wanted)
        self._reserve(wanted, gone, check=check)
        if check:
            grown = {key: amount for key, amount in growth.items() if amount > 0}
            self._refuse_overfull(grown, gone)

    def release(self, consumers: Iterable[str]) -> None:
        """Delete everything that these consumers hold."""
        gone = list(consumers)
        _RELEASE.execute(self.connection, gone)
        _RELEASE_KEYS.execute(self.connection, gone)

    def set_inventories(self, rows: Iterable[Inventory]) -> None:
        """Record capacity as observed; what is allocated is not compared."""
        wanted = {(row.provider, row.resource): row for row in rows}
        self._add_providers({row.provider: row.kind for row in wanted.values()})
        self._store_inventories([wanted[key] for key in sorted(wanted)])

    def set_limits(self, provider: str, kind: str, limits: Mapping[str, tuple[int | None, str]]) -> None:
        """Replace all limits of a tenant or project by ``{key: (limit or None, unit)}``.

        Usage is not compared, so that limits and claims of one transaction may come in any order: call check_limits
        when all of them are written.
        """
        self._add_providers({provider: kind})
        _LOCK.rows(self.connection, [provider])
        known = {row.resource: row for row in _INVENTORIES.rows(self.connection, [provider])}
        self._store_inventories(
            [
                Inventory(provider, kind, key, unit, limit, known[key].foreign if key in known else 0)
                for key, (limit, unit) in sorted(limits.items())
            ]
        )
        _REMOVE_INVENTORIES.execute(
            self.connection,
            [{"of_provider": provider, "of_resource": key} for key in sorted(known) if key not in limits],
        )

    def check_limits(self, providers: Iterable[str]) -> None:
        """Compare usage with all limits of these tenants and projects.

        Raises Conflict (QuotaError; data: key, unit, limit, usage) where usage exceeds a limit.
        """
        wanted = set(providers)
        _LOCK.rows(self.connection, wanted)
        limited = _INVENTORIES.rows(self.connection, wanted)
        for row in self._summed({(row.provider, row.resource) for row in limited if row.limit is not None}):
            if row.used + row.foreign > row.limit:
                raise self._below_usage(row)

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _replace_rows(self, wanted: Mapping[str, Claim]) -> dict[Key, int]:
        """Write the rows; returns how much more is held of each provider and resource."""
        growth: dict[Key, int] = defaultdict(int)
        held = _HELD.rows(self.connection, wanted)
        for row in held:
            growth[row.provider, row.resource] -= row.amount
        _RELEASE.execute(self.connection, {row.consumer for row in held})
        rows = []
        for consumer, claim in wanted.items():
            for provider, amounts in claim.amounts.items():
                for resource, amount in amounts.items():
                    if amount > 0:
                        amount = min(amount, units.MAXIMUM)
                        growth[provider, resource] += amount
                        rows.append(
                            {"consumer": consumer, "provider": provider, "resource": resource, "amount": amount}
                        )
        _TAKE.execute(self.connection, rows)
        return growth

    def _reserve(self, wanted: Mapping[str, Claim], leaving: set[str], *, check: bool) -> None:
        _RELEASE_KEYS.execute(self.connection, wanted)
        owners: dict[str, str] = {}
        for consumer, claim in wanted.items():
            for key in claim.exclusive:
                if owners.setdefault(key, consumer) != consumer and check:
                    raise _reserved(key, consumer, owners[key])
        if leaving:
            held = _HOLDERS.rows(self.connection, owners)
            _RELEASE_KEY.execute(self.connection, [row.key for row in held if row.consumer in leaving])
        rows = [{"key": key, "consumer": owners[key]} for key in sorted(owners)]
        if _RESERVE.execute(self.connection, rows) == len(rows) or not check:
            return
        for row in _HOLDERS.rows(self.connection, owners):
            if row.consumer != owners[row.key]:
                raise _reserved(row.key, owners[row.key], row.consumer)

    def _refuse_overfull(self, growth: Mapping[Key, int], leaving: Iterable[str]) -> None:
        kinds = {row.id: row.kind for row in _LOCK.rows(self.connection, {provider for provider, _resource in growth})}
        rows = {(row.provider, row.resource): row for row in self._summed(growth)}
        freed: dict[Key, int] = defaultdict(int)
        for held in _HELD.rows(self.connection, leaving):
            freed[held.provider, held.resource] += held.amount
        for key in rows.keys() & freed.keys():
            rows[key] = SimpleNamespace(**{**rows[key]._mapping, "used": rows[key].used - freed[key]})
        missing = sorted({provider for provider, _resource in growth if provider not in kinds})
        full = []
        for key in sorted(growth):
            kind, row = kinds.get(key[0]), rows.get(key)
            if kind is None or (row is None and kind in QUOTA_OWNERS):
                continue
            if row is None or (row.limit is not None and row.used + row.foreign > row.limit):
                if kind in QUOTA_OWNERS:
                    raise self._over_quota(row, growth[key])
                full.append((key, row))
        if missing:
            raise Conflict(
                "StaleVersion", f"the provider {missing[0]} was deleted concurrently: run again", {"ids": missing}
            )
        if full:
            raise self._no_room(full, growth)

    def _summed(self, keys: Iterable[Key]) -> list[Any]:
        """Rows (provider, resource, unit, limit, foreign, used) of the inventories of these keys.

        ``used`` is 0 where there is no limit.
        """
        wanted = set(keys)
        if not wanted:
            return []
        dialect = self.connection.dialect.name
        statement = _sums.get(dialect)
        if statement is None:
            statement = _sums[dialect] = _build_sums(dialect)
        values = {
            "providers": array(dialect, sorted({provider for provider, _resource in wanted})),
            "resources": array(dialect, sorted({resource for _provider, resource in wanted})),
        }
        rows = self.connection.execute(statement, values).all()
        return [row for row in rows if (row.provider, row.resource) in wanted]

    def _add_providers(self, kinds: Mapping[str, str]) -> None:
        _ADD_PROVIDERS.execute(self.connection, [{"id": key, "kind": kinds[key]} for key in sorted(kinds)])

    def _store_inventories(self, inventories: list[Inventory]) -> None:
        rows = [{name: getattr(row, name) for name in _INVENTORY} for row in inventories]
        if _ADD_INVENTORIES.execute(self.connection, rows) != len(rows):
            _SET_INVENTORIES.execute(
                self.connection, [{f"new_{name}": value for name, value in row.items()} for row in rows]
            )

    def _path(self, provider: str) -> str:
        """How a message names a provider: ``project acme/web``, ``host esx-1``."""
        for row in _NAMES.rows(self.connection, [provider]):
            parents = _NAMES.rows(self.connection, [row.scope])
            return " ".join((row.kind, "/".join([*(parent.name for parent in parents), row.name])))
        return provider

    def _over_quota(self, row: Any, amount: int) -> Conflict:
        counter = Counter(row.unit, row.limit, int(row.used) + row.foreign - amount)
        error = quota_error(self._path(row.provider), row.resource, counter, amount)
        return Conflict(error.code, error.message, {**error.data, "ids": [row.provider]})

    def _below_usage(self, row: Any) -> Conflict:
        usage = int(row.used) + row.foreign
        return Conflict(
            "QuotaError",
            f"the limit of {row.resource} of {self._path(row.provider)} cannot be {units.show(row.limit, row.unit)}: "
            f"{units.show(usage, row.unit)} are in use or allocated. Free some first or set a higher limit",
            {"key": row.resource, "unit": row.unit, "limit": row.limit, "usage": usage, "ids": [row.provider]},
        )

    def _no_room(self, full: list[tuple[Key, Any]], growth: Mapping[Key, int]) -> Conflict:
        (provider, resource), row = full[0]
        data = {"ids": sorted({key[0] for key, _row in full}), "resource": resource, "amount": growth[full[0][0]]}
        if row is None:
            words = f"no {resource} of {self._path(provider)} is recorded"
        else:
            free = max(0, row.limit - row.foreign - int(row.used) + data["amount"])
            words = (
                f"{self._path(provider)} has not enough {resource}: {units.show(data['amount'], row.unit)} more "
                f"needed, {units.show(free, row.unit)} left"
            )
        return Conflict("InsufficientCapacity", f"{words}: move VMs away, or choose a smaller flavor", data)


def _reserved(key: str, consumer: str, holder: str) -> Conflict:
    return Conflict(
        "NameTaken",
        f"{key} belongs to {holder} and cannot be given to {consumer}: run again",
        {"key": key, "consumer": consumer, "holder": holder, "ids": [consumer]},
    )


def _build_sums(dialect: str) -> Any:
    sa, inventory, row = load(), tables().inventories, tables().allocations
    used = (
        sa.select(sa.func.coalesce(sa.func.sum(row.c.amount), 0))
        .where(row.c.provider == inventory.c.provider, row.c.resource == inventory.c.resource)
        .correlate(inventory)
        .scalar_subquery()
    )
    return (
        inventory.select()
        .add_columns(sa.case((inventory.c.limit.is_(None), 0), else_=used).label("used"))
        .where(
            contained(dialect, inventory.c.provider, "providers"),
            contained(dialect, inventory.c.resource, "resources"),
        )
    )
