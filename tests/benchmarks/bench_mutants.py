# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutation check of the accounting: how many dropped, doubled and misdirected allocation writes the tests notice.

Mutants are tried in copies of the checkout, two at a time, each with the few tests that must fail.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any

from tests.support.accounting_mutants import ALLOCATION_MUTANTS, DOCUMENT_MUTANTS
from tests.support.accounting_mutants_services import (
    CAPACITY_MUTANTS,
    TENANCY_MUTANTS,
    VM_CLAIM_MUTANTS,
    VM_RESULT_MUTANTS,
    WRITE_MUTANTS,
)
from tests.support.mutants import CAUGHT, Copy, Mutant, Verdict, judge_all

MUTANTS = [
    *ALLOCATION_MUTANTS, *DOCUMENT_MUTANTS, *VM_CLAIM_MUTANTS, *WRITE_MUTANTS, *VM_RESULT_MUTANTS, *TENANCY_MUTANTS,
    *CAPACITY_MUTANTS,
]  # fmt: skip
WORKERS = 2
BASELINE_SECONDS = 1800.0


def run(context: Any) -> dict[str, float]:
    """Figures: percent of the mutants that a named test caught, those apart that no test can notice; their number."""
    verdicts, seconds = judged(context, MUTANTS)
    counted = [each for each in verdicts if each.outcome == CAUGHT or not each.mutant.equivalent]
    caught = sum(each.outcome == CAUGHT for each in counted)
    print(
        f"{len(verdicts)} mutants, {len(verdicts) - len(counted)} of them equivalent, {caught} caught, {seconds:.0f} s"
    )
    return {
        "accounting_mutants_caught_pct": 100 * caught / len(counted),
        "accounting_mutants": len(counted),
        "accounting_mutants_s": seconds,
    }


def judged(context: Any, mutants: Sequence[Mutant]) -> tuple[list[Verdict], float]:
    """Try mutants in copies of the checkout; returns their verdicts, of which a table is printed, and the seconds."""
    context.work.chmod(0o711)  # PostgreSQL of the tests runs under an account of its own
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Copy.of(context.root, context.work / "0"))
        tests = sorted({test for mutant in mutants for test in mutant.tests})
        failed = first.passes(tests, BASELINE_SECONDS)
        if failed:
            raise RuntimeError("without a mutant these tests must pass:\n" + "\n".join(failed))
        # A mutant runs a few of these tests: twice the time of all of them is enough on any machine.
        limit = max(60.0, 2 * (time.monotonic() - started))
        more = [stack.enter_context(first.again(context.work / str(number))) for number in range(1, WORKERS)]
        verdicts = list(judge_all(mutants, [first, *more], limit))
    context.table(["file", "line", "mutant", "outcome", "by, or why not"], [_row(each) for each in verdicts])
    return verdicts, time.monotonic() - started


def _row(verdict: Verdict) -> list[str]:
    mutant = verdict.mutant
    if verdict.outcome == CAUGHT:
        reason = verdict.test.rpartition("::")[2]
    elif mutant.equivalent:
        return [mutant.file, str(verdict.line), mutant.what, "equivalent", mutant.equivalent]
    else:
        reason = " ".join([verdict.test.rpartition("::")[2], verdict.error.strip()[-200:].replace("\n", " ")]).strip()
    return [mutant.file, str(verdict.line), mutant.what, verdict.outcome, reason]
