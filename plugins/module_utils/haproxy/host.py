# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reconcile a balancer's files and services on the host itself, without dropping a connection.

An interrupted run is safe at every step: new files are staged and checked first, files are replaced by rename, unused
files are removed last, and a record of the loaded configuration lets the next run resume.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import time

from ..model.errors import PhotonError
from . import keepalived as vrrp
from . import render, runtime

CONFIG = "/etc/haproxy/haproxy.cfg"
KEEPALIVED = "/etc/keepalived/keepalived.conf"
STAGED = "/etc/haproxy/.staged"
LOADED = "/var/lib/haproxy/loaded.json"
_DOWN = vrrp.DOWN_FILE
_HAPROXY_UNIT = "/etc/systemd/system/haproxy.service.d/photon.conf"
_KEEPALIVED_UNIT = "/etc/systemd/system/keepalived.service.d/photon.conf"
_FILES = 1048576
_RUN_DIRECTORY = f"/bin/mkdir -p {os.path.dirname(_DOWN)} {os.path.dirname(render.SOCKET)}"
# Restart without a limit; ExecStopPost may not have run when the process was killed.
_HAPROXY_UNIT_TEXT = f"""[Unit]
StartLimitIntervalSec=0
[Service]
ExecStartPre={_RUN_DIRECTORY}
ExecStartPost=/bin/sh -c 'echo 0 > {_DOWN}'
ExecStopPost=/bin/sh -c 'echo 1 > {_DOWN}'
Restart=always
RestartSec=100ms
LimitNOFILE={_FILES}
"""


class HostError(PhotonError):
    """The change failed and was rolled back; the message names the place in the declaration where one is known."""

    def __init__(self, message: str) -> None:
        super().__init__("BalancerChangeFailed", message)


