# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""photon-init: a first inventory from an endpoint, whose plan touches nothing but the CloudStore."""

from __future__ import annotations

import json
import pathlib
import stat
import sys

import jsonschema
import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from photon_platform import init

from tests.support.site import Site

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs" / "declaration.schema.json").read_text())


@pytest.fixture
def call(lab_small, tmp_path, monkeypatch):
    """photon-init for an endpoint of the lab; its exit code."""

    def run(name="vc1", folder="mine", username=None, **options):
        endpoint = lab_small.endpoints[name]
        given = {"address": endpoint.address, "port": endpoint.port, "ca-file": endpoint.ca_file, "name": name}
        given |= {"username": username or endpoint.username, **options}
        words = [word for key, value in given.items() if value for word in (f"--{key}", str(value))]
        monkeypatch.setattr(sys, "argv", ["photon-init", str(tmp_path / folder), *words])
        monkeypatch.setenv("PHOTON_PASSWORD", endpoint.password)
        return init.main()

    return run


def declared(folder):
    tree = {}
    for path in sorted((folder / "host_vars" / "localhost").glob("*.yml")):
        text = path.read_text()
        tree |= yaml.safe_load(text) or {} if not text.startswith("$ANSIBLE_VAULT") else {}
    return tree


@pytest.mark.parametrize("name", ["vc1", "esx9"])
def test_the_plan_of_a_first_inventory_touches_the_cloudstore_alone(call, lab_small, tmp_path, name):
    assert call(name, site="paris") == 0
    folder = tmp_path / "mine"
    tree = declared(folder)
    assert list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(tree)) == []
    assert tree["photon_endpoints"][0]["kind"] == ("vcenter" if name == "vc1" else "esxi")
    hosts = {"vc1": ["esx[01:03].lab"], "esx9": [host["name"] for host in tree["photon_hosts"]]}[name]
    assert [host["name"] for host in tree["photon_hosts"]] == hosts
    assert tree["photon_default_port_group"]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.rglob("*.yml"))
    site = Site(lab_small, tmp_path / "site")
    try:
        before = lab_small.control.state()
        outcome = site.good(tree)
        assert set(outcome["counts"]) <= {"deployment", "endpoint", "zone", "host", "datastore", "flavor"}
        assert outcome["counts"]["endpoint"] == {"create": 1}
        after = lab_small.control.state()
        assert [state["vms"] for state in after.values()] == [state["vms"] for state in before.values()]
    finally:
        site.close()


def test_the_password_is_kept_in_a_vault_or_nowhere(call, lab_small, tmp_path):
    endpoint = lab_small.endpoints["vc1"]
    assert call() == 0
    assert endpoint.password not in "".join(path.read_text() for path in (tmp_path / "mine").rglob("*.yml"))
    assert "PHOTON_CREDENTIAL_VC1_PASSWORD" in (tmp_path / "mine/host_vars/localhost/credentials.yml").read_text()
    (tmp_path / "password").write_text("of the vault\n")
    assert call(folder="vaulted", **{"vault-password-file": tmp_path / "password"}) == 0
    text = (tmp_path / "vaulted/host_vars/localhost/credentials.yml").read_text()
    vault = VaultLib([("default", VaultSecret(b"of the vault"))])
    login = {"username": endpoint.username, "password": endpoint.password}
    assert json.loads(vault.decrypt(text)) == {"photon_credentials": {"vc1": login}}


def test_a_certificate_that_is_refused_is_shown_and_can_be_pinned(call, capsys, tmp_path):
    assert call(**{"ca-file": None}) == 1
    told = capsys.readouterr().err
    assert "the certificate was refused" in told
    thumbprint = told.split("--thumbprint ")[1].strip()
    assert not (tmp_path / "mine").exists()
    assert call(**{"ca-file": None, "thumbprint": thumbprint}) == 0
    assert declared(tmp_path / "mine")["photon_endpoints"][0]["tls"] == {"thumbprint": thumbprint}


def test_what_fails_writes_nothing(call, capsys, tmp_path):
    assert call(username="nobody") == 1
    assert "InvalidLoginCredentials" in capsys.readouterr().err
    assert call(datacenter="Paris") == 1
    assert "no datacenter named 'Paris'" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "hosts.yml").write_text("all: {}\n")
    assert call() == 1
    assert "is not empty: name a new folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ca-file": "/none.pem", "port": 1}, "--ca-file /none.pem cannot be read (No such file or directory)"),
        ({"vault-password-file": "/none"}, "--vault-password-file /none cannot be read"),
        (
            {"address": "https://vc1.lab"},
            "--address: 'https://vc1.lab' is not a host name or an IP address: write vc1.lab",
        ),
        ({"address": "vc1.lab:8443"}, "write vc1.lab and --port 8443"),
        ({"ca-file": "pyproject.toml", "port": 1}, "the CA file"),
    ],
)
def test_options_that_cannot_work_are_named_in_one_line(call, capsys, tmp_path, options, words):
    options = {key: ROOT / value if value == "pyproject.toml" else value for key, value in options.items()}
    assert call(**options) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert not (tmp_path / "mine").exists()
