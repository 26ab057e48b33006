# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutation check: change one place of the product in a copy of the checkout, and require that a named test notices.

A mutant counts as caught only if the unmutated copy passes the same tests, the changed module was imported from the
copy, and a test failed by an assertion or by an error of the product. A mutant that breaks the code (NameError and the
like), hangs or is never imported is not caught.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
UTILS = "plugins/module_utils"
# What the tests of a copy need; everything else stays behind.
COPIED = (
    "plugins", "tests", "lab", "collections", "meta", "roles", "bin", "galaxy.yml", "pyproject.toml", "ansible.cfg",
)  # fmt: skip
DROP = "pass"
CAUGHT, SURVIVED, BROKEN, TIMEOUT = "caught", "SURVIVED", "BROKEN", "TIMEOUT"


@dataclass(frozen=True)
class Mutant:
    """One change of the product, and the tests that must fail with it.

    ``file`` is relative to module_utils; ``where`` the qualified name of a function, or "" for the whole module. With
    ``new`` DROP the statement that starts with ``old`` becomes ``pass``, otherwise the only occurrence of ``old`` there
    becomes ``new``. ``tests`` are pytest's ids. ``equivalent`` says why no test can notice the change.
    """

    file: str
    where: str
    what: str
    old: str
    new: str
    tests: tuple[str, ...]
    equivalent: str = ""

    @property
    def path(self) -> str:
        return f"{UTILS}/{self.file}"


@dataclass(frozen=True)
class Edit:
    """A mutant in its source: the first and last line of what it changes, and the changed text of the whole file."""

    line: int
    last: int
    text: str


@dataclass(frozen=True)
class Verdict:
    """What the tests made of a mutant: CAUGHT, SURVIVED, BROKEN or TIMEOUT; by which test, and with which error."""

    mutant: Mutant
    line: int
    outcome: str
    test: str = ""
    error: str = ""


def edit(mutant: Mutant, root: Path = ROOT) -> Edit:
    """Apply a mutant to the text of its file. Raises ValueError where it does not fit the source exactly once."""
    source = (root / mutant.path).read_text(encoding="utf-8")
    start, end = _range(source, mutant)
    if mutant.new == DROP:
        start, end = _statement(source, start, end, mutant)
    else:
        if source.count(mutant.old, start, end) != 1:
            raise ValueError(f"{mutant.path} {mutant.where}: {mutant.old!r} must occur exactly once")
        start = source.index(mutant.old, start, end)
        end = start + len(mutant.old)
    text = source[:start] + mutant.new + source[end:]
    if ast.dump(ast.parse(text)) == ast.dump(ast.parse(source)):
        raise ValueError(f"{mutant.path} {mutant.where}: the change of {mutant.old!r} changes nothing")
    line = source.count("\n", 0, start) + 1
    return Edit(line, line + source.count("\n", start, end), text)