class Balancer:
    """The desired state of this host: haproxy.cfg, keepalived.conf ("" without VIPs), certificate files, password."""

    def __init__(self, haproxy: str, keepalived: str, files: dict[str, str], password: str, address: str) -> None:
        self.haproxy = haproxy.replace(render.PASSWORD, _quoted(password))
        self.keepalived = keepalived
        self.files = files
        self._password = password
        self._interface = _interface(address) if keepalived else ""
        self.keepalived = keepalived.replace(vrrp.INTERFACE, self._interface)

    def changes(self) -> list[str]:
        """Describe the differences from the host; empty when it is up to date."""
        found = [f"file {path}" for path, text in self._texts().items() if _read(path) != text]
        found += [f"certificate {name}" for name, text in self.files.items() if _read(_certificate(name)) != text]
        found += [f"certificate {name} removed" for name in self._stale()]
        if not found and _loaded() != self._digests():
            found.append("loaded configuration")
        found += [f"{unit} not running" for unit in self._units() if not _active(unit)]
        if not self.keepalived and _read(KEEPALIVED):
            found.append("keepalived removed")
        return found

    def texts(self) -> dict[str, tuple[str, str]]:
        """Return path -> (before, after) of the changed files for a diff, with secrets masked."""
        hidden = {path: (self._mask(_read(path)), self._mask(text)) for path, text in self._texts().items()}
        return {path: pair for path, pair in hidden.items() if pair[0] != pair[1]}

    def check(self) -> None:
        """Raise HostError when HAProxy or keepalived rejects the files; running services are not touched."""
        try:
            self._stage()
            self._check_haproxy()
            if self.keepalived:
                self._check_keepalived()
        except OSError as error:
            raise HostError(
                f"The new configuration could not be staged ({error}). The old configuration stays active."
            ) from error
        finally:
            shutil.rmtree(STAGED, ignore_errors=True)

    def apply(self) -> list[str]:
        """Check, install and load; return the actions taken, such as a reload or certificates replaced at run time."""
        self.check()
        before = {path: _read(path) for path in self._all()}
        running = _active("haproxy")
        replaced = self._replaced_at_run_time() if running else None
        try:
            if running:
                runtime.save_state(self.haproxy)
            units_changed = self._install()
        except (OSError, runtime.RuntimeApiError) as error:
            _restore(before)
            raise HostError(
                f"The files could not be replaced ({error}). The old configuration stays active."
            ) from error
        if units_changed:
            _systemctl("daemon-reload")
        try:
            done = self._load(running, replaced)
        except HostError as error:
            _restore(before)
            if running:
                _systemctl("reload", "haproxy")
            # pylint: disable-next=bad-exception-cause
            raise HostError(f"{error.message}. The old configuration was restored and stays active.") from error
        for name in self._stale():
            os.unlink(_certificate(name))
        _write(LOADED, json.dumps(self._digests()))
        return done + self._load_keepalived(before.get(KEEPALIVED, ""))

    def _texts(self) -> dict[str, str]:
        texts = {CONFIG: self.haproxy, _HAPROXY_UNIT: _HAPROXY_UNIT_TEXT}
        if self.keepalived:
            texts |= {
                vrrp.SCRIPT: vrrp.SCRIPT_TEXT,
                _KEEPALIVED_UNIT: self._keepalived_unit(),
                KEEPALIVED: self.keepalived,
            }
        return texts

    def _all(self) -> dict[str, str]:
        return self._texts() | {_certificate(name): text for name, text in self.files.items()}

    def _keepalived_unit(self) -> str:
        addresses = re.findall(r"^ {8}([0-9a-fA-F.:]+/\d+)$", self.keepalived, re.MULTILINE)
        # A killed keepalived leaves its addresses configured; two hosts would hold them.
        removal = "".join(f"ExecStopPost=-/usr/sbin/ip address del {a} dev {self._interface}\n" for a in addresses)
        state = f"/bin/sh -c 'systemctl -q is-active haproxy; test $? -eq 0; echo $? > {_DOWN}'"
        before = f"ExecStartPre={_RUN_DIRECTORY}\nExecStartPre={state}\n"
        return f"[Unit]\nStartLimitIntervalSec=0\n[Service]\n{before}{removal}Restart=always\nRestartSec=500ms\n"

    def _units(self) -> list[str]:
        return ["haproxy", "keepalived"] if self.keepalived else ["haproxy"]

    def _digests(self) -> dict[str, str]:
        return {
            name: hashlib.sha256(text.encode()).hexdigest() for name, text in {**self.files, "": self.haproxy}.items()
        }

    def _stale(self) -> list[str]:
        there = os.listdir(render.DIRECTORY) if os.path.isdir(render.DIRECTORY) else []
        return sorted(name for name in there if name.endswith(".pem") and name not in self.files)

    def _mask(self, text: str) -> str:
        return text.replace(_quoted(self._password), "********") if self._password else text

    def _stage(self) -> None:
        shutil.rmtree(STAGED, ignore_errors=True)
        os.makedirs(STAGED, mode=0o700)
        for name, text in self.files.items():
            _write(f"{STAGED}/{name}", text)
        _write(f"{STAGED}/haproxy.cfg", self.haproxy.replace(render.DIRECTORY, STAGED))
        if self.keepalived:
            _write(f"{STAGED}/keepalived.conf", self.keepalived)

    def _check_haproxy(self) -> None:
        result = _run("haproxy", "-c", "-f", f"{STAGED}/haproxy.cfg")
        if result.returncode == 0:
            return
        lines = self.haproxy.splitlines()
        said = []
        for line in result.stderr.splitlines():
            if "[ALERT]" not in line or line.rstrip(".").endswith("in configuration") or "rror(s) found" in line:
                continue
            number = re.search(r"haproxy\.cfg:(\d+)", line)
            where = render.origin(lines, int(number.group(1))) if number else None
            text = self._mask(line.split(" : ", 1)[-1].replace(STAGED, render.DIRECTORY))
            said.append(f"{where}: {text}" if where else text)
        raise HostError(
            "HAProxy rejected the new configuration. The old configuration stays active:\n  " + "\n  ".join(said)
        )

    def _check_keepalived(self) -> None:
        # keepalived checks that both files exist while it reads its configuration.
        _write(vrrp.SCRIPT, vrrp.SCRIPT_TEXT, 0o755)
        if not os.path.exists(_DOWN):
            _write(_DOWN, "0\n", 0o644)
        result = _run("keepalived", "--config-test", "--use-file", f"{STAGED}/keepalived.conf")
        if result.returncode != 0:
            raise HostError(
                f"keepalived rejected haproxy_vips. The old configuration stays active: {result.stderr.strip()}"
            )

    def _replaced_at_run_time(self) -> list[str] | None:
        """Return the certificates to replace in the running process, or None when the change needs a reload."""
        loaded, wanted = _loaded(), self._digests()
        if set(loaded) != set(wanted) or _read(CONFIG) != self.haproxy:
            return None
        changed = [name for name in wanted if loaded[name] != wanted[name]]
        return changed if all(name and not name.startswith("ca-") for name in changed) else None

    def _install(self) -> bool:
        os.makedirs(render.DIRECTORY, mode=0o700, exist_ok=True)
        for name, text in self.files.items():
            if _read(_certificate(name)) != text:
                _write(_certificate(name), text)
        units_changed = False
        for path, text in self._texts().items():
            if _read(path) != text:
                units_changed |= path.endswith("photon.conf")
                mode = 0o755 if path == vrrp.SCRIPT else 0o644 if path.endswith("photon.conf") else 0o600
                _write(path, text, mode)
        return units_changed

    def _load(self, running: bool, replaced: list[str] | None) -> list[str]:
        if not running:
            _systemctl("enable", "haproxy")
            _systemctl("restart", "haproxy")  # also starts a unit that reached its start limit
            return ["haproxy started"]
        if replaced is not None:
            try:
                for name in replaced:
                    runtime.replace_certificate(name, self.files[name])
                return [f"certificate {name} replaced at run time" for name in replaced]
            except runtime.RuntimeApiError:
                pass  # the reload below reads them from the files
        _reload()
        return ["haproxy reloaded"]

    def _load_keepalived(self, before: str) -> list[str]:
        _write(_DOWN, "0\n", 0o644)
        if not self.keepalived:
            if not os.path.exists(KEEPALIVED):
                return []
            _systemctl("disable", "--now", "keepalived")
            os.unlink(KEEPALIVED)
            return ["keepalived stopped"]
        if not _active("keepalived"):
            _systemctl("enable", "keepalived")
            _systemctl("restart", "keepalived")
            return ["keepalived started"]
        if before != self.keepalived:
            _systemctl("reload", "keepalived")
            return ["keepalived reloaded"]
        return []


