# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped execution environment as an image, on the lab's own Debian; a job in a container of it applies a site.

Minutes long, and needs podman: make test-image.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys

import ansible_collections.awx.awx
import pytest
import yaml

from lab import Lab
from lab.hosts import base
from tests.support import diskimages

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = pathlib.Path(sys.executable).parent
BASE, IMAGE = "localhost/photon-test/debian:1", "localhost/photon-test/ee:1"
# Podman's own are higher than those of a machine that is a container itself.
LIMITS = ("--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096")
AUTHORITIES = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
SITE = """
photon_site: image
photon_zones: [{name: a}]
photon_hosts: [{name: "esx[01:03].lab", endpoint: vc1, zone: a}]
photon_images: [{name: debian, file: debian.ova, replication: EAGER}]
photon_default_port_group: VM Network
photon_wait_for_addresses: 0
photon_cloudstore_allow_ephemeral: true
photon_tenants:
  - name: acme
    quota: {vm.count: 20, vm.cpu: 40, vm.memory: 80 GB}
    projects:
      - name: web
        quota_percent: 50
        vms: [{name: "web-[01:02]", flavor: core-100, image: debian, boot_disk_flavor: core-100, state: started}]
"""


def call(*words, **options):
    done = subprocess.run(words, capture_output=True, text=True, timeout=1800, check=False, **options)
    assert done.returncode == 0, f"{words}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """Built from the shipped definition, with another base and with awx.awx out of the wheel."""
    if shutil.which("podman") is None:
        pytest.skip("CANNOT BUILD IMAGES: there is no podman")
    folder = tmp_path_factory.mktemp("ee")
    call("podman", "import", str(base.archive("trixie")), "localhost/photon-test/plain:1")
    context = folder / "base"
    context.mkdir()
    shutil.copy(AUTHORITIES, context / "authorities.crt")
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple")
    (context / "Containerfile").write_text(
        "FROM localhost/photon-test/plain:1\nCOPY authorities.crt /etc/authorities.crt\n"
        f"ENV PIP_CERT=/etc/authorities.crt PIP_INDEX_URL={index}\n"
    )
    call("podman", "build", "--network", "host", "--tag", BASE, str(context))
    galaxy = str(PROGRAMS / "ansible-galaxy")
    shipped = shutil.copytree(ROOT / "extensions" / "execution-environment", folder / "shipped")
    call(galaxy, "collection", "build", "--output-path", str(shipped), cwd=ROOT)
    awx = folder / "awx"
    installed = pathlib.Path(next(iter(ansible_collections.awx.awx.__path__)))
    shutil.copytree(installed, awx, ignore=shutil.ignore_patterns("MANIFEST.json", "FILES.json", "__pycache__"))
    meta = {"namespace": "awx", "name": "awx", "version": "24.6.1", "readme": "README.md", "authors": ["AWX"]}
    (awx / "galaxy.yml").write_text(yaml.safe_dump(meta))
    call(galaxy, "collection", "build", str(awx), "--output-path", str(shipped))
    definition = yaml.safe_load((shipped / "execution-environment.yml").read_text())
    definition["images"]["base_image"]["name"] = BASE
    definition["additional_build_files"].append({"src": "awx-awx-24.6.1.tar.gz", "dest": "files"})
    (shipped / "execution-environment.yml").write_text(yaml.safe_dump(definition, sort_keys=False))
    wanted = yaml.safe_load((shipped / "requirements.yml").read_text())
    wanted["collections"][1] = {"name": "files/awx-awx-24.6.1.tar.gz", "type": "file"}
    (shipped / "requirements.yml").write_text(yaml.safe_dump(wanted))
    words = ["build", "--container-runtime", "podman", "--tag", IMAGE, "--extra-build-cli-args", "--network host"]
    call(str(PROGRAMS / "ansible-builder"), *words, cwd=shipped)
    yield IMAGE
    call("podman", "rmi", "--force", IMAGE, BASE, "localhost/photon-test/plain:1")


def test_its_collections(image):
    listed = json.loads(
        call("podman", "run", "--rm", *LIMITS, image, "ansible-galaxy", "collection", "list", "--format", "json")
    )
    assert {"photon.platform", "awx.awx"} <= {name for collections in listed.values() for name in collections}


def test_a_job_applies_a_site(image, tmp_path):
    with Lab.start("small") as lab:
        endpoint = lab.endpoints["vc1"]
        for name in ("project", "inventory"):
            (tmp_path / name).mkdir()
        (tmp_path / "project" / "site.yml").write_text("- import_playbook: photon.platform.site\n")
        diskimages.ova(tmp_path / "project" / "debian.ova")
        shutil.copy(endpoint.ca_file, tmp_path / "project" / "ca.pem")
        where = {"name": "vc1", "address": endpoint.address, "port": endpoint.port}
        variables = {
            **yaml.safe_load(SITE),
            "photon_endpoints": [{**where, "tls": {"ca_file": "/runner/project/ca.pem"}}],
            "base_directory": "/runner/project",
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        }
        hosts = {"all": {"hosts": {"localhost": variables}}}
        (tmp_path / "inventory" / "hosts.yml").write_text(yaml.safe_dump(hosts))
        call("chmod", "-R", "a+rwX", str(tmp_path))
        environment = {
            "PHOTON_CLOUDSTORE": "sqlite:////runner/cloudstore.db",
            "PHOTON_CREDENTIAL_VC1_USERNAME": endpoint.username,
            "PHOTON_CREDENTIAL_VC1_PASSWORD": endpoint.password,
        }
        options = [word for name in environment for word in ("--env", name)]
        mount = f"{tmp_path}:/runner"
        words = ["podman", "run", "--rm", *LIMITS, "--network", "host", "--volume", mount, *options, image]
        said = call(*words, "ansible-runner", "run", "/runner", "-p", "site.yml", env={**os.environ, **environment})
        assert "+ acme/web/web-[01:02]" in said
        power = {vm["name"]: vm["power_state"] for vm in lab.control.state("vc1")["vms"]}
        assert (power["web-01"], power["web-02"]) == ("poweredOn", "poweredOn")
