# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test hosts: real Linux machines with systemd, SSH and an address of their own, many on one machine.

``Lab("mine").create([HostSpec("a"), HostSpec("b", suite="trixie")])``; see docs/lab-hosts.md.
"""

from __future__ import annotations

from .lab import Lab, collect_garbage, labs
from .paths import LabError
from .spec import HostSpec, Topology, load_topology

__all__ = ["HostSpec", "Lab", "LabError", "Topology", "collect_garbage", "labs", "load_topology"]
