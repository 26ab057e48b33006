# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site's repository, a simulated data centre and the lab's AWX, on which awx.yml has run."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import sysconfig
import time
from typing import Any

import pytest
import yaml

from lab import Lab
from lab.awx import Awx, Image
from tests.support import diskimages

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAMS = pathlib.Path(sys.executable).parent
IMAGE = "registry.example.org/photon-ee:1"
DECLARATION = """
photon_site: paris
photon_zones: [{name: a}]
photon_hosts: [{name: "esx[01:03].lab", endpoint: vc1, zone: a}]
photon_images: [{name: debian, file: debian.ova, replication: EAGER}]
photon_default_port_group: VM Network
photon_wait_for_addresses: 0
photon_tenants:
  - name: acme
    quota: {vm.count: 20, vm.cpu: 40, vm.memory: 80 GB}
    projects:
      - name: web
        quota_percent: 50
        vms: [{name: "web-[01:02]", flavor: core-100, image: debian, boot_disk_flavor: core-100, state: started}]
"""


class Repository:
    """The repository of a site as docs/awx.md describes it: an inventory, and a playbook per operation."""

    def __init__(self, directory: pathlib.Path, lab: Lab, awx: Awx) -> None:
        self.directory, self.awx = directory / "repository", awx
        self.variables = self.directory / "inventory" / "host_vars" / "localhost"
        self.variables.mkdir(parents=True)
        (self.directory / "inventory" / "hosts.yml").write_text(
            "all: {hosts: {localhost: {ansible_connection: local, "
            'ansible_python_interpreter: "{{ ansible_playbook_python }}"}}}\n'
        )
        diskimages.ova(self.directory / "inventory" / "debian.ova")
        (self.directory / "ansible.cfg").write_text(
            "[defaults]\ncallbacks_enabled = photon.platform.progress\n"
            "[inventory]\nunparsed_is_failed = true\nignore_extensions = .ova, .vmdk\n"
        )
        (self.directory / "playbooks").mkdir()
        for name in ("plan", "site", "report", "show", "verify", "vm", "maintain", "awx"):
            wrapper = f"- import_playbook: photon.platform.{name}\n"
            (self.directory / "playbooks" / f"{name}.yml").write_text(wrapper)
        self.store = f"sqlite:///{directory / 'cloudstore.db'}"
        endpoint = lab.endpoints["vc1"]
        self.login = {"username": endpoint.username, "password": endpoint.password}
        # What awx.yml finds in the environment of a controller.
        self.secrets = {
            "CONTROLLER_HOST": awx.url,
            "CONTROLLER_OAUTH_TOKEN": awx.token(),
            "PGPASSWORD": "st0re",
            "PHOTON_CREDENTIAL_VC1_USERNAME": endpoint.username,
            "PHOTON_CREDENTIAL_VC1_PASSWORD": endpoint.password,
        }
        where = {"name": "vc1", "address": endpoint.address, "port": endpoint.port, "folder": directory.name}
        self.tree: dict[str, Any] = {
            **yaml.safe_load(DECLARATION),
            "photon_endpoints": [{**where, "tls": {"ca_file": endpoint.ca_file}}],
            "photon_cloudstore_allow_ephemeral": True,
        }
        self.settings: dict[str, Any] = {
            "organization": "Platform",
            "image": IMAGE,
            "project": {"scm_url": f"file://{self.directory}", "scm_branch": "main"},
            "inventory": "inventory",
            "cloudstore": self.store,
            "operations": ["plan", "apply", "surveys"],
            "schedules": [
                {"name": "nightly", "template": "plan", "rrule": "DTSTART:20260101T020000Z RRULE:FREQ=DAILY;INTERVAL=1"}
            ],
        }
        self._git("init", "--quiet", "--initial-branch", "main")
        self.commit()

    def commit(self, **changes: Any) -> None:
        """Write the declaration, with some of its variables changed."""
        self.tree |= changes
        (self.variables / "site.yml").write_text(yaml.safe_dump({**self.tree, "awx": self.settings}))
        self._git("add", "--all")
        self._git(
            "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "--allow-empty", "-m", "site"
        )

    def playbook(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run awx.yml from a controller."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PHOTON_"))}
        environment |= {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_CACHE_PLUGIN": "memory",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.json",
            "PHOTON_CLOUDSTORE": self.store,
            **self.secrets,
        }
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(self.directory / "inventory"), *words]
        return subprocess.run(
            [*command, "photon.platform.awx"],
            cwd=self.directory, env=environment, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip

    def keep(self, *words: str) -> list[str]:
        """Run awx.yml, which must not fail; returns what it changed."""
        done = self.playbook(*words)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
        changed = []
        for task in (task for play in json.loads(done.stdout)["plays"] for task in play["tasks"]):
            result = task["hosts"].get("localhost", {})
            rows = result.get("results") or [result]
            title = task["task"]["name"]
            changed += [f"{title}: {row.get('name') or row.get('id')}" for row in rows if row.get("changed")]
        return changed

    def _git(self, *words: str) -> None:
        subprocess.run(["git", *words], cwd=self.directory, check=True)


def image() -> Image:
    """An execution environment with the collection and its libraries."""
    peers = next(path for path in sys.path if pathlib.Path(path, "ansible_collections", "awx").is_dir())
    return Image(PROGRAMS, f"{ROOT / 'collections'}:{peers}")


def wait(condition: Any, seconds: float = 120) -> Any:
    """The first true value of the condition."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
    return value


@pytest.fixture(scope="package")
def bare_python(tmp_path_factory):
    """The commands of a Python that has ansible-core alone, as an image without the collection's libraries."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    source = pathlib.Path(sysconfig.get_paths()["purelib"])
    [target] = folder.glob("lib/python3*/site-packages")
    names = "ansible ansible_core-* jinja2* markupsafe yaml _yaml cryptography cffi _cffi_backend* pycparser packaging"
    for path in (path for name in (*names.split(), "resolvelib") for path in source.glob(name)):
        (target / path.name).symlink_to(path)
    for name in ("playbook", "inventory"):
        script = folder / "bin" / f"ansible-{name}"
        script.write_text(f'#!/bin/sh\nexec {folder}/bin/python -m ansible {name} "$@"\n')
        script.chmod(0o755)
    return folder / "bin"


@pytest.fixture(scope="package")
def lab():
    with Lab.start("small") as started:
        yield started


@pytest.fixture(scope="package")
def awx(tmp_path_factory):
    with Awx(tmp_path_factory.mktemp("awx"), {IMAGE: image()}) as server:
        yield server


@pytest.fixture(scope="package")
def repository(tmp_path_factory, lab, awx):
    """A site that awx.yml has brought to AWX."""
    made = Repository(tmp_path_factory.mktemp("site"), lab, awx)
    made.first = made.keep()
    return made
