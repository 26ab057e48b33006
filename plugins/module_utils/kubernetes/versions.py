# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of Kubernetes: how they are written, which are supported, and which may follow or stand beside another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..model.errors import PhotonError

DEFAULT = "1.37.2"
# What kubeadm of each minor runs by default (kubeadm config images list); the patch level seldom changes these.
PAUSE = {34: "3.10.1", 35: "3.10.1", 36: "3.10.2", 37: "3.10.2"}
SUPPORTED_MINORS = tuple(sorted(PAUSE))
KUBELET_BEHIND = 3  # minors that a kubelet may be older than the API server (the version skew policy since 1.28)
_PATTERN = re.compile(r"v?(\d+)\.(\d+)\.(\d+)\Z")


class Version(NamedTuple):
    """Compares as numbers: 1.9.0 < 1.10.0."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def parse(text: str) -> Version:
    """``1.37.2`` or ``v1.37.2``; raises SpecInvalid for anything else."""
    match = _PATTERN.match(str(text).strip())
    if not match:
        raise PhotonError(
            "SpecInvalid", f"{text!r} is no version of Kubernetes: write all three numbers, such as {DEFAULT}"
        )
    return Version(*map(int, match.groups()))


def check_supported(version: Version) -> None:
    """Raise SpecInvalid unless clusters of this version can be made."""
    if version.major != 1 or version.minor not in SUPPORTED_MINORS:
        first, last = SUPPORTED_MINORS[0], SUPPORTED_MINORS[-1]
        raise PhotonError(
            "SpecInvalid", f"version {version} is not supported: use one of 1.{first} to 1.{last}, such as {DEFAULT}"
        )


def check_step(observed: Mapping[str, str], wanted: str) -> list[str]:
    """What keeps nodes (name -> version that runs) from going to ``wanted``; empty where the way is free.

    One minor at a time, never back, and no kubelet newer than the version wanted or too old for it.
    """
    target, mistakes = parse(wanted), []
    for name, text in sorted(observed.items()):
        version = parse(text)
        if version > target:
            mistakes.append(f"{name} runs {version}, newer than {target}: Kubernetes cannot go back, declare {version}")
        elif target.minor - version.minor > 1:
            mistakes.append(
                f"{name} runs {version}: going to {target} would skip a minor, upgrade to 1.{version.minor + 1} first"
            )
    return mistakes


def check_skew(control_plane: Iterable[str], kubelets: Mapping[str, str]) -> list[str]:
    """Where versions that run side by side are further apart than Kubernetes allows; empty where all is well."""
    servers = sorted(map(parse, control_plane))
    mistakes = []
    if servers and servers[-1].minor - servers[0].minor > 1:
        mistakes.append(f"control-plane members run {servers[0]} and {servers[-1]}: at most one minor may lie between")
    for name, text in sorted(kubelets.items()):
        kubelet = parse(text)
        if servers and kubelet.minor > servers[0].minor:
            mistakes.append(f"{name}: kubelet {kubelet} is newer than the API server {servers[0]}")
        elif servers and servers[-1].minor - kubelet.minor > KUBELET_BEHIND:
            mistakes.append(f"{name}: kubelet {kubelet} is more than {KUBELET_BEHIND} minors behind {servers[-1]}")
    return mistakes
