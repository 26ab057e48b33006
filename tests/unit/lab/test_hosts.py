# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeds and topologies of the lab's hosts: what is applied, what is refused."""

from __future__ import annotations

import pytest

from lab.hosts import HostSpec, LabError, load_topology, seed


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
