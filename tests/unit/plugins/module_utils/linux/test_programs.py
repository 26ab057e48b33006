# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages that a module installs for itself, queried from this machine's package manager."""

from __future__ import annotations

import shutil

import pytest
from ansible_collections.photon.platform.plugins.module_utils.linux import programs
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

debian = pytest.mark.skipif(not shutil.which("dpkg-query"), reason="reads the packages of a Debian machine")


@debian
def test_missing_packages_are_listed():
    assert programs.missing({"apt": ["dpkg", "no-such-package-here"], "dnf": ["bash"]}) == ["no-such-package-here"]


@debian
def test_names_for_another_manager_are_refused():
    with pytest.raises(PhotonError, match=r"packages\.apt: is required"):
        programs.missing({"dnf": ["haproxy"]})


def test_no_packages_need_no_manager(monkeypatch):
    def none():
        raise AssertionError("no package manager is needed")

    monkeypatch.setattr(programs.packages, "manager", none)
    assert programs.missing({}) == []
    programs.install([])
    with pytest.raises(AssertionError):
        programs.install(["haproxy"])
