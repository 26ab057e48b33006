"""Run the tests in sections, with one verdict: scripts/tests.py all | unit | chaos | roles | kubernetes | image.

Each section is a pytest run of its own with a JUnit report under .build/junit. Kubernetes for the lab is built while
sections run that do not need it. At the end stand the time of each section and of each step of that build, everything
that was skipped and why, and a closing line that adds all sections up. With CI=true a skip is a failure: there,
everything must run.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field

import commands

ROOT = commands.ROOT
sys.path.insert(0, str(ROOT))

from lab.hosts.base import unavailable  # noqa: E402  (the path has to be set first)

REPORTS = ROOT / ".build" / "junit"
BUILD_LOG = ROOT / ".build" / "kubernetes-build.log"
CLUSTERS = "kubernetes"  # scenarios with such names make clusters of the lab's own builds
NEED_BUILD = "tests/integration/kubernetes"
IN_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")


@dataclass
class Section:
    """One run: its title, its outcome and what it left out."""

    title: str
    seconds: float = 0.0
    processor_seconds: float = 0.0
    passed: int = 0
    failed: int = 0
    skipped: list[str] = field(default_factory=list)
    broken: str = ""
    note: str = ""
    details: list[str] = field(default_factory=list)


def main(which: str) -> int:
    """Run the sections of `which`, print the summary, return the exit code."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    if which in ("all", "roles"):
        return summary(with_clusters(which))
    if which == "unit":
        return summary([newest(["tests/unit"]), pytest("unit", sys.executable, ["tests/unit"])])
    if which == "chaos":
        return summary([pytest("chaos", sys.executable, existing("tests/chaos", "tests/integration/awx"))])
    if which == "image":
        return summary([pytest("image", sys.executable, existing("tests/images"), PHOTON_TEST_WORKERS="1")])
    # One cluster at a time: a test is about what happens in it, not about two of them on one machine.
    return summary([pytest("kubernetes", sys.executable, existing("tests/kubernetes"), PHOTON_TEST_WORKERS="1")])


def with_clusters(which: str) -> list[Section]:
    """Run the sections of `all` or `roles`: what needs Kubernetes comes last and waits until that is built."""
    chosen = os.environ.get("ROLE", "")
    known = sorted(path.parent.name for path in ROOT.glob("extensions/molecule/*/molecule.yml"))
    if chosen and chosen not in known:
        return [Section("roles", broken=f"there is no scenario {chosen}, only: {', '.join(known) or 'none'}")]
    names = [name for name in known if chosen in ("", name)]
    clusters = [name for name in names if name.startswith(CLUSTERS)]
    sections = []
    with Build(needed=can_build() and bool(clusters or which == "all")) as build:
        if which == "all":
            sections.append(newest(["tests/unit"]))
        sections += [molecule(name, suite) for name in names if name not in clusters for suite in suites()]
        if which == "all":
            paths = existing("tests/unit", "tests/integration", "tests/chaos")
            sections.append(pytest("main", sys.executable, [*paths, f"--ignore={NEED_BUILD}"]))
        built = build.finish()
        sections += built
        if any(section.broken for section in built):
            reason = "not run: there is no Kubernetes"
            titles = ["kubernetes"] * (which == "all") + [f"role {name} trixie" for name in clusters]
            return sections + [Section(title, broken=reason) for title in titles]
        if which == "all":
            sections.append(pytest("kubernetes", sys.executable, existing(NEED_BUILD)))
        # Clusters come from one suite's packages, whatever suites are asked for.
        sections += [molecule(name, "trixie") for name in clusters]
    return sections


def can_build() -> bool:
    """Can the lab serve Kubernetes to hosts of the chosen driver?"""
    return os.environ.get("LAB_DRIVER", "nspawn") == "nspawn" and not unavailable()


def suites() -> list[str]:
    """The Debian suites that the roles are tested on; one without a name where the hosts exist already."""
    return [""] if os.environ.get("LAB_DRIVER") == "ssh" else os.environ.get("LAB_SUITE", "bookworm trixie").split()


