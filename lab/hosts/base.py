# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Base images: Debian root file systems with systemd and SSH, built once per suite and flavour.

``plain`` is a minimal Debian with Python; ``packages`` and ``kubernetes`` are layers above it with what many scenarios
install. All are named after a digest of their recipe, so a changed recipe builds anew. The packages come from the
mirror that this machine's own apt uses.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from . import aptcache
from .paths import LabError, locked, remove, root, run

SUITES = ("bookworm", "trixie")
FLAVOURS = ("plain", "packages", "kubernetes")

_PLAIN = (
    "systemd systemd-sysv dbus libpam-systemd udev kmod python3 python3-apt iproute2 iputils-ping procps less curl "
    "sudo ca-certificates openssh-server nftables iptables"
).split()
_PACKAGES = (
    "slapd ldap-utils krb5-kdc krb5-user krb5-admin-server openssl python3-cryptography python3-ldap python3-psycopg2 "
    "jq gnupg rsyslog acl containerd runc conntrack socat ebtables ethtool"
).split()
# What a distribution offers of a Kubernetes node and of the balancers before it.
_KUBERNETES = (
    "containerd runc containernetworking-plugins conntrack socat ethtool ebtables haproxy keepalived openssl gnupg jq "
    "acl"
).split()
_LAYERS = {"packages": _PACKAGES, "kubernetes": _KUBERNETES}
_SERVICES = ("slapd", "krb5-kdc", "krb5-admin-server", "containerd", "haproxy", "keepalived")
# Shared settings of every base: no waiting for the disk, no manuals, no package timers behind a test's back.
_CUSTOMISE = r"""
set -e
root=$1
printf 'force-unsafe-io\n' > "$root/etc/dpkg/dpkg.cfg.d/lab"
printf '%s\n' 'path-exclude=/usr/share/man/*' 'path-exclude=/usr/share/doc/*' \
  'path-include=/usr/share/doc/*/copyright' >> "$root/etc/dpkg/dpkg.cfg.d/lab"
printf 'Acquire::Languages "none";\nAPT::Install-Recommends "false";\n' > "$root/etc/apt/apt.conf.d/02lab"
for unit in apt-daily.timer apt-daily-upgrade.timer console-getty.service systemd-networkd.service \
    systemd-resolved.service; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
mkdir -p "$root/etc/ssh/sshd_config.d"
printf 'UseDNS no\nPermitRootLogin prohibit-password\nMaxStartups 100\nMaxSessions 100\n' \
  > "$root/etc/ssh/sshd_config.d/lab.conf"
rm -f "$root/etc/machine-id" "$root/etc/hostname"
touch "$root/etc/machine-id"
"""


@dataclass(frozen=True)
class Mirror:
    """The two addresses a Debian machine's apt reads: the archive and its security updates (may be empty)."""

    archive: str
    security: str

    def sources(self, suite: str) -> list[str]:
        """The lines of a sources.list for ``suite``: the release, its updates and its security updates."""
        lines = [f"deb {self.archive} {suite} main", f"deb {self.archive} {suite}-updates main"]
        return lines + ([f"deb {self.security} {suite}-security main"] if self.security else [])


def mirror() -> Mirror:
    """The mirror that this machine's apt is configured with; LabError where it is no Debian machine."""
    listing = run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    ).stdout
    archive = security = ""
    for line in listing.splitlines():
        site, release, component = line.split()
        if component != "main":
            continue
        name = release.split("-")[0]
        if release.endswith("-security"):
            security = security or site
        elif name in (*SUITES, "stable", "oldstable", "testing", "sid", "unstable"):
            archive = archive or site
    if not archive:
        raise LabError("apt knows no Debian archive: lab hosts are built on a Debian machine (or use LAB_DRIVER=ssh)")
    return Mirror(archive, security)


def unavailable() -> str:
    """Why the driver nspawn can make no hosts on this machine; empty when it can."""
    if os.geteuid() != 0:
        return "real hosts on this machine need root (LAB_DRIVER=nspawn)"
    try:
        mirror()
    except LabError as error:
        return str(error)
    return ""


