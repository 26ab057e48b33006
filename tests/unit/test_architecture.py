"""The layers: entry points -> services -> tools -> model; imports point down, and no tool imports another."""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"

ENTRY_POINTS = ("modules", "filter", "lookup", "inventory", "callback", "action")
TOOLS = ("cloudstore", "haproxy", "kubernetes", "linux", "nsx", "scheduler", "vsphere")
# Code shared by entry points of one kind: entry_point.py for modules, plugin_utils for plugins on the controller.
SHARED = ("entry_point", "plugin_utils", "doc_fragments")
FLOORS = {"model": 0, **dict.fromkeys(TOOLS, 1), "services": 2, **dict.fromkeys(ENTRY_POINTS + SHARED, 3)}
PACKAGE = "ansible_collections.photon.platform.plugins"

# A file is read top to bottom; one that outgrows this is two.
MAX_LINES = 600
# An entry point only translates: beyond its documentation it is short.
MAX_ENTRY_POINT_STATEMENTS = 120

SOURCES = sorted(PLUGINS.rglob("*.py"))


def room(parts: tuple[str, ...]) -> str | None:
    """The floor's key for a path below plugins/: `modules`, `services`, `model` ..., or None for what has no floor."""
    if parts[:1] == ("module_utils",):
        return parts[1].removesuffix(".py") if len(parts) > 1 else None
    return parts[0] if parts else None


def imports(path: pathlib.Path) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Every import of `path` as (line, level, absolute parts below plugins/); what is not ours is left out."""
    here = path.relative_to(PLUGINS).parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = tuple(node.module.split(".")) if node.module else ()
            if node.level:
                base = here[: len(here) - node.level]
                for alias in node.names:
                    yield node.lineno, node.level, (*base, *names, alias.name)
            elif node.module and node.module.startswith(PACKAGE):
                for alias in node.names:
                    yield node.lineno, 0, (*names[len(PACKAGE.split(".")) :], alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith(PACKAGE):
                    yield node.lineno, 0, tuple(alias.name.split(".")[len(PACKAGE.split(".")) :])


def breaches(path: pathlib.Path) -> list[str]:
    """What is wrong with the imports of one file, each in words."""
    found = []
    here = room(path.relative_to(PLUGINS).parts)
    for line, level, parts in imports(path):
        there = room(parts)
        if level == 0:
            found.append(f"{path.name}:{line}: imports {'.'.join(parts)} by its full name: make it relative")
        if here not in FLOORS or there not in FLOORS or here == there:
            continue
        if FLOORS[there] > FLOORS[here]:
            found.append(f"{path.name}:{line}: {here} imports {there}, which is above it")
        elif here in TOOLS and there in TOOLS:
            found.append(f"{path.name}:{line}: the tool {here} imports the tool {there}: let a service compose them")
        elif here in ENTRY_POINTS and there in ENTRY_POINTS:
            found.append(f"{path.name}:{line}: the entry point {here} imports {there}: move shared code to module_utils")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PLUGINS)))
def test_imports_run_down_and_are_relative(path):
    assert breaches(path) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PLUGINS)))
def test_every_file_can_be_read_in_one_sitting(path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_LINES, f"{path} has {lines} lines: split it along its ideas"


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if path.relative_to(PLUGINS).parts[0] in ENTRY_POINTS],
    ids=lambda path: str(path.relative_to(PLUGINS)),
)
def test_entry_points_hold_no_logic(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    statements = sum(isinstance(node, ast.stmt) for node in ast.walk(tree))
    assert statements <= MAX_ENTRY_POINT_STATEMENTS, f"{path} has {statements} statements: logic belongs in a service"


@pytest.mark.parametrize(
    ("place", "text", "expected"),
    [
        ("module_utils/model/a.py", "from ..services import site", "model imports services, which is above it"),
        ("module_utils/vsphere/a.py", "from ..cloudstore.api import x", "the tool vsphere imports the tool cloudstore"),
        ("module_utils/vsphere/a.py", "def f():\n    from ..services import vms", "vsphere imports services"),
        ("filter/a.py", "from ..modules.vm import main", "the entry point filter imports modules"),
        ("modules/a.py", f"from {PACKAGE}.module_utils.services import vms", "make it relative"),
        ("modules/a.py", f"import {PACKAGE}.module_utils.services.vms", "make it relative"),
        ("module_utils/services/a.py", "from ...modules import vm", "services imports modules, which is above it"),
        ("module_utils/services/a.py", "from ..entry_point import finish", "services imports entry_point, which is above it"),
        ("modules/a.py", "from ..module_utils.entry_point import run_kind", None),
        ("modules/a.py", "from ..module_utils.services import vms", None),
        ("module_utils/services/a.py", "from ..model import units\nfrom .planning import x\nimport json", None),
    ],
)
def test_a_breach_is_seen(tmp_path, monkeypatch, place, text, expected):
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(text)
    monkeypatch.setattr(f"{__name__}.PLUGINS", tmp_path, raising=True)
    found = breaches(path)
    assert not found if expected is None else any(expected in words for words in found)
