# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""make distclean: the cache goes, unless a lab lives in it."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

import pytest

SOURCE = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture(name="checkout")
def fixture_checkout(tmp_path):
    """A checkout of nothing but the Makefile and the script, with a cache next to it."""
    checkout = tmp_path / "checkout"
    (checkout / "scripts").mkdir(parents=True)
    shutil.copy(SOURCE / "scripts" / "distclean", checkout / "scripts")
    shutil.copy(SOURCE / "Makefile", checkout)
    (checkout / ".build").mkdir()
    (tmp_path / "cache" / "bases" / "bookworm-plain").mkdir(parents=True)
    return checkout


def distclean(checkout):
    environment = os.environ | {"PHOTON_CACHE": str(checkout.parent / "cache")}
    words = ["make", "--no-print-directory", "distclean"]
    return subprocess.run(words, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def test_cache_and_build_are_removed(checkout):
    result = distclean(checkout)
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(path.name for path in checkout.parent.iterdir()) == ["checkout"]
    assert not (checkout / ".build").exists()


def test_a_lab_keeps_everything_in_place(checkout):
    lab = checkout.parent / "cache" / "labs" / "demo"
    lab.mkdir(parents=True)
    (lab / "lab.json").write_text("{}")
    result = distclean(checkout)
    assert result.returncode != 0
    assert "these labs exist: demo" in result.stderr
    assert (checkout.parent / "cache" / "bases" / "bookworm-plain").exists()
    assert (checkout / ".build").exists()
    shutil.rmtree(lab)
    assert distclean(checkout).returncode == 0
