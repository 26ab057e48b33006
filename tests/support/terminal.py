# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs on a terminal of the kernel's, and the screen that a person would have seen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_PART = re.compile(r"\x1b\[(\??)([\d;]*)([A-Za-z])|([^\x1b]|\x1b(?!\[))", re.DOTALL)


class Seen(NamedTuple):
    """``raw``: all that was written. ``screens``: the screen each time the cursor went up. ``end``: the last one."""

    code: int
    raw: str
    screens: list[list[str]]
    end: list[str]


def run(
    words: Sequence[str], environment: Mapping[str, str], folder: str, columns: int = 60, keys: bytes = b""
) -> Seen:
    """Run a program on a terminal of this width until it ends; ``keys`` are typed at its start."""
    pid, terminal = pty.fork()
    if not pid:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 500, columns, 0, 0))
        os.chdir(folder)
        os.execve(words[0], list(words), dict(environment))
    os.write(terminal, keys)
    data = b""
    try:
        while part := os.read(terminal, 1 << 16):
            data += part
    except OSError:  # the program has ended
        pass
    _pid, status = os.waitpid(pid, 0)
    os.close(terminal)
    raw = data.decode("utf-8", "replace")
    screens = _screens(raw)
    return Seen(os.waitstatus_to_exitcode(status), raw, screens[:-1], screens[-1])


def _screens(raw: str) -> list[list[str]]:
    """Play what was written: carriage return, newline, cursor up, and clearing to the end of the line and screen."""
    lines, row, column, kept = [""], 0, 0, []
    for private, number, command, character in _PART.findall(raw):
        if character == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif character == "\r":
            column = 0
        elif character:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + character + line[column + 1 :]
            column += 1
        elif command == "A":
            kept.append([line.rstrip() for line in lines])
            row = max(0, row - int(number or 1))
        elif command == "K":
            lines[row] = lines[row][:column]
        elif command == "J" and not private:
            lines[row:] = [lines[row][:column]]
    return [*kept, [line.rstrip() for line in lines]]
