# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where what was built lies, and how a step of the build is made once.

::

    programs/NAME-VERSION/PROGRAM   static programs
    images/NAME.tar                 OCI archives, one image each, which `ctr images import` and `docker load` take too
    packages/                       a flat apt repository, signed; key.asc is its public key
    build/                          the Go caches, only while a build is unfinished
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ..hosts.paths import root


def folder() -> Path:
    """The cache: ``$PHOTON_CACHE/kubernetes``, by default below ~/.cache/photon-platform."""
    cache = os.environ.get("PHOTON_CACHE")
    path = (Path(cache) if cache else root()) / "kubernetes"
    path.mkdir(parents=True, exist_ok=True)
    return path


def programs(name: str, version: str) -> Path:
    """The folder of the programs ``name`` in ``version``."""
    return folder() / "programs" / f"{name}-{version}"


def is_made(target: Path, recipe: str) -> bool:
    """Was ``target`` made from this recipe?"""
    note = _note(target)
    return target.exists() and note.exists() and note.read_text() == recipe


@contextlib.contextmanager
def making(target: Path, recipe: str, title: str = "") -> Iterator[Path]:
    """Make ``target``: yields the path to write to, which takes the target's place when the block succeeds.

    A step with a title is reported.
    """
    with step(title):
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        part.unlink(missing_ok=True)
        _note(target).unlink(missing_ok=True)
        yield part
        part.rename(target)
        _note(target).write_text(recipe)


@contextlib.contextmanager
def step(title: str, shortest: float = 0.0) -> Iterator[None]:
    """Print one line when the block succeeds: the title, the time, and the processor time of the block's commands.

    A step without a title or shorter than ``shortest`` seconds is not worth a line.
    """
    started, used = time.monotonic(), _processor_seconds()
    yield
    taken = time.monotonic() - started
    if title and taken >= shortest:
        used = _processor_seconds() - used
        print(f"{title:52} {taken:7.1f} s {used:7.1f} s CPU", file=sys.stderr, flush=True)


def _processor_seconds() -> float:
    """What this process and the commands that it waited for have used so far."""
    return sum(os.times()[:4])


def _note(target: Path) -> Path:
    return target.with_name(f".{target.name}.recipe")
