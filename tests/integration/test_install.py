# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release as its users install it: the wheel into a fresh virtual environment, the collection into a fresh home."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMANDS = ("photon-apply", "photon-init", "photon-plan", "photon-show", "photon-verify")


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """What scripts/dist builds, while the checkout has an inventory of a user's own."""
    output = tmp_path_factory.mktemp("dist")
    subprocess.run([ROOT / "scripts" / "dist", output], check=True, capture_output=True)
    return {path.suffix: path for path in output.iterdir()}


@pytest.fixture(scope="module")
def fresh(release, tmp_path_factory):
    """A home with a virtual environment: the wheel from its file, its dependencies from that of the tests."""
    home = tmp_path_factory.mktemp("home")
    subprocess.run([sys.executable, "-m", "venv", home / "photon"], check=True)
    [packages] = (home / "photon" / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    run(home, "photon/bin/pip", "install", "--no-index", "--no-deps", release[".whl"])
    return home


@pytest.fixture(scope="module")
def installed(fresh, release):
    run(fresh, "photon/bin/python", "-m", "ansible", "galaxy", "collection", "install", "--offline", release[".gz"])
    return fresh


@pytest.fixture
def inventory(installed):
    folder = installed / "mine"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "hosts.yml").write_text(
        "all:\n"
        "  hosts:\n"
        "    localhost: {ansible_connection: local, ansible_python_interpreter: '{{ ansible_playbook_python }}'}\n"
        "  vars:\n"
        "    photon_site: fresh\n"
        f"    photon_cloudstore_url: sqlite:///{installed}/site.db\n"
        "    photon_cloudstore_allow_ephemeral: true\n"
        "    photon_tenants: [{name: acme, quota: {vm.count: 10}}]\n"
    )
    return folder


def run(home, program, *words, code=0, **environment):
    """Run a program of this home with nothing of the checkout in its environment."""
    done = subprocess.run(
        [str(home / program), *map(str, words)],
        cwd=home,
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, (
        f"{program} {words}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    )
    return done


def test_the_wheel_holds_the_commands_alone_and_names_what_they_need(release):
    with zipfile.ZipFile(release[".whl"]) as wheel:
        names = wheel.namelist()
        [metadata] = [name for name in names if name.endswith("METADATA")]
        text = wheel.read(metadata).decode()
    assert {name.split("/")[0] for name in names} == {"photon_platform", metadata.split("/")[0]}
    needed = {line.split()[1].split(">")[0] for line in text.splitlines() if line.startswith("Requires-Dist")}
    assert {"ansible-core", "SQLAlchemy", "pyvmomi", "requests", "jinja2"} <= needed


def test_the_release_holds_the_shipped_inventories_alone(release, tmp_path):
    with tarfile.open(release[".gz"]) as archive:
        packed = {name.split("/")[1] for name in archive.getnames() if name.startswith("inventories/")}
    assert packed == {"cluster-demo", "demo", "production"}


def test_without_the_collection_a_command_says_how_to_install_it(fresh):
    failed = run(fresh, "photon/bin/photon-plan", "-i", "localhost,", code=1, ANSIBLE_COLLECTIONS_PATH="/nowhere")
    assert "ansible-galaxy collection install photon-platform-VERSION.tar.gz" in failed.stderr
    assert "searched: /nowhere" in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_there(installed, command):
    assert "--vault-password-file" in run(installed, f"photon/bin/{command}", "--help").stdout


def test_plan_apply_and_show_use_the_installed_collection(installed, inventory):
    planned = run(installed, "photon/bin/photon-plan", "-i", inventory, code=2)
    assert "tenant\n  + acme" in planned.stdout
    assert " created" in run(installed, "photon/bin/photon-apply", "--yes", "-i", inventory).stdout
    assert "acme" in run(installed, "photon/bin/photon-show", "-i", inventory, "tenants").stdout
    own = installed / "own.yml"
    own.write_text(
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n"
        "    - photon.platform.resource_info: {kind: tenant, cloudstore_url: '{{ photon_cloudstore_url }}', "
        "cloudstore_allow_ephemeral: true}\n"
    )
    run(installed, "photon/bin/python", "-m", "ansible", "playbook", "-i", inventory, own)
    # The commands in the installed collection's own bin/ do the same, and write nothing there.
    folder = installed / ".ansible/collections/ansible_collections/photon/platform"
    again = run(
        installed, "photon/bin/python", folder / "bin" / "photon-plan", "-i", inventory, "--json", "-v", "--diff"
    )
    assert again.stdout.startswith("{")
    assert "Using" in again.stderr
    assert list((folder / "bin").rglob("__pycache__")) == []
    pipe = f"photon/bin/photon-show -i {inventory} | true"
    closed = run(pathlib.Path("/"), "bin/bash", "-c", f"cd {installed} && {pipe}", HOME=str(installed))
    assert closed.stderr == ""


def test_in_a_checkout_the_checkout_is_used(installed):
    done = subprocess.run(
        [
            installed / "photon/bin/python",
            "-c",
            "from photon_platform import collection; print(collection.root()); print(collection.collections_path())",
        ],
        cwd=ROOT / "docs",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(ROOT), str(ROOT / "collections")]


@pytest.mark.parametrize(
    "words", [["plan", "--nonsense"], ["plan", "-o"], ["show", "stray"], ["apply"], ["apply", "--json"]]
)
def test_a_usage_error_is_64(installed, words):
    command, *rest = words
    assert run(installed, f"photon/bin/photon-{command}", *rest, code=64).stderr.startswith("usage:")


def test_all_missing_libraries_are_named_with_one_command(installed, release, tmp_path):
    """The commands of an unpacked collection under a Python that has none of the libraries."""
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    with tarfile.open(release[".gz"]) as archive:
        archive.extractall(tmp_path / "ansible_collections/photon/platform", filter="data")
    failed = run(bare, "bin/python", tmp_path / "ansible_collections/photon/platform/bin/photon-plan", code=1)
    wanted = "'ansible-core>=2.19' 'SQLAlchemy>=2.0.30' 'pyvmomi>=8.0.3' 'requests>=2.31'"
    assert f"{bare}/bin/python -m pip install {wanted}" in failed.stderr
    assert failed.stderr.count("\n") <= 2
