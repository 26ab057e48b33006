# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module linux_host on real hosts: everything it manages, and faults that are really injected."""

from __future__ import annotations

import os
import pathlib
import time

import pytest

from lab.hosts import HostSpec
from lab.hosts.base import unavailable
from tests.support.linux_hosts import Hosts, index, package, served

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(unavailable()), reason=unavailable()),
]

UNIT = "[Service]\nExecStart=/usr/bin/greeter\n[Install]\nWantedBy=multi-user.target\n"
GREETER = "#!/bin/sh\ncp /etc/greeter.conf /run/greeted\nexec sleep infinity\n"


@pytest.fixture(scope="module", name="hosts")
def fixture_hosts():
    specs = [HostSpec("bookworm", "bookworm"), HostSpec("trixie", "trixie"), HostSpec("small", disk="64M")]
    with Hosts(f"linux-{os.getpid()}", specs) as hosts:
        yield hosts


@pytest.fixture(scope="module", name="repository")
def fixture_repository(hosts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    for version in ("1.0.0-1", "1.0.1-1", "1.1.0-1"):
        files = {"/usr/bin/greeter": GREETER, "/lib/systemd/system/greeter.service": UNIT}
        package(folder, "greeter", version, files, "greeter-data")
    package(folder, "greeter-data", "1.0", {"/usr/share/greeter": "hello\n"})
    package(folder, "large", "1.0", {"/usr/share/large": "0" * (100 << 20)})
    index(folder)
    with served(folder, hosts.gateway) as url:
        yield url


@pytest.fixture(name="document")
def fixture_document(repository):
    return {
        "name": "test",
        "repositories": [{"name": "greeters", "url": repository, "trusted": True}],
        "packages": {"greeter": "1.0.*"},
        "hold": ["greeter"],
        "directories": [{"path": "/etc/greeter.d", "mode": "0750"}],
        "files": [
            {"path": "/etc/greeter.conf", "content": "hello\n", "restarts": ["greeter"]},
            {"path": "/etc/greeter.d/key", "content": "a password\n", "secret": True},
        ],
        "kernel_modules": ["overlay", {"name": "no_such_module", "optional": True}],
        "sysctls": {"net.ipv4.ip_forward": 1, "net.ipv4.ip_local_port_range": "20000 60000"},
        "units": {"greeter": {"enabled": True, "state": "started", "restart_after": ["/usr/bin/greeter"]}},
    }


@pytest.fixture(params=["bookworm", "trixie"], name="host")
def fixture_host(request, hosts, document):
    host = request.param
    answer = hosts.linux_host(host, document)
    assert "failed" not in answer, answer
    return host


def kinds(answer):
    return sorted({change["kind"] for change in answer["changes"]})


def names(answer, kind):
    return [change["name"] for change in answer["changes"] if change["kind"] == kind]


def pid(hosts, host):
    return hosts.shell(host, "systemctl show --property=MainPID --value greeter").strip()


@pytest.mark.parametrize("host", ["bookworm", "trixie"])
def test_check_mode_predicts_the_changes_of_a_bare_host(hosts, document, host):
    predicted = hosts.linux_host(host, document, "--check")
    assert "failed" not in predicted, predicted
    assert hosts.shell(host, "ls /etc/greeter.conf; dpkg -l greeter 2>&1 | grep ^ii", check=False) == ""
    done = hosts.linux_host(host, document)
    assert "failed" not in done, done
    assert predicted["changes"] == done["changes"]
    assert kinds(done) == ["directory", "file", "hold", "package", "repository", "sysctl", "unit"]
    assert done["packages"] == {"greeter": "1.0.1-1"}
    assert (
        hosts.shell(host, "apt-mark showhold; cat /run/greeted; cat /proc/sys/net/ipv4/ip_forward")
        == "greeter\nhello\n1\n"
    )
    assert hosts.shell(host, "stat -c '%a %U' /etc/greeter.d /etc/greeter.d/key") == "750 root\n600 root\n"
    assert hosts.shell(host, "systemctl is-enabled greeter; systemctl is-active greeter") == "enabled\nactive\n"
    assert "no_such_module" in done["warned"]
    assert not hosts.linux_host(host, document)["changed"]


def test_no_op_does_not_restart_the_process(hosts, document, host):
    before = pid(hosts, host)
    again = hosts.linux_host(host, document)
    assert (again["changed"], again["changes"]) == (False, [])
    assert pid(hosts, host) == before


def test_edited_file_is_restored_and_its_unit_restarted(hosts, document, host):
    before = pid(hosts, host)
    hosts.shell(host, "echo other > /etc/greeter.conf")
    answer = hosts.linux_host(host, document, "--diff")
    assert [(change["kind"], change["name"]) for change in answer["changes"]] == [
        ("file", "/etc/greeter.conf"),
        ("restart", "greeter"),
    ]
    assert "\n-other\n+hello\n" in answer["printed"]
    assert pid(hosts, host) != before
    assert hosts.shell(host, "cat /run/greeted") == "hello\n"


def test_secret_appears_in_no_result(hosts, document, host):
    hosts.shell(host, "echo an older password > /etc/greeter.d/key")
    answer = hosts.linux_host(host, document, "--diff")
    assert names(answer, "file") == ["/etc/greeter.d/key"]
    assert "password" not in str(answer)
    assert hosts.shell(host, "cat /etc/greeter.d/key") == "a password\n"
    assert hosts.shell(host, "journalctl | grep -c 'a password'", check=False).strip() == "0"


def test_modes_are_restored_without_a_restart(hosts, document, host):
    before = pid(hosts, host)
    hosts.shell(host, "chmod 0666 /etc/greeter.conf")
    answer = hosts.linux_host(host, document)
    assert answer["changes"] == [
        {"kind": "file", "name": "/etc/greeter.conf", "before": "0666 root:root", "after": "0644 root:root"}
    ]
    assert pid(hosts, host) == before


def test_run_interrupted_between_file_and_restart_is_completed(hosts, document, host):
    before = pid(hosts, host)
    time.sleep(0.05)
    hosts.shell(host, "cp /etc/greeter.conf /etc/greeter.conf.new && mv /etc/greeter.conf.new /etc/greeter.conf")
    assert kinds(hosts.linux_host(host, document, "--check")) == ["restart"]
    assert kinds(hosts.linux_host(host, document)) == ["restart"]
    assert pid(hosts, host) != before
    assert not hosts.linux_host(host, document)["changed"]


def test_replaced_program_restarts_its_unit(hosts, document, host):
    before = pid(hosts, host)
    time.sleep(0.05)
    hosts.shell(host, "cp -p /usr/bin/greeter /usr/bin/new && mv /usr/bin/new /usr/bin/greeter")
    assert kinds(hosts.linux_host(host, document)) == ["restart"]
    assert pid(hosts, host) != before


def test_file_from_the_future_causes_one_restart(hosts, document, host):
    hosts.shell(host, "touch --date='1 hour' /etc/greeter.conf")
    assert kinds(hosts.linux_host(host, document)) == ["restart"]
    assert not hosts.linux_host(host, document)["changed"]


def test_stopped_and_disabled_unit_is_started_and_enabled(hosts, document, host):
    hosts.shell(host, "systemctl disable --now greeter")
    answer = hosts.linux_host(host, document)
    assert [(change["before"], change["after"]) for change in answer["changes"]] == [
        ("disabled", "enabled"),
        ("stopped", "started"),
    ]
    assert hosts.shell(host, "systemctl is-active greeter") == "active\n"


def test_drop_in_is_applied_and_removed(hosts, document, host):
    path = "/etc/systemd/system/greeter.service.d/test.conf"
    more = document | {
        "files": [
            *document["files"],
            {"path": path, "content": "[Service]\nEnvironment=WORD=five\n", "restarts": ["greeter"]},
        ]
    }
    assert kinds(hosts.linux_host(host, more)) == ["file", "restart"]
    words = "tr '\\0' '\\n' < /proc/$(systemctl show --property=MainPID --value greeter)/environ | grep ^WORD"
    assert hosts.shell(host, words) == "WORD=five\n"
    less = document | {"absent_files": [path]}
    assert kinds(hosts.linux_host(host, less)) == ["file", "restart"]
    assert hosts.shell(host, words, check=False) == ""
    assert not hosts.linux_host(host, less)["changed"]


def test_exclusive_directory_loses_what_is_not_listed(hosts, document, host):
    owned = document | {
        "directories": [{"path": "/etc/greeter.d", "mode": "0750", "exclusive": True, "restarts": ["greeter"]}]
    }
    hosts.linux_host(host, owned)
    hosts.shell(host, "mkdir -p /etc/greeter.d/old && touch /etc/greeter.d/old/file /etc/greeter.d/loose")
    before = pid(hosts, host)
    predicted = hosts.linux_host(host, owned, "--check")
    answer = hosts.linux_host(host, owned)
    assert predicted["changes"] == answer["changes"]
    assert names(answer, "directory") == ["/etc/greeter.d/old"]
    assert names(answer, "file") == ["/etc/greeter.d/loose"]
    assert names(answer, "restart") == ["greeter"]
    assert hosts.shell(host, "ls -A /etc/greeter.d") == "key\n"
    assert pid(hosts, host) != before
    assert not hosts.linux_host(host, owned)["changed"]


def test_absent_directory_is_removed_with_its_contents(hosts, document, host):
    hosts.shell(host, "mkdir -p /etc/greeter-old/deep && touch /etc/greeter-old/deep/file")
    answer = hosts.linux_host(host, document | {"absent_files": ["/etc/greeter-old"]})
    assert names(answer, "file") == ["/etc/greeter-old"]
    assert hosts.shell(host, "ls /etc/greeter-old", check=False) == ""


def test_versions_go_up_and_down_and_stay_held(hosts, document, host):
    for version, installed in (("1.1.0-1", "1.1.0-1"), ("1.0.*", "1.0.1-1")):
        answer = hosts.linux_host(host, document | {"packages": {"greeter": version}})
        assert answer["packages"] == {"greeter": installed}
        assert hosts.shell(host, "apt-mark showhold") == "greeter\n"


def test_unknown_version_lists_the_available_ones(hosts, document, host):
    answer = hosts.linux_host(host, document | {"packages": {"greeter": "9.*", "greeter-data": "present"}})
    assert answer["error_code"] == "PackageNotFound"
    assert "greeter 9.* (available: 1.1.0-1, 1.0.1-1, 1.0.0-1)" in answer["msg"]
    assert not hosts.linux_host(host, document)["changed"]


def test_package_lock_is_waited_for(hosts, document, host):
    hosts.shell(host, "apt-get remove -y --allow-change-held-packages greeter")
    script = "import fcntl,time;f=open('/var/lib/dpkg/lock-frontend','w');fcntl.lockf(f,fcntl.LOCK_EX);time.sleep(4)"
    hosts.shell(host, f'systemd-run --unit=locker --collect python3 -c "{script}"')
    started = time.monotonic()
    answer = hosts.linux_host(host, document)
    assert "failed" not in answer, answer
    assert time.monotonic() - started > 2
    assert answer["packages"] == {"greeter": "1.0.1-1"}


def test_interrupted_installation_is_completed(hosts, document, host):
    hosts.shell(host, "apt-get remove -y --allow-change-held-packages greeter")
    hosts.shell(host, "cd /tmp && apt-get download greeter=1.0.1-1 && dpkg --unpack greeter_1.0.1-1_all.deb")
    answer = hosts.linux_host(host, document)
    assert "1.0.1-1, half installed" in [change["before"] for change in answer["changes"]]
    assert hosts.shell(host, "dpkg-query -W -f '${Status}' greeter") in ("hold ok installed", "install ok installed")
    assert not hosts.linux_host(host, document)["changed"]


def test_failed_unit_is_reported_with_its_journal(hosts, document, host):
    unit = "[Service]\nType=notify\nExecStart=/bin/sh -c 'echo it is all wrong; exit 3'\n"
    broken = document | {
        "files": [*document["files"], {"path": "/etc/systemd/system/broken.service", "content": unit}],
        "units": {"broken": {"state": "started"}},
    }
    answer = hosts.linux_host(host, broken)
    assert answer["error_code"] == "UnitFailed"
    assert "it is all wrong" in answer["msg"]


def test_preconditions_are_checked_before_any_change(hosts, document, host):
    hosts.shell(host, "systemd-run --unit=squatter --collect python3 -m http.server 6443")
    hosts.shell(host, "until ss -ltn | grep -q :6443; do sleep 0.1; done")
    try:
        wanted = {"disk": {"/var/lib": 1 << 60}, "memory": 1 << 60, "ports": {"6443": ["kube-apiserver"]}}
        more = document | {"preflight": wanted, "files": [{"path": "/etc/more", "content": "more"}]}
        for options in ((), ("--check",)):
            answer = hosts.linux_host(host, more, *options)
            assert answer["error_code"] == "PreflightFailed"
            assert [reason.split()[0] for reason in answer["error_data"]["reasons"]] == ["/var/lib", "the", "port"]
            assert "used by python3" in answer["msg"]
        assert hosts.shell(host, "ls /etc/more", check=False) == ""
        fine = document | {"preflight": {"ports": {6443: ["python3"]}}, "packages": {}, "files": []}
        assert "failed" not in hosts.linux_host(host, fine)
    finally:
        hosts.shell(host, "systemctl stop squatter")


def test_invalid_document_reports_every_mistake(hosts, host):
    answer = hosts.linux_host(host, {"pakages": {}, "files": [{"path": "etc/x", "content": "", "mode": 644}]})
    assert answer["error_code"] == "SpecInvalid"
    assert len(answer["error_data"]["mistakes"]) == 3


def test_unknown_sysctl_is_an_error(hosts, document, host):
    answer = hosts.linux_host(host, document | {"sysctls": {"net.ipv4.no_such_thing": 1}})
    assert answer["error_code"] == "SysctlFailed"
    assert "net.ipv4.no_such_thing" in answer["msg"]


def test_swap_lines_of_fstab_are_commented_out(hosts, document, host):
    if len(pathlib.Path("/proc/swaps").read_text().splitlines()) > 1:
        pytest.skip("this machine uses swap, and a lab host would turn it off")
    hosts.shell(host, "echo '/dev/vdb none swap sw 0 0' >> /etc/fstab")
    answer = hosts.linux_host(host, document | {"swap": "off"})
    assert names(answer, "swap") == ["/etc/fstab"]
    assert "# /dev/vdb none swap" in hosts.shell(host, "cat /etc/fstab")
    assert not hosts.linux_host(host, document | {"swap": "off"})["changed"]


def test_full_disk_is_reported_and_the_old_file_stays(hosts, repository):
    small = {"files": [{"path": "/etc/greeter.conf", "content": "first\n"}]}
    assert hosts.linux_host("small", small)["changed"]
    large = {"repositories": [{"name": "greeters", "url": repository, "trusted": True}], "packages": {"large": "1.0"}}
    answer = hosts.linux_host("small", large)
    assert answer["error_code"] == "DiskFull", answer
    fill = "for size in 64k 512; do dd if=/dev/zero of=/fill$size bs=$size status=none; done; true"
    hosts.shell("small", f"apt-get clean; {fill}", check=False)
    try:
        second = {"files": [{"path": "/etc/greeter.conf", "content": "second\n" * 3000}]}
        answer = hosts.module("small", "linux_host", {"document": second}, "-e", "ansible_remote_tmp=/dev/shm/ansible")
        assert answer["error_code"] == "DiskFull", answer
        assert hosts.shell("small", "cat /etc/greeter.conf; ls /etc | grep photon-new", check=False) == "first\n"
    finally:
        hosts.shell("small", "rm -f /fill*")


def test_unreachable_repository_is_named(hosts, document, host):
    wrong = document | {
        "repositories": [{"name": "nowhere", "url": "http://127.0.0.1:9/", "trusted": True}],
        "packages": {"not-there-at-all": "1.0"},
    }
    answer = hosts.linux_host(host, wrong)
    assert answer["error_code"] == "PackageNotFound"
    assert "127.0.0.1:9" in answer["msg"]
    hosts.shell(host, "rm /etc/apt/sources.list.d/nowhere.sources")