def remove() -> list[str]:
    """Stop both services, the VIP first, and remove the files that `Balancer` wrote; return what was removed."""
    done = []
    for unit in ("keepalived", "haproxy"):
        if _active(unit):
            _systemctl("disable", "--now", unit)
            done.append(f"{unit} stopped")
    for path in (KEEPALIVED, CONFIG, _HAPROXY_UNIT, _KEEPALIVED_UNIT, vrrp.SCRIPT, LOADED, render.STATE_FILE):
        if os.path.exists(path):
            os.unlink(path)
            done.append(f"{path} removed")
    if os.path.isdir(render.DIRECTORY):
        shutil.rmtree(render.DIRECTORY)
        done.append(f"{render.DIRECTORY} removed")
    if done:
        _systemctl("daemon-reload")
    return done


def present() -> bool:
    """Return whether `remove` would remove anything."""
    return os.path.exists(CONFIG) or os.path.exists(KEEPALIVED) or os.path.isdir(render.DIRECTORY)


def _reload() -> None:
    """Reload and verify that a new worker took over; raise HostError with HAProxy's log when none did."""
    before = runtime.information()["Pid"]
    _raise_file_limit()
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    _systemctl("reload", "haproxy")
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        with contextlib.suppress(runtime.RuntimeApiError, KeyError):
            if runtime.information()["Pid"] != before:
                return
        time.sleep(0.05)
    log = _run("journalctl", "-u", "haproxy", "--since", since, "-o", "cat", "--no-pager").stdout
    said = [line for line in log.splitlines() if "ALERT" in line or "cannot bind" in line.lower()]
    raise HostError(
        "HAProxy did not load the new configuration: " + ("; ".join(said[-4:]) or "see journalctl -u haproxy")
    )


def _raise_file_limit() -> None:
    """Raise the file limit of a master that was started before our unit settings; a reload does not apply them."""
    master = int(_run("systemctl", "show", "--property=MainPID", "--value", "haproxy").stdout or 0)
    if master:
        with contextlib.suppress(OSError):  # when it cannot be raised, the reload reports it
            resource.prlimit(master, resource.RLIMIT_NOFILE, (_FILES, _FILES))


def _restore(before: dict[str, str]) -> None:
    for path, text in before.items():
        with contextlib.suppress(OSError):
            if text and _read(path) != text:
                _write(path, text)
            elif not text and os.path.exists(path):
                os.unlink(path)


def _interface(address: str) -> str:
    listing = json.loads(_run("ip", "-json", "address").stdout or "[]")
    for link in listing:
        if any(entry.get("local") == address for entry in link.get("addr_info", ())):
            return link["ifname"]
    raise HostError(
        f"haproxy_address: no interface of this host has {address}, which its VIPs need. Correct the address."
    )


def _loaded() -> dict[str, str]:
    try:
        return json.loads(_read(LOADED))
    except ValueError:
        return {}


def _certificate(name: str) -> str:
    return f"{render.DIRECTORY}/{name}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as handle:
            return handle.read()
    except FileNotFoundError:
        return ""


def _write(path: str, text: str, mode: int = 0o600) -> None:
    """Replace a file atomically."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = f"{path}.new"
    try:
        with open(part, "w", encoding="utf-8") as handle:
            os.fchmod(handle.fileno(), mode)
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(part, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def _active(unit: str) -> bool:
    return _run("systemctl", "is-active", "--quiet", unit).returncode == 0


def _systemctl(*words: str) -> None:
    result = _run("systemctl", *words)
    if result.returncode != 0:
        raise HostError(f"systemctl {' '.join(words)} failed: {result.stderr.strip()}")


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=90, check=False)
    except FileNotFoundError as error:
        raise HostError(f"{words[0]} is not installed on this host") from error
