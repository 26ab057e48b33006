# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the progress is written to: a terminal (the kernel's own kind), pipes, and what happens when they close."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
import threading
import time

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import Step, Task, open_store
from ansible_collections.photon.platform.plugins.module_utils.cloudstore.progress import Progress, StepCount
from ansible_collections.photon.platform.plugins.plugin_utils import watch

PROGRESS = Progress("run-1", 0.0, 5.0, [StepCount("vm", "CREATE_VM", total=4, completed=2)])


class Terminal:
    """A terminal of this size; ``text`` is what was written to it."""

    def __init__(self, columns=60, rows=10, encoding="utf-8"):
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.stream = os.fdopen(theirs, "w", encoding=encoding, buffering=1)
        self.text = ""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        try:
            while data := os.read(self._ours, 4096):
                self.text += data.decode("utf-8", "replace")
        except OSError:
            return

    def close(self):
        self.stream.close()
        self._thread.join(10)
        os.close(self._ours)
        return self.text


@pytest.fixture
def on_terminal(monkeypatch):
    """Call it inside of a test: pytest sets the streams between the fixtures and the test."""

    def take():
        made = Terminal()
        monkeypatch.setattr(sys, "stderr", made.stream)
        monkeypatch.setattr(sys, "stdout", made.stream)
        return made

    return take


def test_bars_are_drawn_in_place_and_cleared_before_anything_else(on_terminal):
    terminal = on_terminal()
    bars = watch.Bars(terminal.stream, {})
    bars.begin()
    bars.show(PROGRESS, {})
    print("changed: [localhost]")
    bars.show(PROGRESS, {})
    bars.end()
    print("after")
    assert sys.stdout is terminal.stream
    text = terminal.close()
    assert text.count("applying, 5 s") == 2
    assert text.count("\x1b[2A") == 2, "the cursor goes back above the two lines"
    assert "\r\x1b[Jchanged: [localhost]\r\n" in text
    assert text.endswith("\r\x1b[Jafter\r\n")


def test_nothing_is_drawn_once_it_has_ended(on_terminal):
    terminal = on_terminal()
    bars = watch.Bars(terminal.stream, {})
    bars.begin()
    bars.end()
    bars.show(PROGRESS, {})
    assert terminal.close() == ""


@pytest.mark.parametrize(
    ("encoding", "environment", "there", "not_there"),
    [
        ("utf-8", {}, ["\u2501", "\x1b[32m"], ["#"]),
        ("utf-8", {"NO_COLOR": "1"}, ["\u2501"], ["\x1b[32m", "\x1b[0m"]),
        ("ascii", {}, ["#", "--"], ["\u2501"]),
        ("latin-1", {}, ["#", "--"], ["\u2501"]),
    ],
)
def test_the_terminal_gets_what_it_can_show(encoding, environment, there, not_there):
    terminal = Terminal(encoding=encoding)
    watch.Bars(terminal.stream, environment).show(PROGRESS, {})
    text = terminal.close()
    assert [part for part in there if part not in text] == []
    assert [part for part in not_there if part in text] == []


def test_a_low_terminal_gets_the_first_lines():
    terminal = Terminal(rows=2)
    watch.Bars(terminal.stream, {}).show(PROGRESS, {})
    assert "\x1b[1A" in terminal.close()


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({"TERM": "xterm"}, watch.Bars),
        ({"TERM": "dumb"}, watch.Lines),
        ({}, watch.Lines),
        ({"TERM": "xterm", "AWX_ISOLATED_DATA_DIR": "/runner/artifacts/1"}, watch.Lines),
    ],
)
def test_bars_only_where_a_person_looks(on_terminal, environment, kind):
    terminal = on_terminal()
    assert type(watch.output_for(environment, print)) is kind
    terminal.close()


def test_a_pipe_gets_lines(monkeypatch):
    reader, writer = os.pipe()
    with os.fdopen(reader), os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert type(watch.output_for({"TERM": "xterm"}, print)) is watch.Lines


# -- the thread ------------------------------------------------------------------------------------------------------


@pytest.fixture
def url(tmp_path):
    """A CloudStore in which a run of this process works."""
    url = f"sqlite:///{tmp_path}/cloudstore.db"
    with open_store(url, mode="write", allow_ephemeral=True) as store:
        store.begin_run()
        store.run(lambda tx: tx.add_tasks([Task("CREATE_VM", "vm", "vm-1", [Step(0, "CREATE_VM")])]))
        yield url


def watching(url, write):
    output = watch.Lines(write)
    output.every = 0.05
    watcher = watch.Watcher(url, output)
    watcher.start()
    return watcher


def ended(watcher):
    watcher._thread.join(30)
    return not watcher._thread.is_alive()


def test_a_watcher_writes_until_it_is_stopped(url):
    lines: list[str] = []
    watcher = watching(url, lines.append)
    until = time.monotonic() + 30
    while len(lines) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    watcher.stop()
    assert ended(watcher)
    assert {line.rpartition(":")[2] for line in lines} == {" vm create 0/1"}


def test_a_run_that_is_over_before_the_first_look_costs_nothing(url, monkeypatch):
    monkeypatch.setattr(watch.Watcher, "_look", None)
    watcher = watch.Watcher(url, watch.Lines(print))
    watcher.start()
    watcher.stop()
    assert ended(watcher)


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(5, "the terminal is gone"), ValueError("closed file")])
def test_a_closed_pipe_ends_it_quietly(url, capfd, error):
    def write(_line):
        raise error

    watcher = watching(url, write)
    assert ended(watcher)
    watcher.stop()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("url", ["sqlite:///nowhere", "no url"])
def test_a_url_that_is_wrong_is_left_to_the_run(url, capfd):
    watcher = watching(url, print)
    assert ended(watcher)
    assert capfd.readouterr().err == ""


def test_a_fork_while_it_draws_can_write(on_terminal):
    """Ansible forks its workers from the process that the thread lives in."""
    terminal = on_terminal()
    bars = watch.Bars(terminal.stream, {})
    bars.begin()
    stop = threading.Event()

    def draw():
        while not stop.is_set():
            bars.show(PROGRESS, {})

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        for _fork in range(50):
            pid = os.fork()
            if not pid:
                bars.clear()  # as any write of the worker would
                os._exit(0)
            until = time.monotonic() + 30
            while os.waitpid(pid, os.WNOHANG) == (0, 0):
                assert time.monotonic() < until, "the worker hangs"
                time.sleep(0.001)
    finally:
        stop.set()
        thread.join()
        bars.end()
        terminal.close()
