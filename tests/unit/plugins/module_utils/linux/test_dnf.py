# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories, holds and installations of hosts with dnf (fake rpm and dnf)."""

from __future__ import annotations

import configparser
import subprocess

import pytest
from ansible_collections.photon.platform.plugins.module_utils.linux import packages
from ansible_collections.photon.platform.plugins.module_utils.linux.document import Repository
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

SIGNED = Repository("kubernetes", "https://pkgs.example.com/rpm", "./", (), "-----BEGIN PGP\nkey", False)
TRUSTED = SIGNED._replace(name="local", key="", trusted=True)


@pytest.fixture(name="host")
def fixture_host(monkeypatch):
    """A host whose rpm and dnf give this answer and note their command lines."""

    class Host:
        def __init__(self):
            self.ran, self.code, self.out, self.err = [], 0, "", ""

        def run(self, *words, **_options):
            self.ran.append(words)
            return subprocess.CompletedProcess(words, self.code, self.out, self.err)

    host = Host()
    monkeypatch.setattr(packages, "run", host.run)
    return host


def settings(files, name):
    """The section of a repository in its file."""
    (text,) = [file.content for file in files if file.path == f"/etc/yum.repos.d/{name}.repo"]
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    return dict(parser[name])


def test_a_signed_repository_is_checked_by_its_own_key():
    files = packages.Dnf().repository_files([SIGNED], [])
    found = settings(files, "kubernetes")
    assert (found["gpgcheck"], found["enabled"], found["baseurl"]) == ("1", "1", "https://pkgs.example.com/rpm")
    (key,) = [file for file in files if f"file://{file.path}" == found["gpgkey"]]
    assert key.content == "-----BEGIN PGP\nkey\n"
    assert "excludepkgs" not in found


def test_an_unsigned_repository_is_used_only_where_it_is_trusted():
    files = packages.Dnf().repository_files([TRUSTED], [])
    assert settings(files, "local")["gpgcheck"] == "0"
    assert [file.path for file in files] == ["/etc/yum.repos.d/local.repo"]


def test_held_packages_are_left_out_of_updates_and_in_of_installations(host):
    files = packages.Dnf().repository_files([SIGNED], ["kubelet", "kubeadm"])
    assert settings(files, "kubernetes").get("excludepkgs") == "kubelet kubeadm"
    packages.Dnf().install({"kubelet": "1.37.2-*", "socat": "present"}, None, refresh=False)
    (words,) = host.ran
    assert words[-3:] == ("install", "kubelet-1.37.2-*", "socat")
    assert "--setopt=disable_excludes=*" in words
    assert "--refresh" not in words
    with pytest.raises(PhotonError, match="requires repositories"):
        packages.Dnf().repository_files([], ["kubelet"])


def test_only_the_declared_repositories_are_used_when_that_is_declared(host):
    packages.Dnf().install({"socat": "present"}, [SIGNED], refresh=True)
    (words,) = host.ran
    assert {"--disablerepo=*", "--enablerepo=kubernetes", "--refresh", "--assumeyes"} <= set(words)


def test_installed_versions_are_read(host):
    host.out = "kubelet\t1.37.2-150500.1.1\npackage socat is not installed\n"
    found = packages.Dnf().read(["kubelet", "socat"])
    assert found["kubelet"].version == "1.37.2-150500.1.1"
    assert found["socat"] == packages.NOT_INSTALLED
    assert packages.matches(found["kubelet"].version, "1.37.2-*")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("No match for argument: kubelet-1.37.9-*\nError: Unable to find a match", "PackageNotFound"),
        ("Error: Transaction test error: installing package needs 40MB more space on the / filesystem", "DiskFull"),
        ("Error: GPG check FAILED", "PackageInstallFailed"),
    ],
)
def test_failures_are_told_apart(host, said, code):
    host.code, host.err = 1, said
    with pytest.raises(PhotonError) as error:
        packages.Dnf().install({"kubelet": "1.37.9-*"}, None, refresh=False)
    assert error.value.code == code
