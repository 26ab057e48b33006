# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the state of systemd units in one call, change it, and wait until units are up."""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..model.errors import PhotonError
from .commands import must, run

_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "NeedDaemonReload",
    "DropInPaths",
    "ActiveEnterTimestamp",
    "ExecMainStartTimestamp",
)
_SETTLE_SECONDS = 30


class UnitState(NamedTuple):
    """A unit's state. ``started``: seconds since the epoch, 0 when inactive. ``enabled`` includes static units.

    ``stale``: the unit file changed on disk. systemd does not notice a unit's first drop-in, hence ``drop_ins``.
    """

    there: bool
    active: bool
    failing: bool
    enabled: bool
    stale: bool
    started: float
    drop_ins: tuple[str, ...] = ()


def read_units(names: Iterable[str]) -> dict[str, UnitState]:
    """Return the state of each unit with one call of systemctl."""
    names = list(names)
    if not names:
        return {}
    shown = run("systemctl", "show", "--timestamp=us+utc", "--property=" + ",".join(_PROPERTIES), "--", *names)
    if shown.returncode != 0:
        raise PhotonError("UnitFailed", f"systemd does not answer on this host: {shown.stderr.strip()}")
    return parse_units(names, shown.stdout)


def parse_units(names: Sequence[str], shown: str) -> dict[str, UnitState]:
    """Parse the output of ``systemctl show``, one paragraph per unit in the given order."""
    paragraphs = [
        dict(line.partition("=")[::2] for line in paragraph.splitlines()) for paragraph in shown.strip().split("\n\n")
    ]
    states = {}
    for index, name in enumerate(names):
        values = paragraphs[index]
        active = values.get("ActiveState") in ("active", "reloading", "refreshing")
        since = values.get("ExecMainStartTimestamp") or values.get("ActiveEnterTimestamp") or ""
        states[name] = UnitState(
            there=values.get("LoadState") not in ("not-found", None),
            active=active,
            failing=values.get("ActiveState") == "failed" or values.get("SubState") == "auto-restart",
            enabled=values.get("UnitFileState") in ("enabled", "static", "alias", "indirect", "generated"),
            stale=values.get("NeedDaemonReload") == "yes",
            started=parse_time(since) if active else 0.0,
            drop_ins=tuple(values.get("DropInPaths", "").split()),
        )
    return states


def parse_time(text: str) -> float:
    """Convert ``Wed 2026-11-25 01:49:20.123456 UTC`` to seconds since the epoch; 0 for n/a."""
    words = text.split()
    if len(words) < 3:
        return 0.0
    moment, _point, fraction = f"{words[1]} {words[2]}".partition(".")
    seconds = calendar.timegm(time.strptime(moment, "%Y-%m-%d %H:%M:%S"))
    return seconds + (int(fraction.ljust(6, "0")[:6]) / 1e6 if fraction else 0.0)


def reload_definitions() -> None:
    """Make systemd reload all unit files."""
    must("systemctl", "daemon-reload", code="UnitFailed")


def change(verb: str, names: Sequence[str]) -> None:
    """Run ``systemctl VERB names``; PhotonError UnitFailed with the last journal lines of the failed units."""
    if not names:
        return
    result = run("systemctl", verb, "--", *names, timeout=300)
    if result.returncode != 0:
        raise PhotonError("UnitFailed", _report(verb, names, result.stderr.strip()), {"units": list(names)})


def settled(names: Sequence[str]) -> None:
    """Wait until all units are active; PhotonError UnitFailed with the last journal lines of those that are not."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while names:
        states = read_units(names)
        down = [name for name, state in states.items() if not state.active]
        if not down:
            return
        if all(states[name].failing for name in down) or time.monotonic() > deadline:
            raise PhotonError("UnitFailed", _report("start", down, "the unit does not stay active"), {"units": down})
        time.sleep(0.2)


def _report(verb: str, names: Sequence[str], said: str) -> str:
    down = [name for name, state in read_units(names).items() if not state.active] or list(names)
    words = [arg for name in down for arg in ("--unit", name)]
    log = run("journalctl", *words, "--lines=6", "--output=cat", "--no-pager").stdout.strip()
    return f"systemctl {verb} {' '.join(down)} failed: {said.splitlines()[0] if said else 'no reason given'}" + (
        f"; journal: {' | '.join(log.splitlines()[-6:])}" if log else ""
    )
