# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the platform holds as tables for a terminal: tenants with their quota, hosts with their load, VMs,
persistent disks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from .model import units
from .model.errors import PhotonError
from .model.names import collapse
from .services.site_report import QUOTA_KEYS, in_use

Row = Mapping[str, Any]
_BAR = 10


def tables(resources: Sequence[Row], what: Iterable[str], sort: str | None = None) -> list[str]:
    """Return lines of the tables that ``what`` names (tenants, hosts, vms, disks); ``resources`` as resource_info has
    them.

    ``sort`` is a column of hosts or VMs; loads are sorted by their share, the highest first.
    """
    lines: list[str] = []
    for name in what:
        table = _TABLES[name](resources, sort)
        lines += [*(table if len(table) > 1 else [f"no {_NOUNS.get(name, name)}"]), ""]
    return lines[:-1]


def select(resources: Sequence[Row], filters: Mapping[str, str]) -> list[Row]:
    """Return the resources whose fields match the globs; one without the field stays (a tenant has no host).

    Raises SpecInvalid for a field that no resource has.
    """
    for key in filters:
        if resources and not any(key in row for row in resources):
            known = sorted({name for row in resources for name, value in row.items() if not isinstance(value, Mapping)})
            raise PhotonError("SpecInvalid", f"no resource has a field {key!r}: filter by one of {', '.join(known)}")
    return [row for row in resources if all(key not in row or _matches(row[key], filters[key]) for key in filters)]


def _matches(value: Any, glob: str) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_matches(member, glob) for member in value)
    return fnmatchcase("" if value is None else str(value), glob)


def _tenants(resources: Sequence[Row], sort: str | None) -> list[str]:
    rows, used = [], in_use(resources)
    for row in sorted((r for r in resources if r["kind"] in ("tenant", "project")), key=lambda r: r["path"]):
        indent = "  " if row["kind"] == "project" else ""
        own = used.get(row["name"], {}) if row["kind"] == "tenant" else None
        rows.append([indent + row["name"], *(_quota(row["quota"].get(key), own, key) for key in QUOTA_KEYS)])
    return _table(["TENANT / PROJECT", *(key.upper() for key in QUOTA_KEYS)], rows)


def _hosts(resources: Sequence[Row], sort: str | None) -> list[str]:
    rows = []
    for row in sorted((r for r in resources if r["kind"] == "host"), key=lambda r: _host_order(r, sort)):
        used, capacity = row["used"], row["capacity"]
        rows.append(
            [
                row["name"],
                row["zone"] or "-",
                row["state"],
                str(row["vms"]),
                f"{used['vcpus']}/{capacity['vcpus']}",
                _share(used["memory"], capacity["memory"]),
            ]
        )
    return _table(["HOST", "ZONE", "STATE", "VMS", "VCPUS", "MEMORY"], rows)


def _host_order(row: Row, sort: str | None) -> tuple[Any, ...]:
    last = (row["zone"] or "", row["name"])
    if sort in ("vcpus", "memory"):
        return (-row["used"][sort] / max(1, row["capacity"][sort]), *last)
    if sort == "vms":
        return (-row["vms"], *last)
    return (str(row.get("name" if sort == "host" else sort) or ""), *last) if sort else last


def _vms(resources: Sequence[Row], sort: str | None) -> list[str]:
    rows = _grouped(
        (row, (row["flavor"], row["state"], row["zone"], row["host"], row["datastore"]))
        for row in resources
        if row["kind"] == "vm"
    )
    column = _VM_COLUMNS.index(sort.upper()) if sort and sort.upper() in _VM_COLUMNS else 0
    return _table(_VM_COLUMNS, sorted(rows, key=lambda row: (row[column], row)))


_VM_COLUMNS = ["PROJECT", "VMS", "FLAVOR", "STATE", "ZONE", "HOST", "DATASTORE"]


def _disks(resources: Sequence[Row], sort: str | None) -> list[str]:
    rows = _grouped(
        (row, (row["flavor"], row["state"], units.show(row["capacity"], "GB"), row["datastore"], row["attached_to"]))
        for row in resources
        if row["kind"] == "disk"
    )
    return _table(["PROJECT", "DISKS", "FLAVOR", "STATE", "CAPACITY", "DATASTORE", "ATTACHED TO"], sorted(rows))


def _grouped(rows: Iterable[tuple[Row, tuple[str | None, ...]]]) -> list[list[str]]:
    """Cells for the resources of each project that are shown alike, with their names as ranges."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for row, cells in sorted(rows, key=lambda pair: pair[0]["path"]):
        key = (f"{row['tenant']}/{row['project']}", *(cell or "-" for cell in cells))
        groups.setdefault(key, []).append(row["name"])
    return [[project, ", ".join(collapse(names)), *rest] for (project, *rest), names in groups.items()]


_NOUNS = {"vms": "VMs"}
_TABLES = {"tenants": _tenants, "hosts": _hosts, "vms": _vms, "disks": _disks}


def _quota(row: Row | None, own: Mapping[str, int] | None, key: str) -> str:
    """The use of one key; of a tenant, what its projects use, and apart from it what was given to them."""
    if row is None:
        return "-"
    unit = row.get("unit", units.COUNT)
    if own is not None and row.get("limit") is not None:
        given = f" ({units.show(row['usage'], unit)} given to projects)" if row["usage"] else ""
        return _share(own.get(key, 0), row["limit"], unit) + given
    return units.show(row["usage"], unit) if row.get("limit") is None else _share(row["usage"], row["limit"], unit)


def _share(amount: int, whole: int, unit: str = "B") -> str:
    return f"{_bar(amount, whole)} {units.show(amount, unit)} of {units.show(whole, unit)}"


def _bar(amount: int, whole: int) -> str:
    """A bar of ten places; anything above nothing shows."""
    filled = min(_BAR, -(-amount * _BAR // whole)) if whole else 0
    return "█" * filled + "░" * (_BAR - filled)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    return [
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in [head, *rows]
    ]
