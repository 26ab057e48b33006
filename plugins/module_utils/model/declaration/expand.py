# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From one declared item to its entities: ranges, names that come twice, and the rules of single kinds."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from .. import flavors
from ..errors import PhotonError
from ..names import check_address
from . import adapters
from .fields import Checker
from .schema import ITEMS

Item = dict[str, Any]
_RANGE = re.compile(r"\[\d+:\d+\]")
_RANGES = {
    kind: tuple(key for key, spec in schema.items() if spec.type.endswith("_range")) for kind, schema in ITEMS.items()
}
_IMAGE_TYPES = {".ova": "OVA", ".ovf": "OVF", ".vmdk": "VMDK"}


def items(checker: Checker, kind: str, item: Item, scope: dict[str, str]) -> list[Item]:
    """The entities of one checked item, sharing what is the same for all of them."""
    base = {**scope, **item}
    if kind in _RULES:
        _RULES[kind](checker, base)
    ranges = _RANGES[kind]
    if not ranges:
        return [base]
    names = item["name"] or []
    columns = {}
    for key in ranges:
        members = item[key]
        if key == "name" or members is None:
            columns[key] = members or [None] * len(names)
        elif len(members) in (1, len(names)):
            columns[key] = members if len(members) == len(names) else members * len(names)
        else:
            checker.add(
                f"{item['path']}.{key}",
                f"has {len(members)} members, the name has {len(names)}: write one "
                "for all, or a range as long as the name's",
            )
            columns[key] = [None] * len(names)
    static = None
    if kind == "vm":
        base["spread_group"] = _common_name(names)
        static = adapters.split(checker, base)
        base["static"] = None
    if len(columns) == 1:
        expanded = [{**base, "name": name} for name in names]
    else:
        rows = zip(*columns.values(), strict=True)
        expanded = [{**base, **dict(zip(columns, row, strict=True))} for row in rows]
    for entity, configuration in zip(expanded, static or (), strict=False):
        entity["static"] = configuration
    if kind == "endpoint":
        for entity in expanded:
            entity["credential"] = entity["credential"] or entity["name"]
    return expanded


def duplicates(checker: Checker, kind: str, entities: list[Item]) -> None:
    """Names that are declared twice; one mistake for each later item, however many names it repeats."""
    seen: dict[tuple[Any, ...], str] = {}
    hosts: dict[tuple[Any, ...], str] = {}
    reported: set[str] = set()
    scopes = _SCOPES.get(kind, ())
    if kind == "vm":
        adapters.refuse_twice(checker, entities)
    for entity in entities:
        name, path = entity["name"], entity["path"]
        if name is None or path in reported:
            continue
        identity = (*(entity.get(key) for key in scopes), name)
        if identity in seen:
            reported.add(path)
            checker.add(f"{path}.name", f"{name!r} is already declared at {seen[identity]}", "NameTaken")
        seen[identity] = path
        if kind == "host" and entity["state"] != "absent":
            address = (entity["endpoint"], entity["address"] or name)
            if hosts.setdefault(address, name) != name:
                reported.add(path)
                checker.add(
                    f"{path}.address",
                    f"{address[1]!r} is already the address of host {hosts[address]}",
                    "DuplicateHost",
                )


_SCOPES = {
    "flavor": ("kind",),
    "image": ("tenant", "project"),
    "project": ("tenant",),
    "vm": ("tenant", "project"),
    "disk": ("tenant", "project"),
    "datastore": ("endpoint",),
}


def _common_name(names: list[str]) -> str:
    """A name for the members of a range that stays when the range grows from one member on: ``web-*``."""
    return re.sub(r"\d+", "*", names[0]) if names else ""


def _endpoint(checker: Checker, item: Item) -> None:
    for address in item["address"] or []:
        try:
            check_address(address)
        except PhotonError as error:
            checker.add(f"{item['path']}.address", error.message, error.code)
            return


def _flavor(checker: Checker, item: Item) -> None:
    if item["kind"] == flavors.VM and item["storage_policy"]:
        checker.add(
            f"{item['path']}.storage_policy",
            "a vm flavor has no storage policy: set it on the flavors of its disks",
            "InvalidFlavorSpecification",
        )
    if item["cost"] is None or item["kind"] not in flavors.KINDS or item["state"] == "absent":
        return
    try:
        item["cost"] = flavors.check_cost(item["kind"], item["cost"])
    except PhotonError as error:
        for key, message in error.data["mistakes"]:
            checker.add(f"{item['path']}.cost" + (f".{key}" if key else ""), message, error.code)


