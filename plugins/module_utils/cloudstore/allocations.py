# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Allocations inside a transaction: rows per consumer. Usage is always their sum; no running total exists.

PostgreSQL runs this at READ COMMITTED: the providers that a claim uses more of are locked first, and a later statement
reads the sums, so that its snapshot contains all that earlier holders of the lock committed. Without the lock, or
at REPEATABLE READ, whose snapshot is older than the lock, two claims can together pass a limit.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from ..model import units
from ..model.quota import Counter, quota_error, unit_of
from .base import Base
from .bulk import CHANGE, Delete, Fetch, Insert, Update, array, contained
from .errors import Conflict
from .library import load
from .location import SQLITE
from .rows import QUOTA_OWNERS, Claim, Inventory
from .tables import tables

Key = tuple[str, str]  # provider and resource

_CONSUMERS = Fetch("documents", "id", lock=CHANGE, columns=("id",))
_LOCK = Fetch("providers", "id", lock=CHANGE)
_KINDS = Fetch("providers", "id")
_HELD = Fetch("allocations", "consumer")
_TAKE = Insert("allocations", ("consumer", "inventory", "amount"))
_RELEASE = Delete("allocations", "consumer")
_RESERVE = Insert("exclusives", ("key", "consumer"))
_HOLDERS = Fetch("exclusives", "key")
_RELEASE_KEYS = Delete("exclusives", "consumer")
_RELEASE_KEY = Delete("exclusives", "key")
_NAMES = Fetch("documents", "id", columns=("id", "kind", "scope", "name"))
_ADD_PROVIDERS = Insert("providers", ("id", "kind"))
_INVENTORY = ("provider", "resource", "unit", "limit", "foreign")
_ADD_INVENTORIES = Insert("inventories", _INVENTORY)
_SET_INVENTORIES = Update("inventories", ("provider", "resource"), ("unit", "limit", "foreign"))
_INVENTORIES = Fetch("inventories", "provider")


