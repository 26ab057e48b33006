# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Driver ``nspawn``: a host is systemd-nspawn on an overlay of a base, in a network name space of its own. Needs root.

It needs neither systemd nor a container engine outside: each host lives in a child of the control groups that the
caller already sits in. A host that reboots itself comes up again. These hosts are no security boundary.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from ..kubernetes import service
from . import aptcache, base, kubelet, network
from .paths import LabError, locked, remove, run
from .seed import Seed
from .spec import HostSpec

NEEDS_ROOT = True
INOTIFY_INSTANCES = 4096

_NESTED = ("/var/lib/containerd", "/var/lib/docker", "/var/lib/kubelet")  # an overlay cannot lie on an overlay
_BOOT = (
    "systemd-nspawn --quiet --boot --register=no --keep-unit --link-journal=no --resolv-conf=off --timezone=off "
    "--console=read-only --capability=all"
).split()
# nspawn leaves a reboot to whoever called it and says so by ending with 133. The first words are the control groups
# that nspawn enters; this shell stays outside, as a v2 group with processes cannot hand controllers on.
_SUPERVISE = """
enter() {
  while [ "$1" != -- ]; do echo 0 > "$1/cgroup.procs" || exit 1; shift; done
  shift
  exec "$@"
}
trap 'stopped=1; kill -TERM "$child" 2>/dev/null' TERM
code=133
while [ "$code" = 133 ] && [ -z "$stopped" ]; do
  enter "$@" & child=$!
  wait "$child"; code=$?
  while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
done
exit "$code"
"""
_NAMESPACES = ("-m", "-u", "-i", "-n", "-p", "-C")


def prepare(lab: str, directory: Path, subnet: str) -> None:
    """What all hosts of the lab share: the bridge and the package cache."""
    if os.geteuid() != 0:
        raise LabError("the driver nspawn needs root; an ordinary user takes LAB_DRIVER=podman or LAB_DRIVER=ssh")
    # Every systemd and journald takes several of these, and all hosts of this machine share the count.
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    if int(limit.read_text()) < INOTIFY_INSTANCES:
        limit.write_text(str(INOTIFY_INSTANCES))
    network.make_bridge(lab, subnet)
    aptcache.acquire(lab)


def release(lab: str, directory: Path, subnet: str) -> None:
    """Undo ``prepare``."""
    service.stop(directory)
    network.remove_bridge(lab)
    aptcache.release(lab)


def create(lab: str, directory: Path, spec: HostSpec, address: str, seed: Seed) -> None:
    """Boot a host and return when systemd says that it runs; its state lies in ``directory``."""
    root = _mount(directory, spec)
    _first_boot_files(root, directory.parent.parent / "id.pub", spec.name, address, seed)
    if spec.kubelet:
        kubelet.first_boot_files(root, network.gateway(address))
        with locked(f"registry-{lab}"):
            service.start(directory.parent.parent, network.gateway(address))
    space = network.plug(lab, spec.name, address)
    process = _boot(lab, directory, root, spec, space)
    (directory / "nspawn.pid").write_text(str(process.pid))
    _wait_running(directory, spec.name, process)


def destroy(lab: str, directory: Path, name: str) -> None:
    """End a host and remove every trace of it, whatever state it is in."""
    group = _group(lab, name)
    supervisor = _number(directory / "nspawn.pid")
    if supervisor and _supervises(supervisor, group):
        os.kill(supervisor, signal.SIGTERM)
        _wait_gone(supervisor, 5)
    # When the supervisor is killed hard the host's own init lives on, holding address and MAC: end whatever is left.
    for pid in _members(directory, group):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        _wait_gone(pid, 5)
    root = directory / "root"
    for mounted in (root, directory / "disk"):
        while os.path.ismount(mounted):
            run(["umount", "--recursive", str(mounted)])
    network.unplug(lab, name)
    for control_group in _control_groups(directory):
        for path in [Path(folder) for folder, _inner, _files in os.walk(control_group, topdown=False)]:
            with contextlib.suppress(OSError):
                path.rmdir()
    remove(directory)


