# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quota limits of tenants and their projects, planned together: what each may have once all changes are made.

A project's limits count as usage of its tenant. Limits are ``{key: (amount in base units, unit)}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..model import units
from ..model.entities import Document
from ..model.errors import PhotonError
from ..model.quota import Counter
from .world import World

Limits = dict[str, tuple[int, str]]


@dataclass(slots=True)
class Draft:
    """A tenant or project as it will be. ``error`` is why that cannot be; it then stays as it was."""

    document: Document
    current: Document | None
    item: dict[str, Any] = field(default_factory=dict)
    before: Limits = field(default_factory=dict)
    limits: Limits = field(default_factory=dict)
    error: PhotonError | None = None
    reason: str = ""


def of(world: World, owner_id: str) -> Limits:
    """The limits of a tenant or project."""
    counters = world.counters.get(owner_id, {})
    return {key: (c.limit, c.unit) for key, c in sorted(counters.items()) if c.limit is not None}


def wanted(item: Mapping[str, Any], before: Limits) -> Limits:
    """The limits after an item's quota (set or update) and quota_exclude."""
    limits = dict(before)
    if item.get("quota") is not None:
        limits = dict(item["quota"]) if item.get("quota_mode") != "update" else {**before, **item["quota"]}
    for key in item.get("quota_exclude") or ():
        limits.pop(key, None)
    return {
        key: before[key] if key in before and before[key][0] == value[0] else value
        for key, value in sorted(limits.items())
    }  # 4096 MB is no change of 4 GB


