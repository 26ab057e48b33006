# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Templated containers as built-in ones: read each value once, at a filter's entry, and never again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """The same data in exact dict, list, str, int, float, bool and None, whatever subclasses it came in."""
    kind = type(value)
    if kind is str or kind is int or value is None or kind is bool or kind is float:
        return value
    if isinstance(value, Mapping):
        return {_text(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    for exact in (str, bool, int, float):
        if isinstance(value, exact):
            return exact(value)
    return value


def _text(key: Any) -> Any:
    return key if type(key) is str else str(key) if isinstance(key, str) else key
