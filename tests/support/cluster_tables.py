# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of docs/kubernetes.md, made from the schema of photon_clusters.

``PYTHONPATH=collections:. python -m tests.support.cluster_tables`` writes them into the page, between the markers
``<!-- table: NAME -->`` and ``<!-- end -->``; a test compares.
"""

from __future__ import annotations

import pathlib
import re

from ansible_collections.photon.platform.plugins.module_utils.kubernetes import schema
from ansible_collections.photon.platform.plugins.module_utils.model.declaration import Field

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "kubernetes.md"
TABLES = {
    name.lower(): value
    for name, value in vars(schema).items()
    if name.isupper() and isinstance(value, dict) and all(isinstance(item, Field) for item in value.values())
}
MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_TYPES = {"int": "number", "strings": "mapping of text", "free": "mapping"}


def table(name: str) -> str:
    """One Markdown table."""
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, field in TABLES[name].items():
        kind = _TYPES.get(field.type, field.type)
        if field.type == "list":
            kind = "list of mappings" if field.elements == "mapping" else f"list of {field.elements}"
        meaning = field.description
        if field.choices:
            meaning += ": " + ", ".join(f"`{choice}`" for choice in field.choices)
        lines.append(f"| `{key}` | {kind} | {_default(field)} | {meaning} |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """The page with its tables as they ought to be."""
    return MARKED.sub(lambda match: f"{match[1]}{table(match[2])}{match[3]}", text)


def _default(field: Field) -> str:
    if field.required:
        return "required"
    value = field.default if field.default is not None else field.initial
    if value is None:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`[{', '.join(value)}]`" if isinstance(value, list) else f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
