# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles on the controller."""

from __future__ import annotations

import pathlib
from typing import Any

from ..module_utils.kubernetes import bundle


def read_bundle(name: str) -> dict[str, Any]:
    """Return the manifest of a bundle on the controller."""
    return bundle.read_manifest(str(pathlib.Path(name).expanduser()))
