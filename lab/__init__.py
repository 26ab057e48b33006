# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data centre on one machine: a simulated vSphere, images, certificates and test hosts. docs/lab.md tells the rest.

Names are loaded when first used, so that a command that needs none of the third-party libraries runs without them.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {"Lab": "server", "Endpoint": "server", "Control": "server", "LabError": "errors", "TopologyError": "errors"}

__all__ = ["Control", "Endpoint", "Lab", "LabError", "TopologyError"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
