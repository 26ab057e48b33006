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


CLUSTER = sorted(set(ROOT.glob("playbooks/cluster_*.yml")) - {ROOT / "playbooks" / "cluster_bundle.yml"})


@pytest.mark.parametrize("path", CLUSTER, ids=lambda path: path.stem)
def test_a_limit_that_leaves_nothing_to_do_is_an_error(path):
    """Ansible skips plays without hosts and ends with exit code 0."""
    first = yaml.safe_load(path.read_text(encoding="utf-8"))[0]
    (task,) = first["tasks"]
    assert (first["hosts"], task["tags"], task["run_once"]) == ("all:localhost", ["always"], True)
    assert task["photon.platform.play_scope"].get("controller" if path.stem == "cluster_create" else "whole") is True


def test_tags_that_a_playbook_lists_select_its_tasks():
    check, *plays = yaml.safe_load((ROOT / "playbooks" / "cluster_create.yml").read_text(encoding="utf-8"))
    listed = check["tasks"][0]["photon.platform.play_scope"]["tags"]
    found = [task.get("tags", "always") for task in plays[-1]["tasks"]]
    assert list(dict.fromkeys(tag for tag in found if tag != "always")) == listed
