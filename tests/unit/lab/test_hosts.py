# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeds and topologies of the lab's hosts: what is applied, what is refused."""

from __future__ import annotations

import socket

import pytest

from lab.hosts import HostSpec, LabError, aptcache, base, load_topology, paths, seed


def test_no_seed_is_nothing():
    assert seed.read(None, None) == seed.Seed(None, (), ())


@pytest.mark.parametrize(
    ("user_data", "message"),
    [
        ("users: []", "neither #cloud-config nor"),
        ("#cloud-config\npackages: [x]", "packages is not applied by the lab"),
        ("#cloud-config\nusers: [{name: a, colour: red}]", r"users\[0\]: colour is not applied"),
        ("#cloud-config\nwrite_files: [{path: relative}]", r"write_files\[0\].path: wants an absolute path"),
        ("#cloud-config\nwrite_files: [{path: /a, encoding: rot13}]", "rot13"),
        ("#cloud-config\nruncmd: [7]", r"runcmd\[0\]: wants a string or a list"),
        ("#cloud-config\n- a", "not a mapping"),
    ],
)
def test_what_is_wrong_is_named(user_data, message):
    with pytest.raises(LabError, match=message):
        seed.read(user_data, None)


@pytest.mark.parametrize("key", ["number: 1", "number: 200", "disk: 5", "suite: sarge", "colour: red"])
def test_a_topology_names_its_mistake(tmp_path, key):
    path = tmp_path / "hosts.yml"
    path.write_text(f"hosts: {{a: {{{key}}}}}")
    with pytest.raises(LabError, match=key.split(":")[0]):
        load_topology(path)


def test_a_topology_reads_seeds_beside_it(tmp_path):
    (tmp_path / "seed").write_text("#cloud-config\n")
    path = tmp_path / "hosts.yml"
    path.write_text("{defaults: {suite: trixie}, hosts: {a: {user_data: '@seed', groups: [x]}, b: {}}}")
    topology = load_topology(path)
    assert topology.hosts == (
        HostSpec("a", "trixie", groups=("x",), user_data="#cloud-config\n"),
        HostSpec("b", "trixie"),
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"PHOTON_CACHE": "cache", "PHOTON_LAB_DIR": "lab"}, "lab"),
        ({"PHOTON_CACHE": "cache", "XDG_CACHE_HOME": "xdg"}, "cache"),
        ({"XDG_CACHE_HOME": "xdg"}, "xdg/photon-platform"),
        ({}, "home/.cache/photon-platform"),
    ],
)
def test_the_cache_moves_bases_and_labs(tmp_path, monkeypatch, settings, expected):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("PHOTON_CACHE", "PHOTON_LAB_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, folder in settings.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    assert paths.root() == tmp_path / expected


@pytest.mark.parametrize(
    ("user", "archives", "expected"),
    [
        (1000, "bookworm", "real hosts on this machine need root (LAB_DRIVER=nspawn)"),
        (0, "noble", "apt knows no Debian archive: lab hosts are built on a Debian machine (or use LAB_DRIVER=ssh)"),
        (0, "bookworm", ""),
    ],
)
def test_a_machine_that_can_make_no_hosts_says_why(tmp_path, monkeypatch, user, archives, expected):
    apt = tmp_path / "apt-get"
    apt.write_text(f"#!/bin/sh\necho http://archive.example/ {archives} main\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{base.os.environ['PATH']}")
    monkeypatch.setattr(base.os, "geteuid", lambda: user)
    assert base.unavailable() == expected


def test_a_machine_without_apt_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(base.os, "geteuid", lambda: 0)
    assert "apt-get is not installed" in base.unavailable()


def test_a_cache_service_on_all_addresses_is_not_used(monkeypatch):
    monkeypatch.setattr(aptcache, "run", lambda *_words, **_options: None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(aptcache, "PORT", server.getsockname()[1])
        with pytest.raises(LabError, match="systemctl disable --now apt-cacher-ng"):
            aptcache._start()