class Copy:
    """A copy of the checkout in which mutants are tried, one at a time. A context manager: it ends its process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._server: subprocess.Popen[str] | None = None

    @classmethod
    def of(cls, root: Path, folder: Path, names: Sequence[str] = COPIED) -> Copy:
        """Copy these files and folders of a checkout to a new folder."""
        folder.mkdir(parents=True)
        for name in names:
            source = root / name
            if source.is_dir():
                shutil.copytree(source, folder / name, symlinks=True)
            else:
                shutil.copy2(source, folder / name)
        return cls(folder)

    def again(self, folder: Path) -> Copy:
        """Copy this copy, with all that its runs compiled, to a new folder."""
        shutil.copytree(self.folder, folder, symlinks=True, ignore=shutil.ignore_patterns("tmp"))
        return Copy(folder)

    def __enter__(self) -> Copy:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._server is not None:
            self._server.communicate()  # the end of its input ends it

    def passes(self, tests: Iterable[str], seconds: float) -> list[str]:
        """Run tests without a mutant; returns what failed, each with its error."""
        report = self._run(tests, "", seconds)
        if report is None:
            return [f"not finished after {seconds:.0f} s"]
        failed = [f"{each['test']}: {each['error']}" for each in report["failed"]]
        return failed or ([] if report["passed"] else [f"no test passed: {report['output']}"])

    def judge(self, mutant: Mutant, seconds: float) -> Verdict:
        """Apply a mutant, run its tests until one notices, and put the source back."""
        changed = edit(mutant, self.folder)
        path = self.folder / mutant.path
        original = path.read_bytes()
        # A cached module of the same size and second would be taken for the changed one.
        for cached in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            cached.unlink()
        path.write_text(changed.text, encoding="utf-8")
        try:
            report = self._run(mutant.tests, mutant.path, seconds)
        finally:
            path.write_bytes(original)
        if report is None:
            return Verdict(mutant, changed.line, TIMEOUT, error=f"not finished after {seconds:.0f} s")
        for each in report["failed"]:
            if each["product"] and report["imported"]:
                return Verdict(mutant, changed.line, CAUGHT, each["test"], each["error"])
        if report["failed"]:
            first = report["failed"][0]
            return Verdict(mutant, changed.line, BROKEN, first["test"], first["error"])
        if not report["passed"] or not report["imported"]:
            return Verdict(mutant, changed.line, BROKEN, error=f"its tests did not run it: {report['output']}")
        return Verdict(mutant, changed.line, SURVIVED)

    def _run(self, tests: Iterable[str], changed: str, seconds: float) -> dict[str, Any] | None:
        """Run pytest in the copy; its report, or None when the time is up."""
        report, output = self.folder / "report.json", self.folder / "output"
        report.unlink(missing_ok=True)
        environment = {
            "PHOTON_MUTANT": changed and str((self.folder / changed).resolve()),
            "PHOTON_MUTANT_REPORT": str(report),
            **({"PYTHONDONTWRITEBYTECODE": "1"} if changed else {}),
        }
        words = ["-q", "-p", "tests.support.mutant_report", "-p", "no:cacheprovider", "--tb=short",
                 f"--basetemp={self.folder / 'tmp'}", *tests]  # fmt: skip
        job = {"words": words, "environment": environment, "output": str(output), "seconds": seconds}
        if not self._ask(job):
            return None
        found = json.loads(report.read_text()) if report.exists() else {"passed": [], "failed": [], "imported": False}
        return {**found, "output": output.read_text(errors="replace")[-2000:]}

    def _ask(self, job: dict[str, Any]) -> bool:
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tests.support.mutant_server"],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": f"{self.folder}:{self.folder / 'collections'}"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(job) + "\n")
        self._server.stdin.flush()
        answer = self._server.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process that runs the tests ended with {self._server.wait()}")
        return bool(json.loads(answer))


def judge_all(mutants: Sequence[Mutant], copies: Sequence[Copy], seconds: float) -> Iterator[Verdict]:
    """Judge mutants, as many at a time as there are copies; yields their verdicts in the order of ``mutants``."""
    free, lock = list(copies), threading.Lock()

    def one(mutant: Mutant) -> Verdict:
        with lock:
            copy = free.pop()
        try:
            return copy.judge(mutant, seconds)
        finally:
            with lock:
                free.append(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        yield from pool.map(one, mutants)


def _range(source: str, mutant: Mutant) -> tuple[int, int]:
    """The offsets of the function that a mutant changes."""
    if not mutant.where:
        return 0, len(source)
    body: Any = ast.parse(source)
    for name in mutant.where.split("."):
        found = [node for node in body.body if getattr(node, "name", None) == name]
        if len(found) != 1:
            raise ValueError(f"{mutant.path} has no {mutant.where}")
        [body] = found
    return _span(body, _lines(source))


def _statement(source: str, start: int, end: int, mutant: Mutant) -> tuple[int, int]:
    """The offsets of the one statement between two offsets that starts with ``old``."""
    lines = _lines(source)
    spans = [_span(node, lines) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)]
    found = [span for span in spans if start <= span[0] and span[1] <= end and source.startswith(mutant.old, span[0])]
    if len(found) != 1:
        raise ValueError(f"{mutant.path} {mutant.where}: one statement must start with {mutant.old!r}")
    return found[0]


def _lines(source: str) -> list[tuple[int, bytes]]:
    """Each line with its offset."""
    lines, offset = [], 0
    for line in source.splitlines(keepends=True):
        lines.append((offset, line.encode()))
        offset += len(line)
    return lines


def _span(node: Any, lines: list[tuple[int, bytes]]) -> tuple[int, int]:
    """The offsets of a node; ast counts columns in bytes."""
    (first, head), (last, tail) = lines[node.lineno - 1], lines[node.end_lineno - 1]
    return first + len(head[: node.col_offset].decode()), last + len(tail[: node.end_col_offset].decode())
