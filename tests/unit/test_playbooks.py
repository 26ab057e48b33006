# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible does without a word must not happen to our plays."""

from __future__ import annotations

import pathlib

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = sorted(ROOT.glob("roles/kubernetes_control_plane/tasks/*.yml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_host_that_is_not_reached_does_not_end_the_play_in_silence(path):
    """With any_errors_fatal on the play, a host that a task may not reach ends the play, with exit code 0."""
    for task in yaml.safe_load(path.read_text(encoding="utf-8")) or ():
        on_controller = path.name in ("ask.yml", "remove.yml")  # plays of localhost, which have no such keyword
        if task.get("ignore_unreachable") and not on_controller:
            assert task.get("any_errors_fatal") is False, task["name"]
