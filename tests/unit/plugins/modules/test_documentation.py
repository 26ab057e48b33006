# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation that scripts/module-docs writes is in the modules."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[4]


def check(root: pathlib.Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/module-docs", *words],
        cwd=root,
        env={"PHOTON_DOCS_PYTHON": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_documentation_is_up_to_date():
    done = check(ROOT, "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), "run scripts/module-docs"


def test_what_drifted_is_seen_and_written(tmp_path):
    for name in ("scripts", "plugins"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    links = tmp_path / "collections" / "ansible_collections" / "photon" / "platform"
    links.mkdir(parents=True)
    (links / "plugins").symlink_to(tmp_path / "plugins")
    module = tmp_path / "plugins" / "modules" / "zone.py"
    good = module.read_text()
    module.write_text(
        good.replace("Name of the zone", "Number of the zone").replace("Number of items per", "Items per")
    )
    told = check(tmp_path, "--check")
    assert (told.returncode, told.stdout) == (1, "out of date: zone\n"), told.stderr
    assert check(tmp_path).stdout == "written: zone\n"
    assert module.read_text() == good
