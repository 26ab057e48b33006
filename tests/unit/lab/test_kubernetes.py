# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab's clusters are made of: images as archives, and the registry that serves them."""

from __future__ import annotations

import hashlib
import json
import tarfile
import threading
import urllib.error
import urllib.request

import pytest

from lab.hosts import LabError
from lab.kubernetes import build, cache, programs, versions
from lab.kubernetes.images import Image, read_index
from lab.kubernetes.registry import Server


@pytest.fixture(name="image")
def fixture_image(tmp_path):
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF" + b"x" * 5000)
    program.chmod(0o755)
    return Image("registry.example/some/program:v1", {"usr/bin/program": program}, "65534", binds_low_ports=True)


@pytest.fixture(name="served")
def fixture_served(tmp_path, image):
    for name in ("images", "packages"):
        (tmp_path / "served" / name).mkdir(parents=True)
    image.write(tmp_path / "served" / "images" / "program.tar")
    (tmp_path / "served" / "packages" / "Packages").write_text("Package: program\n")
    with Server(("127.0.0.1", 0), tmp_path / "served") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", tmp_path / "served"
        server.shutdown()
        thread.join()


def asked(url, method="GET"):
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
        return answer.headers, answer.read()


def layer_of(archive):
    with tarfile.open(archive) as opened:
        (entry,) = json.loads(opened.extractfile("manifest.json").read())
        with tarfile.open(fileobj=opened.extractfile(entry["Layers"][0])) as layer:
            return {member.name: member for member in layer}


