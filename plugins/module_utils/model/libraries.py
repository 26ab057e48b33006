# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python libraries that the platform imports, and the one message for all that are missing."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
import sysconfig
from collections.abc import Iterable

from .errors import PhotonError

# Import name -> what pip installs; the oldest versions that are supported (meta/ee-requirements.txt has the same).
REQUIREMENTS = {
    "ansible": "ansible-core>=2.19",
    "cryptography": "cryptography>=42",
    "highspy": "highspy",
    "jinja2": "jinja2>=3.1.5",
    "netaddr": "netaddr>=1.2",
    "psycopg": "psycopg[binary]>=3.1.18",
    "pyVmomi": "pyvmomi>=8.0.3",
    "requests": "requests>=2.31",
    "sqlalchemy": "SQLAlchemy>=2.0.30",
}
# What the modules of a site import; PostgreSQL's driver and highspy are needed by some sites only.
CONTROLLER = ("sqlalchemy", "pyVmomi", "requests")


def missing(names: Iterable[str]) -> list[str]:
    """Return those of these import names that this Python cannot import."""
    return [name for name in names if not _found(name)]


def advice(names: Iterable[str]) -> str:
    """Return what is missing and one command that installs all of it where this Python can use it.

    A Python that the distribution manages (PEP 668: Debian 12 and later) refuses pip, so a virtual environment is made.
    """
    wanted = [REQUIREMENTS[name] for name in names]
    listed = " ".join(shlex.quote(requirement) for requirement in wanted)
    lacks = f"{sys.executable} lacks {', '.join(wanted)}"
    if not _managed():
        return f"{lacks}. Run: {sys.executable} -m pip install {listed}"
    everything = {**dict.fromkeys(("ansible", *CONTROLLER)), **dict.fromkeys(names)}
    listed = " ".join(shlex.quote(REQUIREMENTS[name]) for name in everything)
    venv = "" if _found("ensurepip") else "apt-get install -y python3-venv && "
    return (
        f"{lacks}; the distribution manages this Python, so pip may not install into it. Run: "
        f"{venv}{sys.executable} -m venv ~/photon && ~/photon/bin/pip install {listed}\n"
        'Then use ~/photon/bin/ansible-playbook, with ansible_python_interpreter: "{{ ansible_playbook_python }}" '
        "for localhost."
    )


def missing_library(name: str, error: Exception) -> PhotonError:
    """Return MissingLibrary for a failed import; it names all other missing libraries too."""
    absent = list(dict.fromkeys([name, *missing(CONTROLLER)]))
    wanted = [REQUIREMENTS[one] for one in absent]
    return PhotonError(
        "MissingLibrary",
        f"{advice(absent)} (Or set ansible_python_interpreter to a Python that has them. The import failed: {error})",
        {
            "library": REQUIREMENTS[name],
            "libraries": wanted,
            "interpreter": sys.executable,
        },
    )


def _found(name: str) -> bool:
    if name in sys.modules:
        return sys.modules[name] is not None
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _managed() -> bool:
    """Whether pip refuses to install into this Python."""
    marker = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    return sys.prefix == sys.base_prefix and os.path.exists(marker)
