"""The collection as its users get it: built, installed elsewhere without a network, used by a playbook from there."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tarfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = pathlib.Path(sys.executable).parent


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An empty home far from the checkout."""
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def archive(place):
    """The collection's archive, built at the root as a release is."""
    run(["ansible-galaxy", "collection", "build", ROOT, "--output-path", place], place)
    [found] = place.glob("photon-platform-*.tar.gz")
    return found


@pytest.fixture(scope="module")
def installed(archive, place):
    """The folder of the installed collection; the link tree is not on the path."""
    run(["ansible-galaxy", "collection", "install", "--offline", "-p", place / "collections", archive], place)
    return place / "collections" / "ansible_collections" / "photon" / "platform"


def run(words, place):
    """Run a program of this virtualenv with nothing of the checkout in its environment."""
    environment = {
        "PATH": f"{BINARIES}:{os.environ['PATH']}",
        "HOME": str(place),
        "LANG": "C.UTF-8",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_COLLECTIONS_PATH": str(place / "collections"),
    }
    words = [str(word) for word in words]
    done = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_the_archive_holds_the_collection_and_nothing_else(archive):
    with tarfile.open(archive) as content:
        members = content.getmembers()
    names = {member.name for member in members}
    top = {name.split("/")[0] for name in names}
    assert {"plugins", "playbooks", "meta", "docs", "LICENSE", "README.md", "MANIFEST.json", "FILES.json"} <= top
    assert not top & {"collections", "lab", "tests", "scripts", ".build", ".git", ".ci", "Makefile"}
    assert [member.name for member in members if member.issym() or member.islnk()] == []
    assert [name for name in names if "__pycache__" in name or name.endswith(".pyc")] == []


def test_every_module_is_in_the_installed_copy(installed):
    here = {path.name for path in (ROOT / "plugins" / "modules").glob("*.py")}
    assert {path.name for path in (installed / "plugins" / "modules").glob("*.py")} == here


def test_the_documentation_of_every_plugin_is_found(installed, place):
    for kind in ("module", "lookup", "filter", "inventory"):
        listed = json.loads(run(["ansible-doc", "--list", "--json", "-t", kind, "photon.platform"], place))
        folder = installed / "plugins" / {"module": "modules"}.get(kind, kind)
        # A page stands in its plugin's file, or beside it under the name of what the file gives.
        pages = {path.stem for path in folder.iterdir() if path.suffix in (".py", ".yml")}
        assert set(listed) == {f"photon.platform.{page}" for page in pages}


PLAYBOOK = """\
- name: Use the installed copy
  hosts: localhost
  gather_facts: false
  module_defaults:
    group/photon.platform.all:
      cloudstore_url: "sqlite:///{{ playbook_dir }}/cloudstore.db"
      cloudstore_allow_ephemeral: true
  tasks:
    - name: Have a tenant
      photon.platform.tenant:
        name: acme
        quota: {vm.count: 10, vm.memory: 40 GB}
      register: tenant

    - name: Have a project of half of it
      photon.platform.project:
        tenant: acme
        name: web
        quota_percent: 50
      register: project

    - name: Show what happened
      ansible.builtin.debug:
        msg: "tenant {{ tenant.changed }} project {{ project.changed }}"
"""


def test_a_playbook_works_from_the_installed_copy(installed, place):
    (place / "use.yml").write_text(PLAYBOOK)
    assert "tenant True project True" in run(["ansible-playbook", "use.yml"], place)
    assert "tenant False project False" in run(["ansible-playbook", "use.yml"], place)


def test_the_collections_own_playbooks_run_by_name(installed, place):
    inventory = place / "site" / "hosts.yml"
    inventory.parent.mkdir()
    inventory.write_text(
        "all:\n"
        "  vars:\n"
        "    photon_site: tarball\n"
        f"    photon_cloudstore_url: sqlite:///{place}/site.db\n"
        "    photon_cloudstore_allow_ephemeral: true\n"
        "    photon_tenants: [{name: acme, quota: {vm.count: 10}}]\n"
    )
    plan = run(["ansible-playbook", "-i", inventory, "photon.platform.plan"], place)
    assert "acme" in plan
    assert not (place / "site.db").exists()
    first = run(["ansible-playbook", "-i", inventory, "photon.platform.site"], place)
    assert "changed=1" in first
    second = run(["ansible-playbook", "-i", inventory, "photon.platform.site"], place)
    assert "changed=0" in second
