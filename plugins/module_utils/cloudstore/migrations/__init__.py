# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema's version and the upgrade from each version to the next.

A new version is a module in this package with ``upgrade(connection)``, imported here by name (a module run by Ansible
carries only what is imported so), and an entry in UPGRADES; tables.py always describes the newest version.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import v2, v3

VERSION = 3

# {version: function that upgrades from the version before}
UPGRADES: dict[int, Callable[[Any], None]] = {2: v2.upgrade, 3: v3.upgrade}
