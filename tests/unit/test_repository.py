"""The repository around the product: link tree, metadata, headers, documentation of the entry points, links."""

from __future__ import annotations

import ast
import pathlib
import re
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINKS = ROOT / "collections" / "ansible_collections" / "photon" / "platform"
MODULES = sorted((ROOT / "plugins" / "modules").glob("*.py"))
PLUGINS = sorted(path for kind in ("filter", "lookup", "inventory") for path in (ROOT / "plugins" / kind).glob("*.py"))
SOURCES = sorted((ROOT / "plugins").rglob("*.py"))
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])

PINNED = re.compile(r"#|-r [a-z]+\.txt$|[\w.-]+(\[[a-z]+\])?==[0-9][^ ;]*(; python_version .+)?$")

# What an installed collection consists of. Everything else at the top level serves the checkout and is in build_ignore.
COLLECTION = {
    "CHANGELOG.rst",
    "LICENSE",
    "README.md",
    "changelogs",
    "docs",
    "extensions",
    "galaxy.yml",
    "meta",
    "playbooks",
    "plugins",
    "roles",
}
HEADER = (
    "# Copyright (c) 2026, Photon Platform contributors\n"
    "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)\n"
    "# SPDX-License-Identifier: GPL-3.0-or-later\n"
)


def relative(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_link_tree_mirrors_the_top_level():
    wanted = {name: f"../../../../{name}" for name in COLLECTION if (ROOT / name).exists()}
    found = {path.name: str(path.readlink()) if path.is_symlink() else "no link" for path in LINKS.iterdir()}
    assert found == wanted, f"make the links of {LINKS} one per item of the collection: ln -s ../../../../NAME NAME"


def test_every_link_leads_somewhere():
    assert [path.name for path in LINKS.iterdir() if not path.exists()] == []


def test_what_is_not_the_collection_stays_out_of_its_archive():
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    for name in ("collections", "lab", "tests", "scripts", ".build", ".git"):
        assert name in galaxy["build_ignore"]
    assert not COLLECTION & set(galaxy["build_ignore"])


def test_the_version_is_said_once():
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    project = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert project
    assert project[1] == galaxy["version"]


def test_the_action_group_names_every_module_with_the_shared_options():
    """Defaults of a group reach every module in it, so one without a CloudStore would refuse them."""
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    sharing = [path.stem for path in MODULES if "module_utils.entry_point import" in path.read_text()]
    assert len(sharing) >= 10
    assert sorted(runtime["action_groups"]["all"]) == sharing


def test_the_execution_environment_installs_what_the_controller_has():
    def names(path):
        lines = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
        return {re.split(r"[<>=;\[]", line)[0].lower() for line in lines if line and not line.startswith("-r")}

    environment = yaml.safe_load((ROOT / "meta" / "execution-environment.yml").read_text())
    for kind in ("python", "system"):
        assert (ROOT / environment["dependencies"][kind]).is_file()
    assert names(ROOT / "meta" / "ee-requirements.txt") == names(ROOT / "requirements" / "libraries.txt")


def test_every_requirement_is_pinned_and_names_no_index():
    loose = [
        f"{path.name}: {line}"
        for path in (ROOT / "requirements").glob("*.txt")
        for line in path.read_text().splitlines()
        if line and not PINNED.match(line)
    ]
    assert loose == []


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_headers(path):
    text = path.read_text(encoding="utf-8").removeprefix("#!/usr/bin/python\n")
    assert text.startswith(HEADER)
    code = [node for node in ast.parse(text).body if not isinstance(node, ast.Expr)]
    assert not code or "\nfrom __future__ import annotations\n" in text


def constants(path: pathlib.Path) -> dict[str, str]:
    """The module-level string constants of a file."""
    return {
        target.id: node.value.value
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_modules_are_documented(path):
    texts = constants(path)
    documentation = yaml.safe_load(texts["DOCUMENTATION"])
    assert documentation["module"] == path.stem
    assert documentation["short_description"]
    returned = yaml.safe_load(texts["RETURN"])
    assert returned
    assert broken_descriptions({"options": documentation, "return": returned}) == []
    for task in yaml.safe_load(texts["EXAMPLES"]):
        assert task["name"]


@pytest.mark.parametrize("path", PLUGINS, ids=relative)
def test_plugins_are_documented(path):
    texts = constants(path)
    documented = yaml.safe_load(texts["DOCUMENTATION"]) if "DOCUMENTATION" in texts else None
    sidecars = sorted(path.parent.glob("*.yml"))
    assert documented or sidecars
    for file in sidecars:
        assert broken_descriptions(yaml.safe_load(file.read_text(encoding="utf-8"))) == []
    if documented:
        assert broken_descriptions(documented) == []
        assert documented["name"] in (path.stem, f"photon.platform.{path.stem}")
        assert texts["EXAMPLES"].strip()


def broken_descriptions(tree) -> list[str]:
    """The descriptions in a page that are not text: a colon and a blank in a line make it a mapping."""
    if isinstance(tree, list):
        return [found for member in tree for found in broken_descriptions(member)]
    if not isinstance(tree, dict):
        return []
    texts = tree.get("description", [])
    found = (
        []
        if isinstance(texts, dict)
        else [str(t) for t in ([texts] if isinstance(texts, str) else texts) if not isinstance(t, str)]
    )
    return found + [each for member in tree.values() for each in broken_descriptions(member)]


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_links_in_the_docs_resolve(path):
    broken = []
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _separator, anchor = target.partition("#")
        page = (path.parent / file).resolve() if file else path
        if not page.exists() or (anchor and anchor not in anchors(page)):
            broken.append(target)
    assert broken == []


def anchors(page: pathlib.Path) -> set[str]:
    """The anchors that a Markdown page's headings get."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {name for name in pages if f"({name})" not in index} == set()


def test_changelog_fragments_hold_known_sections():
    config = yaml.safe_load((ROOT / "changelogs" / "config.yaml").read_text())
    known = {name for name, _title in config["sections"]}
    known |= {config["prelude_section_name"], config["trivial_section_name"]}
    for path in (ROOT / "changelogs" / "fragments").glob("*.y*ml"):
        fragment = yaml.safe_load(path.read_text())
        assert set(fragment) <= known, path.name


def test_make_help_lists_every_target():
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    listed = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in listed.splitlines()} == targets
