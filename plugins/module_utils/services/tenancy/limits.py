# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quota limits of tenants and their projects, planned together: the limits of each after all changes.

A project's limits count as usage of its tenant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...model import units
from ...model.entities import Document
from ...model.errors import PhotonError
from ...model.quota import Counter
from ..planning import Limits
from ..state import CurrentState

_PREFIX = "Not enough quota: "


@dataclass(slots=True)
class Draft:
    """A tenant or project as it will be. ``error``: the reason why it stays as it was."""

    document: Document
    current: Document | None
    item: dict[str, Any] = field(default_factory=dict)
    before: Limits = field(default_factory=dict)
    limits: Limits = field(default_factory=dict)
    error: PhotonError | None = None
    reason: str = ""


def of(state: CurrentState, owner_id: str) -> Limits:
    """Return the limits of a tenant or project."""
    counters = state.counters.get(owner_id, {})
    return {key: (c.limit, c.unit) for key, c in sorted(counters.items()) if c.limit is not None}


def wanted(item: Mapping[str, Any], before: Limits) -> Limits:
    """Return the limits after an item's quota (set or update) and quota_exclude."""
    limits = dict(before)
    if item.get("quota") is not None:
        limits = dict(item["quota"]) if item.get("quota_mode") != "update" else {**before, **item["quota"]}
    for key in item.get("quota_exclude") or ():
        limits.pop(key, None)
    return {
        key: before[key] if key in before and before[key][0] == value[0] else value
        for key, value in sorted(limits.items())
    }  # 4096 MB equals 4 GB


def part(limits: Limits, percent: int, tenant: str) -> Limits:
    """Return ``percent`` of each of the tenant's limits, rounded down. Raises InvalidResourceTicketSubdivide."""
    if not limits:
        raise PhotonError(
            "InvalidResourceTicketSubdivide",
            f"tenant {tenant} has no limits, so a project cannot get {percent} percent of them: "
            "set the tenant's quota, or remove quota_percent",
        )
    return {key: (amount * percent // 100, unit) for key, (amount, unit) in limits.items()}


def settle(tenant: Draft, projects: list[Draft], state: CurrentState) -> None:
    """Set ``error`` on what does not fit: first the tenant's own limits, then the projects in list order.

    ``projects`` are all projects of the tenant, also those that do not change.
    """
    for project in projects:
        if project.error is None and project.limits != project.before:
            project.error = _below_usage(project, state)
    while _refuse_next(tenant, projects):
        pass  # what the refused project would have freed is not free: compare again without it


def write(state: CurrentState, owner_id: str, limits: Limits) -> None:
    """Replace the limits in the state's counters; usage stays."""
    counters = state.counters.setdefault(owner_id, {})
    for key, counter in counters.items():
        if key not in limits:
            counter.limit = None
    for key, (amount, unit) in limits.items():
        counter = counters.setdefault(key, Counter(unit=unit))
        counter.limit, counter.unit = amount, unit


def count(state: CurrentState, tenant_id: str, before: Limits, after: Limits) -> None:
    """Count the change of a project's limits as usage of its tenant."""
    counters = state.counters.setdefault(tenant_id, {})
    for key in sorted({*before, *after}):
        unit = (after.get(key) or before[key])[1]
        delta = after.get(key, (0, unit))[0] - before.get(key, (0, unit))[0]
        counters.setdefault(key, Counter(unit=unit)).usage += delta


def _refuse_next(tenant: Draft, projects: list[Draft]) -> bool:
    """Refuse the tenant's limits and the first project that does not fit; False when all others fit."""
    tenant.error = tenant.error or _too_low(tenant, projects) or _not_subdivided(tenant, projects)
    limits = tenant.before if tenant.error else tenant.limits
    given: dict[str, int] = {}
    for project in projects:  # kept and lowered limits first: only growth can be too much
        for key, amount in _floor(project).items():
            given[key] = given.get(key, 0) + amount
    for project in projects:
        if project.error is not None or (project.current is not None and project.limits == project.before):
            continue
        if project.item.get("quota_percent") is not None and tenant.error is not None and tenant.limits != limits:
            project.error = PhotonError(
                "DependencyFailed",
                f"its limits are a percentage of those of tenant {tenant.document.name}, which cannot change: "
                f"{tenant.error.message}",
            )
        else:
            project.error = _lacks_keys(project, limits, tenant) or _more_than_left(project, limits, given, tenant)
        if project.error is not None:
            return True
        for key, more in _increase(project).items():
            given[key] = given.get(key, 0) + more
    return False


def _below_usage(project: Draft, state: CurrentState) -> PhotonError | None:
    for key, (amount, unit) in project.limits.items():
        counter = state.counters.get(project.document.id, {}).get(key)
        if counter and counter.usage > amount:
            return _error(
                f"project {project.document.name} already uses {units.show(counter.usage, unit)} of {key}, "
                f"more than the new limit {units.show(amount, unit)}: delete VMs first or set a higher limit",
                key,
                unit,
                amount,
                counter.usage,
            )
    return None


def _too_low(tenant: Draft, projects: list[Draft]) -> PhotonError | None:
    """Refuse limits of a tenant that are too low even if no project got more."""
    for key, (amount, unit) in tenant.limits.items():
        given = sum(_floor(project).get(key, 0) for project in projects)
        if given > amount:
            kept = [project.error.message.removeprefix(_PREFIX) for project in projects if project.error is not None]
            return _error(
                f"the projects of tenant {tenant.document.name} have {units.show(given, unit)} of {key}, "
                f"more than the new limit {units.show(amount, unit)}: "
                f"{kept[0] if kept else 'lower their limits first'}",
                key,
                unit,
                amount,
                given,
            )
    return None


def _not_subdivided(tenant: Draft, projects: list[Draft]) -> PhotonError | None:
    """Refuse a new key of the tenant that an existing project does not limit: it would not bound that project."""
    for key in sorted(set(tenant.limits) - set(tenant.before)):
        lacking = [
            p.document.name
            for p in projects
            if p.current is not None and key not in (p.before if p.error else p.limits)
        ]
        if lacking:
            return PhotonError(
                "InvalidResourceTicketSubdivide",
                f"tenant {tenant.document.name} limits {key}, its projects {', '.join(lacking[:5])} do not: "
                f"set a limit of {key} for them too",
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
                f"project {project.document.name} needs {units.show(more, unit)} more of {key}, but tenant "
                f"{tenant.document.name} has {units.show(left, unit)} of {units.show(amount, unit)} left: "
                "raise the tenant's limit or lower the project's",
                key,
                unit,
                amount,
                given.get(key, 0) + more,
            )
    return None


def _floor(project: Draft) -> dict[str, int]:
    """Return the limits that a project keeps in any case: the current ones, lowered where the draft lowers them."""
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
        f"{_PREFIX}{message}",
        {"key": key, "unit": unit, "limit": limit, "usage": usage, "newUsage": usage},
    )
