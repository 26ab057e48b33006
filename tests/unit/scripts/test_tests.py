"""The verdict over all test sections: what closes the output, and what a skip means in CI."""

from __future__ import annotations

import importlib.util
import pathlib
import sys

import pytest

SOURCE = pathlib.Path(__file__).resolve().parents[3] / "scripts" / "tests.py"


@pytest.fixture
def tests(monkeypatch):
    spec = importlib.util.spec_from_file_location("photon_scripts_tests", SOURCE)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def closing(capsys):
    return capsys.readouterr().out.splitlines()[-1].strip("= ")


def test_sections_add_up(tests, capsys, monkeypatch):
    monkeypatch.setattr(tests, "IN_CI", False)
    sections = [tests.Section("a", 1.0, passed=3), tests.Section("b", 0.5, passed=4, skipped=["x: no database"])]
    assert tests.summary(sections) == 0
    assert closing(capsys) == "7 passed, 1 skipped in 1.50s"


def test_a_skip_fails_in_ci(tests, capsys, monkeypatch):
    monkeypatch.setattr(tests, "IN_CI", True)
    assert tests.summary([tests.Section("a", passed=4, skipped=["x: no database"])]) == 1
    assert closing(capsys) == "1 failed, 4 passed in 0.00s"


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"passed": 2, "failed": 1}, "1 failed, 2 passed in 0.00s"),
        ({"passed": 2, "broken": "pytest ended with 3"}, "2 passed, 1 error in 0.00s"),
        ({}, "0 passed in 0.00s"),
    ],
)
def test_failures_breakage_and_nothing_at_all_fail(tests, capsys, fields, line):
    assert tests.summary([tests.Section("a", **fields)]) == 1
    assert closing(capsys) == line


def test_a_real_run_is_counted(tests, tmp_path, monkeypatch):
    monkeypatch.setattr(tests, "REPORTS", tmp_path)
    file = tmp_path / "test_sample.py"
    file.write_text(
        "import pytest\n\n"
        "def test_good():\n    pass\n\n"
        "def test_bad():\n    assert False\n\n"
        "@pytest.mark.skip(reason='the reason')\ndef test_left_out():\n    pass\n\n"
        "@pytest.fixture\ndef broken():\n    raise OSError\n\n"
        "def test_error(broken):\n    pass\n"
    )
    section = tests.pytest("sample", sys.executable, [str(file)])
    assert (section.passed, section.failed, section.broken) == (1, 2, "")
    assert len(section.skipped) == 1
    assert "the reason" in section.skipped[0]


def test_a_run_that_collects_nothing_is_broken(tests, tmp_path, monkeypatch):
    monkeypatch.setattr(tests, "REPORTS", tmp_path)
    (tmp_path / "test_empty.py").write_text("")
    assert tests.pytest("empty", sys.executable, [str(tmp_path / "test_empty.py")]).broken == "pytest ended with 5"
    assert tests.pytest("none", sys.executable, []).broken
