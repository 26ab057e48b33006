# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Code that runs on Linux hosts runs with Python 3.9, which Enterprise Linux 9 has."""

from __future__ import annotations

import ast
import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
MODULES = [
    *PLUGINS.glob("modules/haproxy_*.py"),
    *PLUGINS.glob("modules/kubernetes_*.py"),
    PLUGINS / "modules/linux_host.py",
]
OLDEST = (3, 9)
# Arguments that came later, and are found when the call is made only.
LATER = {("zip", "strict"), ("dataclass", "slots"), ("dataclass", "kw_only")}
LATER_NAMES = {"UTC", "StrEnum", "pairwise", "TaskGroup", "ExceptionGroup", "tomllib"}


def oldest_python():
    """Return a Python 3.9 that runs: of the variable PHOTON_PYTHON39, the path or pyenv; "" without one."""
    installed = pathlib.Path.home().glob(".pyenv/versions/3.9.*/bin/python")
    for found in (os.environ.get("PHOTON_PYTHON39"), shutil.which("python3.9"), *map(str, installed)):
        if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
            return found
    return ""


PYTHON = oldest_python()


def imported(path):
    """Yield the files of this collection that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for place in (base, *(base / name.name for name in node.names)):
                yield from (one for one in (place.with_suffix(".py"), place / "__init__.py") if one.exists())


def closure():
    seen, todo = set(), list(MODULES)
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo += imported(path)
    return sorted(seen)


FILES = closure()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PLUGINS)))
def test_nothing_newer_is_used(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=OLDEST)
    assert "from __future__ import annotations" in text or not tree.body[1:], "annotations are evaluated"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            assert not {(name, word.arg) for word in node.keywords} & LATER, f"line {node.lineno}"
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = {name.name for name in node.names}
            assert not names & LATER_NAMES, f"line {node.lineno}"
        assert not (isinstance(node, ast.Attribute) and node.attr in LATER_NAMES), f"line {node.lineno}"


@pytest.mark.skipif(not PYTHON, reason="there is no Python 3.9 here")
def test_python_3_9_imports_it():
    names = [
        ".".join(path.relative_to(PLUGINS).with_suffix("").parts) for path in FILES if "module_utils" in path.parts
    ]
    lines = [f"import ansible_collections.photon.platform.plugins.{name.removesuffix('.__init__')}" for name in names]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "collections"), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(
        [PYTHON, "-c", "\n".join(lines)], capture_output=True, text=True, check=False, env=environment, timeout=120
    )
    assert run.returncode == 0, run.stderr[-2000:]
