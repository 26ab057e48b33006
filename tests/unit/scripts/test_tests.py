"""The test sections: their order around the build of Kubernetes, what closes the output, what a skip means in CI."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

SOURCE = pathlib.Path(__file__).resolve().parents[3] / "scripts" / "tests.py"


@pytest.fixture
def tests(monkeypatch):
    spec = importlib.util.spec_from_file_location("photon_scripts_tests", SOURCE)
    monkeypatch.syspath_prepend(str(SOURCE.parent))
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


def builds(tests, monkeypatch, tmp_path, code):
    """The build of Kubernetes is this Python code, and no section runs: the titles of those that would."""
    titles = []

    def ran(title, *_rest, **_more):
        titles.append(title)
        return tests.Section(title, passed=1)

    monkeypatch.setattr(tests, "BUILD_LOG", tmp_path / "build.log")
    monkeypatch.setattr(tests, "can_build", lambda: True)
    monkeypatch.setattr(tests.Build, "words", (sys.executable, "-c", code))
    monkeypatch.setattr(tests, "newest", lambda paths: ran("newest"))
    monkeypatch.setattr(tests, "pytest", ran)
    monkeypatch.setattr(tests, "molecule", lambda scenario, suite: ran(f"role {scenario} {suite}"))
    monkeypatch.setenv("LAB_SUITE", "trixie")
    monkeypatch.delenv("LAB_DRIVER", raising=False)
    monkeypatch.delenv("ROLE", raising=False)
    return titles


def test_what_needs_kubernetes_comes_after_its_build(tests, monkeypatch, tmp_path, capsys):
    titles = builds(tests, monkeypatch, tmp_path, "print('programs 12.0 s')")
    sections = tests.with_clusters("all")
    reported = [section.title for section in sections]
    assert [title for title in reported if title != "kubernetes build"] == titles
    assert reported[0] == "newest"
    at = reported.index("kubernetes build")
    assert set(reported[:at]) == {"newest", "role container_runtime trixie", "role haproxy trixie", "main"}
    assert reported[at + 1 :] == ["kubernetes", "role kubernetes trixie", "role kubernetes_ha trixie"]
    assert sections[at].details == ["programs 12.0 s"]
    assert tests.summary(sections) == 0
    assert "    programs 12.0 s" in capsys.readouterr().out.splitlines()


def test_a_failed_build_is_an_error_and_is_shown(tests, monkeypatch, tmp_path, capsys):
    titles = builds(tests, monkeypatch, tmp_path, "import sys; sys.exit('lab: go build failed: no space left')")
    sections = tests.with_clusters("all")
    assert [section.title for section in sections if section.broken] == [
        "kubernetes build", "kubernetes", "role kubernetes trixie", "role kubernetes_ha trixie",
    ]  # fmt: skip
    assert titles == [section.title for section in sections if not section.broken]
    assert tests.summary(sections) == 1
    output = capsys.readouterr().out
    assert output.partition("=== summary ===")[2].count("lab: go build failed: no space left") == 1
    assert output.splitlines()[-1].strip("= ").startswith("4 passed, 4 errors in ")


def test_a_role_without_a_cluster_waits_for_no_build(tests, monkeypatch, tmp_path):
    titles = builds(tests, monkeypatch, tmp_path, "raise SystemExit(1)")
    monkeypatch.setenv("ROLE", "haproxy")
    assert [section.title for section in tests.with_clusters("roles")] == titles == ["role haproxy trixie"]
    monkeypatch.setenv("ROLE", "absent")
    assert "there is no scenario absent" in tests.with_clusters("roles")[0].broken


def test_the_wait_for_a_build_is_its_sections_time(tests, monkeypatch, tmp_path):
    builds(tests, monkeypatch, tmp_path, "import time; time.sleep(0.5); print('done')")
    with tests.Build(needed=True) as build:
        (section,) = build.finish()
    assert 0 < section.seconds < 30
    assert (section.details, section.broken) == (["done"], "")
    assert "the wait" in section.note


def test_an_unfinished_build_ends_with_the_block(tests, monkeypatch, tmp_path):
    builds(tests, monkeypatch, tmp_path, "import time; time.sleep(600)")
    with pytest.raises(OSError, match="a section failed"), tests.Build(needed=True) as build:
        raise OSError("a section failed")
    assert build._process.returncode is not None


def test_an_interrupted_run_leaves_no_process(tmp_path):
    """SIGTERM reaches a command's own children too, also those that ignore an interrupt."""
    child = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    command = (
        "import os, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        f"open({str(tmp_path / 'pids.part')!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        f"os.rename({str(tmp_path / 'pids.part')!r}, {str(tmp_path / 'pids')!r})\n"
        "child.wait()\n"
    )
    run = (
        "import sys; import commands; commands.PATIENCE = 1.0; commands.interruptible()\n"
        f"commands.run([sys.executable, '-c', {command!r}])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", run], cwd=SOURCE.parent, stderr=subprocess.DEVNULL)
    try:
        wait_until((tmp_path / "pids").exists)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        wait_until(lambda: not any(lives(pid) for pid in pids))
    finally:
        process.kill()
        process.wait()


def lives(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(true, seconds=30):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_command_gets_its_environment_and_its_time_is_counted(tests, tmp_path):
    section = tests.Section("a")
    code = "import os, sys; sum(range(3_000_000)); sys.exit(int(os.environ['WANTED']))"
    assert tests.run(section, [sys.executable, "-c", code], WANTED="3") == 3
    assert section.seconds > 0
    assert section.processor_seconds > 0
    assert "WANTED" not in os.environ
