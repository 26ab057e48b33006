# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in unusual surroundings: an inventory that cannot be written, no home directory, two inventories, a very
large one, and a vault without its password."""

from __future__ import annotations

import os
import shlex
import sys

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from tests.integration.entry_points.conftest import ROOT, SECRET

PLAN = [sys.executable, str(ROOT / "bin" / "photon-plan")]


def plan(site, *inventories, password=True, wrap=lambda words: words, **environment):
    """photon-plan on these inventories, as typed in the site's folder."""
    words = [*PLAN, *(word for inventory in inventories for word in ("-i", str(inventory)))]
    words += ["--vault-password-file", str(site.directory / "password")] if password else []
    return site._run(wrap(words), **environment)


def read_only(folder):
    """Make commands see this folder read-only: by its mode, and as root, whom modes do not stop, by a mount."""
    folder.chmod(0o555)
    if os.geteuid() != 0:
        return lambda words: words
    path = shlex.quote(str(folder))
    script = f'mount --bind {path} {path} && mount -o remount,bind,ro {path} && ! touch {path}/x && exec "$@"'
    return lambda words: ["unshare", "--mount", "sh", "-c", script, "sh", *words]


def test_an_inventory_that_cannot_be_written_and_no_home_directory(site):
    before = site.files()
    try:
        done = plan(site, site.inventory, wrap=read_only(site.inventory), HOME="/nonexistent")
    finally:
        site.inventory.chmod(0o755)
    assert done.returncode == 2, done.stderr
    assert "+ acme/web/web-[01:04]" in done.stdout
    assert site.files() == before


def test_the_second_inventory_wins_and_adds(site):
    second = site.directory / "second" / "host_vars" / "localhost"
    second.mkdir(parents=True)
    (second.parents[1] / "hosts.yml").write_text("all: {hosts: {localhost: {}}}\n")
    tenants = site.tenants()
    tenants[0]["projects"][0]["vms"][0]["name"] = "web-[01:02]"
    (second / "tenants.yml").write_text(yaml.safe_dump({"photon_tenants": tenants}))
    done = plan(site, site.inventory, second.parents[1])
    assert done.returncode == 2, done.stderr
    assert "+ acme/web/web-[01:02]" in done.stdout


def test_an_inventory_of_a_megabyte(site):
    guests = {f"guest-{number:05}.example.org": {"ansible_user": "debian"} for number in range(20_000)}
    text = yaml.safe_dump({"all": {"hosts": {"localhost": {"ansible_connection": "local"}}, "children": {
        "guests": {"hosts": guests}}}})  # fmt: skip
    assert len(text) > 1_000_000
    (site.inventory / "hosts.yml").write_text(text)
    done = plan(site, site.inventory)
    assert done.returncode == 2, done.stderr
    assert "+ acme/web/web-[01:04]" in done.stdout


@pytest.mark.parametrize("whole", [False, True], ids=["a value", "a whole file"])
@pytest.mark.parametrize("password", [None, "a wrong one"])
def test_a_vault_without_its_password_names_what_is_encrypted_and_the_option(site, whole, password):
    file = site.variables / "credentials.yml"
    if whole:
        text = yaml.safe_dump({"photon_credentials": {"vc1": {"username": "u", "password": "p"}}})
        file.write_text(VaultLib([("default", VaultSecret(SECRET.encode()))]).encrypt(text).decode())
    if password:
        (site.directory / "password").write_text(password)
    done = plan(site, site.inventory, password=bool(password))
    assert done.returncode == 1
    assert ("credentials.yml" if whole else "photon_credentials.vc1.password") in done.stderr
    assert "--vault-password-file" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
