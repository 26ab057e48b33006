"""Run the tests in sections and close with one verdict: scripts/tests.py all | unit | chaos | roles | kubernetes.

Each section is a pytest run of its own with a JUnit report under .build/junit. At the end stand the time of each
section, everything that was skipped and why, and a closing line that adds all sections up. With CI=true a skip is a
failure: there, everything must run.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

ROOT = pathlib.Path(__file__).resolve().parents[1]
REPORTS = ROOT / ".build" / "junit"
CLUSTERS = "kubernetes"  # scenarios with such names make clusters of the lab's own builds
IN_CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")


@dataclass
class Section:
    """One run: its title, its outcome and what it left out."""

    title: str
    seconds: float = 0.0
    passed: int = 0
    failed: int = 0
    skipped: list[str] = field(default_factory=list)
    broken: str = ""


def main(which: str) -> int:
    """Run the sections of `which`, print the summary, return the exit code."""
    sections: list[Section] = []
    REPORTS.mkdir(parents=True, exist_ok=True)
    if which in ("all", "unit"):
        sections.append(newest(["tests/unit"]))
    if which == "unit":
        sections.append(pytest("unit", sys.executable, ["tests/unit"]))
    if which in ("all", "roles"):
        sections.extend(roles())
    if which == "all":
        sections.append(pytest("main", sys.executable, existing("tests/unit", "tests/integration", "tests/chaos")))
    if which == "chaos":
        sections.append(pytest("chaos", sys.executable, existing("tests/chaos")))
    if which == "kubernetes":
        # One cluster at a time: a test is about what happens in it, not about two of them on one machine.
        sections.append(pytest("kubernetes", sys.executable, existing("tests/kubernetes"), PHOTON_TEST_WORKERS="1"))
    return summary(sections)


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
    banner(section.title)
    code = subprocess.run([ROOT / "scripts" / "venv", "--newest"], check=False).returncode
    if code == 3:
        section.skipped.append("newest ansible-core: no Python >= 3.12 (with venv) on PATH or in ~/.pyenv/versions")
        return section
    if code:
        section.broken = "its virtualenv could not be made"
        return section
    return pytest(section.title.replace(" ", "-"), str(ROOT / ".build" / "venv-newest" / "bin" / "python"), paths)


def roles() -> list[Section]:
    """One Molecule run per role's scenario; ROLE=name chooses one."""
    chosen = os.environ.get("ROLE", "")
    scenarios = sorted(path.parent.name for path in ROOT.glob("extensions/molecule/*/molecule.yml"))
    if chosen and chosen not in scenarios:
        return [Section("roles", broken=f"no scenario {chosen}; there are: {', '.join(scenarios) or 'none'}")]
    wanted = [name for name in scenarios if chosen in ("", name)]
    suites = os.environ.get("LAB_SUITE", "bookworm trixie").split()
    if os.environ.get("LAB_DRIVER") == "ssh":
        suites = [""]  # hosts that somebody made are what they are
    done = []
    for name in wanted:
        if name.startswith(CLUSTERS):
            # Clusters come from one suite's packages, whatever suites are asked for.
            done += [*kubernetes_cache(done), molecule(name, "trixie")]
        else:
            done += [molecule(name, suite) for suite in suites]
    return done


def kubernetes_cache(done: list[Section]) -> list[Section]:
    """Build what the clusters are made of, before the first of them: nothing to do but for the first time (minutes)."""
    section = Section("kubernetes cache")
    if (
        os.geteuid() != 0
        or os.environ.get("LAB_DRIVER", "nspawn") != "nspawn"
        or section.title in [s.title for s in done]
    ):
        return []
    if run(section, [sys.executable, str(ROOT / "bin" / "lab"), "kubernetes", "build", "--newer"]):
        section.broken = "Kubernetes could not be built for the lab"
    return [section]


def molecule(scenario: str, suite: str) -> Section:
    """`molecule test` of one scenario on hosts of one Debian suite: its tests count as one."""
    driver = os.environ.get("LAB_DRIVER", "nspawn")
    section = Section(f"role {scenario} {suite or driver}")
    if driver == "nspawn" and os.geteuid() != 0:
        section.skipped.append(f"role {scenario}: the nspawn driver needs root (LAB_DRIVER=podman does not)")
        return section
    if driver == "nspawn" and not shutil.which("apt-get"):
        section.skipped.append(f"role {scenario}: the nspawn driver needs a Debian machine (or LAB_DRIVER=ssh)")
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
        print(f"{section.title:24} {section.seconds:7.1f} s  {counts}  {section.broken}")
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
    banner(section.title)
    started = time.monotonic()
    environment = {**os.environ, **environment}
    code = subprocess.run(words, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False).returncode
    section.seconds += time.monotonic() - started
    return code


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
    if len(sys.argv) != 2 or sys.argv[1] not in ("all", "unit", "chaos", "roles", "kubernetes"):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
