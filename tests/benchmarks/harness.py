"""What a benchmark works with: timing of functions and of whole processes, a work folder on a disk, the data folder."""

from __future__ import annotations

import datetime
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple

# File systems that live in memory: fsync costs nothing there, so a database on one proves nothing.
IN_MEMORY = ("tmpfs", "ramfs")


# A process starts its life with the peak memory of the one that started it, and a benchmark may hold a great deal: so a
# small interpreter starts the command and reports what the kernel counted for it.
SHIM = """
import os, resource, subprocess, sys, time
report, words = int(sys.argv[1]), sys.argv[2:]
started = time.perf_counter()
code = subprocess.call(words)
seconds = time.perf_counter() - started
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
os.write(report, f"{code} {seconds} {usage.ru_utime + usage.ru_stime} {usage.ru_maxrss}".encode())
"""


class Timing(NamedTuple):
    """Median wall time in seconds, all of them in order, and what the last call returned."""

    seconds: float
    runs: list[float]
    result: Any


@dataclass(frozen=True)
class Process:
    """A finished process: wall seconds, CPU seconds of it and its children, peak memory, output.

    `megabytes` is the largest resident set that any single process of the tree reached, in MiB.
    """

    code: int
    seconds: float
    cpu_seconds: float
    megabytes: float
    output: str


@dataclass(frozen=True)
class Processes:
    """Several runs of one command: medians of their times, the maximum of their memory, and the runs themselves."""

    runs: list[Process]

    @property
    def seconds(self) -> float:
        return statistics.median(run.seconds for run in self.runs)

    @property
    def cpu_seconds(self) -> float:
        return statistics.median(run.cpu_seconds for run in self.runs)

    @property
    def megabytes(self) -> float:
        return max(run.megabytes for run in self.runs)

    @property
    def output(self) -> str:
        return self.runs[-1].output


class Context:
    """Handed to `run(context)`. A context manager: leaving it removes its work folder.

    root: the checkout. name: the benchmark's. work: an empty folder on a disk file system.
    """

    def __init__(self, root: pathlib.Path, name: str) -> None:
        self.root = root
        self.name = name

    def __enter__(self) -> Context:
        self.work = disk_folder(self.root, self.name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.work, ignore_errors=True)

    def time(
        self, function: Callable[..., Any], *args: Any, repeat: int = 5, setup: Callable[[], Any] | None = None
    ) -> Timing:
        """Call `function(*args)` `repeat` times, `setup()` untimed before each; median seconds and the last result."""
        runs, result = [], None
        for _ in range(repeat):
            if setup:
                setup()
            started = time.perf_counter()
            result = function(*args)
            runs.append(time.perf_counter() - started)
        return Timing(statistics.median(runs), runs, result)

    def process(
        self,
        words: Sequence[str | os.PathLike[str]],
        *,
        repeat: int = 1,
        environment: Mapping[str, str] | None = None,
        check: bool = True,
        setup: Callable[[], Any] | None = None,
    ) -> Processes:
        """Run a command from the root `repeat` times, whole processes timed from outside.

        With `check`, one that ends with another code than 0 raises RuntimeError with the end of its output.
        """
        runs = []
        for _ in range(repeat):
            if setup:
                setup()
            run = measure([str(word) for word in words], self.root, {**os.environ, **(environment or {})})
            if check and run.code:
                raise RuntimeError(f"{' '.join(map(str, words))} ended with {run.code}:\n{run.output[-4000:]}")
            runs.append(run)
        return Processes(runs)

    def playbook(
        self,
        playbook: str | os.PathLike[str],
        *arguments: str,
        repeat: int = 5,
        environment: Mapping[str, str] | None = None,
        check: bool = True,
        setup: Callable[[], Any] | None = None,
    ) -> Processes:
        """Whole `ansible-playbook` runs of this virtualenv, without colour; arguments as on the command line."""
        program = pathlib.Path(sys.executable).parent / "ansible-playbook"
        quiet = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_CONFIG": str(self.root / "ansible.cfg"), **(environment or {})}
        words = [program, *arguments, playbook]
        return self.process(words, repeat=repeat, environment=quiet, check=check, setup=setup)

    def data(self, name: str) -> pathlib.Path:
        """A file of the data folder: PHOTON_BENCH_DATA, or `shared/data` beside the checkout.

        FileNotFoundError says how to name the folder.
        """
        named = os.environ.get("PHOTON_BENCH_DATA")
        folder = pathlib.Path(named) if named else self.root.parent / "shared" / "data"
        path = folder / name
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist: set PHOTON_BENCH_DATA to the folder that holds {name}")
        return path

    def table(self, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Print a table, numbers to the right."""
        print_table(header, rows)


def measure(words: list[str], folder: pathlib.Path, environment: Mapping[str, str]) -> Process:
    """Run one command to its end. The times and the memory are the kernel's count for it and its own children."""
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as output, os.fdopen(reader) as figures:
        try:
            shim = [sys.executable, "-I", "-S", "-c", SHIM, str(writer), *words]
            child = subprocess.Popen(
                shim,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[writer],
            )
        finally:
            os.close(writer)
        line = figures.read().split()
        child.wait()
        output.seek(0)
        text = output.read().decode(errors="replace")
    if len(line) != 4:
        raise RuntimeError(f"{' '.join(words)} could not be started:\n{text[-4000:]}")
    code, (seconds, cpu, kilobytes) = int(line[0]), map(float, line[1:])
    return Process(code, seconds, cpu, kilobytes / 1024, text)


def disk_folder(root: pathlib.Path, name: str) -> pathlib.Path:
    """A new empty folder under .build, or under PHOTON_BENCH_WORK; RuntimeError where that lies in memory."""
    parent = pathlib.Path(os.environ.get("PHOTON_BENCH_WORK") or root / ".build" / "bench")
    parent.mkdir(parents=True, exist_ok=True)
    kind = file_system(parent)
    if kind in IN_MEMORY:
        raise RuntimeError(f"{parent} lies on {kind}: set PHOTON_BENCH_WORK to a folder on a disk")
    return pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))


def file_system(path: pathlib.Path) -> str:
    """The type of the file system that holds `path`, from the kernel's mount table."""
    path = path.resolve()
    best, kind = "", "unknown"
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _device, point, found, *_rest = line.split()
        if path.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, found
    return kind


def origin(root: pathlib.Path) -> dict[str, str]:
    """Where a figure comes from: commit (with a plus sign when the tree differs from it), date, machine."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    changed = "+" if git("status", "--porcelain", "--untracked-files=no") else ""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return {
        "commit": (git("rev-parse", "--short=12", "HEAD") or "unknown") + changed,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {memory} GiB, Python {platform.python_version()}",
    }


def print_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under a header; numbers are shown with four significant digits and stand to the right."""
    rows = list(rows)
    lines = [[shown(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    numeric = [bool(rows) and all(isinstance(row[c], int | float) for row in rows) for c in range(len(header))]
    for number, line in enumerate(lines):
        cells = zip(line, widths, numeric, strict=True)
        print("  ".join(text.rjust(width) if right else text.ljust(width) for text, width, right in cells).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))


def shown(cell: Any) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.4g}"
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)
