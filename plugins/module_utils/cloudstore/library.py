# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Import SQLAlchemy and the PostgreSQL driver on first use: a run without a CloudStore does not load them."""

from __future__ import annotations

import importlib
from types import ModuleType

from ..model.libraries import missing_library


def load(name: str = "sqlalchemy") -> ModuleType:
    """Import the module ``sqlalchemy`` or ``psycopg``. Raises MissingLibrary with what this interpreter lacks."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise missing_library(name.partition(".")[0], error) from error
