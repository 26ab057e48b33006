# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's part of a bundle: its packages in a folder that apt reads, its images in containerd.

Nothing is noted on the host: files have digests, containerd knows its images. Images are pinned, so that kubelet leaves
them where they are when it makes room: there is nowhere to pull them from again.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...model.errors import PhotonError
from ...model.units import show
from ..bundle import UNPACKED, digest
from .commands import last_words, must, run

_CTR = ("ctr", "--namespace", "k8s.io", "images")
_PINNED = "io.cri-containerd.pinned=pinned"
_OURS = "photon.platform/bundle=present"
_IMPORT_SECONDS = 900
_INDEXES = ("packages/Packages", "packages/Release")


class Image(NamedTuple):
    """An image as containerd has it; ``ours``: pinned by this module."""

    digest: str
    ours: bool


def visit(parts: Mapping[str, Any], incoming: str, runtime: bool, check: bool) -> dict[str, Any]:
    """Bring this host to the parts (plans/bundle.py), as far as that can be done with the files in ``incoming``.

    ``runtime``: containerd has to answer, otherwise images wait until it does. Returns ``changed``, ``changes`` (dicts
    of kind, name, before, after), ``diff``, ``missing`` (names within the bundle that have still to come in, in the
    order in which they should; without ``incoming`` nothing was changed then) and ``waiting`` (are there images that
    containerd could not be asked for?). Raises DiskFull, UnitFailed, HostChangeFailed or MemberChangeFailed.
    """
    files, images, why = _files(), _images(), ""
    if isinstance(images, str):
        images, why = None, images
        if runtime and parts["images"]:
            raise PhotonError(
                "UnitFailed",
                f"containerd does not answer, so no image can be imported ({why}): see systemctl status containerd",
            )
    changes, missing = _compare(parts, files, images)
    answer = {
        "changed": bool(changes),
        "changes": changes,
        "diff": _diff(changes),
        "missing": missing,
        "waiting": images is None and bool(parts["images"]),
    }
    if check or not changes:
        return answer
    if missing and not incoming:
        _check_space(parts, missing)
        return {**answer, "changed": False}
    came = [name for name in missing if os.path.exists(f"{incoming}/{os.path.basename(name)}")]
    try:
        _bring_packages(parts, [name for name in came if name in parts["packages"]], incoming)
    except OSError as error:
        raise PhotonError("HostChangeFailed", f"{UNPACKED} could not be written: {error}") from error
    if images is not None:
        _bring_images(parts, [name for name in came if name in parts["images"]], incoming, images)
    return {**answer, "missing": [name for name in missing if name not in came]}


def remove(check: bool) -> dict[str, Any]:
    """Take the packages away and let go of the images, which kubelet or `ctr` may then remove."""
    images = _images()
    ours = [name for name, image in images.items() if image.ours] if isinstance(images, dict) else []
    changes = [_change("image", name, "pinned", "not pinned") for name in ours]
    changes += [_change("package", UNPACKED, "present", "absent")] if os.path.isdir(UNPACKED) else []
    if not check:
        for name in ours:
            _label(name, False)
        shutil.rmtree(UNPACKED, ignore_errors=True)
    return {
        "changed": bool(changes), "changes": changes, "diff": _diff(changes), "missing": [], "waiting": False
    }  # fmt: skip


def parse_images(shown: str) -> dict[str, Image]:
    """Name -> image, of what `ctr images list` printed; pure."""
    found = {}
    for line in shown.splitlines():
        match = re.match(r"(\S+)\s+\S+\s+(sha256:[0-9a-f]+)\s", line)
        if match:
            labels = line.split()[-1].split(",")
            found[match[1]] = Image(match[2], _PINNED in labels and _OURS in labels)
    return found


def _compare(
    parts: Mapping[str, Any], files: Mapping[str, str], images: Mapping[str, Image] | None
) -> tuple[list[dict[str, Any]], list[str]]:
    """What differs, and what has to come in for it; pure."""
    changes, missing = [], []
    for name, entry in sorted(parts["packages"].items(), key=lambda item: (item[0] in _INDEXES, item[0])):
        if files.get(name) != entry["sha256"]:
            changes.append(_change("package", name, "other" if name in files else "absent", "present"))
            missing.append(name)
    changes += [_change("package", name, "present", "absent") for name in files if name not in parts["packages"]]
    if images is None:
        return changes, missing
    wanted = {}
    for part, entry in parts["images"].items():
        wanted.update(entry["names"])
        lacking = [name for name, known in entry["names"].items() if not _same(images.get(name), known)]
        missing += [part] if lacking else []
        changes += [_change("image", name, "other" if name in images else "absent", "present") for name in lacking]
        changes += [
            _change("image", name, "not pinned", "pinned")
            for name in entry["names"]
            if name not in lacking and not images[name].ours
        ]
    changes += [
        _change("image", name, "pinned", "not pinned")
        for name, image in images.items()
        if image.ours and name not in wanted
    ]
    return changes, missing


