"""Test hosts: real Linux machines with systemd, SSH and an address of their own, many on one machine.

``Lab("mine").create([HostSpec("a"), HostSpec("b", suite="trixie")])``; see docs/lab-hosts.md.
"""

from __future__ import annotations

from .lab import Lab, collect_garbage, labs
from .paths import LabError
from .spec import HostSpec, Topology, load_topology

__all__ = ["HostSpec", "Lab", "LabError", "Topology", "collect_garbage", "labs", "load_topology"]