def is_running(lab: str, directory: Path, name: str) -> bool:
    """Does the host's init live?"""
    leader = _init(directory)
    return bool(leader) and _in_group(leader, _group(lab, name))


def command(lab: str, directory: Path, name: str, words: Sequence[str]) -> list[str]:
    """The command that runs ``words`` inside a host."""
    return ["nsenter", "-t", str(_init(directory)), *_NAMESPACES, "--", *words]


def connection(lab: str, directory: Path, name: str, address: str) -> dict[str, object]:
    """How Ansible reaches the host."""
    return {"ansible_host": address, "ansible_port": 22}


def variables(subnet: str) -> dict[str, object]:
    """What all hosts and the controller know of the lab."""
    gateway = str(ipaddress.ip_network(subnet)[1])
    return {"lab_gateway": gateway, **service.variables(gateway)}


def cut(lab: str, directory: Path, name: str, carrier: bool) -> None:
    """Cut the host off its network."""
    network.cut(lab, name, carrier)


def heal(lab: str, directory: Path, name: str) -> None:
    """Undo ``cut``."""
    network.heal(lab, name)


def _mount(directory: Path, spec: HostSpec) -> Path:
    lower = ":".join(str(layer) for layer in base.layers(spec.suite, spec.base))
    writable, root = directory / "disk", directory / "root"
    writable.mkdir(parents=True)
    root.mkdir()
    if spec.disk:
        image = directory / "disk.img"
        with open(image, "wb") as handle:
            handle.truncate(int(spec.disk[:-1]) * {"M": 1 << 20, "G": 1 << 30}[spec.disk[-1]])
        run(["mkfs.ext4", "-q", "-m", "0", str(image)])
        with locked("loop"):
            run(["mount", "-o", "loop", str(image), str(writable)])
    for name in ("upper", "work"):
        (writable / name).mkdir()
    options = f"lowerdir={lower},upperdir={writable / 'upper'},workdir={writable / 'work'}"
    # Nothing here outlives its host, so nothing has to reach the disk: `volatile` makes every sync a no-op.
    if run(["mount", "-t", "overlay", "lab", "-o", f"{options},volatile", str(root)], check=False).returncode != 0:
        run(["mount", "-t", "overlay", "lab", "-o", options, str(root)])
    return root


def _first_boot_files(root: Path, key: Path, name: str, address: str, seed: Seed) -> None:
    hostname = (seed.hostname or name).split(".")[0]
    names = " ".join(dict.fromkeys([seed.hostname or name, hostname, name]))
    (root / "etc/hostname").write_text(hostname + "\n")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n{address} {names}\n")
    ssh = root / "root/.ssh"
    ssh.mkdir(mode=0o700, exist_ok=True)
    (ssh / "authorized_keys").write_text(key.read_text())
    (ssh / "authorized_keys").chmod(0o600)
    (root / "etc/apt/apt.conf.d/01lab-proxy").write_text(
        f'Acquire::http::Proxy "{aptcache.URL}";\nAcquire::http::Proxy::{network.gateway(address)} "DIRECT";\n'
    )
    for file in seed.files:
        path = root / file.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(file.mode)
    wanted = root / "etc/systemd/system/multi-user.target.wants"
    wanted.mkdir(parents=True, exist_ok=True)
    for unit in seed.units:
        (wanted / unit).symlink_to(f"/etc/systemd/system/{unit}")


def _boot(lab: str, directory: Path, root: Path, spec: HostSpec, space: str) -> subprocess.Popen[bytes]:
    parents = kubelet.parents() if spec.kubelet else _own_control_groups()
    groups = [f"{parent}/{_group(lab, spec.name)}" for parent in parents]
    (directory / "cgroups").write_text("\n".join(groups))
    for group in groups:
        kubelet.make_group(Path(group))
    arguments = [*_BOOT, f"--directory={root}", f"--machine={spec.name}", f"--network-namespace-path={space}"]
    for inside in (*_NESTED, *(kubelet.DIRECTORIES if spec.kubelet else ())):
        outside = directory / "disk" / "nested" / inside.rsplit("/", 1)[1]
        outside.mkdir(parents=True)
        (root / inside.lstrip("/")).mkdir(parents=True, exist_ok=True)
        arguments.append(f"--bind={outside}:{inside}")
    arguments += [f"--bind={device}" for device in ("/dev/kmsg", "/dev/fuse", "/dev/net/tun") if os.path.exists(device)]
    environment = os.environ | {
        "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
        "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "yes",
        "SYSTEMD_SECCOMP": "0",
    }
    if spec.kubelet:
        environment["SYSTEMD_NSPAWN_API_VFS_WRITABLE"] = "network"  # the rest of /proc/sys is the machine's
        if kubelet.boots_legacy():
            environment["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"] = "0"
            arguments.append("SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1")
    with open(directory / "console.log", "wb") as console:
        return subprocess.Popen(
            ["sh", "-c", _SUPERVISE, "sh", *groups, "--", *arguments],
            env=environment, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
        )  # fmt: skip


