# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host of the driver ``nspawn`` needs besides so that a kubelet runs in it.

A kubelet limits pods with the memory, cpu, cpuset and pids controllers. On a machine with cgroup v1 each controller is
a hierarchy of its own: the host gets a child of the caller's group in every one. On a machine with cgroup v2 the host
gets one group, below the nearest group that can hand the controllers on.

A kubelet also writes kernel settings that belong to the whole machine (vm.overcommit_memory, kernel.panic ...). In a
host these are ordinary files that lie over the kernel's own: they can be written and read back, and change nothing.
"""

from __future__ import annotations

from pathlib import Path

from .paths import LabError

DIRECTORIES = ("/var/lib/etcd",)  # besides those that every host has outside its overlay
_TOP = Path("/sys/fs/cgroup")
_CONTROLLERS = ("cpu", "cpuset", "memory", "pids", "io")
_V1 = ("systemd", "unified", "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids")
_SETTINGS = (
    "vm/overcommit_memory vm/panic_on_oom vm/max_map_count vm/swappiness kernel/panic kernel/panic_on_oops "
    "kernel/keys/root_maxkeys kernel/keys/root_maxbytes fs/inotify/max_user_instances fs/inotify/max_user_watches "
    "fs/file-max"
).split()
_UNIT = """[Unit]
Description=What the lab lays over the machine's own kernel settings
DefaultDependencies=no
After=systemd-remount-fs.service
Before=sysinit.target systemd-sysctl.service systemd-modules-load.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /etc/lab/kubelet.sh
"""


def parents() -> list[str]:
    """The control groups in which a host gets a child: the caller's own of each v1 hierarchy, or one of cgroup v2."""
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.removeprefix("name=").split(","):
            own[controller or "unified"] = path
    if (_TOP / "cgroup.controllers").exists():
        return [_handing_on(f"{_TOP}{own['unified']}".split("/lab-")[0].rstrip("/"))]
    missing = [name for name in ("systemd", "cpu", "cpuacct", "cpuset", "memory", "pids") if name not in own]
    if missing:
        raise LabError(f"hosts with a kubelet need the control group hierarchies {', '.join(missing)} under {_TOP}")
    return [f"{_TOP}/{name}{own[name]}".split("/lab-")[0].rstrip("/") for name in _V1 if name in own]


def make_group(group: Path) -> None:
    """Make a host's control group; a cpuset takes its processors and memory nodes from the parent."""
    group.mkdir(exist_ok=True)
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (group.parent / "tasks").exists() and (group / name).exists():  # v1 alone has tasks
            (group / name).write_text((group.parent / name).read_text())


def boots_legacy() -> bool:
    """Is this a machine with cgroup v1, where the host's systemd has to use the v1 hierarchies too?"""
    return not (_TOP / "cgroup.controllers").exists()


def first_boot_files(root: Path, gateway: str) -> None:
    """Write the settings' files, the unit that lays them over the kernel's own, and a resolver for CoreDNS."""
    lab = root / "etc/lab"
    lab.mkdir(parents=True, exist_ok=True)
    lines = ["mkdir -p /run/lab"]
    for setting in (s for s in _SETTINGS if Path("/proc/sys", s).exists()):
        copy = setting.replace("/", ".")
        # From the machine's own value at every boot: settings that a role wants to last have to be in sysctl.d.
        (lab / copy).write_text(Path("/proc/sys", setting).read_text())
        lines.append(f"cp /etc/lab/{copy} /run/lab/{copy} && mount --bind /run/lab/{copy} /proc/sys/{setting}")
    if boots_legacy():
        lines.append('for top in /sys/fs/cgroup/*/; do mountpoint -q "$top" && mount -o remount,bind,rw "$top"; done')
    (lab / "kubelet.sh").write_text("\n".join([*lines, "exit 0"]) + "\n")
    units = root / "etc/systemd/system"
    (units / "sysinit.target.wants").mkdir(parents=True, exist_ok=True)
    (units / "lab-kubelet.service").write_text(_UNIT)
    (units / "sysinit.target.wants/lab-kubelet.service").symlink_to("../lab-kubelet.service")
    # Nothing answers there: names outside the lab fail at once instead of after a timeout.
    resolver = root / "etc/resolv.conf"
    resolver.unlink(missing_ok=True)
    resolver.write_text(f"nameserver {gateway}\n")


def _handing_on(group: str) -> str:
    """The nearest of a v2 group and its parents that lets its children use every controller."""
    path = Path(group)
    wanted = " ".join(f"+{name}" for name in _CONTROLLERS)
    while True:
        try:
            (path / "cgroup.subtree_control").write_text(wanted)
        except OSError as error:  # it has processes of its own, or lacks a controller itself
            if path == _TOP:
                raise LabError(f"{_TOP} cannot hand on the controllers {', '.join(_CONTROLLERS)}: {error}") from error
            path = path.parent
        else:
            return str(path)
