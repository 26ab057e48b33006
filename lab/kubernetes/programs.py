# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Static programs out of Go modules.

`go install module@version` refuses modules that replace others, as Kubernetes and etcd do: each build has a go.mod of
its own. All modules come through the Go module proxy and are checked against its checksum database.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..build import find_go
from ..hosts.paths import LabError
from . import cache, versions
from .versions import Program

_SOURCES = Path(__file__).parent / "own"
_FLAGS = ("-trimpath", "-buildvcs=false")


def kubernetes(version: str, names: Sequence[str]) -> dict[str, Path]:
    """Programs of Kubernetes ``version`` by name, built together (minutes when nothing is cached)."""
    targets = {name: cache.programs("kubernetes", version) / name for name in names}
    missing = [name for name, target in targets.items() if not cache.is_made(target, version)]
    if missing:
        work = _work(f"kubernetes-{version}")
        _kubernetes_module(version, work)
        stamps = _kubernetes_stamps(version)
        out = work / "out"
        first, *others = missing
        with cache.making(targets[first], version, f"kubernetes {version}: {' '.join(missing)}") as part:
            packages = [f"k8s.io/kubernetes/cmd/{name}" for name in missing]
            _go(["build", *_FLAGS, "-ldflags", f"-s -w{stamps}", "-o", f"{out}/", *packages], work)
            (out / first).rename(part)
        for name in others:
            with cache.making(targets[name], version) as part:
                (out / name).rename(part)
    return targets


def program(wanted: Program) -> Path:
    """One program of another module."""
    target = cache.programs(wanted.name, wanted.version) / wanted.name
    recipe = repr(wanted)
    if not cache.is_made(target, recipe):
        with cache.making(target, recipe, f"{wanted.name} {wanted.version}") as part:
            work = _work(f"{wanted.name}-{wanted.version}")
            _new_module(work, wanted)
            _go(["get", "-tool", f"{wanted.package}@v{wanted.version}"], work)
            _build(wanted, work, wanted.package, part)
    return target


def flannel() -> Path:
    """flanneld without the back ends that nobody here uses: its own main file, less their imports."""
    wanted = versions.FLANNEL
    target = cache.programs(wanted.name, wanted.version) / wanted.name
    recipe = repr((wanted, versions.FLANNEL_WITHOUT))
    if not cache.is_made(target, recipe):
        with cache.making(target, recipe, f"{wanted.name} {wanted.version}") as part:
            work = _work(f"{wanted.name}-{wanted.version}")
            module = json.loads(_go(["mod", "download", "-json", f"{wanted.module}@v{wanted.version}"], work.parent))
            unwanted = tuple(f'pkg/backend/{name}"' for name in versions.FLANNEL_WITHOUT)
            lines = (Path(module["Dir"]) / "main.go").read_text().splitlines(keepends=True)
            (work / "main.go").write_text("".join(line for line in lines if not line.rstrip().endswith(unwanted)))
            _new_module(work, wanted, f"\nrequire {wanted.module} v{wanted.version}\n")
            _build(wanted, work, ".", part)
    return target


def own(name: str) -> Path:
    """One of the lab's own programs: pause or hello."""
    sources = sorted((_SOURCES / name).glob("*.go"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    target = cache.programs("lab", "own") / name
    if not cache.is_made(target, digest):
        with cache.making(target, digest, f"{name} of the lab") as part:
            _go(["build", *_FLAGS, "-ldflags", "-s -w", "-o", str(part), f"./{name}"], _SOURCES)
    return target


def build_folder() -> Path:
    """Where modules and compiled packages lie while a build is unfinished."""
    return cache.folder() / "build"


def _kubernetes_module(version: str, work: Path) -> None:
    """A go.mod that requires Kubernetes; its parts, which it replaces by folders, come from their own modules."""
    upstream = json.loads(_go(["mod", "download", "-json", f"k8s.io/kubernetes@v{version}"], work.parent))
    settings = json.loads(_go(["mod", "edit", "-json", upstream["GoMod"]], work.parent))
    lines = ["module photon.test/build/kubernetes", f"go {settings['Go']}"]
    lines += [f"godebug {item['Key']}={item['Value']}" for item in settings.get("Godebug") or []]
    lines.append(f"require k8s.io/kubernetes v{version}")
    part = f"v0.{version.partition('.')[2]}"
    for item in settings["Replace"]:
        if item["New"]["Path"].startswith("./staging/"):
            name = item["Old"]["Path"]
            lines.append(f"replace {name} => {name} {part}")
    names = (*versions.NODE_PROGRAMS, *versions.CONTROL_PLANE_PROGRAMS)
    lines += [f"tool k8s.io/kubernetes/cmd/{name}" for name in names]
    (work / "go.mod").write_text("\n\n".join(lines) + "\n")
    # Once for all programs, so that the modules do not depend on which is built first.
    _go(["list", "-deps", *(f"k8s.io/kubernetes/cmd/{name}" for name in names)], work)


def _kubernetes_stamps(version: str) -> str:
    major, minor, _ = version.split(".")
    values = {
        "gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean",
        "gitCommit": "0" * 40, "buildDate": "1970-01-01T00:00:00Z",
    }  # fmt: skip
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return "".join(f" -X {package}.{name}={value}" for package in packages for name, value in values.items())


def _new_module(work: Path, wanted: Program, more: str = "") -> None:
    (work / "go.mod").write_text(f"module photon.test/build/{wanted.name}\n\ngo 1.24.0\n{more}")
    (work / "go.sum").write_text("".join(f"{line}\n" for line in wanted.sums))


def _build(wanted: Program, work: Path, package: str, target: Path) -> None:
    flags = f"-s -w {wanted.variables.format(version=wanted.version)}"
    _go(["build", *_FLAGS, "-ldflags", flags, "-o", str(target), package], work)


def _work(name: str) -> Path:
    path = build_folder() / "modules" / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def _go(words: Sequence[str], directory: Path) -> str:
    """Run Go with the build's caches and no toolchain but the one there is; LabError with what it said."""
    build = build_folder()
    environment = os.environ | {
        "GOCACHE": str(build / "gocache"),
        "GOMODCACHE": str(build / "gomod"),
        "GOFLAGS": "-mod=mod -modcacherw",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }
    command = [find_go(versions.GO), *words]
    result = subprocess.run(command, cwd=directory, env=environment, text=True, capture_output=True, check=False)
    if result.returncode:
        raise LabError(f"go {' '.join(words)} failed ({result.returncode}): {result.stderr.strip()[-3000:]}")
    return result.stdout
