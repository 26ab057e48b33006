# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan the rotation of encryption keys: distribute the new key, use it, rewrite all objects, remove the old key.

Pure; each step is derived from the current files and objects, so an interrupted rotation resumes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

ADD, LEAD, REWRITE, DROP, DONE = "add", "lead", "rewrite", "drop", "done"


def wanted(files: Mapping[str, Sequence[str]], declared: Sequence[str], due: bool, stale: int) -> dict[str, object]:
    """Return the desired keys: {keys: names, new: whether a key must be generated}.

    ``declared`` keys are used as given. Generated keys carry their creation time in their names: when a rotation was
    interrupted, its newest key is completed and no other is generated, even if one is ``due``.
    """
    if declared:
        return {"keys": list(declared), "new": False}
    known = sorted({name for names in files.values() for name in names})
    under_way = stale > 0 or len(known) > 1 or any(len(names) != 1 for names in files.values())
    if not known or (due and not under_way):
        return {"keys": [], "new": True}
    return {"keys": known[-1:], "new": False}


def step(wanted: Sequence[str], files: Mapping[str, Sequence[str]], stale: int) -> dict[str, object]:
    """Return the next step: {step, reasons, files: {host: names in their new order}}.

    ``wanted``: names of keys, the one used for writing first. ``files``: host -> names in its file, in order.
    ``stale``: number of objects that are not encrypted with the first of ``wanted``.
    """
    new = wanted[0]
    lacking = {host: names for host, names in files.items() if any(name not in names for name in wanted)}
    if lacking:
        after = {host: [*names, *(name for name in wanted if name not in names)] for host, names in lacking.items()}
        return _step(ADD, [f"{host} cannot read {new}" for host in lacking], after)
    behind = {host: names for host, names in files.items() if names[0] != new}
    if behind:
        after = {host: [new, *(name for name in names if name != new)] for host, names in behind.items()}
        return _step(LEAD, [f"{host} writes with {names[0]}" for host, names in behind.items()], after)
    if stale:
        return _step(REWRITE, [f"{stale} objects are not encrypted with {new}"], {})
    more = {host: names for host, names in files.items() if list(names) != list(wanted)}
    if more:
        return _step(DROP, [f"{host} still has old keys" for host in more], {host: list(wanted) for host in more})
    return _step(DONE, [], {})


def _step(name: str, reasons: Sequence[str], files: Mapping[str, Sequence[str]]) -> dict[str, object]:
    return {"step": name, "reasons": list(reasons), "files": {host: list(names) for host, names in files.items()}}
