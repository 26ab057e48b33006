# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names as the API writes them (``%25``, ``%2f``, ``%5c`` for ``%``, ``/``, ``\\``) and as people write them.

Rows hold plain names. A folder path is a string whose parts are escaped, so that it splits at ``/`` only between
folders.
"""

from __future__ import annotations

import re

_ESCAPES = {"%": "%25", "/": "%2f", "\\": "%5c"}
_PLAIN = {escaped: char for char, escaped in _ESCAPES.items()}
_ESCAPED = re.compile("%(?:25|2f|5c)", re.IGNORECASE)
_SPECIAL = re.compile(r"[%/\\]")


def unescape(name: str) -> str:
    """Return the plain name of an object from its name in the API."""
    return _ESCAPED.sub(lambda match: _PLAIN[match[0].lower()], name) if "%" in name else name


def escape(name: str) -> str:
    """Return a plain name as the API takes it."""
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], name)


def folder_path(*paths: str) -> str:
    """Join folder paths into one in canonical form: ``folder_path("Sales 100%", "acme")`` is ``Sales 100%25/acme``.

    A part may be plain or escaped; a ``/`` inside a folder's name must be written ``%2f``. The result is stable:
    applying the function again changes nothing.
    """
    return "/".join(escape(unescape(part)) for path in paths for part in path.split("/") if part)


def folder_names(path: str) -> list[str]:
    """Return the plain names of the folders of a path, the outermost first."""
    return [unescape(part) for part in path.split("/") if part]