def part(limits: Limits, percent: int, tenant: str) -> Limits:
    """``percent`` of each of the tenant's limits, rounded down."""
    if not limits:
        raise PhotonError(
            "InvalidResourceTicketSubdivide",
            f"tenant {tenant} has no limits to take {percent} percent of: give the tenant a quota, or the project none",
        )
    return {key: (amount * percent // 100, unit) for key, (amount, unit) in limits.items()}


def settle(tenant: Draft, projects: list[Draft], world: World) -> None:
    """Set ``error`` on what does not fit: first the tenant's own limits, then the projects in list order.

    ``projects`` are all projects of the tenant, those that do not change too.
    """
    for project in projects:
        if project.error is None and project.limits != project.before:
            project.error = _below_usage(project, world)
    tenant.error = tenant.error or _too_low(tenant, projects) or _not_subdivided(tenant, projects)
    limits = tenant.before if tenant.error else tenant.limits
    given: dict[str, int] = {}
    for project in projects:  # what is kept or lowered first: only more can be too much
        for key, amount in _floor(project).items():
            given[key] = given.get(key, 0) + amount
    for project in projects:
        if project.error is not None or (project.current is not None and project.limits == project.before):
            continue
        if project.item.get("quota_percent") is not None and tenant.error is not None and tenant.limits != limits:
            project.error = PhotonError(
                "DependencyFailed",
                f"its limits are a part of those of tenant "
                f"{tenant.document.name}, which cannot change: {tenant.error.message}",
            )
        else:
            project.error = _lacks_keys(project, limits, tenant) or _more_than_left(project, limits, given, tenant)
        if project.error is None:
            for key, more in _increase(project).items():
                given[key] = given.get(key, 0) + more


def write(world: World, owner_id: str, limits: Limits) -> None:
    """Replace the limits in the World's counters; usage stays."""
    counters = world.counters.setdefault(owner_id, {})
    for key, counter in counters.items():
        if key not in limits:
            counter.limit = None
    for key, (amount, unit) in limits.items():
        counter = counters.setdefault(key, Counter(unit=unit))
        counter.limit, counter.unit = amount, unit


def count(world: World, tenant_id: str, before: Limits, after: Limits) -> None:
    """Count the change of a project's limits as usage of its tenant."""
    counters = world.counters.setdefault(tenant_id, {})
    for key, (delta, unit) in deltas(before, after).items():
        counters.setdefault(key, Counter(unit=unit)).usage += delta


def deltas(before: Limits, after: Limits) -> Limits:
    """``{key: (after - before, unit)}`` where they differ."""
    changed = {}
    for key in sorted({*before, *after}):
        unit = (after.get(key) or before[key])[1]
        delta = after.get(key, (0, unit))[0] - before.get(key, (0, unit))[0]
        if delta:
            changed[key] = (delta, unit)
    return changed


def _below_usage(project: Draft, world: World) -> PhotonError | None:
    for key, (amount, unit) in project.limits.items():
        counter = world.counters.get(project.document.id, {}).get(key)
        if counter and counter.usage > amount:
            return _error(
                f"project {project.document.name} already uses {units.show(counter.usage, unit)} of {key}, "
                f"more than the new limit {units.show(amount, unit)}: delete VMs first",
                key,
                unit,
                amount,
                counter.usage,
            )
    return None


def _too_low(tenant: Draft, projects: list[Draft]) -> PhotonError | None:
    """Too low even if no project got more."""
    for key, (amount, unit) in tenant.limits.items():
        given = sum(_floor(project).get(key, 0) for project in projects)
        if given > amount:
            return _error(
                f"the projects of tenant {tenant.document.name} have {units.show(given, unit)} of {key}, "
                f"more than the new limit {units.show(amount, unit)}: lower the projects' limits first",
                key,
                unit,
                amount,
                given,
            )
    return None


def _not_subdivided(tenant: Draft, projects: list[Draft]) -> PhotonError | None:
    """A new key of the tenant that an existing project does not limit would not bound that project."""
    for key in sorted(set(tenant.limits) - set(tenant.before)):
        lacking = [
            p.document.name
            for p in projects
            if p.current is not None and key not in (p.before if p.error else p.limits)
        ]
        if lacking:
            return PhotonError(
                "InvalidResourceTicketSubdivide",
                f"tenant {tenant.document.name} limits {key}, its "
                f"projects {', '.join(lacking[:5])} do not: give them a limit of it too",
                {"key": key},
            )
    return None


def _lacks_keys(project: Draft, limits: Limits, tenant: Draft) -> PhotonError | None:
    lacking = [key for key in limits if key not in project.limits]
    if not lacking:
        return None
    return PhotonError(
        "InvalidResourceTicketSubdivide",
        f"tenant {tenant.document.name} limits {', '.join(lacking)}: "
        f"project {project.document.name} needs a limit of each too (quota, or quota_percent)",
        {"keys": ", ".join(lacking)},
    )


def _more_than_left(project: Draft, limits: Limits, given: dict[str, int], tenant: Draft) -> PhotonError | None:
    for key, more in _increase(project).items():
        if key in limits and given.get(key, 0) + more > limits[key][0]:
            amount, unit = limits[key]
            left = amount - given.get(key, 0)
            return _error(
                f"project {project.document.name} is to get {units.show(more, unit)} more of {key}, tenant "
                f"{tenant.document.name} has {units.show(left, unit)} of {units.show(amount, unit)} left: "
                "raise the tenant's limit or give less",
                key,
                unit,
                amount,
                given.get(key, 0) + more,
            )
    return None


def _floor(project: Draft) -> dict[str, int]:
    """What a project has in any case: its limits, lowered where they are to be lowered."""
    after = project.before if project.error else project.limits
    return {key: min(amount, after[key][0]) if key in after else 0 for key, (amount, _unit) in project.before.items()}


def _increase(project: Draft) -> dict[str, int]:
    floor = _floor(project)
    return {
        key: amount - floor.get(key, 0) for key, (amount, _unit) in project.limits.items() if amount > floor.get(key, 0)
    }


def _error(message: str, key: str, unit: str, limit: int, usage: int) -> PhotonError:
    return PhotonError(
        "QuotaError",
        f"Not enough quota: {message}",
        {"key": key, "unit": unit, "limit": limit, "usage": usage, "newUsage": usage},
    )
