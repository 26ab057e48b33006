# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host is asked to be, and topologies: many hosts on a page of YAML.

::

    hosts:
      lb1: {groups: [load_balancers], suite: trixie, number: 21, disk: 512M, variables: {a: 1}}
      web1: {groups: [web]}
    defaults: {suite: bookworm, base: plain}
    variables: {for: every host}
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .base import FLAVOURS, SUITES
from .paths import LabError, check_name


@dataclass(frozen=True)
class HostSpec:
    """One host. ``number`` is the last octet of its address (None: the next free one); ``disk`` bounds what it can
    write ("512M", None: the machine's own disk); ``user_data`` and ``meta_data`` are NoCloud documents as text.
    ``kubelet``: the host can be a Kubernetes node, which takes all of this machine's control group hierarchies."""

    name: str
    suite: str = "bookworm"
    base: str = "plain"
    groups: tuple[str, ...] = ()
    number: int | None = None
    disk: str | None = None
    user_data: str | None = None
    meta_data: str | None = None
    kubelet: bool = False
    variables: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("host", self.name)
        if self.suite not in SUITES:
            raise LabError(f"host {self.name}: suite {self.suite!r} is none of {', '.join(SUITES)}")
        if self.base not in FLAVOURS:
            raise LabError(f"host {self.name}: base {self.base!r} is none of {', '.join(FLAVOURS)}")
        if self.number is not None and not 2 <= self.number <= 199:
            raise LabError(f"host {self.name}: number {self.number} is not within 2..199 (200 and above are for VIPs)")
        if not isinstance(self.kubelet, bool):
            raise LabError(f"host {self.name}: kubelet {self.kubelet!r} is neither true nor false")
        if self.disk is not None and not re.fullmatch(r"[1-9][0-9]*[MG]", str(self.disk)):
            raise LabError(f"host {self.name}: disk {self.disk!r} is not a size such as 512M or 2G")


_KEYS = {f.name for f in dataclasses.fields(HostSpec)} - {"name"}


@dataclass(frozen=True)
class Topology:
    """Hosts made together, and variables for all of them."""

    hosts: tuple[HostSpec, ...]
    variables: Mapping[str, Any]


def load_topology(path: Path, suite: str | None = None) -> Topology:
    """Read a topology file; ``suite`` replaces the default suite. ``user_data: @file`` is read beside the topology."""
    import yaml

    try:
        document = yaml.safe_load(path.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise LabError(f"topology {path}: {error}") from error
    unknown = set(document) - {"hosts", "defaults", "variables"}
    if unknown or not isinstance(document.get("hosts"), dict):
        raise LabError(
            f"topology {path}: wants hosts, defaults, variables; unknown: {', '.join(sorted(unknown)) or 'none'}"
        )
    defaults = dict(document.get("defaults") or {})
    if suite:
        defaults["suite"] = suite
    hosts = []
    for name, own in document["hosts"].items():
        settings = defaults | dict(own or {})
        strange = set(settings) - _KEYS
        if strange:
            raise LabError(
                f"topology {path}: hosts.{name}.{sorted(strange)[0]} is unknown; known: {', '.join(sorted(_KEYS))}"
            )
        for key in ("user_data", "meta_data"):
            if str(settings.get(key) or "").startswith("@"):
                settings[key] = (path.parent / settings[key][1:]).read_text()
        hosts.append(HostSpec(name=name, **settings | {"groups": tuple(settings.get("groups", ()))}))
    return Topology(tuple(hosts), document.get("variables") or {})
