# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An administrator works by hand between any two calls: the runs converge, everything agrees, nothing is lost.

500 schedules with PHOTON_CHAOS=all (``make chaos``), else 20; PHOTON_SEED is the first seed, PHOTON_SCHEDULES their
number.
"""

from __future__ import annotations

import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.chaos.schedules import play
from tests.support import postgresql

ALL = os.environ.get("PHOTON_CHAOS") == "all"
FIRST = int(os.environ.get("PHOTON_SEED") or 1)
NUMBER = int(os.environ.get("PHOTON_SCHEDULES") or (500 if ALL else 20))
ON_POSTGRESQL = NUMBER // 10
PARTS = max(4, NUMBER // 10)  # tests, so that workers share them and none takes minutes


@pytest.mark.parametrize("part", range(PARTS))
def test_an_administrator_between_any_two_calls(part: int, tmp_path: Path) -> None:
    seeds = range(FIRST + part, FIRST + NUMBER - ON_POSTGRESQL, PARTS)
    problems = [problem for seed in seeds if (problem := play(seed, tmp_path / str(seed)))]
    assert not problems, f"{len(problems)} of {len(seeds)} schedules:\n" + "\n".join(problems)


def test_a_database_server_that_restarts(tmp_path: Path) -> None:
    reason = postgresql.missing()
    if reason:
        pytest.skip(f"CANNOT TEST POSTGRESQL: {reason}")
    with postgresql.running(fsync=True) as server, ThreadPoolExecutor(1) as background:
        problems = []
        for seed in range(FIRST + NUMBER - ON_POSTGRESQL, FIRST + NUMBER):
            url = server.create(f"schedule-{uuid.uuid4().hex}")
            problem = play(seed, tmp_path / str(seed), url, lambda: background.submit(server.restart))
            problems += [problem] if problem else []
    assert not problems, "\n".join(problems)
