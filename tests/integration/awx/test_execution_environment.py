# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped execution environment: ansible-builder makes its build context and finds what the collection needs."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "extensions" / "execution-environment"
pytest.importorskip("ansible_builder", reason="scripts/venv awx installs it")


def builder(*words, cwd):
    command = [str(pathlib.Path(sys.executable).parent / "ansible-builder"), *words]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_build_context(tmp_path):
    folder = shutil.copytree(SHIPPED, tmp_path / "ee")
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    archive = f"photon-platform-{galaxy['version']}.tar.gz"
    (folder / archive).write_bytes(b"the release")
    builder(
        "create", "-f", "execution-environment.yml", "-c", "context", "--output-filename", "Containerfile", cwd=folder
    )
    context = folder / "context"
    text = (context / "Containerfile").read_text()
    assert "ansible-core" in text
    assert "ansible-runner" in text
    assert (context / "_build" / "files" / archive).read_bytes() == b"the release"
    wanted = yaml.safe_load((context / "_build" / "requirements.yml").read_text())["collections"]
    assert {"name": f"files/{archive}", "type": "file"} in wanted
    assert "awx.awx" in [each["name"] for each in wanted]


def test_what_the_collection_asks_for(tmp_path):
    """As ansible-builder reads it out of an image's collections."""
    target = tmp_path / "ansible_collections" / "photon" / "platform"
    target.mkdir(parents=True)
    shutil.copytree(ROOT / "meta", target / "meta")
    shutil.copy(ROOT / "galaxy.yml", target)
    found = yaml.safe_load(builder("introspect", str(tmp_path), cwd=tmp_path).partition("---")[2])
    libraries = json.dumps(found["python"])
    for line in (ROOT / "meta" / "ee-requirements.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            assert line.split(">=")[0] in libraries
    assert "ca-certificates" in json.dumps(found["system"])
