# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run pytest in forks of one process that has imported the libraries of the tests: that costs more than most tests.

A job is one line of JSON on stdin: words, environment, output, seconds. The answer is one line: true if it ended in
time.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import signal
import sys
import time
from typing import Any

import pytest

LIBRARIES = (
    "hypothesis", "yaml", "sqlalchemy", "sqlalchemy.dialects.sqlite", "sqlalchemy.dialects.postgresql", "psycopg",
    "pyVmomi", "cryptography", "concurrent.futures.thread", "http.client", "sqlite3",
)  # fmt: skip


def main() -> None:
    for name in LIBRARIES:
        if importlib.util.find_spec(name.partition(".")[0]) is not None:
            importlib.import_module(name)
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(job)
        print(json.dumps(_ended(child, job["seconds"])), flush=True)


def _run(job: dict[str, Any]) -> None:
    """Be the child: never returns."""
    code = 70
    try:
        os.setsid()
        output = os.open(job["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number, source in enumerate((os.open(os.devnull, os.O_RDONLY), output, output)):
            os.dup2(source, number)
        os.environ.update(job["environment"])
        sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in job["environment"]
        importlib.invalidate_caches()
        code = int(pytest.main(job["words"]))
        sys.stdout.flush()
    finally:
        os._exit(code)


def _ended(child: int, seconds: float) -> bool:
    """Wait for a child; interrupt it when its time is up, so that fixtures stop what they started, then kill it."""
    for limit, number in ((seconds, signal.SIGINT), (20.0, signal.SIGKILL)):
        until = time.monotonic() + limit
        while time.monotonic() < until:
            if os.waitpid(child, os.WNOHANG)[0]:
                return number == signal.SIGINT
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, number)
    os.waitpid(child, 0)
    return False


if __name__ == "__main__":
    main()
