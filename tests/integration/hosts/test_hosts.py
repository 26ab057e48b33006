# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real hosts of the lab: made, seeded, cut off, and cleared away after a crash."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import time

import pytest

from lab.hosts import HostSpec, Lab, LabError, collect_garbage, labs, network, paths
from lab.hosts.base import unavailable

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(unavailable()), reason=unavailable()),
]

USER_DATA = """#cloud-config
hostname: seeded
users:
  - {name: ada, groups: [builders], sudo: "ALL=(ALL) NOPASSWD:ALL", ssh_authorized_keys: [ssh-ed25519 AAAA ada]}
write_files:
  - {path: /etc/greeting, content: aGVsbG8K, encoding: b64, permissions: "0600", owner: "ada:ada"}
runcmd:
  - echo "$(hostname) ran" > /root/ran
  - [touch, "/root/with a blank"]
"""


@pytest.fixture(name="lab")
def fixture_lab():
    lab = Lab(f"hosts-{os.getpid()}", "nspawn", os.getpid())
    yield lab
    lab.destroy()


def said(lab, host, script):
    return lab.run(host, ["sh", "-c", script]).stdout.strip()


def test_both_suites_run_together_and_reach_each_other(lab):
    assert lab.create([HostSpec("a"), HostSpec("b", suite="trixie", disk="300M")]) == ["a", "b"]
    assert said(lab, "a", ". /etc/os-release; echo $VERSION_CODENAME") == "bookworm"
    assert said(lab, "b", ". /etc/os-release; echo $VERSION_CODENAME") == "trixie"
    other = lab.hosts()["b"]["address"]
    assert "1 received" in said(lab, "a", f"ping -c 1 -W 2 {other}")
    assert lab.create([HostSpec("a")]) == []
    lab.cut("b")
    assert "0 received" in said(lab, "a", f"ping -c 1 -W 1 {other}; true")
    lab.heal("b")
    assert "1 received" in said(lab, "a", f"ping -c 1 -W 2 {other}")


def test_a_host_for_a_kubelet_has_every_controller_and_reboots(lab):
    machine = pathlib.Path("/proc/sys/kernel/panic_on_oops").read_text()
    lab.create([HostSpec("k", "trixie", "kubernetes", kubelet=True)])
    first = lab.command("k", [])
    controllers = said(lab, "k", "cat /proc/cgroups; cat /sys/fs/cgroup/cgroup.controllers 2>/dev/null; true")
    assert {"cpu", "cpuset", "memory", "pids"} <= set(controllers.split())
    group = "/sys/fs/cgroup/memory/probe" if said(lab, "k", "ls /sys/fs/cgroup | grep -x memory; true") else ""
    if group:  # cgroup v1: a limit can be set below the host's own group
        said(lab, "k", f"mkdir {group} && echo 64M > {group}/memory.limit_in_bytes")
        assert said(lab, "k", f"cat {group}/memory.limit_in_bytes; rmdir {group}") == str(64 << 20)
    said(lab, "k", "echo 7 > /proc/sys/kernel/panic_on_oops")
    assert said(lab, "k", "cat /proc/sys/kernel/panic_on_oops") == "7"
    assert pathlib.Path("/proc/sys/kernel/panic_on_oops").read_text() == machine
    lab.run("k", ["systemctl", "reboot"], check=False)
    deadline = time.monotonic() + 60
    while lab.command("k", []) == first or lab.run("k", ["systemctl", "is-system-running"], check=False).returncode:
        assert time.monotonic() < deadline, "the host did not come up again"
        time.sleep(0.1)
    assert said(lab, "k", "cat /proc/sys/kernel/panic_on_oops") == machine.strip()


def test_a_seed_is_applied(lab):
    lab.create([HostSpec("c", user_data=USER_DATA, meta_data="instance-id: i-1")])
    assert said(lab, "c", "hostname; cat /root/ran /etc/greeting") == "seeded\nseeded ran\nhello"
    assert (
        said(lab, "c", "stat -c '%a %U' /etc/greeting; test -e '/root/with a blank' && echo there") == "600 ada\nthere"
    )
    assert "builders" in said(lab, "c", "id -nG ada")
    assert said(lab, "c", "su ada -c 'sudo -n id -un'; cat ~ada/.ssh/authorized_keys") == "root\nssh-ed25519 AAAA ada"


def test_everything_is_removed(lab):
    lab.create([HostSpec("d")])
    directory, bridge = lab.directory, network.bridge_name(lab.name)
    leader = int((directory / "hosts" / "d" / "leader").read_text())
    lab.destroy()
    assert not directory.exists()
    assert not os.path.exists(f"/proc/{leader}")
    assert subprocess.run(["ip", "link", "show", bridge], capture_output=True, check=False).returncode != 0
    assert f"lab-{lab.name}" not in subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    assert str(directory) not in pathlib.Path("/proc/mounts").read_text()


def test_what_a_killed_build_left_mounted_is_unmounted_before_its_folder_is_removed(tmp_path):
    shared, part = tmp_path / "shared", tmp_path / "a build.part"
    shared.mkdir()
    (shared / "of another program").touch()
    for folder in (part / "dev" / "shm", part / "dev" / "shm" / "inner"):
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--bind", str(shared), str(folder)], check=True)
        (shared / "inner").mkdir(exist_ok=True)
    paths.remove(part)
    assert not part.exists()
    assert (shared / "of another program").exists()
    assert str(tmp_path) not in pathlib.Path("/proc/mounts").read_text()


def test_a_lab_whose_owner_died_is_cleared_away():
    name = f"orphan-{os.getpid()}"
    script = f"import os, lab.hosts as h; h.Lab({name!r}, 'nspawn', os.getpid()).create([h.HostSpec('e')]); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    assert name in labs()
    assert name in collect_garbage()
    assert name not in labs()


def test_what_cannot_be_made_is_told(lab):
    with pytest.raises(LabError, match="driver 'vagrant'"):
        Lab("x", "vagrant")
    lab.create([HostSpec("f", number=50)])
    with pytest.raises(LabError, match="same number"):
        lab.create([HostSpec("g", number=50)])


def test_hosts_that_somebody_made_are_used_and_kept(lab, monkeypatch):
    lab.create([HostSpec("h")])
    monkeypatch.setenv("LAB_INVENTORY", str(lab.inventory_file))
    other = Lab(f"given-{os.getpid()}", "ssh")
    try:
        assert other.create([HostSpec("h", groups=("x",))]) == ["h"]
        assert said(other, "h", "hostname") == "h"
        with pytest.raises(LabError, match="has no host nobody"):
            other.create([HostSpec("nobody")])
    finally:
        other.destroy()
    assert said(lab, "h", "hostname") == "h"
