# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scenario that docs/roles.md shows for a role of a user's own, as it stands there, on real hosts."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="real hosts on this machine need root (LAB_DRIVER=nspawn)"),
]


def test_the_example_of_the_page_runs(tmp_path):
    role = tmp_path / "my_role"
    (role / "tasks").mkdir(parents=True)
    (role / "tasks" / "main.yml").write_text(
        "- name: Greet\n  ansible.builtin.copy: {content: hello, dest: /etc/greeting, mode: '0644'}\n"
    )
    section = (ROOT / "docs" / "roles.md").read_text().split("## A role of your own")[1].split("\n## ")[0]
    files = dict(re.findall(r"```yaml\n# (\S+)[^\n]*\n(.*?)```", section, re.DOTALL))
    assert set(files) == {f"molecule/default/{name}" for name in ("molecule.yml", "lab/hosts.yml", "converge.yml")}
    assert sum(len(text.splitlines()) for text in files.values()) <= 12
    for name, text in files.items():
        (role / name).parent.mkdir(parents=True, exist_ok=True)
        (role / name).write_text(text.replace("/srv/photon", str(ROOT)))
    binaries = pathlib.Path(sys.executable).parent
    done = subprocess.run(
        [str(binaries / "molecule"), "test"],
        cwd=role,
        env={**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}", "LAB_NAME": f"user-{os.getpid()}"},
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    told = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    assert re.search(r"actions=5 +successful=5", told), told[-2000:]