class Allocations(Base):
    """The part of Transaction that keeps allocations, exclusive keys, capacity and limits."""

    def claim(self, claims: Iterable[Claim], *, check: bool = True, leaving: Iterable[str] = ()) -> None:
        """Replace everything that these consumers hold. Call it late: others wait for the rows of a busy project.

        With ``check`` raises Conflict where a consumer's growing amount does not fit: QuotaError for projects and
        tenants, InsufficientCapacity for hosts and datastores (also for those without a recorded capacity), NameTaken
        (data: key, consumer, holder) for an exclusive key of another consumer. Without it amounts are recorded as they
        are, those of providers that no longer exist excepted, and keys of other consumers stay with them.

        ``leaving`` are consumers that the same run deletes: what they hold counts as free, and their exclusive keys are
        taken over.
        """
        wanted = {claim.consumer: claim for claim in claims}
        older = [consumer for consumer in wanted if consumer not in self.inserted]
        if self.connection.dialect.name != SQLITE:
            _CONSUMERS.rows(self.connection, older)  # two claims of one consumer must not both leave rows
        ids = self._inventory_ids(wanted, check=check)
        held = _HELD.rows(self.connection, older)
        self.release(older)
        growth = self._add_rows(wanted, ids)
        for row in held:
            growth[row.inventory] -= row.amount
        gone = set(leaving) - set(wanted)
        self._reserve(wanted, gone, check=check)
        self.inserted.difference_update(wanted)
        if check:
            grown = {inventory: amount for inventory, amount in growth.items() if amount > 0}
            providers = sorted({provider for (provider, _resource), inventory in ids.items() if inventory in grown})
            self._refuse_overfull(providers, grown, gone)

    def release(self, consumers: Iterable[str]) -> None:
        """Delete everything that these consumers hold."""
        gone = list(consumers)
        _RELEASE.execute(self.connection, gone)
        _RELEASE_KEYS.execute(self.connection, gone)

    def add_providers(self, kinds: Mapping[str, str]) -> None:
        """Add the rows that claims lock, ``{provider: kind}``, where they are missing."""
        _ADD_PROVIDERS.execute(self.connection, [{"id": key, "kind": kinds[key]} for key in sorted(kinds)])

    def set_inventories(self, rows: Iterable[Inventory]) -> None:
        """Record capacity as observed; what is allocated is not compared."""
        wanted = {(row.provider, row.resource): row for row in rows}
        self.add_providers({row.provider: row.kind for row in wanted.values()})
        self._store_inventories([wanted[key] for key in sorted(wanted)])

    def set_limits(self, provider: str, kind: str, limits: Mapping[str, tuple[int | None, str]]) -> None:
        """Replace all limits of a tenant or project by ``{key: (limit or None, unit)}``.

        Usage is not compared, so that limits and claims of one transaction may come in any order: call check_limits
        when all of them are written.
        """
        self.add_providers({provider: kind})
        _LOCK.rows(self.connection, [provider])
        known = {row.resource: row for row in _INVENTORIES.rows(self.connection, [provider])}
        wanted = {key: (None, row.unit) for key, row in known.items()} | dict(limits)
        self._store_inventories(
            [
                Inventory(provider, kind, key, unit, limit, known[key].foreign if key in known else 0)
                for key, (limit, unit) in sorted(wanted.items())
            ]
        )

    def check_limits(self, providers: Iterable[str]) -> None:
        """Compare usage with all limits of these tenants and projects.

        Raises Conflict (QuotaError; data: key, unit, limit, usage) where usage exceeds a limit.
        """
        wanted = sorted(set(providers))
        _LOCK.rows(self.connection, wanted)
        for row in self._summed(row.id for row in _INVENTORIES.rows(self.connection, wanted)):
            if row.limit is not None and row.used + row.foreign > row.limit:
                raise self._below_usage(row)

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _inventory_ids(self, wanted: Mapping[str, Claim], *, check: bool) -> dict[Key, int]:
        """The inventory of each provider and resource; added where only usage is recorded."""
        needed: set[Key] = set()
        for claim in wanted.values():
            for provider, amounts in claim.amounts.items():
                needed.update((provider, resource) for resource, amount in amounts.items() if amount > 0)
        providers = sorted({provider for provider, _resource in needed})
        found = {(row.provider, row.resource): row.id for row in _INVENTORIES.rows(self.connection, providers)}
        missing = sorted(needed.difference(found))
        if not missing:
            return found
        kinds = {
            row.id: row.kind for row in _KINDS.rows(self.connection, [provider for provider, _resource in missing])
        }
        for provider, resource in missing if check else ():
            if provider not in kinds:
                raise _deleted(provider)
            if kinds[provider] not in QUOTA_OWNERS:
                raise Conflict(
                    "InsufficientCapacity",
                    f"no {resource} of {self._path(provider)} is recorded: run again when its endpoint answers",
                    {"ids": [provider], "resource": resource},
                )
        # Of a host or datastore whose capacity is not recorded nothing more may be claimed.
        self._store_inventories(
            [
                Inventory(provider, kinds[provider], key, unit_of(key) or units.COUNT, _limit(kinds[provider]))
                for provider, key in missing
                if provider in kinds
            ],
            replace=False,
        )
        return {(row.provider, row.resource): row.id for row in _INVENTORIES.rows(self.connection, providers)}

    def _add_rows(self, wanted: Mapping[str, Claim], ids: Mapping[Key, int]) -> dict[int, int]:
        """Write the rows; returns the amount taken of each inventory."""
        growth: dict[int, int] = defaultdict(int)
        rows = []
        for consumer, claim in wanted.items():
            for provider, amounts in claim.amounts.items():
                for resource, amount in amounts.items():
                    inventory = ids.get((provider, resource))
                    if amount > 0 and inventory is not None:
                        growth[inventory] += amount
                        rows.append(
                            {"consumer": consumer, "inventory": inventory, "amount": min(amount, units.MAXIMUM)}
                        )
        _TAKE.execute(self.connection, rows)
        return growth

    def _reserve(self, wanted: Mapping[str, Claim], leaving: set[str], *, check: bool) -> None:
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

    def _refuse_overfull(self, providers: list[str], growth: Mapping[int, int], leaving: Iterable[str]) -> None:
        """``growth``: ``{inventory: amount}`` of these providers, all above 0."""
        kinds = {row.id: row.kind for row in _LOCK.rows(self.connection, providers)}
        for provider in providers:
            if provider not in kinds:
                raise _deleted(provider)
        freed: dict[int, int] = defaultdict(int)
        for held in _HELD.rows(self.connection, leaving):
            freed[held.inventory] += held.amount
        limited = [row for row in self._summed(growth) if row.limit is not None]
        full = [row for row in limited if row.used - freed[row.id] + row.foreign > row.limit]
        for row in full:
            if kinds[row.provider] in QUOTA_OWNERS:
                raise self._over_quota(row, growth[row.id])
        if full:
            raise self._no_room(full, growth[full[0].id])

    def _summed(self, inventories: Iterable[int]) -> list[Any]:
        """Inventories with ``used``, the sum of their allocations (0 without a limit), by provider."""
        wanted = sorted(inventories)
        if not wanted:
            return []
        dialect = self.connection.dialect.name
        return list(self.connection.execute(_sums(dialect), {"wanted": array(dialect, wanted)}).all())

    def _store_inventories(self, inventories: list[Inventory], *, replace: bool = True) -> None:
        rows = [{name: getattr(row, name) for name in _INVENTORY} for row in inventories]
        if _ADD_INVENTORIES.execute(self.connection, rows) != len(rows) and replace:
            _SET_INVENTORIES.execute(self.connection, rows)

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

    def _no_room(self, full: list[Any], amount: int) -> Conflict:
        row = full[0]
        free = max(0, row.limit - row.foreign - int(row.used) + amount)
        return Conflict(
            "InsufficientCapacity",
            f"{self._path(row.provider)} has not enough {row.resource}: {units.show(amount, row.unit)} more needed, "
            f"{units.show(free, row.unit)} left. Move VMs away, or choose a smaller flavor",
            {"ids": sorted({each.provider for each in full}), "resource": row.resource, "amount": amount},
        )


def _limit(kind: str) -> int | None:
    return None if kind in QUOTA_OWNERS else 0


def _deleted(provider: str) -> Conflict:
    return Conflict("StaleVersion", f"the provider {provider} was deleted concurrently: run again", {"ids": [provider]})


def _reserved(key: str, consumer: str, holder: str) -> Conflict:
    return Conflict(
        "NameTaken",
        f"{key} belongs to {holder} and cannot be given to {consumer}: run again",
        {"key": key, "consumer": consumer, "holder": holder, "ids": [consumer]},
    )


@functools.cache
def _sums(dialect: str) -> Any:
    """The statement that reads inventories with the sum of their allocations."""
    sa, inventory, row = load(), tables().inventories, tables().allocations
    used = (
        sa.select(sa.func.coalesce(sa.func.sum(row.c.amount), 0))
        .where(row.c.inventory == inventory.c.id)
        .correlate(inventory)
        .scalar_subquery()
    )
    return (
        inventory.select()
        .add_columns(sa.case((inventory.c.limit.is_(None), 0), else_=used).label("used"))
        .where(contained(dialect, inventory.c.id))
        .order_by(inventory.c.provider, inventory.c.resource)
    )
