# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the collection photon.platform and a Python that can run its playbooks."""

from __future__ import annotations

import configparser
import contextlib
import importlib
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

NAME = Path("ansible_collections", "photon", "platform")
DEFAULT_PATHS = ("~/.ansible/collections", "/usr/share/ansible/collections")


class Failure(Exception):
    """What a command prints before it exits with code 1."""


@cache
def root() -> Path:
    """Return the folder of the collection.

    It is the one that this file belongs to, then the checkout around the current folder, then the installed one.
    Raises Failure.
    """
    here, current = Path(__file__).resolve().parents[2], Path.cwd()
    for folder in (here, current, *current.parents):
        if _is_collection(folder):
            return folder
    searched = [*search_path(), *(Path(entry) for entry in sys.path if entry)]
    for folder in searched:
        if _is_collection(folder / NAME):
            return folder / NAME
    raise Failure(
        "the collection photon.platform is not installed: run "
        "'ansible-galaxy collection install photon-platform-VERSION.tar.gz', or set ANSIBLE_COLLECTIONS_PATH to the "
        f"folder that it was installed into; searched: {', '.join(map(str, search_path()))}"
    )


def collections_path() -> Path:
    """Return the entry of Ansible's search path that holds the collection; a checkout has a tree of links.

    Raises Failure.
    """
    found = root()
    path = found.parents[2] if found.parts[-3:] == NAME.parts else found / "collections"
    if not _is_collection(path / NAME):
        raise Failure(f"{found} is not where Ansible finds it: install it with 'ansible-galaxy collection install'")
    return path


def configuration() -> Path | None:
    """Return the ansible.cfg that Ansible would read, or None."""
    named = os.environ.get("ANSIBLE_CONFIG")
    places = [named] if named else ["ansible.cfg", "~/.ansible.cfg", "/etc/ansible/ansible.cfg"]
    files = (Path(place).expanduser() for place in places)
    return next((file.resolve() for file in files if file.is_file()), None)


def setting(name: str) -> tuple[str, Path]:
    """Return a setting of Ansible's section ``defaults``, and the folder that its relative paths start from.

    The environment comes before ansible.cfg.
    """
    value, folder = os.environ.get(f"ANSIBLE_{name.upper()}", ""), Path.cwd()
    if not value and (file := configuration()):
        config = configparser.ConfigParser(interpolation=None, strict=False)
        with contextlib.suppress(OSError, configparser.Error):
            config.read(file)
        value, folder = config.get("defaults", name, fallback=""), file.parent
    return value, folder


def search_path() -> list[Path]:
    """Return the folders in which Ansible looks for collections, as the environment or ansible.cfg says."""
    paths, folder = setting("collections_path")
    entries = [entry for entry in paths.split(os.pathsep) if entry] or DEFAULT_PATHS
    return [folder / Path(entry).expanduser() for entry in entries]


def load(name: str) -> Any:
    """Import a module of the collection, such as ``plan_text``. Raises Failure."""
    folder = str(collections_path())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(f"ansible_collections.photon.platform.plugins.module_utils.{name}")


def find_python() -> None:
    """Continue with the checkout's own Python where it has one and none was chosen.

    Raises Failure with everything that the Python lacks, and one command that installs it.
    """
    script = Path(sys.argv[0]).resolve()
    python = root() / ".build" / "venv" / "bin" / "python"
    chosen = sys.prefix != sys.base_prefix or os.environ.get("PHOTON_PYTHON")
    if script.parent == root() / "bin" and python.exists() and not chosen:
        os.environ["PHOTON_PYTHON"] = "1"
        os.execv(python, [str(python), str(script), *sys.argv[1:]])
    libraries = load("model.libraries")
    if absent := libraries.missing(["ansible", *libraries.CONTROLLER]):
        checkout = " In a checkout, 'scripts/venv runtime' does it." if (root() / "scripts" / "venv").exists() else ""
        raise Failure(libraries.advice(absent) + checkout)


def _is_collection(folder: Path) -> bool:
    return (folder / "plugins" / "modules" / "platform.py").is_file() and (folder / "playbooks" / "site.yml").is_file()
