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
import re
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from ..build import find_go
from ..hosts.paths import LabError
from . import cache, versions
from .versions import Program

_SOURCES = Path(__file__).parent / "own"
# The linker leaves debug information out anyway, so the compiler need not make any: an eighth of its time.
# With -trimpath, packages of a replaced version would be compiled again although what replaces it is the same.
_FLAGS = ("-buildvcs=false", "-gcflags=all=-dwarf=false")


def kubernetes(version: str) -> dict[str, Path]:
    """All programs of Kubernetes ``version`` by name, built together (minutes when nothing is cached)."""
    names = (*versions.NODE_PROGRAMS, *versions.CONTROL_PLANE_PROGRAMS)
    targets = {name: cache.programs("kubernetes", version) / name for name in names}
    missing = [name for name, target in targets.items() if not cache.is_made(target, version)]
    if missing:
        work = _kubernetes_module(version)
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
    recipe = repr((wanted, versions.NEWER))
    if not cache.is_made(target, recipe):
        _kubernetes_module(versions.NEWER)
        with cache.making(target, recipe, f"{wanted.name} {wanted.version}") as part:
            work = _work(f"{wanted.name}-{wanted.version}")
            _module(wanted, work)
            flags = f"-s -w {wanted.variables.format(version=wanted.version)}"
            _go(["build", *_FLAGS, "-ldflags", flags, "-o", str(part), wanted.package], work)
    return target


def folder_of(wanted: Program, inside: str, members: Sequence[str]) -> Path:
    """A tar archive of ``members`` of the module's folder ``inside``, such as files that the program reads."""
    target = cache.programs(wanted.name, wanted.version) / f"{inside}.tar"
    recipe = repr((wanted.module, wanted.version, inside, tuple(members)))
    if not cache.is_made(target, recipe):
        work = _work(f"{wanted.name}-{wanted.version}")
        _module(wanted, work)
        source = Path(json.loads(_go(["list", "-m", "-json", wanted.module], work))["Dir"]) / inside
        with cache.making(target, recipe) as part, tarfile.open(part, "w") as archive:
            for name in members:
                archive.add(source / name, f"{inside}/{name}")
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


def _kubernetes_module(version: str) -> Path:
    """Return the folder of a module that requires Kubernetes and, as modules, what Kubernetes replaces by folders."""
    work = _work(f"kubernetes-{version}")
    names = (*versions.NODE_PROGRAMS, *versions.CONTROL_PLANE_PROGRAMS)
    resolved = work / "resolved"
    if cache.is_made(resolved, version):
        return work
    with cache.making(resolved, version, f"kubernetes {version}: modules") as part:
        upstream = json.loads(_go(["mod", "download", "-json", f"k8s.io/kubernetes@v{version}"], work.parent))
        settings = json.loads(_go(["mod", "edit", "-json", upstream["GoMod"]], work.parent))
        lines = ["module photon.test/build/kubernetes", f"go {settings['Go']}"]
        lines += [f"godebug {item['Key']}={item['Value']}" for item in settings.get("Godebug") or []]
        lines.append(f"require k8s.io/kubernetes v{version}")
        part_version = f"v0.{version.partition('.')[2]}"
        for item in settings["Replace"]:
            if item["New"]["Path"].startswith("./staging/"):
                name = item["Old"]["Path"]
                lines.append(f"replace {name} => {name} {part_version}")
        lines += [f"tool k8s.io/kubernetes/cmd/{name}" for name in names]
        (work / "go.mod").write_text("\n\n".join(lines) + "\n")
        # Once for all programs, so that the modules do not depend on which is built first.
        _go(["list", "-deps", *(f"k8s.io/kubernetes/cmd/{name}" for name in names)], work)
        part.touch()
    return work


def _kubernetes_stamps(version: str) -> str:
    major, minor, _ = version.split(".")
    values = {
        "gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean",
        "gitCommit": "0" * 40, "buildDate": "1970-01-01T00:00:00Z",
    }  # fmt: skip
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return "".join(f" -X {package}.{name}={value}" for package in packages for name, value in values.items())


def _module(wanted: Program, work: Path) -> None:
    """Write go.mod and, where the program has ``files``, its main package.

    The libraries are those of the newer Kubernetes: a package that both have is then compiled once.
    """
    kubernetes = _kubernetes_module(versions.NEWER)
    lines = [f"module photon.test/build/{wanted.name}", f"require {wanted.module} v{wanted.version}"]
    settings = json.loads(_go(["mod", "edit", "-json"], kubernetes))
    pins = {item["Path"]: item["Version"] for item in settings["Require"]}
    pins |= {item["Old"]["Path"]: item["New"]["Version"] for item in settings["Replace"]}
    lines.append(f"go {settings['Go']}")
    own = (wanted.module, *wanted.unpinned)
    lines += [f"replace {path} => {path} {number}" for path, number in pins.items() if not path.startswith(own)]
    (work / "go.mod").write_text("\n\n".join(lines) + "\n")
    sums = (kubernetes / "go.sum").read_text()
    (work / "go.sum").write_text(sums + "".join(f"{line}\n" for line in wanted.sums))
    if wanted.files:
        module = json.loads(_go(["mod", "download", "-json", f"{wanted.module}@v{wanted.version}"], work.parent))
        unwanted = tuple(f'/{name}"' for name in wanted.without)
        for name in wanted.files:
            source = Path(module["Dir"]) / name
            lines = source.read_text().splitlines()
            kept = [line for line in lines if not any(part in line for part in unwanted)]
            text = re.sub(r"(?m)^package \w+$", "package main", "\n".join(kept))
            (work / source.name).write_text(text + "\n")


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
