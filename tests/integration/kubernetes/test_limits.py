# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that can do nothing fails: a scheduled backup that never was is not green."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
INVENTORY = """
all:
  vars: {ansible_connection: local, photon_clusters: [{name: prod, version: 1.37.2, packages: {source: installed}}]}
  children:
    prod_control_plane: {hosts: {cp1: {kubernetes_address: 10.0.0.11}}}
    prod_workers: {hosts: {w1: {kubernetes_address: 10.0.0.21}}}
"""


@pytest.fixture(name="play")
def fixture_play(tmp_path):
    (tmp_path / "inventory.yml").write_text(INVENTORY)

    def play(playbook, *options):
        words = [pathlib.Path(sys.executable).with_name("ansible-playbook"), "-i", tmp_path / "inventory.yml", *options]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "COLUMNS": "1000"}
        return subprocess.run(
            [*words, ROOT / "playbooks" / f"{playbook}.yml"],
            capture_output=True, text=True, check=False, env=environment, timeout=120, cwd=tmp_path,
        )  # fmt: skip

    return play


@pytest.mark.parametrize(
    ("playbook", "options", "reason"),
    [
        ("cluster_backup", ["--limit", "prod_control_plane"], "--limit prod_control_plane is not possible"),
        ("cluster_rotate", ["--limit", "localhost,cp1"], "--limit localhost,cp1 is not possible"),
        ("cluster_create", ["--limit", "w1"], "--limit w1 leaves out localhost"),
        (
            "cluster_upgrade",
            ["--tags", "packages"],
            "--tags packages selects nothing. This playbook has no tags.",
        ),
        ("cluster_create", ["--tags", "addon"], "--tags addon selects nothing. This playbook has prepare, initialize"),
        ("cluster_create", ["--skip-tags", "all"], "--skip-tags all leaves nothing to do"),
    ],
)
def test_what_would_do_nothing_is_refused(play, playbook, options, reason):
    run = play(playbook, *options)
    assert run.returncode == 2, run.stdout
    assert reason in run.stdout
