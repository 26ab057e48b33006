# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutation check of the roles: how many changed lines of plans, documents and host code the unit tests notice."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.bench_mutants import judged
from tests.support.mutants import CAUGHT
from tests.support.role_mutants import DOCUMENT_MUTANTS, PLAN_MUTANTS
from tests.support.role_mutants_hosts import HOST_MUTANTS

MUTANTS = [*DOCUMENT_MUTANTS, *PLAN_MUTANTS, *HOST_MUTANTS]


def run(context: Any) -> dict[str, float]:
    """Figures: percent of the mutants that no named test caught, their number, seconds; the survivors are printed."""
    verdicts, seconds = judged(context, MUTANTS)
    survived = [each for each in verdicts if each.outcome != CAUGHT]
    for each in survived:
        print(f"{each.outcome}: {each.mutant.file}:{each.line} {each.mutant.what}", flush=True)
    return {
        "role_mutants_survived_pct": 100 * len(survived) / len(verdicts),
        "role_mutants": len(verdicts),
        "role_mutants_s": seconds,
    }
