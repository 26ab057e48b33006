# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Missing libraries: all of them at once, with a command that this Python accepts."""

from __future__ import annotations

import pathlib
import re
import sys

from ansible_collections.photon.platform.plugins.module_utils.model import libraries

ROOT = pathlib.Path(__file__).resolve().parents[5]


def test_all_missing_libraries_are_in_one_message(monkeypatch):
    for name in ("sqlalchemy", "pyVmomi"):
        monkeypatch.setitem(sys.modules, name, None)
    error = libraries.missing_library("sqlalchemy", ImportError("no"))
    assert error.data["libraries"] == ["SQLAlchemy>=2.0.30", "pyvmomi>=8.0.3"]
    assert f"{sys.executable} -m pip install 'SQLAlchemy>=2.0.30' 'pyvmomi>=8.0.3'" in error.message


def test_a_python_of_the_distribution_gets_a_virtual_environment(monkeypatch):
    monkeypatch.setattr(libraries, "_managed", lambda: True)
    text = libraries.advice(["sqlalchemy"])
    assert f"{sys.executable} -m venv ~/photon && ~/photon/bin/pip install 'ansible-core>=2.19' 'SQLAlchemy" in text
    assert "ansible_playbook_python" in text
    monkeypatch.setattr(libraries, "_found", lambda name: False)
    assert "Run: apt-get install -y python3-venv && " in libraries.advice(["sqlalchemy"])


def test_the_versions_are_those_of_the_requirements():
    listed = set()
    for path in ("ee-requirements.txt", "controller-requirements.txt"):
        lines = (ROOT / "meta" / path).read_text().splitlines()
        listed |= {line for line in lines if line and not line.startswith("#")}
    named = {requirement for requirement in libraries.REQUIREMENTS.values() if re.search("[<>=]", requirement)}
    assert named == listed
