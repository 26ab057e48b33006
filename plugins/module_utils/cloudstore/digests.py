# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keyed digests: how the CloudStore remembers a secret or a guest's metadata without keeping it."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any


def digest(key: bytes, value: Any) -> str:
    """HMAC-SHA-256 in hex of a JSON value; equal values give equal digests whatever the order of their keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
