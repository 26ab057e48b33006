# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real host's part of a bundle: apt installs from it, containerd has its images, and nothing is sent twice."""

from __future__ import annotations

import os
import shutil

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes import bundle, debian_packages, image_archives

from lab.hosts import HostSpec
from lab.hosts.base import unavailable
from lab.kubernetes import build
from tests.support.linux_hosts import Hosts, package

PAUSE, HELLO = "registry.k8s.io/pause:3.10.2", "example.test/hello:1"
HOST = "cp1"
REPOSITORY = {"name": "kubernetes", "url": f"file://{bundle.UNPACKED}/packages", "suite": "./", "trusted": True}

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(unavailable()), reason=unavailable()),
]


@pytest.fixture(name="hosts", scope="module")
def fixture_hosts():
    missing = [name for name in (PAUSE, HELLO) if not build.archive(name).exists()]
    if missing:
        pytest.skip(f"make kubernetes-cache builds {', '.join(missing)} first")
    with Hosts(f"bun-{os.getpid()}", [HostSpec(HOST, "trixie", "kubernetes")]) as hosts:
        # Whatever else apt knows: it has to do without.
        hosts.lab.run(HOST, ["sh", "-c", "rm -rf /etc/apt/sources.list* /var/lib/apt/lists/*"])
        yield hosts


@pytest.fixture(name="path", scope="module")
def fixture_path(tmp_path_factory):
    """A bundle of two packages and two images."""
    folder = tmp_path_factory.mktemp("bundle")
    tool = {"/usr/bin/photon-tool": "#!/bin/sh\n"}
    debs = [package(folder, "photon-tool", version, tool) for version in ("1.0-1", "1:0.9-1")]
    read = [debian_packages.read(str(path)) for path in debs]
    text = debian_packages.index(read)
    files = {f"packages/{one.filename}": one.path for one in read}
    files |= {"packages/Packages": text.encode(), "packages/Release": debian_packages.release(read, text).encode()}
    images = {}
    for number, name in enumerate((PAUSE, HELLO)):
        archive = str(build.archive(name))
        files[f"images/{number}.tar"] = archive
        images[name] = {"file": f"images/{number}.tar", "digest": image_archives.read(archive)[name]}
    bundle.write(str(folder / "b.tar"), ["1.37.2"], files, {"images": images})
    return folder / "b.tar"


def visit(hosts, path, *options, **more):
    arguments = {"state": "present", "path": str(path), "version": "1.37.2", **more}
    return hosts.module(HOST, "kubernetes_bundle", arguments, *options)


def on(hosts, script):
    return hosts.lab.run(HOST, ["sh", "-ec", script]).stdout


def test_check_mode_says_what_would_come_and_sends_nothing(hosts, path):
    answer = visit(hosts, path, "--check")
    assert answer["changed"]
    assert answer["missing"][-2:] == ["packages/Packages", "packages/Release"], "what they name is there before them"
    assert len(answer["changes"]) == len(answer["missing"]) == 4
    assert answer["sent_bytes"] == 0
    assert on(hosts, f"ls {bundle.UNPACKED} 2>/dev/null || true") == ""


def test_images_wait_for_containerd(hosts, path):
    answer = visit(hosts, path)
    assert answer["changed"]
    assert answer["waiting"]
    assert {change["kind"] for change in answer["changes"]} == {"package"}
    failed = visit(hosts, path, runtime_required=True)
    assert failed["error_code"] == "UnitFailed"
    assert "systemctl status containerd" in failed["msg"]


@pytest.mark.parametrize(("wanted", "version"), [("1.0-*", "1.0-1"), ("1:0.9-1", "1:0.9-1")])
def test_apt_installs_from_it_and_from_nowhere_else(hosts, path, wanted, version):
    document = {
        "name": "bundle", "repositories": [REPOSITORY], "only_repositories": True, "packages": {"photon-tool": wanted},
    }  # fmt: skip
    answer = hosts.linux_host(HOST, document)
    assert answer["packages"] == {"photon-tool": version}, answer
    assert not hosts.linux_host(HOST, document)["changed"]


def test_images_come_in_and_stay(hosts, path):
    on(hosts, "systemctl start containerd")
    answer = visit(hosts, path, runtime_required=True)
    assert [change["name"] for change in answer["changes"]] == [PAUSE, HELLO]
    assert not answer["waiting"]
    listed = on(hosts, "ctr -n k8s.io images ls | grep io.cri-containerd.pinned=pinned")
    assert PAUSE in listed
    assert HELLO in listed


def test_a_second_visit_sends_nothing(hosts, path):
    answer = visit(hosts, path)
    assert (answer["changed"], answer["changes"], answer["missing"], answer["sent_bytes"]) == (False, [], [], 0)


def test_what_is_missing_is_sent_and_nothing_else(hosts, path):
    on(hosts, f"ctr -n k8s.io images rm {HELLO}; echo x >> {bundle.UNPACKED}/packages/Packages")
    on(hosts, f"touch {bundle.UNPACKED}/packages/old.deb")
    answer = visit(hosts, path)
    files = bundle.read_manifest(str(path))["files"]
    assert answer["sent_bytes"] == files["images/1.tar"]["bytes"] + files["packages/Packages"]["bytes"]
    assert [(change["name"], change["before"]) for change in answer["changes"]] == [
        ("packages/Packages", "other"), ("packages/old.deb", "present"), (HELLO, "absent"),
    ]  # fmt: skip
    assert not visit(hosts, path)["changed"]


def test_a_part_with_a_wrong_checksum_never_gets_to_the_host(hosts, path, tmp_path):
    on(hosts, f"ctr -n k8s.io images rm {HELLO}")
    bad = tmp_path / "bad.tar"
    shutil.copy(path, bad)
    with open(bad, "r+b") as handle:
        handle.seek(path.stat().st_size - 3_000_000)  # in the last image's archive
        handle.write(b"x" * 100)
    place = bundle.read_manifest(str(bad))["files"]
    assert place["images/1.tar"]["bytes"] > 3_000_000
    answer = visit(hosts, bad)
    assert answer["error_code"] == "ManifestNotFound"
    assert "has a wrong checksum" in answer["msg"]
    assert HELLO not in on(hosts, "ctr -n k8s.io images ls -q")
    visit(hosts, path)


def test_a_version_that_the_bundle_lacks(hosts, path):
    answer = visit(hosts, path, version="1.36.3")
    assert answer["error_code"] == "PackageNotFound"
    assert "does not contain version 1.36.3, only 1.37.2" in answer["msg"]


def test_absent_takes_all_away_but_the_images_themselves(hosts):
    answer = hosts.module(HOST, "kubernetes_bundle", {"state": "absent"})
    assert answer["changed"]
    assert on(hosts, f"ls {bundle.UNPACKED} 2>/dev/null || true") == ""
    listed = on(hosts, "ctr -n k8s.io images ls")
    assert HELLO in listed
    assert "photon.platform/bundle" not in listed
    assert not hosts.module(HOST, "kubernetes_bundle", {"state": "absent"})["changed"]
