# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse Kubernetes versions and check support, upgrade paths and version skew."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..model.errors import PhotonError

DEFAULT = "1.37.2"
# Image tags per minor, from kubeadm config images list; patch releases rarely change them.
PAUSE = {34: "3.10.1", 35: "3.10.1", 36: "3.10.2", 37: "3.10.2"}
SUPPORTED_MINORS = tuple(sorted(PAUSE))
KUBELET_BEHIND = 3  # minors that a kubelet may lag behind the API server (version skew policy since 1.28)
_PATTERN = re.compile(r"v?(\d+)\.(\d+)\.(\d+)\Z")


class Version(NamedTuple):
    """A version that compares numerically: 1.9.0 < 1.10.0."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def parse(text: str) -> Version:
    """Parse ``1.37.2`` or ``v1.37.2``; raise SpecInvalid for anything else."""
    match = _PATTERN.match(str(text).strip())
    if not match:
        raise PhotonError(
            "SpecInvalid", f"{text!r} is not a valid Kubernetes version. Write all three numbers, such as {DEFAULT}."
        )
    return Version(*map(int, match.groups()))


def check_supported(version: Version) -> None:
    """Raise SpecInvalid unless clusters of this version are supported."""
    if version.major != 1 or version.minor not in SUPPORTED_MINORS:
        first, last = SUPPORTED_MINORS[0], SUPPORTED_MINORS[-1]
        raise PhotonError(
            "SpecInvalid", f"version {version} is not supported. Use 1.{first} to 1.{last}, such as {DEFAULT}."
        )


def check_step(observed: Mapping[str, str], wanted: str) -> list[str]:
    """Return why nodes (name -> running version) cannot be upgraded to ``wanted``; empty when they can.

    Upgrades go one minor at a time and never back, and no kubelet may be newer or too old.
    """
    target, mistakes = parse(wanted), []
    for name, text in sorted(observed.items()):
        version = parse(text)
        if version > target:
            mistakes.append(
                f"{name} runs {version}, newer than {target}. Kubernetes cannot be downgraded. Declare {version}."
            )
        elif target.minor - version.minor > 1:
            mistakes.append(
                f"{name} runs {version} and cannot skip a minor to {target}. Upgrade to 1.{version.minor + 1} first."
            )
    return mistakes


def check_skew(control_plane: Iterable[str], kubelets: Mapping[str, str]) -> list[str]:
    """Return the violations of Kubernetes' version skew policy."""
    servers = sorted(map(parse, control_plane))
    mistakes = []
    if servers and servers[-1].minor - servers[0].minor > 1:
        mistakes.append(
            f"control-plane members run {servers[0]} and {servers[-1]}, which are more than one minor apart"
        )
    for name, text in sorted(kubelets.items()):
        kubelet = parse(text)
        if servers and kubelet.minor > servers[0].minor:
            mistakes.append(f"{name}: kubelet {kubelet} is newer than the API server {servers[0]}")
        elif servers and servers[-1].minor - kubelet.minor > KUBELET_BEHIND:
            mistakes.append(f"{name}: kubelet {kubelet} is more than {KUBELET_BEHIND} minors behind {servers[-1]}")
    return mistakes
