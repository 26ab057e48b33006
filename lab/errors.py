# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab raises."""

from __future__ import annotations


class LabError(Exception):
    """The lab cannot do what was asked; the message says what to do about it."""


class TopologyError(LabError):
    """A topology is wrong; every mistake is a line with its key path."""

    def __init__(self, mistakes: list[str]):
        self.mistakes = mistakes
        super().__init__("the topology is wrong:\n" + "\n".join(f"  {mistake}" for mistake in mistakes))
