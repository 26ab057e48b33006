# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's first boot from cloud-init's NoCloud seed: user-data and meta-data.

Applied: ``hostname``, ``fqdn``, ``ssh_authorized_keys``, ``users``, ``write_files``, ``runcmd``, ``bootcmd`` of a
``#cloud-config`` document, or a user-data that is a script (``#!``); ``instance-id``, ``local-hostname`` and
``public-keys`` of the meta-data. Any other key is refused by name, so that nobody believes it was applied.
"""

from __future__ import annotations

import base64
import gzip
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .paths import LabError

_USER_DATA = {"hostname", "fqdn", "ssh_authorized_keys", "users", "write_files", "runcmd", "bootcmd"}
_META_DATA = {"instance-id", "local-hostname", "public-keys"}
_USER = {
    "name", "gecos", "groups", "primary_group", "homedir", "shell", "sudo", "system", "uid", "lock_passwd", "passwd",
    "no_create_home", "ssh_authorized_keys",
}  # fmt: skip
_FILE = {"path", "content", "encoding", "permissions", "owner", "append", "defer"}

_UNIT = """[Unit]
Description=First boot from the seed: {what}
DefaultDependencies=no
{order}
ConditionPathExists=!/var/lib/lab-seed/{stage}.done
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh /var/lib/lab-seed/{stage}.sh
ExecStartPost=/bin/touch /var/lib/lab-seed/{stage}.done
StandardOutput=append:/var/log/lab-seed.log
StandardError=append:/var/log/lab-seed.log
[Install]
WantedBy=multi-user.target
"""
_STAGES = {
    "init": "Before=ssh.service sysinit.target\nAfter=local-fs.target systemd-remount-fs.service",
    "final": "After=basic.target ssh.service lab-seed-init.service",
}


@dataclass(frozen=True)
class SeedFile:
    """A file to put into the host before it boots; owner is root."""

    path: str
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True)
class Seed:
    """What a seed comes to: the host's name (None: keep), files, and units to enable."""

    hostname: str | None
    files: tuple[SeedFile, ...]
    units: tuple[str, ...]


def read(user_data: str | None, meta_data: str | None) -> Seed:
    """Turn the two documents into files of the host; LabError names the key that is wrong or not supported."""
    if not user_data and not meta_data:
        return Seed(None, (), ())
    meta = _mapping(meta_data, "meta-data", _META_DATA)
    first_line = (user_data or "").lstrip().split("\n", 1)[0]
    script = user_data if first_line.startswith("#!") else None
    if user_data and not script and first_line.strip() != "#cloud-config":
        raise LabError("user-data: the first line is neither #cloud-config nor #! of a script")
    config = {} if script else _mapping(user_data, "user-data", _USER_DATA)

    early, late = _users(config, meta), []
    for index, item in enumerate(config.get("write_files") or []):
        (late if item.get("defer") else early).extend(_write_file(item, f"user-data: write_files[{index}]"))
    boot = [_command(c, f"user-data: bootcmd[{i}]") for i, c in enumerate(config.get("bootcmd") or [])]
    late += [_command(c, f"user-data: runcmd[{i}]") for i, c in enumerate(config.get("runcmd") or [])]
    files = [SeedFile("/var/lib/lab-seed/instance-id", f"{meta.get('instance-id', 'none')}\n".encode())]
    if script:
        files.append(SeedFile("/var/lib/lab-seed/user-script", script.encode(), 0o755))
        late.append("/var/lib/lab-seed/user-script")
    for stage, lines in (("init", boot + early), ("final", late)):
        # As cloud-init does: one command's failure is recorded, the next still runs.
        files.append(
            SeedFile(f"/var/lib/lab-seed/{stage}.sh", "\n".join(["set -x", *lines, "exit 0", ""]).encode(), 0o700)
        )
        unit = _UNIT.format(what=stage, stage=stage, order=_STAGES[stage])
        files.append(SeedFile(f"/etc/systemd/system/lab-seed-{stage}.service", unit.encode()))
    name = config.get("fqdn") or config.get("hostname") or meta.get("local-hostname")
    return Seed(name, tuple(files), ("lab-seed-init.service", "lab-seed-final.service"))


def _mapping(text: str | None, what: str, known: set[str]) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(text or "") or {}
    except yaml.YAMLError as error:
        raise LabError(f"{what} is not YAML: {error}") from error
    if not isinstance(document, dict):
        raise LabError(f"{what} is not a mapping")
    _refuse_unknown(document, known, what)
    return document