def layers(suite: str, flavour: str) -> list[Path]:
    """The directories to stack for a host, topmost first; builds what is missing (about a minute each, once)."""
    if suite not in SUITES or flavour not in FLAVOURS:
        raise LabError(f"no base {suite}/{flavour}: suites are {', '.join(SUITES)}, flavours {', '.join(FLAVOURS)}")
    plain = _directory(suite, "plain", _PLAIN)
    with locked(f"base-{suite}"):
        if not plain.exists():
            _build_plain(suite, plain)
        if flavour == "plain":
            return [plain]
        above = _directory(suite, flavour, _PLAIN + _LAYERS[flavour])
        if not above.exists():
            _build_layer(plain, above, _LAYERS[flavour])
    return [above, plain]


def archive(suite: str) -> Path:
    """A tar file of the plain base, made without root (a user name space): what ``podman import`` takes."""
    target = _directory(suite, "plain", _PLAIN).with_suffix(".tar")
    with locked(f"base-{suite}-tar"):
        if not target.exists():
            part = target.with_suffix(".part.tar")
            _mmdebstrap(suite, part, "unshare")
            part.rename(target)
    return target


def _directory(suite: str, flavour: str, packages: list[str]) -> Path:
    recipe = "\n".join([*sorted(packages), _CUSTOMISE])
    bases = root() / "bases"
    bases.mkdir(exist_ok=True)
    return bases / f"{suite}-{flavour}-{hashlib.sha256(recipe.encode()).hexdigest()[:10]}"


def _build_plain(suite: str, target: Path) -> None:
    print(f"building the base {suite}/plain (once, about a minute)", file=sys.stderr)
    part = target.with_suffix(".part")
    remove(part)
    _mmdebstrap(suite, part, "root")
    part.rename(target)


def _mmdebstrap(suite: str, target: Path, mode: str) -> None:
    hook = root() / "bases" / "customise.sh"
    hook.write_text(_CUSTOMISE)
    command = [
        "mmdebstrap",
        f"--mode={mode}",
        "--variant=minbase",
        f"--include={','.join(_PLAIN)}",
        "--skip=cleanup/apt/lists",
    ]
    command += [f'--customize-hook=sh {hook} "$1"', suite, str(target), *mirror().sources(suite)]
    if mode == "root":
        # Its mounts end with it, also when it is killed: the rest of this machine never sees them.
        command = ["unshare", "--mount", *command]
    run(command, env=os.environ | {"TMPDIR": str(root() / "bases")})


def _build_layer(plain: Path, target: Path, packages: list[str]) -> None:
    """Install the packages in an overlay above ``plain`` and keep the overlay's upper directory as the layer."""
    print(f"building the base {target.name} (once, about a minute)", file=sys.stderr)
    part, work, merged = (target.with_suffix(s) for s in (".part", ".work", ".merged"))
    for directory in (part, work, merged):
        remove(directory)
        directory.mkdir()
    run(["mount", "-t", "overlay", "lab-base", "-o", f"lowerdir={plain},upperdir={part},workdir={work}", str(merged)])
    try:
        # Services are for the roles to start: nothing runs in the chroot, nothing is enabled at boot.
        (merged / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
        (merged / "usr/sbin/policy-rc.d").chmod(0o755)
        presets = merged / "etc/systemd/system-preset"
        presets.mkdir(parents=True, exist_ok=True)
        (presets / "00-lab.preset").write_text("enable ssh.service\nenable dbus.service\ndisable *\n")
        shutil.copy("/etc/resolv.conf", merged / "etc/resolv.conf")
        with aptcache.running("base") as proxy:
            proxied = ["-o", f"Acquire::http::Proxy={proxy}"]
            environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            for step in (["update"], ["install", "--yes", *packages]):
                run(
                    ["chroot", str(merged), "apt-get", "-qq", *proxied, *step],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                )
        services = [name for name in _SERVICES if name in packages]
        run(["chroot", str(merged), "systemctl", "disable", "--quiet", *services])
        run(["chroot", str(merged), "apt-get", "clean"])
        (merged / "usr/sbin/policy-rc.d").unlink()
        (presets / "00-lab.preset").unlink()
        (merged / "etc/resolv.conf").unlink()
    finally:
        run(["umount", str(merged)])
    remove(work)
    merged.rmdir()
    part.rename(target)
