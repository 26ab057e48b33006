# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Driver ``ssh``: hosts that somebody made. The lab checks that they answer and never destroys them.

``LAB_INVENTORY`` names an Ansible inventory in YAML with, per host of the topology, ``ansible_host`` and whatever SSH
needs; ``lab_ip`` (default: ansible_host) is the address the hosts use among themselves.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .paths import LabError
from .seed import Seed
from .spec import HostSpec

NEEDS_ROOT = False


def prepare(lab: str, directory: Path, subnet: str) -> None:
    """Read the inventory once, so that a mistake in it shows before any host is asked for."""
    _inventory()


def release(lab: str, directory: Path, subnet: str) -> None:
    """Nothing was made."""


def create(lab: str, directory: Path, spec: HostSpec, address: str, seed: Seed) -> None:
    """Check that the host answers on its SSH port."""
    variables = _variables(spec.name)
    where = (variables["ansible_host"], int(variables.get("ansible_port", 22)))
    try:
        with socket.create_connection(where, timeout=30) as connected:
            banner = connected.recv(64)
    except OSError as error:
        raise LabError(f"host {spec.name}: no SSH at {where[0]}:{where[1]} ({error})") from error
    if not banner.startswith(b"SSH-"):
        raise LabError(f"host {spec.name}: what answers at {where[0]}:{where[1]} is not SSH")
    directory.mkdir(parents=True, exist_ok=True)


def destroy(lab: str, directory: Path, name: str) -> None:
    """Forget the host; it stays as it is."""
    if directory.exists():
        for file in directory.iterdir():
            file.unlink()
        directory.rmdir()


def is_running(lab: str, directory: Path, name: str) -> bool:
    """Does the host's SSH port take a connection?"""
    with contextlib.suppress(OSError, LabError):
        variables = _variables(name)
        where = (variables["ansible_host"], int(variables.get("ansible_port", 22)))
        socket.create_connection(where, timeout=3).close()
        return True
    return False


def command(lab: str, directory: Path, name: str, words: Sequence[str]) -> list[str]:
    """The command that runs ``words`` inside a host."""
    variables = _variables(name)
    ssh = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-q"]
    ssh += ["-p", str(variables.get("ansible_port", 22))]
    if "ansible_ssh_private_key_file" in variables:
        ssh += ["-i", variables["ansible_ssh_private_key_file"]]
    return [*ssh, f"{variables.get('ansible_user', 'root')}@{variables['ansible_host']}", *words]


def connection(lab: str, directory: Path, name: str, address: str) -> dict[str, Any]:
    """How Ansible reaches the host: what the inventory says."""
    variables = _variables(name)
    return {"lab_ip": variables["ansible_host"]} | variables


def variables(subnet: str) -> dict[str, object]:
    """Hosts that somebody made tell what they have to in their own inventory."""
    return {}


def _variables(name: str) -> dict[str, Any]:
    hosts = _inventory()
    if name not in hosts or "ansible_host" not in hosts[name]:
        raise LabError(f"LAB_INVENTORY={os.environ['LAB_INVENTORY']} has no host {name} with an ansible_host")
    return hosts[name]


def _inventory() -> dict[str, dict[str, Any]]:
    import yaml

    path = os.environ.get("LAB_INVENTORY")
    if not path:
        raise LabError("LAB_DRIVER=ssh needs LAB_INVENTORY, a YAML inventory of the hosts; see docs/lab-hosts.md")
    try:
        document = yaml.safe_load(Path(path).read_text())
    except (OSError, yaml.YAMLError) as error:
        raise LabError(f"LAB_INVENTORY={path}: {error}") from error
    found: dict[str, dict[str, Any]] = {}
    _collect(document.get("all", {}) if isinstance(document, dict) else {}, {}, found)
    return found


def _collect(group: dict[str, Any], inherited: dict[str, Any], found: dict[str, dict[str, Any]]) -> None:
    variables = inherited | (group.get("vars") or {})
    for name, own in (group.get("hosts") or {}).items():
        found[name] = found.get(name, {}) | variables | (own or {})
    for child in (group.get("children") or {}).values():
        _collect(child or {}, variables, found)
