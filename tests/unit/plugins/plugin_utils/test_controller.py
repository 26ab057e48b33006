# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What entry points inside Ansible's process share: plain values out of tagged ones, errors that Ansible shows."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.photon.platform.plugins.plugin_utils.controller import plain, templated
from ansible_collections.photon.platform.plugins.plugin_utils.store import ask


@pytest.fixture
def loader(tmp_path):
    loader = DataLoader()
    loader.set_basedir(str(tmp_path))
    return loader


def test_values_from_files_become_plain(loader, tmp_path):
    (tmp_path / "vars.yml").write_text("photon_credentials:\n  vc1: {username: a, ports: [1, 2.5, true, null]}\n")
    value = plain(loader.load_from_file(str(tmp_path / "vars.yml"), trusted_as_template=True))
    assert value == {"photon_credentials": {"vc1": {"username": "a", "ports": [1, 2.5, True, None]}}}
    kinds = {
        type(value),
        type(value["photon_credentials"]["vc1"]["username"]),
        type(value["photon_credentials"]["vc1"]["ports"]),
    }
    assert kinds == {dict, str, list}
    assert type(value["photon_credentials"]["vc1"]["ports"][0]) is int


def test_variables_are_resolved(loader, tmp_path):
    (tmp_path / "vars.yml").write_text("folder: /srv\nphoton_cloudstore_url: 'sqlite:///{{ folder }}/c.db'\n")
    variables = loader.load_from_file(str(tmp_path / "vars.yml"), trusted_as_template=True)
    names = ["photon_cloudstore_url", "photon_act_as"]
    found = templated(names, variables, Templar(loader=loader, variables=variables))
    assert found == {"photon_cloudstore_url": "sqlite:////srv/c.db"}


def test_errors_carry_their_code():
    with pytest.raises(AnsibleError, match=r"^CloudStoreUnavailable: "):
        ask({"cloudstore_url": "sqlite:///relative.db"}, lambda context: context)