def _same(image: Image | None, known: str) -> bool:
    return image is not None and known in ("", image.digest)


def _files() -> dict[str, str]:
    """The packages' files that are there -> SHA-256."""
    folder = f"{UNPACKED}/packages"
    found = {}
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        with open(f"{folder}/{name}", "rb") as handle:
            found[f"packages/{name}"] = digest(handle)
    return found


def _images() -> dict[str, Image] | str:
    """containerd's images, or why it cannot be asked."""
    if not os.path.exists("/run/containerd/containerd.sock"):
        return "it does not run"
    try:
        shown = run(*_CTR, "list")
    except PhotonError as error:
        return error.message
    return parse_images(shown.stdout) if shown.returncode == 0 else last_words(shown)


def _check_space(parts: Mapping[str, Any], missing: Sequence[str]) -> None:
    """Twice: what comes in, and what is made of it."""
    needed = 2 * sum((parts["packages"].get(name) or parts["images"][name])["bytes"] for name in missing)
    free = shutil.disk_usage("/var/lib").free
    if free < needed:
        raise PhotonError(
            "DiskFull",
            f"nothing was changed on this host: /var/lib has {show(free)} free, {show(needed)} are needed: make room",
        )


def _bring_packages(parts: Mapping[str, Any], names: Sequence[str], incoming: str) -> None:
    """In their order, in which the index is last: what it names is there."""
    os.makedirs(f"{UNPACKED}/packages", mode=0o755, exist_ok=True)
    for path in (UNPACKED, f"{UNPACKED}/packages"):
        os.chmod(path, 0o755)  # apt reads as a user of its own
    for name in names:
        source = _verified(incoming, name, parts["packages"][name])
        part = f"{UNPACKED}/packages/.{os.path.basename(name)}.part"
        shutil.copyfile(source, part)
        os.chmod(part, 0o644)
        os.replace(part, f"{UNPACKED}/{name}")
        os.unlink(source)
    for name in os.listdir(f"{UNPACKED}/packages"):
        if f"packages/{name}" not in parts["packages"]:
            os.unlink(f"{UNPACKED}/packages/{name}")


def _bring_images(
    parts: Mapping[str, Any], archives: Sequence[str], incoming: str, images: Mapping[str, Image]
) -> None:
    for part in archives:
        source = _verified(incoming, part, parts["images"][part])
        must(*_CTR, "import", source, timeout=_IMPORT_SECONDS)
        os.unlink(source)
    wanted = [name for entry in parts["images"].values() for name in entry["names"]]
    there = _images()
    there = there if isinstance(there, dict) else {}
    for part in archives:
        for name, known in parts["images"][part]["names"].items():
            if not _same(there.get(name), known):
                raise PhotonError(
                    "MemberChangeFailed",
                    f"{part} was imported, and {name} is not what it should be: is it for this host's processor?",
                    {"image": name, "archive": part},
                )
    for name in wanted:
        if name in there and not there[name].ours:
            _label(name, True)
    for name, image in images.items():
        if image.ours and name not in wanted:
            _label(name, False)


def _label(name: str, present: bool) -> None:
    words = (_PINNED, _OURS) if present else tuple(f"{one.partition('=')[0]}=" for one in (_PINNED, _OURS))
    must(*_CTR, "label", name, *words)


def _verified(incoming: str, name: str, entry: Mapping[str, Any]) -> str:
    """The path of a file that came in whole."""
    path = f"{incoming}/{os.path.basename(name)}"
    try:
        with open(path, "rb") as handle:
            hashed = digest(handle)
    except OSError as error:
        raise PhotonError("HostChangeFailed", f"{name} did not come in: {error}; run again") from error
    if hashed != entry["sha256"]:
        raise PhotonError("HostChangeFailed", f"{name} came in with a wrong checksum: run again", {"file": name})
    return path


def _diff(changes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {
        side: "".join(f"{change['kind']} {change['name']}: {change[side]}\n" for change in changes)
        for side in ("before", "after")
    }


def _change(kind: str, name: str, before: str, after: str) -> dict[str, Any]:
    return {"kind": kind, "name": name, "before": before, "after": after}
