# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the container runtime of a cluster or of a standalone host, and read the files that it names."""

from __future__ import annotations

import tomllib
import urllib.parse
from collections.abc import Callable
from typing import Any

from ..model.declaration.fields import Checker
from ..model.errors import PhotonError
from . import checks_settings
from .documents import containerd


def runtime_settings(checker: Checker, runtime: dict[str, Any], path: str, read_file: Callable[[str], str]) -> None:
    """Report the mistakes in registries and proxy; file names of authorities are replaced by their content."""
    seen = set()
    for registry in runtime["registries"]:
        where, host = registry["path"], registry["host"]
        name, colon, port = host.partition(":")
        if host != "_default" and not (checks_settings.is_name_or_address(name) and port.isdigit() == bool(colon)):
            checker.add(
                f"{where}.host", f"{host!r}: must be a host name without scheme and path. URLs belong to mirrors."
            )
        if host in seen:
            checker.add(f"{where}.host", f"{host!r} is defined twice")
        seen.add(host)
        for index, mirror in enumerate(registry["mirrors"]):
            if (
                urllib.parse.urlsplit(mirror).scheme not in ("http", "https")
                or not urllib.parse.urlsplit(mirror).hostname
            ):
                checker.add(f"{where}.mirrors[{index}]", f"{mirror!r} is not a valid URL. Write https://host:port.")
            elif "@" in urllib.parse.urlsplit(mirror).netloc:
                checker.add(f"{where}.mirrors[{index}]", "must not contain a user, which the runtime would not use")
        if registry["only_mirrors"] and not registry["mirrors"]:
            checker.add(f"{where}.mirrors", "is required with only_mirrors")
        text_or_file(checker, registry, "ca", where, read_file)
    _containerd(checker, runtime, path, read_file)
    for key in ("http", "https"):
        value = (runtime["proxy"] or {}).get(key)
        if value and not (urllib.parse.urlsplit(value).hostname and "://" in value):
            checker.add(f"{path}.proxy.{key}", "is not a valid URL. Write http://host:port.")


def _containerd(checker: Checker, runtime: dict[str, Any], path: str, read_file: Callable[[str], str]) -> None:
    """Report imports, tables and a configuration of the user's that containerd would not read."""
    for index, name in enumerate(runtime["imports"]):
        if not name.startswith("/"):
            checker.add(f"{path}.imports[{index}]", f"{name!r} is not an absolute path on the hosts")
    whole = runtime["configuration"]
    if whole:
        if "\n" not in whole:
            runtime["configuration"] = whole = read_text(checker, read_file, whole, f"{path}.configuration", "")
        _toml(checker, whole, f"{path}.configuration")
        for key in ("imports", "extra"):
            if runtime[key]:
                checker.add(f"{path}.{key}", "has no effect with configuration. Put it there.")
    elif runtime["extra"]:
        where = f"{path}.extra"
        if any(not isinstance(value, dict) for value in (_toml(checker, runtime["extra"], where) or {}).values()):
            checker.add(where, "must consist of tables only, such as [plugins.'...'.containerd.runtimes.nvidia]")
        else:
            known = {"cni_bin_dir": "/", "sandbox_image": "", **{k: v for k, v in runtime.items() if v is not None}}
            _toml(checker, containerd.configuration({**runtime, **known}), where)


def _toml(checker: Checker, text: str, path: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        checker.add(path, f"is not valid TOML, or repeats a table of the role: {error}")
        return None


def text_or_file(checker: Checker, entry: dict[str, Any], key: str, path: str, read_file: Callable[[str], str]) -> None:
    """Read a certificate or repository key that is given as text or as a file name."""
    wanted = "-----BEGIN PGP PUBLIC KEY BLOCK-----" if key == "key" else "-----BEGIN CERTIFICATE-----"
    given = entry[key]
    if given and "-----BEGIN " not in given:
        entry[key] = read_text(checker, read_file, given, f"{path}.{key}", wanted)
    elif given and wanted not in given:
        checker.add(f"{path}.{key}", f"must contain the line {wanted}")


def read_text(checker: Checker, read_file: Callable[[str], str], name: str, path: str, wanted: str) -> str:
    """Return a file of the controller, "" with a mistake when it cannot be read or lacks the line ``wanted``."""
    try:
        text = read_file(name)
    except PhotonError as error:
        checker.add(path, error.message)
        return ""
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "is not a text file"
        checker.add(path, f"the file {name!r} on the controller cannot be read: {why}")
        return ""
    if wanted not in text:
        checker.add(path, f"the file {name!r} does not contain the line {wanted}")
    return text
