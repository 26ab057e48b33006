# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated data centre as fixtures."""

from __future__ import annotations

import pytest

from lab import Lab


@pytest.fixture(scope="session")
def lab_small():
    """The topology "small", one for the whole session: leave it as you found it."""
    with Lab.start("small") as lab:
        yield lab


@pytest.fixture
def lab_factory():
    """Starts any topology (name, file or dictionary; Lab.start's options) and stops it after the test."""
    started = []

    def start(topology="small", **options):
        started.append(Lab.start(topology, **options))
        return started[-1]

    yield start
    for lab in started:
        lab.stop()