class Build:
    """The lab's Kubernetes, built in the background at a low priority: a context manager, ends what still runs."""

    words = (sys.executable, str(ROOT / "bin" / "lab"), "kubernetes", "build", "--newer")

    def __init__(self, needed: bool) -> None:
        self.needed = needed

    def __enter__(self) -> Build:
        if self.needed:
            self._log = open(BUILD_LOG, "w", encoding="utf-8")
            self._process = commands.start(["nice", "-n", "10", *self.words], output=self._log)
        return self

    def __exit__(self, *_error: object) -> None:
        if self.needed:
            commands.end(self._process)
            self._log.close()

    def finish(self) -> list[Section]:
        """Wait for the end; a section whose time is that of the wait alone, and whose details are the build's steps."""
        if not self.needed:
            return []
        section = Section("kubernetes build", note="built while the sections above ran")
        with measured(section):
            if self._process.poll() is None:
                section.note += "; its seconds are the wait for the rest"
                with contextlib.suppress(OSError):
                    os.setpriority(os.PRIO_PGRP, self._process.pid, 0)  # there is nothing left to give way to
            code = self._process.wait()
        section.details = BUILD_LOG.read_text(encoding="utf-8").splitlines()
        if code:
            section.broken, section.note = f"Kubernetes could not be built for the lab ({code})", ""
        print(*section.details, sep="\n", flush=True)
        return [section]


def pytest(title: str, python: str, paths: list[str], **environment: str) -> Section:
    """Run pytest on `paths` with two workers and read its report."""
    section = Section(title)
    report = REPORTS / f"{title}.xml"
    report.unlink(missing_ok=True)
    if not paths:
        section.broken = "there is nothing to run"
        return section
    workers = {**os.environ, **environment}.get("PHOTON_TEST_WORKERS", "2")
    words = [python, "-m", "pytest", "-q", "-n", workers, "--dist", "loadfile"]
    words += ["--durations=10", "--durations-min=5", f"--junitxml={report}"]
    words += [*paths, *os.environ.get("PYTEST_ARGS", "").split()]
    code = run(section, words, **environment)
    if not report.exists():
        section.broken = f"pytest ended with {code} and wrote no report"
        return section
    read(report, section)
    if code and not section.failed:
        section.broken = f"pytest ended with {code}"
    return section


def newest(paths: list[str]) -> Section:
    """The fast tests with the newest ansible-core, where a Python that it accepts is found."""
    section = Section("newest ansible-core")
    code = run(section, [str(ROOT / "scripts" / "venv"), "--newest"])
    if code == 3:
        section.skipped.append("newest ansible-core: no Python >= 3.12 (with venv) on PATH or in ~/.pyenv/versions")
        return section
    if code:
        section.broken = "its virtualenv could not be made"
        return section
    return pytest(section.title.replace(" ", "-"), str(ROOT / ".build" / "venv-newest" / "bin" / "python"), paths)


