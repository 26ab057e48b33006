# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The declaration: inventory variables of a user, checked as a whole and converted to one normal form.

``validate(tree, known)`` takes the whole tree, ``check_items(kind, items, ...)`` the items of a module of one kind.
Both raise one SpecInvalid whose ``data["mistakes"]`` lists every mistake as {path, message, code}.
"""

from __future__ import annotations

from .declared import Declaration, full_name
from .fields import Checker, Field, Mistake
from .known import Known
from .schema import CONNECTION, ITEMS, SITE, argument_spec, with_initial
from .validate import check_items, validate

__all__ = [
    "CONNECTION",
    "ITEMS",
    "SITE",
    "Checker",
    "Declaration",
    "Field",
    "Known",
    "Mistake",
    "argument_spec",
    "check_items",
    "full_name",
    "validate",
    "with_initial",
]
