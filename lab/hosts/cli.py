# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`bin/lab host`: the commands for test hosts.

    bin/lab host create NAME [--suite bookworm|trixie] [--base plain|packages|kubernetes] [--kubelet] [--role GROUP]...
                             [--number N] [--disk SIZE] [--user-data FILE] [--meta-data FILE]
    bin/lab host up TOPOLOGY.yml [--suite SUITE]      many at once, in parallel
    bin/lab host list | exec NAME [--] COMMAND... | inventory
    bin/lab host cut NAME [--carrier] | heal NAME     cut a host off its network and undo it
    bin/lab host destroy NAME... | destroy --all      a lab's last host takes its network along
    bin/lab host base [SUITE...]                      build the base images now
    bin/lab host gc                                   destroy labs whose owner died

Every command takes --lab NAME (LAB_NAME, default "default") and --driver (LAB_DRIVER, default nspawn).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import base
from .lab import Lab, collect_garbage, labs
from .paths import LabError
from .spec import HostSpec, load_topology


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 it failed (the reason on standard error), 2 wrong usage."""
    options = _parser().parse_args(argv)
    try:
        return options.run(options)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--lab", default=os.environ.get("LAB_NAME", "default"), help="which lab (LAB_NAME)")
    common.add_argument("--driver", choices=["nspawn", "podman", "ssh"], help="how hosts are made (LAB_DRIVER)")
    parser = argparse.ArgumentParser(
        prog="lab host", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name, run, text):
        added = commands.add_parser(name, parents=[common], help=text)
        added.set_defaults(run=run)
        return added

    create = command("create", _create, "create one host")
    create.add_argument("name")
    create.add_argument("--suite", default=os.environ.get("LAB_SUITE", "bookworm"), choices=base.SUITES)
    create.add_argument("--base", default="plain", choices=base.FLAVOURS)
    create.add_argument("--role", action="append", default=[], help="inventory group the host belongs to")
    create.add_argument("--kubelet", action="store_true", help="fit for a Kubernetes node")
    create.add_argument("--number", type=int, help="last octet of its address")
    create.add_argument("--disk", help="how much it can write, such as 512M")
    create.add_argument("--user-data", type=Path, help="NoCloud user-data")
    create.add_argument("--meta-data", type=Path, help="NoCloud meta-data")
    create.add_argument("--owner", type=int, help="destroy the lab when this process is gone (see gc)")
    up = command("up", _up, "create the hosts of a topology")
    up.add_argument("topology", type=Path)
    up.add_argument("--suite", default=os.environ.get("LAB_SUITE") or None, choices=base.SUITES)
    up.add_argument("--owner", type=int, help="destroy the lab when this process is gone (see gc)")
    destroy = command("destroy", _destroy, "destroy hosts")
    destroy.add_argument("names", nargs="*")
    destroy.add_argument("--all", action="store_true", help="the whole lab")
    command("list", _list, "list hosts")
    execute = command("exec", _exec, "run a command in a host")
    execute.add_argument("name")
    execute.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    cut = command("cut", _cut, "cut a host off its network")
    cut.add_argument("name")
    cut.add_argument("--carrier", action="store_true", help="its link goes down too")
    command("heal", _heal, "undo cut").add_argument("name")
    command("inventory", _inventory, "print the inventory's path")
    command("base", _base, "build base images").add_argument("suites", nargs="*", default=list(base.SUITES))
    command("gc", _gc, "destroy labs whose owner died")
    return parser


def _lab(options: argparse.Namespace) -> Lab:
    owner = getattr(options, "owner", None) or os.environ.get("LAB_OWNER")
    return Lab(options.lab, options.driver, int(owner) if owner else None)


def _create(options: argparse.Namespace) -> int:
    seeds = {}
    for key in ("user_data", "meta_data"):
        path = getattr(options, key)
        try:
            seeds[key] = path.read_text() if path else None
        except OSError as error:
            raise LabError(f"{key}: {error}") from error
    spec = HostSpec(
        options.name, options.suite, options.base, tuple(options.role), options.number, options.disk,
        kubelet=options.kubelet, **seeds,
    )  # fmt: skip
    return _report(_lab(options), [spec], {})


def _up(options: argparse.Namespace) -> int:
    topology = load_topology(options.topology, options.suite)
    return _report(_lab(options), topology.hosts, topology.variables)


def _report(lab: Lab, specs, variables) -> int:
    made = lab.create(specs, variables)
    for name, record in lab.hosts().items():
        print(f"{name} {record['address']} {'created' if name in made else 'exists'}")
    return 0


def _destroy(options: argparse.Namespace) -> int:
    if bool(options.names) == options.all:
        raise LabError("destroy: name hosts, or say --all")
    for name in _lab(options).destroy(None if options.all else options.names):
        print(f"{name} destroyed")
    return 0


def _list(options: argparse.Namespace) -> int:
    for lab in labs():
        for name, record in Lab(lab).hosts().items():
            state = "running" if record["running"] else "stopped"
            print(
                f"{lab:12} {name:16} {record['address']:15} {record['suite']:9} {state:8} {','.join(record['groups'])}"
            )
    return 0


def _exec(options: argparse.Namespace) -> int:
    words = options.words[1:] if options.words[:1] == ["--"] else options.words
    if not words:
        raise LabError("exec: which command?")
    command = _lab(options).command(options.name, words)
    sys.stdout.flush()
    os.execvp(command[0], command)


def _cut(options: argparse.Namespace) -> int:
    _lab(options).cut(options.name, options.carrier)
    return 0


def _heal(options: argparse.Namespace) -> int:
    _lab(options).heal(options.name)
    return 0


def _inventory(options: argparse.Namespace) -> int:
    print(_lab(options).inventory_file)
    return 0


def _base(options: argparse.Namespace) -> int:
    for suite in options.suites:
        for flavour in base.FLAVOURS:
            print(base.layers(suite, flavour)[0])
    return 0


def _gc(options: argparse.Namespace) -> int:
    for name in collect_garbage():
        print(f"{name} destroyed")
    return 0