def test_the_same_programs_give_the_same_archive(tmp_path, image):
    image.write(tmp_path / "one.tar")
    image.write(tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert [name for name, _ in read_index(tmp_path / "one.tar")] == ["registry.example/some/program:v1"]


def test_an_image_holds_its_program_and_what_every_program_wants(tmp_path, image):
    image.write(tmp_path / "one.tar")
    members = layer_of(tmp_path / "one.tar")
    assert members["usr/bin/program"].mode == 0o755
    assert members["usr/bin/program"].pax_headers["SCHILY.xattr.security.capability"][5] == "\x04"  # 1 << 10
    assert members["tmp"].mode == 0o1777
    assert {"etc/passwd", "etc/protocols", "etc/nsswitch.conf", "usr", "usr/bin"} <= set(members)


def test_a_changed_program_is_another_recipe(image):
    before = image.recipe()
    image.files["usr/bin/program"].write_bytes(b"another")
    assert image.recipe() != before


def test_debian_programs_need_a_debian_root(tmp_path, image):
    with pytest.raises(LabError, match="no Debian root"):
        Image("a/b:c", image.files, debian=("/usr/sbin/nft",)).write(tmp_path / "one.tar")


@pytest.mark.parametrize("query", ["", "?ns=registry.example"])
def test_an_image_is_pulled_by_tag_and_digest(served, query):
    url, _ = served
    assert asked(f"{url}/v2/")[1] == b"{}"
    headers, manifest = asked(f"{url}/v2/some/program/manifests/v1{query}")
    digest = headers["Docker-Content-Digest"]
    assert digest == f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    assert asked(f"{url}/v2/some/program/manifests/{digest}{query}")[1] == manifest
    for part in (json.loads(manifest)["config"], *json.loads(manifest)["layers"]):
        content = asked(f"{url}/v2/some/program/blobs/{part['digest']}{query}")[1]
        assert (f"sha256:{hashlib.sha256(content).hexdigest()}", len(content)) == (part["digest"], part["size"])
    headers, content = asked(f"{url}/v2/some/program/manifests/v1{query}", "HEAD")
    assert (content, int(headers["Content-Length"])) == (b"", len(manifest))


@pytest.mark.parametrize(
    "path",
    [
        "/v2/some/program/manifests/v2", "/v2/program/manifests/v1", "/v2/some/program/manifests/v1?ns=other.example",
        f"/v2/some/program/blobs/sha256:{'0' * 64}", "/packages/absent", "/packages/../images/program.tar", "/",
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_found(served, path):
    with pytest.raises(urllib.error.HTTPError) as raised:
        asked(served[0] + path)
    with raised.value as answer:
        assert answer.status == 404


def test_what_is_built_meanwhile_is_served(served, image):
    url, folder = served
    Image("registry.example/later:1", image.files).write(folder / "images" / ".later.tar.part")
    with pytest.raises(urllib.error.HTTPError) as raised:
        asked(f"{url}/v2/later/manifests/1")
    raised.value.close()
    (folder / "images" / ".later.tar.part").rename(folder / "images" / "later.tar")
    assert asked(f"{url}/v2/later/manifests/1")[1]
    (folder / "images" / "later.tar").unlink()
    with pytest.raises(urllib.error.HTTPError) as raised:
        asked(f"{url}/v2/later/manifests/1")
    raised.value.close()


def test_packages_are_served(served):
    assert asked(f"{served[0]}/packages/./Packages")[1] == b"Package: program\n"


def test_a_step_that_failed_is_made_again(tmp_path):
    target = tmp_path / "deep" / "product"
    with pytest.raises(FileNotFoundError), cache.making(target, "recipe", "title"):
        (tmp_path / "absent").read_text()
    assert not target.exists()
    assert not cache.is_made(target, "recipe")
    with cache.making(target, "recipe", "title") as part:
        part.write_text("whole")
    assert cache.is_made(target, "recipe")
    assert not cache.is_made(target, "another")


def test_a_version_that_is_not_pinned_is_refused():
    with pytest.raises(LabError, match=f"1.20.0 is not pinned; there are {versions.NEWER}, {versions.OLDER}"):
        build.build(["1.20.0"])


def test_nothing_is_there_before_a_build(tmp_path, monkeypatch):
    monkeypatch.setenv("PHOTON_CACHE", str(tmp_path))
    assert build.missing(versions.NEWER) == [f"Kubernetes {versions.NEWER}"]


@pytest.fixture(name="go")
def fixture_go(tmp_path, monkeypatch):
    """Go without a network: Kubernetes requires four modules, every other module has a main file and its plug-ins."""
    monkeypatch.setenv("PHOTON_CACHE", str(tmp_path))
    source = tmp_path / "source"
    (source / "core").mkdir(parents=True)
    (source / "main.go").write_text('package main\n\nimport (\n\t_ "a.test/dns/core" // all\n\t"a.test/dns/run"\n)\n')
    (source / "core" / "all.go").write_text(
        'package core\n\nimport (\n\t_ "a.test/dns/plugin/cloud"\n\t_ "a.test/dns/plugin/cloudless"\n)\n'
    )
    required = {"k8s.io/api": "v0.0.0", "b.test/log": "v1.2.3", "a.test/dns": "v1.0.0", "a.test/parser": "v0.1.0"}
    kubernetes = {
        "Go": "1.26.0",
        "Require": [{"Path": path, "Version": number} for path, number in required.items()],
        "Replace": [{"Old": {"Path": "k8s.io/api"}, "New": {"Path": "k8s.io/api", "Version": "v0.37.2"}}],
    }
    commands = []

    def answer(words, directory):
        commands.append([*words])
        if words[:2] == ["mod", "download"]:
            return json.dumps({"Dir": str(source), "GoMod": "go.mod"})
        if words[:2] == ["mod", "edit"]:
            return json.dumps(kubernetes | {"Replace": []} if "go.mod" in words else kubernetes)
        if words[0] == "list":
            (directory / "go.sum").write_text("b.test/log v1.2.3 h1:x\n")
        if "-o" in words:
            (directory / words[words.index("-o") + 1]).write_text("program")
        return ""

    monkeypatch.setattr(programs, "_go", answer)
    return commands


def test_a_program_takes_its_libraries_from_the_newer_kubernetes(go):
    sums = ("a.test/dns v2.0.0 h1:y",)
    wanted = versions.Program("dns", "a.test/dns", ".", "2.0.0", unpinned=("a.test/",), sums=sums)
    assert programs.program(wanted).read_text() == "program"
    folder = programs.build_folder() / "modules" / "dns-2.0.0"
    lines = (folder / "go.mod").read_text().split("\n\n")
    assert {line.strip() for line in lines} == {
        "module photon.test/build/dns",
        "require a.test/dns v2.0.0",
        "go 1.26.0",
        "replace k8s.io/api => k8s.io/api v0.37.2",
        "replace b.test/log => b.test/log v1.2.3",
    }
    assert (folder / "go.sum").read_text() == "b.test/log v1.2.3 h1:x\na.test/dns v2.0.0 h1:y\n"


def test_a_main_package_loses_the_imports_that_are_not_wanted(go):
    wanted = versions.Program(
        "dns", "a.test/dns", ".", "2.0.0", files=("main.go", "core/all.go"), without=("core", "plugin/cloud")
    )
    programs.program(wanted)
    folder = programs.build_folder() / "modules" / "dns-2.0.0"
    assert (folder / "main.go").read_text() == 'package main\n\nimport (\n\t"a.test/dns/run"\n)\n'
    assert (folder / "all.go").read_text() == 'package main\n\nimport (\n\t_ "a.test/dns/plugin/cloudless"\n)\n'


def test_modules_are_resolved_once_and_a_built_program_is_kept(go):
    for name in ("one", "two"):
        programs.program(versions.Program(name, f"a.test/{name}", f"a.test/{name}", "1.0.0"))
    assert [words[0] for words in go].count("list") == 1
    done = len(go)
    programs.program(versions.Program("one", "a.test/one", "a.test/one", "1.0.0"))
    assert len(go) == done


def test_a_step_is_reported_with_its_time_when_it_succeeds(capsys):
    with cache.step("the title"):
        pass
    title, _, times = capsys.readouterr().err.rstrip().partition("   ")
    assert title == "the title"
    assert times.split()[1::2] == ["s", "s"]
    with cache.step("short", shortest=60), cache.step(""):
        pass
    with pytest.raises(OSError, match="full"), cache.step("failed"):
        raise OSError("full")
    assert capsys.readouterr().err == ""
