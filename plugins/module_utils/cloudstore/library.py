# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Import SQLAlchemy and the PostgreSQL driver on first use: a run without a CloudStore does not load them."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from ..model.errors import PhotonError

_WANTED = {"sqlalchemy": "SQLAlchemy", "psycopg": "psycopg[binary]"}


def load(name: str = "sqlalchemy") -> ModuleType:
    """Import the module ``sqlalchemy`` or ``psycopg``. Raises MissingLibrary with the pip line for this interpreter."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = _WANTED[name.partition(".")[0]]
        raise PhotonError(
            "MissingLibrary",
            f"the CloudStore needs {package}, which {sys.executable} cannot import ({error}): run "
            f"'{sys.executable} -m pip install \"{package}\"', or set ansible_python_interpreter to one that has it",
            {"library": package, "interpreter": sys.executable},
        ) from error
