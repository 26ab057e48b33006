# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lookup declaration: resolved variables, failures with key paths, warnings about secrets."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible.template import Templar
from ansible_collections.photon.platform.plugins.lookup import declaration

VAULTED = VaultLib([("default", VaultSecret(b"x"))]).encrypt("secret").decode()
SITE = """\
photon_site: paris
photon_default_port_group: "{{ network }}"
photon_tenants:
  - name: acme
    quota: {vm.count: "{{ 2 * 10 }}"}
    projects: "{{ projects }}"
photon_clusters: [{name: prod}]
network: lan
projects: [{name: web, quota_percent: 50}]
"""


@pytest.fixture
def look(tmp_path, monkeypatch):
    """Return the declaration of a file with variables, and the warnings."""
    warnings = []
    monkeypatch.setattr(declaration.display, "warning", warnings.append)

    def call(text, **more):
        path = tmp_path / "vars.yml"
        path.write_text(text)
        loader = DataLoader()
        variables = {**loader.load_from_file(str(path), trusted_as_template=True), **more}
        templar = Templar(loader=loader, variables=variables)
        [answer] = declaration.LookupModule(loader=loader, templar=templar).run([], variables)
        return answer, warnings

    return call


def test_templates_are_resolved_and_other_variables_left_out(look):
    assert look(SITE)[0] == {
        "photon_site": "paris",
        "photon_default_port_group": "lan",
        "photon_tenants": [
            {"name": "acme", "quota": {"vm.count": 20}, "projects": [{"name": "web", "quota_percent": 50}]}
        ],
    }


def test_every_undefined_variable_is_named_with_its_key_path(look):
    broken = SITE.replace("{{ 2 * 10 }}", "{{ nope }}").replace("{{ network }}", "{{ net_work }}")
    with pytest.raises(AnsibleError) as caught:
        look(broken)
    text = str(caught.value)
    assert "2 mistakes in the declaration" in text
    assert "- photon_tenants[0].quota.vm.count: 'nope' is undefined" in text
    assert "- photon_default_port_group: 'net_work' is undefined" in text


@pytest.mark.parametrize(
    "line",
    [
        "    password: change-me",
        "    password: 'change me'",
        "  vc1: {username: root, password: x}",
        '  {"username": "root", "password": "x"}',
        "haproxy_stats_password: x",
        "    secret: aGVsbG8=",
    ],
)
@pytest.mark.parametrize("place", ["group_vars/all/credentials.yml", "host_vars/localhost/credentials.yml"])
def test_a_secret_in_plain_text_is_a_warning_with_the_command(look, tmp_path, line, place):
    path = tmp_path / "mine" / place
    path.parent.mkdir(parents=True)
    path.write_text(f"---\nphoton_credentials:\n{line}\n")
    _answer, [warning] = look(SITE, ansible_inventory_sources=[str(tmp_path / "mine")])
    assert warning.startswith(f"{path}:3 holds a secret in plain text: run 'ansible-vault encrypt {path}'")
    assert ("move it to host_vars/localhost" in warning) == place.startswith("group_vars")


@pytest.mark.parametrize(
    "text",
    [
        "password: !vault |",
        'password: "{{ vault_password }}"',
        "# password: x",
        "password:",
        "password: null",
        "vm.memory: 1 GB",
        "  # see the secret: it is in the vault",
        VAULTED + "password: x",
    ],
)
def test_what_is_no_secret_is_no_warning(look, tmp_path, text):
    path = tmp_path / "mine" / "group_vars" / "all.yml"
    path.parent.mkdir(parents=True)
    path.write_text(f"{text}\n")
    assert look(SITE, ansible_inventory_sources=[str(tmp_path / "mine")])[1] == []


def test_credentials_among_the_variables_of_a_vm_are_a_warning_with_the_move(look):
    credentials = {"vc1": {"username": "a", "password": "b"}}
    more = {
        "photon_credentials": credentials,
        "groups": {"all": ["localhost", "web-01.web.acme"]},
        "hostvars": {"web-01.web.acme": {"photon_credentials": credentials}},
        "ansible_inventory_sources": ["/srv/mine/hosts.yml"],
    }
    _answer, [warning] = look(SITE, **more)
    assert warning.startswith("photon_credentials is a variable of web-01.web.acme")
    assert "mv /srv/mine/group_vars/all /srv/mine/host_vars/localhost" in warning
    more["hostvars"] = {"web-01.web.acme": {}}
    assert look(SITE, **more)[1] == [warning]
