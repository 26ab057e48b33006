# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`bin/lab kubernetes`: what the lab's clusters are made of.

bin/lab kubernetes build [--newer | --version V] [--keep] [--judge]
                                                            build what is missing, by default of both pinned versions
bin/lab kubernetes status                                   what is there, what is not
bin/lab kubernetes program NAME [--version V]               the path of a built program (kubectl, kubeadm ...)
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..errors import LabError as SimulatorError
from ..hosts.paths import LabError
from . import build, cache, versions


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 it failed (the reason on standard error), 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="lab kubernetes", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    added = commands.add_parser("build", help="build what is missing")
    chosen = added.add_mutually_exclusive_group()
    chosen.add_argument("--version", choices=versions.KUBERNETES, help="one of the pinned versions")
    chosen.add_argument("--newer", action="store_const", dest="version", const=versions.NEWER, help="the newer of them")
    added.add_argument("--keep", action="store_true", help="keep the Go caches (13 GB) for the next build")
    added.add_argument("--judge", action="store_true", help="build kube-bench and the vSphere cloud provider too")
    added.set_defaults(run=_build)
    added = commands.add_parser("status", help="what is there")
    added.set_defaults(run=_status)
    added = commands.add_parser("program", help="the path of a built program")
    added.add_argument("name", choices=[*versions.NODE_PROGRAMS, *versions.CONTROL_PLANE_PROGRAMS])
    added.add_argument("--version", choices=versions.KUBERNETES, default=versions.NEWER)
    added.set_defaults(run=_program)
    options = parser.parse_args(argv)
    try:
        return options.run(options)
    except (LabError, SimulatorError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


def _build(options: argparse.Namespace) -> int:
    build.build([options.version] if options.version else versions.KUBERNETES, options.keep, options.judge)
    return 0


def _status(options: argparse.Namespace) -> int:
    print(cache.folder())
    for version in versions.KUBERNETES:
        lacking = build.missing(version)
        print(f"{version:8} {'complete' if not lacking else 'missing: ' + ', '.join(lacking)}")
    return 0


def _program(options: argparse.Namespace) -> int:
    path = cache.programs("kubernetes", options.version) / options.name
    if not path.exists():
        raise LabError(f"{options.name} {options.version} is not built: bin/lab kubernetes build")
    print(path)
    return 0