def _image(checker: Checker, item: Item) -> None:
    path = item["path"]
    key = "url" if item["url"] else "file"
    item["file_type"] = None
    if item["file"] and item["url"]:
        checker.add(f"{path}.url", "an image has a file or a url: remove one of the two", "ImageUploadError")
    _image_url(checker, item)
    if source := item[key]:
        name = source.partition("?")[0] if key == "url" else source
        suffix = "." + name.rpartition(".")[2].lower()
        item["file_type"] = _IMAGE_TYPES.get(suffix)
        if suffix == ".iso":
            message = "an ISO makes no boot disk; name the OVA or VMDK of a VM that was installed from it"
            checker.add(f"{path}.{key}", f"{source!r}: {message}", "InvalidEntity")
        elif item["file_type"] is None:
            message = f"{source!r} is not an image: its name must end in .ova, .ovf or .vmdk"
            checker.add(f"{path}.{key}", message, "UnsupportedImageFileType")
        elif key == "url" and item["file_type"] == "OVF":
            checker.add(f"{path}.url", f"{source!r}: an OVF is several files; pack them as an OVA", "ImageUploadError")
    elif checker.complete and item["state"] != "absent" and not _has_mistakes(checker, f"{path}."):
        checker.add(f"{path}.file", "missing: name the image's file, or its url with a checksum", "ImageUploadError")


def _has_mistakes(checker: Checker, prefix: str) -> bool:
    return any(mistake.path.startswith(prefix) for mistake in checker.mistakes)


def _image_url(checker: Checker, item: Item) -> None:
    path = item["path"]
    if item["url"] is None:
        for key in ("checksum", "ca_file"):
            if item[key] is not None:
                checker.add(f"{path}.{key}", "has no effect without url", "ImageUploadError")
        return
    if message := _url_mistake(item["url"]):
        checker.add(f"{path}.url", message, "ImageUploadError")
    if item["checksum"] is None:
        message = f"missing: the digest of {item['url']}, as sha256sum prints it: sha256:..."
        checker.add(f"{path}.checksum", message, "ImageUploadError")
    elif not re.fullmatch(r"sha256:[0-9a-fA-F]{64}", item["checksum"]):
        message = "must be sha256: and 64 hexadecimal digits, as sha256sum prints them"
        checker.add(f"{path}.checksum", f"{item['checksum']!r} {message}", "ImageUploadError")
    else:
        item["checksum"] = item["checksum"].lower()


def _url_mistake(url: str) -> str:
    """What is wrong with the address of an image; empty where nothing is. A password in it is not repeated."""
    try:
        address = urlsplit(url)
        named = bool(address.hostname) and (address.port is None or address.port > 0)
    except ValueError:  # no port, or no IPv6 address
        named = False
    if not named or address.fragment:
        return f"{url.rpartition('@')[2]!r} is not an address: write https://HOST/PATH"
    if "@" in address.netloc:
        return "has a user or a password, which everybody could read here: serve the image without one"
    if address.scheme != "https":
        return f"{url!r} must begin with https://: what comes without TLS can be changed on its way"
    return ""


def _boot_disk(checker: Checker, item: Item) -> None:
    """Put flavor and capacity of the boot disk, which have two forms, under one key each."""
    boot, flavor, path = item["boot_disk"] or {}, item["boot_disk_flavor"], item["path"]
    item["boot_disk_capacity"] = boot.get("capacity")
    item["boot_disk_flavor"] = boot.get("flavor") or flavor
    if boot.get("flavor") and flavor not in (None, boot["flavor"]):
        checker.add(f"{path}.boot_disk.flavor", f"differs from boot_disk_flavor {flavor!r}: keep one of the two")
    needed = checker.complete and item["state"] != "absent" and item["boot_disk_flavor"] is None
    if needed and not _has_mistakes(checker, f"{path}.boot_disk"):
        checker.add(
            f"{path}.boot_disk_flavor", "missing: flavor of kind ephemeral-disk for the boot disk", "InvalidEntity"
        )


def _vm(checker: Checker, item: Item) -> None:
    if item["max_skew"] is not None and item["spread_over"] is None:
        checker.add(
            f"{item['path']}.max_skew", "has no effect without spread_over: add spread_over: zone, rack or host"
        )
    _boot_disk(checker, item)
    for key in ("disks", "affinity", "anti_affinity"):
        seen = set()
        for row in item[key] or []:
            identity, path = (row["name"], row.get("level")), row.pop("path")
            if identity in seen:
                checker.add(f"{path}.name", f"{row['name']!r} is defined twice")
            seen.add(identity)
    both = {(r["name"], r["level"]) for r in item["affinity"] or []} & {
        (r["name"], r["level"]) for r in item["anti_affinity"] or []
    }
    for name, level in sorted(both, key=str):
        checker.add(
            f"{item['path']}.anti_affinity",
            f"group {name!r} is also in affinity at level {level}: its members cannot be together and apart",
            "UnfullfillableAffinities",
        )


_RULES = {"endpoint": _endpoint, "flavor": _flavor, "image": _image, "vm": _vm}
