"""The benchmark runner: discovery, merged figures with their origin, measured processes."""

from __future__ import annotations

import json
import os
import pathlib
import sys

import pytest

from tests.benchmarks import harness, run

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "bench_one.py").write_text('"""The first."""\n\n\ndef run(context):\n    return {"one_s": 0.5}\n')
    (tmp_path / "bench_two.py").write_text('"""The second."""\n\n\ndef run(context):\n    raise ValueError("boom")\n')
    return tmp_path


def test_benchmarks_are_found_by_name(folder):
    assert list(run.discover(folder)) == ["one", "two"]
    assert run.summary(folder / "bench_two.py") == "The second."


def test_figures_merge_and_keep_their_origin(tmp_path):
    run.save({"a_s": 1.5, "b": 2}, "first", tmp_path)
    run.save({"b": 3}, "second", tmp_path)
    assert json.loads((tmp_path / "bench.json").read_text()) == {"a_s": 1.5, "b": 3}
    origin = json.loads((tmp_path / "bench.meta.json").read_text())
    assert [origin["a_s"]["benchmark"], origin["b"]["benchmark"]] == ["first", "second"]
    assert {"commit", "date", "machine"} <= set(origin["b"])


def test_a_failing_benchmark_does_not_stop_the_others(folder, monkeypatch, capsys):
    saved = []
    monkeypatch.setattr(run, "save", lambda figures, name, _folder: saved.append((name, figures)))
    monkeypatch.setenv("PHOTON_BENCH_WORK", str(ROOT / ".build" / "bench"))
    figures, failed = run.run_all(run.discover(folder))
    assert (figures, failed, saved) == ({"one_s": 0.5}, ["two"], [("one", {"one_s": 0.5})])
    assert "boom" in capsys.readouterr().err


@pytest.mark.parametrize("figures", [{}, None, {"a": "1"}, {"a": float("nan")}, {"a": True}, {1: 2}])
def test_what_is_no_figure_is_refused(figures):
    with pytest.raises(TypeError):
        run.checked(figures)


def test_an_unknown_name_is_an_error(capsys):
    assert run.main(["--only", "nothing-of-this-name"]) == 64
    assert "no benchmark nothing-of-this-name" in capsys.readouterr().err


def test_a_process_is_measured_with_its_children(tmp_path):
    grandchild = "x = bytearray(200 << 20); print('done')"
    child = f"import subprocess, sys; subprocess.check_call([sys.executable, '-c', {grandchild!r}])"
    done = harness.measure([sys.executable, "-c", child], tmp_path, os.environ)
    assert (done.code, done.output) == (0, "done\n")
    assert done.megabytes > 200
    assert done.seconds > 0
    assert done.cpu_seconds > 0


def test_the_memory_of_the_benchmark_itself_does_not_count(tmp_path):
    ballast = bytearray(b"x") * (300 << 20)
    done = harness.measure([sys.executable, "-c", "pass"], tmp_path, os.environ)
    assert len(ballast) == 300 << 20
    assert 0 < done.megabytes < 200


def test_a_command_that_cannot_start_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="could not be started"):
        harness.measure(["/nonexistent/program"], tmp_path, os.environ)


def test_a_failing_command_shows_the_end_of_its_output():
    context = harness.Context(ROOT, "test")
    with pytest.raises(RuntimeError, match="the reason"):
        context.process([sys.executable, "-c", "import sys; sys.exit('the reason')"])
    assert context.process([sys.executable, "-c", "import sys; sys.exit(3)"], check=False).runs[0].code == 3


def test_functions_are_timed_with_their_set_up_left_out():
    calls = []
    timing = harness.Context(ROOT, "test").time(calls.append, "run", repeat=3, setup=lambda: calls.append("setup"))
    assert calls == ["setup", "run"] * 3
    assert len(timing.runs) == 3
    assert min(timing.runs) <= timing.seconds <= max(timing.runs)


def test_a_folder_in_memory_is_refused(monkeypatch):
    if harness.file_system(pathlib.Path("/dev/shm")) not in harness.IN_MEMORY:
        pytest.skip("/dev/shm is no memory file system here")
    monkeypatch.setenv("PHOTON_BENCH_WORK", "/dev/shm")
    with pytest.raises(RuntimeError, match="PHOTON_BENCH_WORK"):
        harness.disk_folder(ROOT, "test")


def test_missing_data_names_the_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("PHOTON_BENCH_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="PHOTON_BENCH_DATA"):
        harness.Context(ROOT, "test").data("hosts.csv")
    (tmp_path / "hosts.csv").write_text("")
    assert harness.Context(ROOT, "test").data("hosts.csv") == tmp_path / "hosts.csv"


def test_tables_line_up(capsys):
    harness.print_table(["what", "n"], [["a", 1234], ["longer", 0.123456]])
    assert capsys.readouterr().out == "what         n\n------  ------\na        1,234\nlonger  0.1235\n"
