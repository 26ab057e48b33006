# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/rules.md names for every item an answer that there is and a test that there is."""

from __future__ import annotations

import ast
import functools
import pathlib
import re

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import HTTP_STATUS

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
UNIT = TESTS / "unit" / "plugins" / "module_utils"
# How many items each section has, reached and not reached.
ITEMS = {"1.1": 16, "1.2": 35, "1.3": 25, "1.4": 17, "1.5": 28, "1.7": 15, "1.8": 29}
ROWS = [
    [cell.strip() for cell in line.strip().strip("|").split("|")]
    for line in (ROOT / "docs" / "rules.md").read_text(encoding="utf-8").splitlines()
    if re.match(r"\| \d+\.\d+\.\d+ \|", line)
]
REACHED = [row for row in ROWS if len(row) == 4]
NOT_REACHED = [row for row in ROWS if len(row) == 3]


def source(path: str) -> pathlib.Path:
    return TESTS / path if path.startswith("integration/") else UNIT / path


@functools.cache
def functions(path: pathlib.Path) -> frozenset[str]:
    return frozenset(
        n.name for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.FunctionDef)
    )


def test_every_row_is_read() -> None:
    assert len(REACHED) + len(NOT_REACHED) == len(ROWS) == sum(ITEMS.values())


@pytest.mark.parametrize("section", ITEMS)
def test_items_of_a_section(section: str) -> None:
    numbers = sorted(int(row[0].rpartition(".")[2]) for row in ROWS if row[0].rpartition(".")[0] == section)
    assert numbers == list(range(1, ITEMS[section] + 1))


@pytest.mark.parametrize("row", REACHED, ids=lambda row: row[0])
def test_reached_items_have_an_answer_and_a_test(row: list[str]) -> None:
    _item, rule, answer, test = row
    assert rule
    assert answer == "allowed" or answer in HTTP_STATUS
    path, _, name = test.partition("::")
    assert name.startswith("test_")
    assert name in functions(source(path))


@pytest.mark.parametrize("row", NOT_REACHED, ids=lambda row: row[0])
def test_other_items_have_a_reason(row: list[str]) -> None:
    assert all(row)


def test_codes_are_found_in_their_tests() -> None:
    """A test that is named for a code speaks of it, or of the exception's words."""
    for item, _rule, answer, test in REACHED:
        path, _, name = test.partition("::")
        text = source(path).read_text(encoding="utf-8")
        assert answer == "allowed" or answer in text, item
        assert f"def {name}(" in text
