# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find secrets in inventories where they should not be: in plain text, or among the variables of other hosts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

_VAULT = "$ANSIBLE_VAULT"
_SUFFIXES = (".yml", ".yaml", ".json", "")
# A key that names a secret, with a value on the same line that is neither vaulted nor a template.
_SECRET = re.compile(
    r"""^[^#]*?(?:^|[\s{,])["']?\w*(?:password|passwd|secret|token)["']?\s*:\s+(?!!vault\b|["']?\s*\{\{|["']{2}|null\b|~)[^\s{\[#]"""
)
_ADVICE = (
    "every host of the inventory has it too: move it to host_vars/localhost, the variables of the controller alone "
    "(mkdir -p {folder}/host_vars && mv {folder}/group_vars/all {folder}/host_vars/localhost)"
)


def in_plain_text(variables: Mapping[str, Any]) -> Iterator[str]:
    """Yield a warning for each file of the inventory that holds a password in plain text."""
    for folder in _folders(variables):
        for path in _files(folder):
            line = _first_secret(path)
            if line is None:
                continue
            text = f"{path}:{line} holds a secret in plain text: run 'ansible-vault encrypt {path}'"
            everywhere = os.path.join(folder, "group_vars", "all")
            yield f"{text}; {_ADVICE.format(folder=folder)}" if path.startswith(everywhere) else text


def on_other_hosts(variables: Mapping[str, Any]) -> Iterator[str]:
    """Yield a warning if another host, such as a VM of the platform, has the credentials among its variables."""
    if "photon_credentials" not in variables:
        return
    other = next((host for host in variables.get("groups", {}).get("all", []) if host != "localhost"), None)
    if other is not None and "photon_credentials" in variables["hostvars"][other]:
        folder = next(iter(_folders(variables)), "INVENTORY")
        yield f"photon_credentials is a variable of {other}; {_ADVICE.format(folder=folder)}"


def _folders(variables: Mapping[str, Any]) -> list[str]:
    sources = [str(source) for source in variables.get("ansible_inventory_sources") or []]
    found = (source if os.path.isdir(source) else os.path.dirname(source) for source in sources if "," not in source)
    return list(dict.fromkeys(folder for folder in found if folder))


def _files(folder: str) -> Iterator[str]:
    for kind in ("group_vars", "host_vars"):
        for parent, _folders_below, names in sorted(os.walk(os.path.join(folder, kind))):
            yield from (os.path.join(parent, n) for n in sorted(names) if os.path.splitext(n)[1] in _SUFFIXES)


def _first_secret(path: str) -> int | None:
    try:
        with open(path, encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                if number == 1 and line.startswith(_VAULT):
                    return None
                if _SECRET.match(line):
                    return number
    except (OSError, UnicodeDecodeError):
        return None  # Ansible reports files that it cannot read
    return None
