# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keyed digests, stored instead of secrets and guest metadata to detect changes of them."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any


def digest(key: bytes, value: Any) -> str:
    """Return the HMAC-SHA-256 in hex of a JSON value; the order of its keys does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
