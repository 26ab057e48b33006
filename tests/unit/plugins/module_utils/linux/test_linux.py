# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host documents and their comparison with a host's state, without a host."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.linux import host, kernel, packages, plan, units
from ansible_collections.photon.platform.plugins.module_utils.linux.document import read_documents
from ansible_collections.photon.platform.plugins.module_utils.linux.files import ABSENT, FileState, Listing
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

DOCUMENT = {
    "name": "test",
    "packages": {"greeter": "1.0.*"},
    "hold": ["greeter"],
    "files": [{"path": "/etc/greeter.conf", "content": "hello\n", "restarts": ["greeter"]}],
    "sysctls": {"net.ipv4.ip_forward": True},
    "units": {"greeter": {"enabled": True, "state": "started", "restart_after": ["/usr/bin/greeter"]}},
}
SYSCTLS = "/etc/sysctl.d/90-test.conf"


def there(content, modified=1.0, mode=0o644):
    return FileState("file", content.encode(), mode, "root", "root", modified, modified)


def state(**changes):
    """Return the state of a host that matches DOCUMENT except for the given changes."""
    as_wanted = plan.HostState(
        packages={"greeter": packages.PackageState("1.0.1-1", held=True)},
        files={
            "/etc/greeter.conf": there("hello\n"),
            SYSCTLS: there("net.ipv4.ip_forward = 1\n"),
            "/usr/bin/greeter": there(""),
        },
        missing_modules=set(),
        unavailable_modules=set(),
        sysctls={"net.ipv4.ip_forward": "1"},
        swap_devices=[],
        units={"greeter": units.UnitState(True, True, False, True, False, 10.0)},
    )
    return as_wanted._replace(**changes)


def changes(document=None, **differing):
    found = plan.changes(read_documents([document or DOCUMENT]), [], state(**differing))
    return [(change.kind, change.name, change.before, change.after) for change in found]


def test_matching_host_needs_no_changes():
    assert changes() == []


@pytest.mark.parametrize(
    ("differing", "expected"),
    [
        ({"packages": {}}, [("package", "greeter", None, "1.0.*"), ("hold", "greeter", False, True)]),
        (
            {"packages": {"greeter": packages.PackageState("1.0.1-1", True, whole=False)}},
            [("package", "greeter", "1.0.1-1, half installed", "1.0.*")],
        ),
        (
            {"packages": {"greeter": packages.PackageState("1.1.0-1", True)}},
            [("package", "greeter", "1.1.0-1", "1.0.*")],
        ),
        ({"sysctls": {"net.ipv4.ip_forward": "0"}}, [("sysctl", "net.ipv4.ip_forward", "0", "1")]),
        (
            {"units": {}},
            [("unit", "greeter", "disabled", "enabled"), ("unit", "greeter", "stopped", "started")],
        ),
        (
            {"units": {"greeter": units.UnitState(True, True, False, True, True, 10.0)}},
            [("restart", "greeter", "its unit file changed", "restarted")],
        ),
    ],
)
def test_each_difference_becomes_one_change(differing, expected):
    assert changes(**differing) == expected


@pytest.mark.parametrize(
    ("path", "file", "expected"),
    [
        ("/etc/greeter.conf", there("hello\n", 11.0), ["restart"]),
        ("/etc/greeter.conf", there("other\n"), ["file", "restart"]),
        ("/etc/greeter.conf", there("hello\n", mode=0o600), ["file"]),
        ("/etc/greeter.conf", ABSENT, ["file", "restart"]),
        ("/usr/bin/greeter", there("", 11.0), ["restart"]),
        ("/usr/bin/greeter", there("", 9.0), []),
        (SYSCTLS, ABSENT, ["file"]),
    ],
)
def test_unit_restarts_only_for_files_it_reads(path, file, expected):
    assert [change[0] for change in changes(files={**state().files, path: file})] == expected


def test_first_drop_in_is_unknown_to_systemd_until_it_reloads():
    path = "/etc/systemd/system/greeter.service.d/test.conf"
    more = DOCUMENT | {"files": [*DOCUMENT["files"], {"path": path, "content": "", "restarts": ["greeter"]}]}
    files = {**state().files, path: there("")}
    assert changes(more, files=files) == [("restart", "greeter", "its unit file changed", "restarted")]
    known = units.UnitState(True, True, False, True, False, 10.0, (path,))
    assert changes(more, files=files, units={"greeter": known}) == []


OWNED = {
    "directories": [
        {"path": "/etc/certs.d", "exclusive": True, "restarts": ["greeter"]},
        {"path": "/etc/certs.d/kept"},
    ],
    "files": [{"path": "/etc/certs.d/quay.io/hosts.toml", "content": "x"}],
}


def owned(kinds, modified=1.0, document=None, **files):
    there_now = {
        "/etc/certs.d": FileState("directory", b"", 0o755, "root", "root", 1.0, 1.0),
        "/etc/certs.d/kept": FileState("directory", b"", 0o755, "root", "root", 1.0, 1.0),
        "/etc/certs.d/quay.io/hosts.toml": there("x"),
    }
    listing = {"/etc/certs.d": Listing({f"/etc/certs.d/{name}": kind for name, kind in kinds.items()}, modified)}
    return changes(document or OWNED, files=there_now | files, listings=listing)


LISTED = {"kept": "directory", "quay.io": "directory", "quay.io/hosts.toml": "file"}


