# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install a host's part of a bundle: its packages in a local apt repository, its images in containerd.

No state is kept on the host: files have digests, and containerd knows its images. Images are pinned, so that kubelet's
garbage collection keeps them, as they cannot be pulled again.
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
    """An image in containerd; ``ours``: pinned by this module."""

    digest: str
    ours: bool


def visit(parts: Mapping[str, Any], incoming: str, runtime: bool, check: bool) -> dict[str, Any]:
    """Reconcile this host with its parts (plans/bundle.py), as far as the files in ``incoming`` allow.

    ``runtime``: containerd must answer, otherwise images are deferred. Return ``changed``, ``changes`` (dicts of kind,
    name, before, after), ``diff``, ``missing`` (names in the bundle that must still be sent, in order; without
    ``incoming`` nothing was changed then) and ``waiting`` (images were deferred because containerd did not answer).
    Raise DiskFull, UnitFailed, HostChangeFailed or MemberChangeFailed.
    """
    files, images, why = _files(), _images(), ""
    if isinstance(images, str):
        images, why = None, images
        if runtime and parts["images"]:
            raise PhotonError(
                "UnitFailed",
                f"images cannot be imported: containerd does not answer ({why}). Check systemctl status containerd.",
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
    """Remove the packages and unpin the images, so that kubelet or `ctr` can remove them."""
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
    """Parse the output of `ctr images list` into name -> image (pure)."""
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
    """Return the changes and the files that they need (pure)."""
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
    """Return the existing package files -> SHA-256."""
    folder = f"{UNPACKED}/packages"
    found = {}
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        with open(f"{folder}/{name}", "rb") as handle:
            found[f"packages/{name}"] = digest(handle)
    return found


def _images() -> dict[str, Image] | str:
    """Return containerd's images, or why they cannot be listed."""
    if not os.path.exists("/run/containerd/containerd.sock"):
        return "it is not running"
    try:
        shown = run(*_CTR, "list")
    except PhotonError as error:
        return error.message
    return parse_images(shown.stdout) if shown.returncode == 0 else last_words(shown)


def _check_space(parts: Mapping[str, Any], missing: Sequence[str]) -> None:
    """Require twice the size of the files: for the files and for their unpacked content."""
    needed = 2 * sum((parts["packages"].get(name) or parts["images"][name])["bytes"] for name in missing)
    free = shutil.disk_usage("/var/lib").free
    if free < needed:
        raise PhotonError(
            "DiskFull",
            f"/var/lib has {show(free)} free and needs {show(needed)}. This host was not changed. Free some space.",
        )


def _bring_packages(parts: Mapping[str, Any], names: Sequence[str], incoming: str) -> None:
    """Install package files in order; the index comes last, when all files it lists exist."""
    os.makedirs(f"{UNPACKED}/packages", mode=0o755, exist_ok=True)
    for path in (UNPACKED, f"{UNPACKED}/packages"):
        os.chmod(path, 0o755)  # apt reads as user _apt
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
                    f"{name} from {part} has an unexpected digest. Check that it is for this processor.",
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
    """Return the path of a received file after verifying its checksum."""
    path = f"{incoming}/{os.path.basename(name)}"
    try:
        with open(path, "rb") as handle:
            hashed = digest(handle)
    except OSError as error:
        raise PhotonError("HostChangeFailed", f"{name} was not received: {error}. Run again.") from error
    if hashed != entry["sha256"]:
        raise PhotonError("HostChangeFailed", f"{name} was received with a wrong checksum. Run again.", {"file": name})
    return path


def _diff(changes: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {
        side: "".join(f"{change['kind']} {change['name']}: {change[side]}\n" for change in changes)
        for side in ("before", "after")
    }


def _change(kind: str, name: str, before: str, after: str) -> dict[str, Any]:
    return {"kind": kind, "name": name, "before": before, "after": after}
