# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the package managers say about updates, and when a host must reboot."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.photon.platform.plugins.module_utils.linux import updates
from ansible_collections.photon.platform.plugins.module_utils.linux.updates import Update
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

APT = """NOTE: This is only a simulation!
Reading package lists...
Calculating upgrade...
The following packages have been kept back:
  kubelet
The following packages will be upgraded:
  libc6
Inst libc6 [2.41-12] (2.41-12+deb13u1 Debian:13.2/stable [amd64]) []
Inst linux-image-6.12.60-amd64 (6.12.60-1 Debian-Security:13/stable-security [amd64])
Conf libc6 (2.41-12+deb13u1 Debian:13.2/stable [amd64])
"""
DNF = """
openssl-libs.x86_64                  1:3.2.2-7.el9_6                baseos
python3.9.x86_64                     3.9.21-2.el9_6.1               appstream

Obsoleting Packages
kernel.x86_64                        5.14.0-611.el9                 baseos
    kernel.x86_64                    5.14.0-570.el9                 @baseos
"""


def test_updates_of_apt_are_read_from_a_simulation():
    assert updates.parse_apt(APT) == [
        Update("libc6", "2.41-12", "2.41-12+deb13u1"),
        Update("linux-image-6.12.60-amd64", "", "6.12.60-1"),
    ]
    assert updates.parse_apt("Reading package lists...\n0 upgraded, 0 newly installed\n") == []


def test_updates_of_dnf_are_read_without_what_they_obsolete():
    assert updates.parse_dnf(DNF) == [
        Update("openssl-libs", "installed", "1:3.2.2-7.el9_6"),
        Update("python3.9", "installed", "3.9.21-2.el9_6.1"),
    ]
    assert updates.parse_dnf("\n") == []


@pytest.mark.parametrize(
    ("installed", "running", "newest"),
    [
        (["6.12.57-amd64", "6.12.60-amd64"], "6.12.57-amd64", "6.12.60-amd64"),
        (["6.12.9-amd64", "6.12.60-amd64"], "6.12.9-amd64", "6.12.60-amd64"),
        (["6.12.57-amd64", "6.12.60-amd64"], "6.12.60-amd64", ""),
        (["6.12.57-amd64"], "6.12.57-amd64", ""),
        (["6.12.57-amd64"], "6.18.0-host", ""),
        ([], "6.12.57-amd64", ""),
        (["5.14.0-570.el9", "5.14.0-611.9.1.el9_7"], "5.14.0-570.el9", "5.14.0-611.9.1.el9_7"),
    ],
)
def test_a_newer_kernel_than_the_running_one_requires_a_reboot(installed, running, newest):
    assert updates.newest_kernel([f"vmlinuz-{version}" for version in installed], running) == newest


def test_a_failed_update_names_the_package(monkeypatch):
    said = "dpkg: error processing package libc6 (--configure):\n installed script returned error exit status 3\n"
    failed = subprocess.CompletedProcess((), 100, "", f"{said}E: Sub-process /usr/bin/dpkg returned an error code\n")
    monkeypatch.setattr(updates.packages, "manager", updates.packages.Apt)
    monkeypatch.setattr(updates.packages.Apt, "repair", lambda _self: None)
    monkeypatch.setattr(updates, "run", lambda *_words, **_options: failed)
    with pytest.raises(PhotonError, match="dpkg failed for libc6; E: Sub-process") as error:
        updates.apply()
    assert error.value.code == "PackageInstallFailed"


def test_a_package_that_asks_for_a_reboot_is_named(tmp_path, monkeypatch):
    marker = tmp_path / "reboot-required"
    monkeypatch.setattr(updates, "REBOOT_REQUIRED", (str(marker),))
    monkeypatch.setattr(updates.packages, "manager", updates.packages.Apt)
    monkeypatch.setattr(updates.glob, "glob", lambda _pattern: [])
    assert updates.reboot_reasons() == []
    marker.touch()
    assert updates.reboot_reasons() == ["required by a package"]
    (tmp_path / "reboot-required.pkgs").write_text("linux-base\nlibc6\nlibc6\n")
    assert updates.reboot_reasons() == ["required by libc6, linux-base"]
