# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan changes of encryption at rest: distribute the new key, use it, rewrite all objects, remove the old key.

Pure; each step is derived from the current files and objects, so an interrupted rotation resumes. The same steps change
the provider, extend or shorten the list of resources, and switch encryption on or off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...model.errors import PhotonError
from .. import encryption
from ..encryption import Layout, covers

ADD, LEAD, REWRITE, DROP, DONE = "add", "lead", "rewrite", "drop", "done"


def wanted(files: Mapping[str, Layout], settings: Mapping[str, Any], due: bool, stale: int) -> tuple[Layout, bool]:
    """Return the desired layout and whether a key must be generated, which then is its only key.

    ``settings``: a cluster's ``encryption``. Declared keys are used as given. Generated keys carry their creation time
    in their names: when a rotation was interrupted, its newest key is completed and no other is generated, even if one
    is ``due``.
    """
    declared = encryption.declared(settings)
    if declared is not None:
        return declared, False
    known = sorted({key for layout in files.values() for key in layout.keys if key.startswith(settings["provider"])})
    under_way = stale > 0 or len(known) > 1 or any(len(layout.keys) != 1 for layout in files.values())
    resources = tuple(settings["resources"])
    if not known or (due and not under_way):
        return Layout((), resources), True
    return Layout((known[-1],), resources), False


def step(target: Layout, files: Mapping[str, Layout], stale: int) -> dict[str, object]:
    """Return the next step: {step, reasons, files: {host: its new layout}}.

    ``files``: host -> layout of its file. ``stale``: number of objects that are not stored as ``target`` says.
    Raise SpecInvalid when a key of the target has another secret than a key of the same name in a file.
    """
    _check_names(target, files)
    lacking = {host: layout for host, layout in files.items() if not _reads(layout, target)}
    if lacking:
        new = target.keys[0]
        return _step(
            ADD,
            [f"{host} cannot read {_name(new)}" for host in lacking],
            {host: _reading(layout, target) for host, layout in lacking.items()},
        )
    behind = {host: layout for host, layout in files.items() if not _writes(layout, target)}
    if behind:
        return _step(
            LEAD,
            [f"{host} writes with {_writer(layout)}" for host, layout in behind.items()],
            {host: _writing(layout, target) for host, layout in behind.items()},
        )
    if stale:
        how = f"encrypted with {_name(target.keys[0])}" if target.resources else "stored in plain text"
        return _step(REWRITE, [f"{stale} objects are not {how}"], {})
    more = [host for host, layout in files.items() if layout != target]
    if more:
        return _step(DROP, [f"{host} still has old keys or resources" for host in more], dict.fromkeys(more, target))
    return _step(DONE, [], {})


def needed(cluster: Mapping[str, Any], observed: Mapping[str, Mapping[str, Any] | None]) -> list[tuple[str, str]]:
    """Return (host, reason) for each member whose encryption differs from the declaration.

    Objects may need what the member has, and other members may not read what it would write, so only a rotation may
    change it. A missing file is a matter of repair.
    """
    settings, found = cluster["encryption"], []
    for name in cluster["control_plane"]:
        host = (observed.get(name) or {}).get("host") or {}
        there = host.get("encryption")
        if not host.get("etcd_data") or not there or there["enabled"] is None:
            continue
        reason = _difference(settings, there)
        if reason:
            found.append((name, f"{reason} Run cluster_rotate first."))
    return found


def _difference(settings: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    target, provider = encryption.declared(settings), settings["provider"]
    if not there["enabled"]:
        return "" if provider == "none" else f"stores Secrets in plain text but encryption with {provider} is declared."
    if there["layout"] is None:
        return ""
    layout = Layout.of(there["layout"])
    if target is None:  # generated keys
        target = Layout(layout.keys[:1], tuple(settings["resources"]))
        if not layout.keys or not layout.keys[0].startswith(f"{provider}:"):
            return f"encrypts with {_writer(layout)} but the provider {provider} is declared."
    if layout == target:
        return ""
    for key in target.keys:
        if key not in layout.keys and _name(key) in map(_name, layout.keys):
            return f"has another secret for the key {_name(key)} than declared. Declare the new key under a new name."
    if _listed(layout.keys) != _listed(target.keys):
        return f"encrypts with {_listed(layout.keys)} but {_listed(target.keys)} is declared."
    return (
        f"encrypts {', '.join(layout.resources) or 'nothing'} "
        f"but {', '.join(target.resources) or 'nothing'} is declared."
    )


def _check_names(target: Layout, files: Mapping[str, Layout]) -> None:
    for host, layout in files.items():
        for key in layout.keys:
            same = [one for one in target.keys if _name(one) == _name(key) and one != key]
            if same:
                raise PhotonError(
                    "SpecInvalid",
                    f"{host} has another secret for the encryption key {_name(key)} than declared. Declare the new key "
                    "under a new name, and keep the old one until it is rotated.",
                )


def _reads(layout: Layout, target: Layout) -> bool:
    served = (*layout.resources, *layout.readable)
    return set(target.keys) <= set(layout.keys) and all(covers(served, one) for one in target.resources)


def _reading(layout: Layout, target: Layout) -> Layout:
    """Add what the target needs for reading, and change nothing about writing."""
    served = (*layout.resources, *layout.readable)
    more = tuple(one for one in target.resources if not covers(served, one))
    kept = tuple(one for one in layout.readable if not covers(more, one))
    return Layout(_joined(layout.keys, target.keys), layout.resources, (*kept, *more))


def _writes(layout: Layout, target: Layout) -> bool:
    if set(layout.resources) != set(target.resources):
        return False
    return not target.resources or layout.keys[0] == target.keys[0]


def _writing(layout: Layout, target: Layout) -> Layout:
    """Write as the target says, and still read everything else."""
    served = _joined(layout.resources, layout.readable)
    readable = tuple(one for one in served if not covers(target.resources, one))
    return Layout(_joined(target.keys[:1], layout.keys), target.resources, readable)


def _joined(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _name(label: str) -> str:
    return label.rpartition(":")[0]


def _listed(keys: Sequence[str]) -> str:
    return ", ".join(map(_name, keys)) or "no key"


def _writer(layout: Layout) -> str:
    return _name(layout.keys[0]) if layout.resources else "no key"


def _step(name: str, reasons: Sequence[str], files: Mapping[str, Layout]) -> dict[str, object]:
    return {
        "step": name,
        "reasons": list(reasons),
        "files": {host: layout.to_dict() for host, layout in files.items()},
    }
