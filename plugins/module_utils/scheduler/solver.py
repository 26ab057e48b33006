# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The optional LP library, imported late and in one place; and the clock of a time budget."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Iterable
from typing import Any

from ..model.errors import PhotonError
from ..model.libraries import advice

_highspy: Any = None


def highs() -> Any:
    """Return a quiet, deterministic HiGHS instance on one thread. Raises MissingLibrary."""
    global _highspy  # noqa: PLW0603 - a module imported late
    try:
        if _highspy is None:
            import highspy as _highspy

            _swallow_banner(_highspy.Highs)
    except ImportError as error:
        raise PhotonError(
            "MissingLibrary",
            f"{advice(['highspy'])} Or use quality: normal, which does not need it.",
            {"library": "highspy", "interpreter": sys.executable},
        ) from error
    solver = _highspy.Highs()
    for option, value in (("output_flag", False), ("threads", 1), ("random_seed", 0), ("parallel", "off")):
        solver.setOptionValue(option, value)
    return solver


def _swallow_banner(make: Any) -> None:
    """Make the first instance of a process with standard output closed: it prints a banner that no option can forbid,
    and a module's answer is on that same standard output."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        make()
        ctypes.CDLL(None).fflush(None)
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


class Program:
    """A linear program whose cost is minimized; variables are whole numbers unless said otherwise."""

    def __init__(self) -> None:
        self.solver = highs()
        self.infinity = self.solver.getInfinity()
        self._columns = 0

    def variable(self, cost: float, upper: float, rows: Iterable[tuple[int, float]] = (), *, whole: bool = True) -> int:
        """Add a variable of at least 0 with its factors in existing rows; return its number."""
        rows = list(rows)
        self.solver.addCol(cost, 0, upper, len(rows), [row for row, _n in rows], [float(n) for _row, n in rows])
        if whole:
            self.solver.changeColIntegrality(self._columns, _highspy.HighsVarType.kInteger)
        self._columns += 1
        return self._columns - 1

    def row(self, lower: float, upper: float, terms: Iterable[tuple[int, float]] = ()) -> None:
        """Add bounds on a sum of variables times factors."""
        terms = list(terms)
        self.solver.addRow(lower, upper, len(terms), [column for column, _n in terms], [float(n) for _c, n in terms])

    def at_most(self, upper: float, terms: Iterable[tuple[int, float]] = ()) -> None:
        """Add an upper bound on a sum of variables times factors."""
        self.row(-self.infinity, upper, terms)

    def run(self, seconds: float | None = None, *, exactly: bool = False) -> None:
        """Solve, ``exactly`` without a gap, for some seconds at most."""
        if exactly:
            self.solver.setOptionValue("mip_rel_gap", 0.0)
        if seconds is not None:
            self.solver.setOptionValue("time_limit", self.solver.getRunTime() + max(0.05, seconds))
        self.solver.run()

    @property
    def values(self) -> list[float] | None:
        """The variables' values, optimal or not; None where the last run left none that satisfy the rows."""
        if self.solver.getInfo().primal_solution_status != _highspy.SolutionStatus.kSolutionStatusFeasible:
            return None
        return list(self.solver.getSolution().col_value)

    @property
    def bound(self) -> float:
        """A bound on the cost that no whole numbers can beat."""
        return self.solver.getInfo().mip_dual_bound

    @property
    def proven(self) -> bool:
        """The last run ended with a proven optimum, or with the proof that there is no solution."""
        proofs = (_highspy.HighsModelStatus.kOptimal, _highspy.HighsModelStatus.kInfeasible)
        return self.solver.getModelStatus() in proofs


class Budget:
    """Seconds that may be spent; without a limit it never ends."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def left(self, default: float) -> float:
        """Return the seconds left, at most ``default``."""
        return default if self._end is None else max(0.0, min(default, self._end - time.monotonic()))

    @property
    def spent(self) -> bool:
        return self._end is not None and time.monotonic() >= self._end
