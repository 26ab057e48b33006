"""The layers: entry points -> services -> tools -> linux -> model.

Imports point down, no tool imports another, nothing imports in a circle, and the registry is the only list of kinds.
"""

from __future__ import annotations

import ast
import importlib
import pathlib
import types
from collections.abc import Iterator

import pytest
from ansible_collections.photon.platform.plugins.module_utils import entry_point
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.services import registry

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"

ENTRY_POINTS = ("modules", "filter", "lookup", "inventory", "callback", "action")
TOOLS = ("cloudstore", "directory", "haproxy", "identity", "kubernetes", "nsx", "scheduler", "vsphere")
# Code shared by entry points of one kind: entry_point.py for modules, plugin_utils for plugins on the controller.
SHARED = ("entry_point", "plugin_utils", "doc_fragments")
LAYERS = {
    "model": 0,
    "linux": 1,
    **dict.fromkeys(TOOLS, 2),
    "services": 3,
    **dict.fromkeys(ENTRY_POINTS + SHARED, 4),
}
PACKAGE = "ansible_collections.photon.platform.plugins"

# A file is read top to bottom; one that outgrows this is two.
MAX_LINES = 600
# An entry point only translates: beyond its documentation it is short.
MAX_ENTRY_POINT_STATEMENTS = 120

# A literal with so many kinds is a second registry.
MANY_KINDS = 6

SOURCES = sorted(PLUGINS.rglob("*.py"))
SERVICES = [path for path in (PLUGINS / "module_utils" / "services").glob("*.py") if path.name != "registry.py"]


def layer(parts: tuple[str, ...]) -> str | None:
    """The layer's key for a path below plugins/: `modules`, `services`, `model` ..., or None for what has none."""
    if parts[:1] == ("module_utils",):
        return parts[1].removesuffix(".py") if len(parts) > 1 else None
    return parts[0] if parts else None


def imports(path: pathlib.Path) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Yield our own imports of `path`, those for types included, as (line, level, parts below plugins/)."""
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
    """List what is wrong with the imports of one file."""
    found = []
    here = layer(path.relative_to(PLUGINS).parts)
    for line, level, parts in imports(path):
        there = layer(parts)
        if level == 0:
            found.append(f"{path.name}:{line}: imports {'.'.join(parts)} by its full name: make it relative")
        if here not in LAYERS or there not in LAYERS or here == there:
            continue
        if LAYERS[there] > LAYERS[here]:
            found.append(f"{path.name}:{line}: {here} imports {there}, which is above it")
        elif here in TOOLS and there in TOOLS:
            found.append(f"{path.name}:{line}: the tool {here} imports the tool {there}: let a service compose them")
        elif here in ENTRY_POINTS and there in ENTRY_POINTS:
            found.append(
                f"{path.name}:{line}: the entry point {here} imports {there}: move shared code to module_utils"
            )
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PLUGINS)))
def test_imports_run_down_and_are_relative(path):
    assert breaches(path) == []


def graph(root: pathlib.Path) -> dict[str, set[str]]:
    """Map each module below `root`/module_utils to those that it imports anywhere, also in functions or for types."""
    paths = {
        path.relative_to(root).with_suffix("").parts: path for path in sorted((root / "module_utils").rglob("*.py"))
    }
    found: dict[str, set[str]] = {}
    for parts, path in paths.items():
        targets = (max((there[:n] for n in range(len(there) + 1) if there[:n] in paths), default=None)
                   for _line, _level, there in imports(path))  # fmt: skip
        found["/".join(parts)] = {"/".join(target) for target in targets if target and target != parts}
    return found


def cycle(modules: dict[str, set[str]]) -> list[str]:
    """Return one import cycle, or [] when there is none: remove what imports nothing that is left, then follow on."""
    left = dict(modules)
    while leaves := [name for name, targets in left.items() if not targets & left.keys()]:
        for name in leaves:
            del left[name]
    trail = [min(left)] if left else []
    while trail and trail[-1] not in trail[:-1]:
        trail.append(min(left[trail[-1]] & left.keys()))
    return trail[trail.index(trail[-1]) :] if trail else []


def test_nothing_imports_in_a_circle():
    assert cycle(graph(PLUGINS)) == []


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("from .b import x", "from .a import y", True),
        ("import typing\nif typing.TYPE_CHECKING:\n    from .b import x", "def f():\n    from . import a", True),
        ("from .b import x", "import json", False),
    ],
)
def test_a_circle_is_seen(tmp_path, monkeypatch, a, b, expected):
    package = tmp_path / "module_utils" / "model"
    package.mkdir(parents=True)
    (package / "a.py").write_text(a)
    (package / "b.py").write_text(b)
    monkeypatch.setattr(f"{__name__}.PLUGINS", tmp_path, raising=True)
    assert bool(cycle(graph(tmp_path))) == expected


def unknown_names(path: pathlib.Path) -> list[str]:
    """List what a file uses of our other modules that they do not have; names that it also binds itself are skipped."""
    parts = path.relative_to(PLUGINS).with_suffix("").parts
    names = vars(importlib.import_module(".".join((PACKAGE, *parts)).removesuffix(".__init__")))
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    bound = {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return [
        f"{path.name}:{node.lineno}: {node.value.id} has no {node.attr}"
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id not in bound
        if isinstance(module := names.get(node.value.id), types.ModuleType)
        if module.__name__.startswith(PACKAGE) and not hasattr(module, node.attr)
    ]


@pytest.mark.parametrize(
    "path", sorted((PLUGINS / "module_utils").rglob("*.py")), ids=lambda path: str(path.relative_to(PLUGINS))
)
def test_what_a_module_uses_of_another_exists(path):
    assert unknown_names(path) == []


def test_the_registry_is_the_only_list_of_kinds():
    assert set(registry.KINDS) == set(entities.KINDS)
    assert set(entry_point.KINDS) <= set(registry.KINDS)
    for path in SERVICES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        lists = [node for node in ast.walk(tree) if isinstance(node, ast.Tuple | ast.List | ast.Dict | ast.Set)]
        longest = max((len(_kinds_in(node)) for node in lists), default=0)
        assert longest < MANY_KINDS, f"{path.name} lists {longest} kinds: walk the registry, or add a column to it"


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.name)
def test_only_the_registry_uses_what_each_kind_has(path):
    found = {parts[2:4] for _line, _level, parts in imports(path) if parts[:2] == ("module_utils", "services")}
    assert not [".".join(parts) for parts in found if len(parts) == 2 and parts[1] in ("apply", "recover", "describe")]


def _kinds_in(node: ast.AST) -> set[str]:
    """The kinds that a literal names as `entities.KIND`, as keys or as elements."""
    children = node.keys if isinstance(node, ast.Dict) else node.elts
    return {
        each.attr
        for each in children
        if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id == "entities"
    }


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
        ("module_utils/services/a.py", "from ..entry_point import finish", "services imports entry_point, which is"),
        ("module_utils/linux/a.py", "from ..haproxy import plan", "linux imports haproxy, which is above it"),
        ("module_utils/haproxy/a.py", "from ..linux import host", None),
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
