# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of AWX's REST API that awx.awx and awxkit call, on loopback; jobs really run, by ansible-runner.

Stricter than AWX where that finds mistakes: a field that AWX would ignore is refused. See docs/awx.md.
"""

from __future__ import annotations

from .jobs import Image
from .server import Awx

__all__ = ["Awx", "Image"]
