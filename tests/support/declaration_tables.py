# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of docs/declaration.md, made from the declaration's schema.

``PYTHONPATH=collections:. python -m tests.support.declaration_tables`` writes them into the page, between the markers
``<!-- table: NAME -->`` and ``<!-- end -->``; a test compares.
"""

from __future__ import annotations

import pathlib
import re

from ansible_collections.photon.platform.plugins.module_utils.model.declaration import ITEMS, SITE, Field
from ansible_collections.photon.platform.plugins.module_utils.model.declaration import schema as schemas

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "declaration.md"
TABLES = {
    "variables": SITE,
    **ITEMS,
    "tls": schemas.TLS,
    "boot_disk": schemas.BOOT_DISK,
    "ephemeral_disk": schemas.EPHEMERAL_DISK,
    "adapter": schemas.ADAPTER,
    "metadata": schemas.METADATA,
    "group": schemas.GROUP,
    "act_as": SITE["photon_act_as"].options or {},
}
MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
TYPES = {
    "name": "name",
    "name_range": "name or range",
    "text_range": "text or range",
    "thumbprint": "text",
    "vm_range": "name or range",
    "optional_text": "text",
    "capacity": "size",
    "quota": "quantities by key",
    "cost": "quantities by key",
    "flavor_kind": "text",
    "security_group": "security group",
    "strings": "mapping of text",
    "free": "mapping",
    "credentials": "mapping",
    "adapter": "name or mapping",
    "int": "number",
}


def table(name: str) -> str:
    """One Markdown table."""
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, row in TABLES[name].items():
        kind = TYPES.get(row.type, row.type)
        if row.type == "list":
            kind = f"list of {TYPES.get(row.elements, row.elements)}s".replace("texts", "text")
        meaning = row.description
        if row.choices:
            meaning += ": " + ", ".join(f"`{choice}`" for choice in row.choices)
        lines.append(f"| `{key}` | {kind} | {_default(row)} | {meaning} |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """The page with its tables as they ought to be."""
    return MARKED.sub(lambda match: f"{match[1]}{table(match[2])}{match[3]}", text)


def _default(row: Field) -> str:
    if row.required:
        return "required" if row.required is True else "required, unless it is there or absent"
    value = row.default if row.default is not None else row.initial
    if value is None:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return f"`[{', '.join(value)}]`"
    return f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
