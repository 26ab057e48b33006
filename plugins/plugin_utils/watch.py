# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watch a run from Ansible's own process: a thread that reads the journal, and what it writes to."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, TextIO

from ansible.errors import AnsibleError

# Ansible forks workers at any time: none may start with this lock taken, or with half an import.
_forks = threading.Lock()
os.register_at_fork(before=_forks.acquire, after_in_parent=_forks.release, after_in_child=_forks.release)

_CLEAR = "\x1b[J"
_WRAP_OFF, _WRAP_ON = "\x1b[?7l", "\x1b[?7h"


class Lines:
    """One line each 10 seconds, for pipes and job logs."""

    every = 10.0

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def begin(self) -> None:
        """Nothing has to be prepared."""

    def show(self, progress: Any, rates: dict[Any, float]) -> None:
        from ..module_utils import progress_text

        self._write(progress_text.line(progress, rates))

    def end(self) -> None:
        """Nothing has to be cleared."""


class Bars:
    """Bars on a terminal, drawn again each second; the cursor stays above them.

    While they are there, whatever else is written to the terminal clears them first.
    """

    every = 1.0

    def __init__(self, stream: TextIO, environment: dict[str, str]) -> None:
        self._file = stream.fileno()
        self._encoding = stream.encoding or "ascii"
        self._unicode = self._encoding.lower().replace("-", "") == "utf8"
        self._color = not environment.get("NO_COLOR")
        self._drawn = self._ended = False
        self._streams: tuple[Any, Any] = (None, None)

    def begin(self) -> None:
        self._streams = (sys.stdout, sys.stderr)
        sys.stdout, sys.stderr = (_Above(s, self.clear) if s.isatty() else s for s in self._streams)

    def show(self, progress: Any, rates: dict[Any, float]) -> None:
        from ..module_utils import progress_text

        width, height = os.get_terminal_size(self._file)
        lines = progress_text.bars(progress, rates, max(20, width - 1), unicode=self._unicode, color=self._color)[
            : max(1, height - 1)
        ]
        text = "".join(f"\r{line}\x1b[K\n" for line in lines)
        with _forks:
            if self._ended:
                return
            self._drawn = True
            self._write(f"{_WRAP_OFF}{text}{_WRAP_ON}{_CLEAR}\x1b[{len(lines)}A")

    def clear(self) -> None:
        with _forks:
            if self._drawn:
                self._drawn = False
                with contextlib.suppress(OSError):
                    self._write(f"\r{_CLEAR}")

    def end(self) -> None:
        with _forks:
            self._ended = True
        self.clear()
        sys.stdout, sys.stderr = self._streams

    def _write(self, text: str) -> None:
        # Not through sys.stderr, whose lock Ansible holds while it forks.
        os.write(self._file, text.encode(self._encoding, "replace"))


class _Above:
    """A stream of the terminal that the bars are on."""

    def __init__(self, stream: TextIO, clear: Callable[[], None]) -> None:
        self._stream, self._clear = stream, clear

    def write(self, text: str) -> int:
        self._clear()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Watcher:
    """Shows how far the run of a module that Ansible waits for came, until it is stopped."""

    def __init__(self, url: str, output: Lines | Bars) -> None:
        self._url, self._output = url, output
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="photon-progress", daemon=True)

    def start(self) -> None:
        self._output.begin()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._output.end()

    def _watch(self) -> None:
        if self._stopping.wait(self._output.every):
            return
        # What it shows is never worth a failure: of the journal, of a closed pipe or of a terminal that is gone.
        with contextlib.suppress(OSError, ValueError, AnsibleError):
            self._look()

    def _look(self) -> None:
        with _forks:
            from ..module_utils.cloudstore.progress import Reader
            from ..module_utils.model.errors import PhotonError
            from ..module_utils.progress_text import Rates

        rates = Rates()
        try:
            with _forks:
                reader = Reader(self._url)
        except PhotonError:  # the run itself reports it
            return
        with contextlib.closing(reader):
            while True:
                progress = reader.read(os.getpid())
                if progress is not None and not self._stopping.is_set():
                    self._output.show(progress, rates.add(progress))
                if self._stopping.wait(self._output.every):
                    return


def output_for(environment: dict[str, str], write: Callable[[str], None]) -> Lines | Bars:
    """Bars where standard error is a terminal that a person looks at; ansible-runner and AWX offer another kind."""
    with contextlib.suppress(OSError, ValueError):
        runner = "AWX_ISOLATED_DATA_DIR" in environment or "RUNNER_OMIT_EVENTS" in environment
        if sys.stderr.isatty() and environment.get("TERM", "dumb") != "dumb" and not runner:
            return Bars(sys.stderr, environment)
    return Lines(write)
