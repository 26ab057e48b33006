# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventories of a simulated data centre, and the commands that people type."""

from __future__ import annotations

import copy
import json
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from lab import Lab
from tests.support import diskimages

ROOT = pathlib.Path(__file__).resolve().parents[3]
SECRET = "a vault's password"
DECLARATION = r"""
photon_zones: [{name: a}, {name: b}]
photon_hosts:
  - {name: "esx[01:03].lab", endpoint: vc1, zone: a}
  - {name: esx09.lab, endpoint: esx9, zone: b}
photon_images: [{name: debian, file: debian.ova, replication: EAGER}]
photon_default_port_group: VM Network
photon_tenants:
  - name: acme
    quota: {vm.count: 20, vm.cpu: 40, vm.memory: 80 GB}
    security_groups: ['photon\acme-admins']
    projects:
      - name: web
        quota_percent: 50
        security_groups: ['photon\web']
        vms:
          - name: web-[01:04]
            flavor: core-100
            image: debian
            boot_disk_flavor: core-100
            spread_over: zone
            tags: [front-end]
            state: started
            metadata: {user_data: "#cloud-config # a-secret-of-the-guest"}
"""


class Site:
    """An inventory in a folder of its own, with a CloudStore of its own."""

    def __init__(self, lab: Lab, directory: pathlib.Path) -> None:
        self.directory = directory
        self.inventory = directory / "inventory"
        self.variables = self.inventory / "host_vars" / "localhost"
        self.variables.mkdir(parents=True)
        self.home = directory / "home"
        self.home.mkdir()
        self.store = directory / "cloudstore.db"
        self.url = f"sqlite:///{self.store}"
        (directory / "password").write_text(SECRET)
        (self.inventory / "hosts.yml").write_text("all: {hosts: {localhost: {ansible_connection: local}}}\n")
        diskimages.ova(self.inventory / "debian.ova")
        self.tree = yaml.safe_load(DECLARATION)
        self.tree |= {
            # One data centre for all tests: each site has a name and a folder of its own.
            "photon_site": re.sub("[^a-z0-9-]", "-", f"site-{directory.name}")[:63].rstrip("-"),
            "photon_endpoints": [
                {
                    "name": endpoint.name,
                    "kind": endpoint.kind,
                    "address": endpoint.address,
                    "port": endpoint.port,
                    "tls": {"ca_file": endpoint.ca_file},
                    "folder": directory.name,
                }
                for endpoint in lab.endpoints.values()
            ],
            "photon_cloudstore_url": self.url,
            "photon_cloudstore_allow_ephemeral": True,
        }
        self.credentials({name: {"username": e.username, "password": e.password} for name, e in lab.endpoints.items()})
        self.write()

    def credentials(self, credentials: dict[str, Any]) -> None:
        """Write the logins, each password a vaulted value."""
        vault = VaultLib([("default", VaultSecret(SECRET.encode()))])
        lines = ["photon_credentials:"]
        for name, login in credentials.items():
            secret = vault.encrypt(login["password"]).decode().split()
            lines += [f"  {name}:", f"    username: {login['username']}", "    password: !vault |"]
            lines += [f"      {line}" for line in secret]
        (self.variables / "credentials.yml").write_text("\n".join(lines) + "\n")

    def write(self, **changes: Any) -> None:
        """Write the declaration, with some of its variables changed."""
        self.tree |= changes
        (self.variables / "site.yml").write_text(yaml.safe_dump(self.tree))

    def tenants(self) -> list[dict[str, Any]]:
        """The declared tenants, to be changed and written."""
        return copy.deepcopy(self.tree["photon_tenants"])

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """photon-plan or photon-apply on this inventory."""
        name, *rest = words
        return self._run([sys.executable, str(ROOT / "bin" / name), *self._inventory(), *rest])

    def playbook(self, playbook: str | list[dict[str, Any]], *words: str) -> subprocess.CompletedProcess[str]:
        """A playbook of the collection, or one made of these tasks; its outcome as JSON on standard output."""
        if not isinstance(playbook, str):
            path = self.directory / "tasks.yml"
            play = {
                "hosts": "localhost",
                "gather_facts": False,
                "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
                "module_defaults": {
                    "group/photon.platform.all": {
                        "cloudstore_url": self.url,
                        "cloudstore_allow_ephemeral": True,
                        "credentials": "{{ photon_credentials }}",
                    }
                },
                "tasks": playbook,
            }
            path.write_text(yaml.safe_dump([play]))
            playbook = str(path)
        return self._run(
            [sys.executable, "-m", "ansible", "playbook", *self._inventory(), playbook, *words],
            ANSIBLE_STDOUT_CALLBACK="photon.platform.outcome",
        )

    def results(self, playbook: str | list[dict[str, Any]], *words: str) -> list[dict[str, Any]]:
        """What the modules of ours returned; nothing else may have failed."""
        done = self.playbook(playbook, *words)
        answer = json.loads(done.stdout or '{"failures": ["no answer"]}')
        assert answer["failures"] == [], done.stderr
        return answer["results"]

    def result(self, playbook: str | list[dict[str, Any]], *words: str) -> dict[str, Any]:
        [result] = self.results(playbook, *words)
        return result

    def files(self) -> set[str]:
        """Every file and folder of this site and of its user's home."""
        return {str(path.relative_to(self.directory)) for path in self.directory.rglob("*")}

    def _inventory(self) -> list[str]:
        return ["-i", str(self.inventory), "--vault-password-file", str(self.directory / "password")]

    def _run(self, words: list[str], **more: str) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PHOTON_"))}
        environment |= {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_CACHE_PLUGIN": "memory",
            "HOME": str(self.home),
            **more,
        }
        return subprocess.run(
            words, cwd=self.directory, env=environment, capture_output=True, text=True, timeout=300, check=False
        )


@pytest.fixture(scope="package")
def _lab():
    with Lab.start("small") as lab:
        yield lab


@pytest.fixture(scope="package")
def data_centre(_lab):
    """The simulated data centre that the sites of this folder share."""
    return _lab


@pytest.fixture
def site(data_centre, tmp_path):
    """A site that nothing was made of yet."""
    return Site(data_centre, tmp_path)


@pytest.fixture(scope="module")
def applied(data_centre, tmp_path_factory):
    """A site that was applied and whose guests have an address; leave it as you found it."""
    site = Site(data_centre, tmp_path_factory.mktemp("applied"))
    assert site.result("photon.platform.site")["changed"]
    for _attempt in range(20):
        assert not site.result("photon.platform.site")["changed"]
        vms = site.result([{"photon.platform.resource_info": {"kind": "vm"}}])["resources"]
        if all(vm["address"] for vm in vms):
            return site
    pytest.fail("the guests never reported an address")