def test_exclusive_directory_holds_only_what_is_listed():
    assert owned(LISTED) == []
    extra = {"old": "directory", "old/hosts.toml": "file", "link": "other", "quay.io/ca.crt": "file", "kept/x": "file"}
    assert owned(LISTED | extra) == [
        ("file", "/etc/certs.d/kept/x", "file", "absent"),
        ("file", "/etc/certs.d/link", "other", "absent"),
        ("directory", "/etc/certs.d/old", "directory", "absent"),
        ("file", "/etc/certs.d/quay.io/ca.crt", "file", "absent"),
        ("restart", "greeter", "a file changed", "restarted"),
    ]
    plain = OWNED | {"directories": [{"path": "/etc/certs.d"}]}
    assert owned(LISTED | extra, document=plain) == []


def test_removal_that_was_interrupted_before_the_restart_is_completed():
    assert owned(LISTED, modified=11.0) == [("restart", "greeter", "/etc/certs.d is newer", "restarted")]


def test_exclusive_directory_is_emptied_without_following_links(tmp_path):
    folder, outside = tmp_path / "owned", tmp_path / "outside"
    (folder / "old" / "deep").mkdir(parents=True)
    outside.mkdir()
    (outside / "data").write_text("kept")
    (folder / "link").symlink_to(outside)
    (folder / "stays").write_text("x")
    document = read_documents(
        [
            {
                "directories": [{"path": str(folder), "exclusive": True}],
                "files": [{"path": f"{folder}/stays", "content": "x"}],
            }
        ]
    )
    visit = host.Visit(document)
    visit.remove(visit.changes(visit.read()))
    assert sorted(one.name for one in folder.iterdir()) == ["stays"]
    assert (outside / "data").read_text() == "kept"


def test_unavailable_optional_module_is_not_a_change():
    document = {"name": "test", "kernel_modules": [{"name": "one", "optional": True}, "two"]}
    files = {"/etc/modules-load.d/test.conf": there("one\ntwo\n")}
    found = changes(document, files=files, missing_modules={"one", "two"}, unavailable_modules={"one"})
    assert found == [("kernel_module", "two", "not loaded", "loaded")]


def test_secret_appears_in_neither_changes_nor_diff():
    secret = {"files": [{"path": "/etc/key", "content": "new password", "secret": True}]}
    document, before = read_documents([secret]), state(files={"/etc/key": there("old password", mode=0o600)})
    assert "password" not in str(plan.changes(document, [], before)) + str(plan.diff(document, [], before))
    assert host.secrets([secret, "wrong", {"files": [None]}]) == {"new password"}


def test_every_mistake_is_reported_with_its_path():
    wrong = {
        "pakages": {},
        "files": [{"path": "etc/x", "mode": 644}],
        "units": {"a": {"state": "up"}},
        "repositories": [{"name": "a", "url": "http://a/"}],
        "swap": "on",
        "preflight": {"memory": "much"},
    }
    with pytest.raises(PhotonError) as caught:
        read_documents([wrong])
    reported = [mistake.split(":")[0] for mistake in caught.value.data["mistakes"]]
    assert sorted(reported) == sorted([
        "document.pakages", "document.files[0].content", "document.files[0].path", "document.files[0].mode",
        "document.units.a.state", "document.repositories[0]", "document.swap", "document.preflight.memory",
    ])  # fmt: skip


def test_documents_are_merged_and_must_not_contradict():
    one, two = {"packages": {"a": "present"}}, {"packages": {"a": "1.*"}, "preflight": {"disk": {"/": 1}}}
    both = read_documents([one, two, {"preflight": {"disk": {"/": 2}}}])
    assert (both.packages, both.preflight.disk) == ({"a": "1.*"}, {"/": 3})
    with pytest.raises(PhotonError, match=r"declared as both 1\.\* and 2\.\*"):
        read_documents([two, {"packages": {"a": "2.*"}}])
    with pytest.raises(PhotonError, match="declared twice"):
        read_documents([{"files": [{"path": "/a", "content": text}]} for text in "xy"])


def test_dpkg_and_madison_output_is_parsed():
    shown = "a\t1.0\thold ok installed\nb\t2\tinstall ok unpacked\n"
    shown += "c\t\tunknown ok not-installed\nd\t1\tdeinstall ok config-files\n"
    assert packages.parse_dpkg(shown) == {
        "a": packages.PackageState("1.0", True),
        "b": packages.PackageState("2", whole=False),
        "c": packages.PackageState(None),
        "d": packages.PackageState(None),
    }
    listed = " a | 1.2-1 | http://x ./ Packages\n a | 1.1-1 | http://x ./ Packages\n a | 1.1-1 | http://x ./ Sources\n"
    offered = packages.parse_madison(listed)
    assert offered == {"a": ["1.2-1", "1.1-1"]}
    assert [packages.choose(offered["a"], wanted) for wanted in ("1.*", "1.1-1", "present", "2.*")] == [
        "1.2-1", "1.1-1", "", None,
    ]  # fmt: skip


def test_units_are_parsed_in_order():
    shown = (
        "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nNeedDaemonReload=no\n"
        "DropInPaths=/a /b\nExecMainStartTimestamp=Wed 2026-11-25 01:49:20.5 UTC\n\n"
        "LoadState=not-found\nActiveState=inactive\nSubState=dead\n"
    )
    found = units.parse_units(["one", "two"], shown)
    assert found["one"] == units.UnitState(True, True, False, True, False, 1795571360.5, ("/a", "/b"))
    assert found["two"] == units.UnitState(False, False, False, False, False, 0.0)


def test_swap_lines_are_commented_out():
    text = "# /dev/a none swap sw\n/dev/b none swap sw 0 0\n/dev/c / ext4 defaults 0 1\n"
    assert kernel.without_swap(text) == "# /dev/a none swap sw\n# /dev/b none swap sw 0 0\n/dev/c / ext4 defaults 0 1\n"
    assert kernel.without_swap(kernel.without_swap(text)) == kernel.without_swap(text)
