# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run's progress as one line and as bars, on wide and narrow terminals."""

from __future__ import annotations

import time

import pytest
from ansible_collections.photon.platform.plugins.module_utils import progress_text
from ansible_collections.photon.platform.plugins.module_utils.cloudstore.progress import Progress, StepCount, Waiting

MB = 1 << 20
UPLOAD = StepCount("image", "UPLOAD_IMAGE", total=1, done=812 * MB, of=2048 * MB, unit="B")
STEPS = [
    StepCount("vm", "RESERVE_RESOURCE", total=960),
    StepCount("vm", "CREATE_VM", total=960, completed=412, failed=3),
    StepCount("vm", "START_VM", total=960, completed=300),
    UPLOAD,
]
RATES = {("image", "UPLOAD_IMAGE"): 95.0 * MB}


def progress(steps=STEPS, seconds=200.0, waiting=None):
    return Progress("3f2a9c1e-77aa", 1000.0, 1000.0 + seconds, list(steps), waiting)


def test_a_line_names_kinds_steps_amounts_rates_and_failures():
    assert progress_text.line(progress(), RATES) == (
        "photon: applying, 3 min 20 s: image upload 812 MB of 2 GB, 95 MB/s; vm create 412/960, 3 failed; "
        "vm start 300/960"
    )


@pytest.mark.parametrize(
    ("steps", "word"),
    [
        ([], "reading and planning"),
        ([StepCount("vm", "CREATE_VM", total=2, completed=1)], "applying"),
        ([StepCount("vm", "CREATE_VM", total=2, completed=1, failed=1)], "finishing"),
    ],
)
def test_the_phase(steps, word):
    assert f"{word}, 5 s" in progress_text.line(progress(steps, 5.0), {})


def test_a_wait_names_the_other_run_whose_it_is_and_since_when():
    since = time.mktime((2026, 3, 1, 14, 2, 11, 0, 0, -1))
    line = progress_text.line(progress([], 37.0, Waiting("9b1d0c55-0000", "anna@ctl1 (module vm)", since)), {})
    assert line == "photon: waiting for run 9b1d0c55 by anna@ctl1 (module vm) since 14:02:11, 37 s"


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
@pytest.mark.parametrize("unicode", [True, False])
def test_bars_fit_the_terminal(width, unicode):
    lines = progress_text.bars(progress(), RATES, width, unicode=unicode, color=False)
    assert len(lines) == 4
    assert max(map(len, lines)) <= width
    assert any("\u2501" in line for line in lines) == (unicode and width >= 60)
    if not unicode:
        assert "".join(lines).isascii()


def test_a_bar_shows_the_part_that_is_done():
    half = StepCount("disk", "CREATE_DISK", total=4, completed=1, failed=1)
    [_phase, line] = progress_text.bars(progress([half]), {}, 60, unicode=False, color=False)
    assert line == f"  disk create {'#' * 15}{'-' * 15} 1/4, 1 failed"
    [_phase, line] = progress_text.bars(progress([UPLOAD]), {}, 60, unicode=False, color=False)
    assert line.count("#") / (line.count("#") + line.count("-")) == pytest.approx(812 / 2048, abs=0.05)


def test_colors_only_where_they_are_wanted():
    assert "\x1b[32m" in "".join(progress_text.bars(progress(), RATES, 80))
    assert "\x1b" not in "".join(progress_text.bars(progress(), RATES, 80, color=False))


def test_other_operations_keep_their_words():
    step = StepCount("host", "ENTER_MAINTENANCE_MODE", total=2)
    assert "host enter maintenance mode 0/2" in progress_text.line(progress([step]), {})


def test_a_rate_is_that_of_the_last_ten_seconds():
    rates = progress_text.Rates()

    def at(seconds, megabytes):
        step = StepCount("image", "UPLOAD_IMAGE", total=1, done=megabytes * MB, of=2048 * MB, unit="B")
        return rates.add(progress([step], seconds)).get(("image", "UPLOAD_IMAGE"))

    assert at(0, 0) is None
    assert at(1, 100) is None, "one second says nothing yet"
    assert at(2, 200) == 100 * MB
    for second in range(3, 30):
        at(second, 200)
    assert at(30, 210) == MB
    assert at(31, 2048) is None, "nothing is left to send"