def _refuse_unknown(item: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in item:
        if key not in known:
            raise LabError(f"{where}: {key} is not applied by the lab; applied are {', '.join(sorted(known))}")


def _users(config: Mapping[str, Any], meta: Mapping[str, Any]) -> list[str]:
    keys = list(config.get("ssh_authorized_keys") or [])
    public = meta.get("public-keys") or []
    keys += list(public.values()) if isinstance(public, dict) else list(public)
    lines = _authorise("root", keys)
    for index, user in enumerate(config.get("users") or []):
        where = f"user-data: users[{index}]"
        if user == "default":
            continue
        if not isinstance(user, dict) or "name" not in user:
            raise LabError(f"{where}: wants a mapping with a name")
        _refuse_unknown(user, _USER, where)
        lines += _user(user)
    return lines


def _user(user: Mapping[str, Any]) -> list[str]:
    name = user["name"]
    groups = user.get("groups") or []
    groups = [g.strip() for g in groups.split(",")] if isinstance(groups, str) else list(groups)
    lines = [f"getent group {shlex.quote(g)} >/dev/null || groupadd {shlex.quote(g)}" for g in groups]
    add = ["useradd", "--shell", user.get("shell", "/bin/bash")]
    add += ["--no-create-home"] if user.get("no_create_home") else ["--create-home"]
    add += ["--system"] if user.get("system") else []
    for option, key in (
        ("--comment", "gecos"),
        ("--uid", "uid"),
        ("--home-dir", "homedir"),
        ("--gid", "primary_group"),
    ):
        add += [option, str(user[key])] if key in user else []
    add += ["--groups", ",".join(groups)] if groups else []
    lines.append(f"id {shlex.quote(name)} >/dev/null 2>&1 || {shlex.join([*add, name])}")
    if user.get("passwd"):
        lines.append(f"usermod --password {shlex.quote(user['passwd'])} {shlex.quote(name)}")
    if user.get("lock_passwd", True):
        # Without a password, but not expired: sshd refuses a locked account only without PAM.
        lines.append(f"passwd --quiet --lock {shlex.quote(name)}")
    rules = user.get("sudo") or []
    for rule in [rules] if isinstance(rules, str) else rules:
        lines.append(f"printf '%s\\n' {shlex.quote(f'{name} {rule}')} >> /etc/sudoers.d/90-lab-seed")
        lines.append("chmod 440 /etc/sudoers.d/90-lab-seed")
    return lines + _authorise(name, user.get("ssh_authorized_keys") or [])


def _authorise(name: str, keys: list[str]) -> list[str]:
    if not keys:
        return []
    user, text = shlex.quote(name), shlex.quote("\n".join(keys))
    return [
        f"home=$(getent passwd {user} | cut -d: -f6); group=$(id -gn {user})",
        f'install -d -m 700 -o {user} -g "$group" "$home/.ssh"',
        f"printf '%s\\n' {text} >> \"$home/.ssh/authorized_keys\"",
        f'chown {user}:"$group" "$home/.ssh/authorized_keys"; chmod 600 "$home/.ssh/authorized_keys"',
    ]


def _write_file(item: Mapping[str, Any], where: str) -> list[str]:
    _refuse_unknown(item, _FILE, where)
    if not str(item.get("path", "")).startswith("/"):
        raise LabError(f"{where}.path: wants an absolute path")
    content = item.get("content", "")
    data = content if isinstance(content, bytes) else str(content).encode()
    encoding = item.get("encoding", "text/plain")
    try:
        for step in reversed(encoding.split("+")):
            if step in ("b64", "base64"):
                data = base64.b64decode(data)
            elif step in ("gz", "gzip"):
                data = gzip.decompress(data)
            elif step != "text/plain":
                raise LabError(f"{where}.encoding: {encoding!r} is none of text/plain, b64, gzip, gz+b64")
    except (ValueError, OSError) as error:
        raise LabError(f"{where}.content is not {encoding}: {error}") from error
    path = shlex.quote(item["path"])
    arrow = ">>" if item.get("append") else ">"
    return [
        f'mkdir -p "$(dirname {path})"',
        f"printf %s {base64.b64encode(data).decode()} | base64 -d {arrow} {path}",
        f"chmod {shlex.quote(str(item.get('permissions', '0644')))} {path}",
        f"chown {shlex.quote(item.get('owner', 'root:root'))} {path}",
    ]


def _command(command: Any, where: str) -> str:
    if isinstance(command, str):
        return f"sh -c {shlex.quote(command)}"
    if isinstance(command, list) and command:
        return shlex.join(str(word) for word in command)
    raise LabError(f"{where}: wants a string or a list of words")
