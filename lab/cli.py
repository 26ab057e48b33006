# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bin/lab up | down | status: a simulated data centre in the background. `bin/lab host ...` is about test hosts,
`bin/lab kubernetes ...` about what their clusters are made of."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .errors import LabError

DEFAULT_DIRECTORY = Path(__file__).parent.parent / ".build" / "lab"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; answers the exit code: 0 done, 1 failed (the reason is on standard error), 2 wrong usage."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["host"]:
        from .hosts.cli import main as host_main

        return host_main(arguments[1:])
    if arguments[:1] == ["kubernetes"]:
        from .kubernetes.cli import main as kubernetes_main

        return kubernetes_main(arguments[1:])
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        print(
            f"lab: this Python has no {error.name}: run `make demo` or `make test` once, which install what is needed",
            file=sys.stderr,
        )
    return 1


def up(options: argparse.Namespace) -> int:
    """Starts a lab in the background and prints how to reach it."""
    from .server import Lab

    lab = Lab.start(options.topology, directory=options.directory, detached=True)
    _print_endpoints(lab)
    print(f"\nThe certificates are from {lab.ca_file}\nThe control port is {lab.control.address}\n")
    print("# credentials for the shell")
    for endpoint in lab.endpoints.values():
        key = re.sub(r"\W", "_", endpoint.name).upper()
        print(f"export PHOTON_CREDENTIAL_{key}_USERNAME={shlex.quote(endpoint.username)}")
        print(f"export PHOTON_CREDENTIAL_{key}_PASSWORD={shlex.quote(endpoint.password)}")
    return 0


def down(options: argparse.Namespace) -> int:
    """Ends the lab of a folder, and only that, and removes its files."""
    from .server import remove_files, running, stop_state

    state = _state(options.directory)
    if state is None:
        print(f"no lab was started in {options.directory}")
        return 0
    was_running = running(state)
    stop_state(state)
    remove_files(options.directory, whole=False)
    print("the lab is down" if was_running else "the lab had already ended; its files are removed")
    return 0


def status(options: argparse.Namespace) -> int:
    """Says what runs; exit code 1 when nothing does."""
    from .server import Lab, running

    state = _state(options.directory)
    if state is None or not running(state):
        print(json.dumps({"running": False}) if options.json else f"no lab runs in {options.directory}")
        return 1
    lab = Lab.attach(options.directory)
    truth = lab.control.state()
    if options.json:
        endpoints = {
            name: {**asdict(endpoint), "url": endpoint.url, **_counts(truth[name])}
            for name, endpoint in lab.endpoints.items()
        }
        print(
            json.dumps(
                {
                    "running": True,
                    "pid": lab.pid,
                    "control": lab.control.address,
                    "ca_file": lab.ca_file,
                    "directory": str(lab.directory),
                    "endpoints": endpoints,
                },
                indent=2,
            )
        )
        return 0
    _print_endpoints(lab, truth)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bin/lab", description="a data centre on one machine")
    commands = parser.add_subparsers(required=True, metavar="up | down | status | host")
    for function in (up, down, status):
        command = commands.add_parser(function.__name__, help=function.__doc__)
        command.set_defaults(command=function)
        default = Path(os.environ.get("PHOTON_LAB_DIRECTORY") or DEFAULT_DIRECTORY)
        command.add_argument(
            "--directory", type=Path, default=default, help="where its files are (default: %(default)s)"
        )
        if function is up:
            command.add_argument(
                "--topology", default="demo", help="demo, small, large, or a file (default: %(default)s)"
            )
        if function is status:
            command.add_argument("--json", action="store_true", help="for programs")
    commands.add_parser("host", help="Test hosts: bin/lab host --help", add_help=False)
    return parser


def _state(directory: Path) -> dict[str, Any] | None:
    try:
        return json.loads((directory / "state.json").read_text())
    except FileNotFoundError:
        return None


def _counts(state: dict[str, Any]) -> dict[str, int]:
    running_vms = sum(vm["power_state"] == "poweredOn" for vm in state["vms"])
    return {
        "hosts": len(state["hosts"]),
        "vms": len(state["vms"]),
        "vms_on": running_vms,
        "datastores": len(state["datastores"]),
    }


def _print_endpoints(lab: Any, truth: dict[str, Any] | None = None) -> None:
    truth = truth or lab.control.state()
    rows = [("ENDPOINT", "KIND", "ADDRESS", "USER", "HOSTS", "DATASTORES", "VMS", "ON")]
    for name, endpoint in lab.endpoints.items():
        counts = _counts(truth[name])
        rows.append(
            (
                name,
                endpoint.kind,
                f"{endpoint.address}:{endpoint.port}",
                endpoint.username,
                str(counts["hosts"]),
                str(counts["datastores"]),
                str(counts["vms"]),
                str(counts["vms_on"]),
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
