# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the platform holds as tables for a terminal: tenants with their quota, hosts with their load, VMs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .model import units
from .model.names import collapse

Row = Mapping[str, Any]
_QUOTA = ("vm.count", "vm.cpu", "vm.memory", "ephemeral-disk.capacity")
_BAR = 10


def tables(resources: Sequence[Row], what: Iterable[str]) -> list[str]:
    """``resources`` as resource_info returns them; ``what`` names tables: tenants, hosts, vms."""
    lines: list[str] = []
    for name in what:
        lines += [*_TABLES[name](resources), ""]
    return lines[:-1]


def _tenants(resources: Sequence[Row]) -> list[str]:
    rows = []
    for row in sorted((r for r in resources if r["kind"] in ("tenant", "project")), key=lambda r: r["path"]):
        indent = "  " if row["kind"] == "project" else ""
        rows.append([indent + row["name"], *(_quota(row["quota"].get(key)) for key in _QUOTA)])
    return _table(["TENANT / PROJECT", *(key.upper() for key in _QUOTA)], rows)


def _hosts(resources: Sequence[Row]) -> list[str]:
    rows = []
    for row in sorted((r for r in resources if r["kind"] == "host"), key=lambda r: (r["zone"] or "", r["name"])):
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


def _vms(resources: Sequence[Row]) -> list[str]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for row in sorted((r for r in resources if r["kind"] == "vm"), key=lambda r: r["path"]):
        key = (
            f"{row['tenant']}/{row['project']}",
            row["flavor"],
            row["state"],
            row["zone"] or "-",
            row["host"] or "-",
            row["datastore"] or "-",
        )
        groups.setdefault(key, []).append(row["name"])
    rows = [[project, ", ".join(collapse(names)), *rest] for (project, *rest), names in groups.items()]
    return _table(["PROJECT", "VMS", "FLAVOR", "STATE", "ZONE", "HOST", "DATASTORE"], sorted(rows))


_TABLES = {"tenants": _tenants, "hosts": _hosts, "vms": _vms}


def _quota(row: Row | None) -> str:
    if row is None:
        return "-"
    unit = row.get("unit", units.COUNT)
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
