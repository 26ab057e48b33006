# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The optional LP library, imported late and in one place; and the clock of a time budget."""

from __future__ import annotations

import ctypes
import os
import sys
import time
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


def optimal(solver: Any) -> bool:
    """Return whether the last run ended with a proven optimum."""
    return solver.getModelStatus() == _highspy.HighsModelStatus.kOptimal


def infeasible(solver: Any) -> bool:
    """Return whether the last run proved that there is no solution."""
    return solver.getModelStatus() == _highspy.HighsModelStatus.kInfeasible


def has_solution(solver: Any) -> bool:
    """Return whether the last run left values that satisfy the model, optimal or not."""
    return solver.getInfo().primal_solution_status == _highspy.SolutionStatus.kSolutionStatusFeasible


def integer_columns(solver: Any, columns: list[int]) -> None:
    """Make variables whole numbers."""
    for column in columns:
        solver.changeColIntegrality(column, _highspy.HighsVarType.kInteger)


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
