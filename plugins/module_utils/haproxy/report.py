# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Format the balancers' status as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def lines(statuses: Mapping[str, Any], vips: Mapping[str, str]) -> list[str]:
    """Return tables of balancers (name -> status of haproxy_runtime), virtual addresses, services and certificates."""
    return [
        *_table(_balancers(statuses)),
        *_table(_vips(statuses, vips)),
        *_table(_servers(statuses)),
        *_table(_ends(statuses)),
    ]


def _balancers(statuses: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    yield ("BALANCER", "VERSION", "UP FOR", "CONNECTIONS")
    for host, status in statuses.items():
        information = status["information"]
        yield (host, information["Version"], information["Uptime"], information["CurrConns"])


def _vips(statuses: Mapping[str, Any], vips: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    yield ("VIP", "ADDRESS", "HELD BY")
    for name, address in vips.items():
        holders = [host for host, status in statuses.items() if address in status["addresses"]]
        yield (name, address, ", ".join(holders) + (" (more than one!)" if len(holders) > 1 else "") or "none")


def _servers(statuses: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    yield ("BALANCER", "SERVICE", "SERVER", "ADDRESS", "STATUS", "WEIGHT", "SESSIONS", "TOTAL", "CHECK")
    for host, status in statuses.items():
        for row in status["servers"]:
            if row["svname"] != "FRONTEND" and row["pxname"] not in ("health", "statistics"):
                server = "all" if row["svname"] == "BACKEND" else row["svname"]
                cells = (row["addr"], row["status"], row["weight"], row["scur"], row["stot"], row["check_status"])
                yield (host, row["pxname"], server, *cells)


def _ends(statuses: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    yield ("BALANCER", "CERTIFICATE", "VALID UNTIL")
    for host, status in statuses.items():
        for name, end in status["certificates"].items():
            yield (host, name.removesuffix(".pem"), end)


def _table(rows: Iterator[tuple[str, ...]]) -> list[str]:
    cells = [tuple(str(cell) for cell in row) for row in rows]
    if len(cells) < 2:
        return []
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells] + [
        ""
    ]
