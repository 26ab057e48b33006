# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mutation check: mutants fit the source and are really applied, and only a test's own failure counts."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.benchmarks import bench_mutants, bench_role_mutants
from tests.support import mutants
from tests.support.mutants import DROP, UTILS, Copy, Edit, Mutant, edit

PRODUCT = '''"""A product."""


class PhotonError(Exception):
    pass


held = {}


def take(name, amount):
    if amount > 9:
        raise PhotonError("too much")
    held[name] = amount
    return amount
'''
TESTS = """
import time

import pytest

from plugins.module_utils import product


def test_take():
    assert product.take("a", 1) == 1
    assert product.held == {"a": 1}


def test_limit():
    with pytest.raises(product.PhotonError):
        product.take("a", 10)
    product.take("a", 9)


def test_key():
    product.held.clear()
    product.take("a", 1)
    product.held["a"]


def test_something_else():
    pass


def test_wrong():
    assert product.take("a", 1) == 2
"""
TAKE, LIMIT, KEY, ELSE, WRONG = (
    f"tests/test_product.py::test_{n}" for n in "take limit key something_else wrong".split()
)
OWN = ("tests/support/mutant_report.py", "tests/support/mutant_server.py")
SECONDS = 600.0  # far more than a run takes, also on a busy machine
KEEP = Mutant("product.py", "take", "keep nothing", "held[name] = amount", DROP, (TAKE,))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """A copy of a product of one module with its tests, and with the plugin that reports."""
    root = tmp_path_factory.mktemp("checkout")
    for path, text in {
        f"{UTILS}/product.py": PRODUCT,
        "tests/test_product.py": TESTS,
        **{path: (mutants.ROOT / path).read_text() for path in OWN},
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    with Copy.of(root, tmp_path_factory.mktemp("work") / "copy", ("plugins", "tests")) as made:
        yield made


def test_an_unmutated_run_passes_or_names_what_fails(copy: Copy) -> None:
    assert copy.passes([TAKE, LIMIT, KEY, ELSE], SECONDS) == []
    [failed] = copy.passes([TAKE, WRONG], SECONDS)
    assert failed.startswith(f"{WRONG}: AssertionError")
    [missing] = copy.passes(["tests/test_product.py::test_missing"], SECONDS)
    assert missing.startswith("no test passed")


@pytest.mark.parametrize(
    ("mutant", "outcome", "test"),
    [
        (KEEP, mutants.CAUGHT, TAKE),
        (replace(KEEP, old="amount > 9", new="amount > 8"), mutants.SURVIVED, ""),
        (replace(KEEP, old="amount > 9", new="amount > 8", tests=(TAKE, LIMIT)), mutants.CAUGHT, LIMIT),
        (replace(KEEP, old="if amount > 9:", tests=(LIMIT,)), mutants.CAUGHT, LIMIT),
        (replace(KEEP, tests=(KEY,)), mutants.BROKEN, KEY),  # a KeyError of the test is no assertion
        (replace(KEEP, tests=(KEY, TAKE)), mutants.CAUGHT, TAKE),
        (replace(KEEP, old="amount > 9", new="amount > missing"), mutants.BROKEN, TAKE),
        (replace(KEEP, where="", old="held = {}", new="held = missing"), mutants.BROKEN, ""),
    ],
)
def test_a_mutant_is_applied_judged_and_taken_back(copy: Copy, mutant: Mutant, outcome: str, test: str) -> None:
    verdict = copy.judge(mutant, SECONDS)
    assert (verdict.outcome, verdict.test) == (outcome, test), verdict
    assert (copy.folder / mutant.path).read_text() == PRODUCT
    assert verdict.line == next(n for n, line in enumerate(PRODUCT.splitlines(), 1) if mutant.old in line)


def test_a_mutant_that_no_test_imports_is_not_caught(copy: Copy) -> None:
    other = copy.folder / UTILS / "other.py"
    other.write_text("held = 1\n")
    mutant = Mutant("other.py", "", "hold two", "held = 1", "held = 2", (WRONG,))
    assert copy.judge(mutant, SECONDS).outcome == mutants.BROKEN
    assert copy.judge(replace(mutant, tests=(TAKE,)), SECONDS).outcome == mutants.BROKEN


def test_a_mutant_that_hangs_is_not_caught(copy: Copy) -> None:
    hang = replace(KEEP, new="held[name] = amount\n    while True:\n        pass")
    verdict = copy.judge(hang, 5)
    assert verdict.outcome == mutants.TIMEOUT
    assert (copy.folder / KEEP.path).read_text() == PRODUCT


@pytest.mark.parametrize(
    "changes",
    [{"old": "held[other]"}, {"where": "give"}, {"old": "amount", "new": "name"}, {"old": "9", "new": "9"}],
)
def test_a_mutant_that_does_not_fit_is_refused(copy: Copy, changes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"product\.py"):
        copy.judge(replace(KEEP, **changes), SECONDS)


# -- the mutants of the accounting ---------------------------------------------------------------------------------

# Every call of these is a write of the accounting, and has a mutant.
WRITES = {
    "cloudstore/allocations.py": {"execute"},
    "services/write.py": {"claim", "observe", "delete", "set_limits", "check_limits", "set_inventories"},
    "services/verify.py": {"claim", "observe", "forget", "add_providers", "set_inventories"},
    "services/vms/apply.py": {"claim", "settle", "bury"},
    "services/vms/recover.py": {"claim", "settle", "bury"},
}


MUTANTS = [*bench_mutants.MUTANTS, *bench_role_mutants.MUTANTS]


@pytest.fixture(scope="module")
def edits() -> dict[Mutant, Edit]:
    """What each mutant changes; every one fits the source, else its ValueError is seen here."""
    return {mutant: edit(mutant) for mutant in MUTANTS}


def test_each_mutant_is_listed_once_and_its_tests_exist(edits: dict[Mutant, Edit]) -> None:
    assert len({(mutant.file, each.text, mutant.tests) for mutant, each in edits.items()}) == len(MUTANTS)
    for test in {test for mutant in MUTANTS for test in mutant.tests}:
        path, _colons, name = test.partition("::")
        assert not name or f"def {name.partition('[')[0]}(" in (mutants.ROOT / path).read_text(), test
        assert (mutants.ROOT / path).is_file()


@pytest.mark.parametrize("file", WRITES)
def test_each_write_of_the_accounting_has_a_mutant(edits: dict[Mutant, Edit], file: str) -> None:
    changed = [each for mutant, each in edits.items() if mutant.file == file]
    source = (mutants.ROOT / UTILS / file).read_text()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        receiver = ast.unparse(node.func.value)
        if node.func.attr in WRITES[file] and (receiver == "tx" or receiver.isupper()):
            lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            assert any(each.line <= line <= each.last for each in changed for line in lines), ast.unparse(node)