def _wait_running(directory: Path, name: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    state = "not started"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise LabError(
                f"host {name} died at boot: {(directory / 'console.log').read_text(errors='replace')[-800:]}"
            )
        leader = _leader(process.pid)
        if leader:
            (directory / "leader").write_text(str(leader))
            asked = ["nsenter", "-t", str(leader), *_NAMESPACES, "--", "systemctl", "is-system-running"]
            state = run(asked, check=False).stdout.strip() or state
            if state in ("running", "degraded"):
                return
        time.sleep(0.1)
    raise LabError(f"host {name} did not come up within 90 s (state {state}); see {directory / 'console.log'}")


def _init(directory: Path) -> int:
    """The host's init; its number changes when the host reboots. 0: there is none."""
    return _leader(_number(directory / "nspawn.pid")) or _number(directory / "leader")


def _leader(supervisor: int) -> int | None:
    """The init of the host: the first process below the supervisor that has a PID name space of its own."""
    ours = os.readlink("/proc/self/ns/pid")
    below = [supervisor] if supervisor else []
    while below:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{below.pop()}/task").iterdir():
                for child in (task / "children").read_text().split():
                    if os.readlink(f"/proc/{child}/ns/pid") != ours:
                        return int(child)
                    below.append(int(child))
    return None


def _group(lab: str, host: str) -> str:
    return f"lab-{lab}-{host}"


def _own_control_groups() -> list[str]:
    """The directories of the control groups this process sits in: v2's, and systemd's v1 one where that is mounted."""
    top = Path("/sys/fs/cgroup")
    entries = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    if (top / "cgroup.controllers").exists():
        return [_outside_labs(f"{top}{entries['']}")]
    found = [f"{top}/unified{entries['']}"] if "" in entries and (top / "unified").exists() else []
    found += (
        [f"{top}/systemd{entries['name=systemd']}"] if "name=systemd" in entries and (top / "systemd").exists() else []
    )
    if not found:
        raise LabError("no control group hierarchy that systemd could use is mounted under /sys/fs/cgroup")
    return [_outside_labs(path) for path in found]


def _outside_labs(path: str) -> str:
    return path.split("/lab-")[0].rstrip("/")


def _control_groups(directory: Path) -> list[Path]:
    record = directory / "cgroups"
    return [Path(line) for line in record.read_text().splitlines()] if record.exists() else []


def _members(directory: Path, group: str) -> list[int]:
    found = {_number(directory / "leader"), _number(directory / "nspawn.pid")}
    for path in _control_groups(directory):
        for folder, _inner, _files in os.walk(path):  # which passes over those that vanish meanwhile
            with contextlib.suppress(OSError):
                found.update(int(pid) for pid in Path(folder, "cgroup.procs").read_text().split())
    return sorted(pid for pid in found if pid and _in_group(pid, group))


def _in_group(pid: int, group: str) -> bool:
    """Is it still our process? A number may belong to another by now."""
    try:
        return any(group in line.split("/") for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    except OSError:
        return False


def _supervises(pid: int, group: str) -> bool:
    """Is it the shell that keeps the host of this control group up?"""
    try:
        return any(word.endswith(f"/{group}") for word in Path(f"/proc/{pid}/cmdline").read_text().split("\0"))
    except OSError:
        return False


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def _wait_gone(pid: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except OSError:
            return
        time.sleep(0.05)
