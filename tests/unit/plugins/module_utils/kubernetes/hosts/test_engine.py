# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The version of containerd is asked for before its configuration is written."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts import engine

INSTALLED = "containerd containerd.io/containerd v2.1.4 75cb2b7193e4e490e9fbdc236c0e811ccaba3376\n"
CANDIDATE = "containerd:\n  Installed: (none)\n  Candidate: 1.7.24~ds1-6+deb13u1\n  Version table:\n"


@pytest.mark.parametrize(
    ("programs", "output", "wanted"),
    [
        (["containerd", "apt-cache"], INSTALLED, "2.1.4"),
        (["apt-cache"], CANDIDATE, "1.7.24"),
        (["apt-cache"], "containerd:\n  Installed: (none)\n  Candidate: (none)\n", ""),
        (["apt-cache"], "", ""),
        (["dnf"], "1.7.27\n", "1.7.27"),
        ([], "", ""),
    ],
)
def test_version(monkeypatch, programs, output, wanted):
    monkeypatch.setattr(engine.shutil, "which", lambda name, path=None: name if name in programs else None)
    monkeypatch.setattr(engine, "run", lambda *words: subprocess.CompletedProcess(words, 0, output, ""))
    assert engine.containerd_version("containerd") == wanted