def molecule(scenario: str, suite: str) -> Section:
    """`molecule test` of one scenario on hosts of one Debian suite: its tests count as one."""
    driver = os.environ.get("LAB_DRIVER", "nspawn")
    section = Section(f"role {scenario} {suite or driver}")
    if driver == "nspawn" and unavailable():
        section.skipped.append(f"role {scenario}: {unavailable()}; LAB_DRIVER=podman needs no root, ssh no Debian")
        return section
    if driver != "nspawn" and scenario.startswith(CLUSTERS):
        section.skipped.append(f"role {scenario}: the lab serves Kubernetes to hosts of its driver nspawn alone")
        return section
    binaries = pathlib.Path(sys.executable).parent
    lab = f"role-{scenario.replace('_', '-')}-{suite or driver}-{os.getpid()}"[-32:].lstrip("-0123456789")
    hosts = [sys.executable, "-m", "lab.hosts"]
    # Destroyed by the next run should this one die: the lab knows whose it is.
    subprocess.run([*hosts, "gc"], cwd=ROOT, check=False)
    environment = {"LAB_DRIVER": driver, "LAB_NAME": lab, "LAB_SUITE": suite, "LAB_OWNER": str(os.getpid())}
    environment["MOLECULE_EPHEMERAL_DIRECTORY"] = str(ROOT / ".build" / "molecule" / lab)
    try:
        words = [str(binaries / "molecule"), "test", "--scenario-name", scenario]
        code = run(section, words, PATH=f"{binaries}:{os.environ['PATH']}", **environment)
    finally:
        subprocess.run([*hosts, "destroy", "--all", "--lab", lab], cwd=ROOT, check=False)
        shutil.rmtree(environment["MOLECULE_EPHEMERAL_DIRECTORY"], ignore_errors=True)
    section.passed, section.failed = (0, 1) if code else (1, 0)
    return section


def summary(sections: list[Section]) -> int:
    """Print what ran, what was skipped and why, then the closing line."""
    banner("summary")
    for section in sections:
        counts = f"{section.passed:5} passed {section.failed:4} failed {len(section.skipped):4} skipped"
        times = f"{section.seconds:7.1f} s {section.processor_seconds:7.1f} s CPU"
        print(f"{section.title:32} {times} {counts}  {section.broken or section.note}")
        for line in section.details:
            print(f"    {line}")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"load average of the last 1, 5 and 15 minutes: {load}, on {os.cpu_count()} processors")
    skipped = [reason for section in sections for reason in section.skipped]
    for reason in skipped:
        print(f"SKIPPED {reason}")
    passed, failed = sum(s.passed for s in sections), sum(s.failed for s in sections)
    broken = sum(bool(s.broken) for s in sections)
    if IN_CI and skipped:
        print(f"In CI nothing may be skipped: {len(skipped)} skips count as failures.")
        failed, skipped = failed + len(skipped), []
    counts = [f"{failed} failed"] * bool(failed) + [f"{passed} passed"] + [f"{len(skipped)} skipped"] * bool(skipped)
    counts += [f"{broken} error{'s' * (broken > 1)}"] * bool(broken)
    text = f" {', '.join(counts)} in {sum(s.seconds for s in sections):.2f}s "
    print(text.center(100, "="), flush=True)
    return 1 if failed or broken or not passed else 0


def run(section: Section, words: list[str], **environment: str) -> int:
    """Run a command in the root folder, its output going straight through; add its time to the section."""
    with measured(section):
        return commands.run(words, **environment)


@contextlib.contextmanager
def measured(section: Section) -> Iterator[None]:
    """Add the time of the block to the section, and the processor time of the commands that it waited for."""
    banner(section.title)
    started, used = time.monotonic(), commands.processor_seconds()
    yield
    section.seconds += time.monotonic() - started
    section.processor_seconds += commands.processor_seconds() - used


def read(report: pathlib.Path, section: Section) -> None:
    """Count the cases of a JUnit report into `section`."""
    for case in ET.parse(report).iter("testcase"):
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        skip = case.find("skipped")
        if skip is not None and skip.get("type") != "pytest.xfail":
            section.skipped.append(f"{name}: {skip.get('message', '')}")
        elif case.find("failure") is not None or case.find("error") is not None:
            section.failed += 1
        else:
            section.passed += 1


def existing(*paths: str) -> list[str]:
    """Those of the paths that hold a test file: pytest takes a folder without one for a mistake."""
    return [path for path in paths if any((ROOT / path).rglob("test_*.py"))]


def banner(title: str) -> None:
    """A line that parts the sections."""
    print(f"\n=== {title} ===", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ("all", "unit", "chaos", "roles", "kubernetes", "image"):
        sys.exit(__doc__)
    commands.interruptible()
    try:
        sys.exit(main(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit("interrupted: what was started has been ended")
