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
import time
from collections.abc import Mapping

from ..linux import files, units
from ..linux.commands import run
from ..linux.document import read_documents
from ..linux.host import Visit
from ..linux.plan import Change, HostState
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

    def __init__(self, haproxy: str, keepalived: str, certificates: Mapping[str, str], password: str) -> None:
        self.haproxy = _own(_with_local_names(haproxy.replace(render.PASSWORD, _quoted(password))))
        self.keepalived = _own(_with_interfaces(keepalived)) if keepalived else ""
        self.certificates = dict(certificates)
        self.warnings: list[str] = []
        self._password = password
        self._visit = Visit(read_documents([self._document()]))
        self._before = self._visit.read()
        self._found = self._visit.changes(self._before)

    def changes(self) -> list[Change]:
        """Return the differences from the host; empty when it is up to date."""
        # Nothing is ever restarted: systemd reads a changed unit file, and the running processes stay.
        found = [
            Change("unit", one.name, one.before, "unit file read") if one.kind == "restart" else one
            for one in self._found
        ]
        if not found and _loaded() != self._digests():
            found.append(Change("configuration", "haproxy", "not loaded", "loaded"))
        return found

    def texts(self) -> dict[str, tuple[str, str]]:
        """Return path -> (before, after) of the changed files for a diff, with secrets masked."""
        texts = {path: (self._mask(self._text(path)), self._mask(text)) for path, text in self._texts().items()}
        return {path: pair for path, pair in texts.items() if pair[0] != pair[1]}

    def check(self) -> None:
        """Raise HostError when HAProxy or keepalived rejects the files; running services are not touched."""
        try:
            self._stage()
            self._check_haproxy()
            if self.keepalived:
                self._check_keepalived()
        except (OSError, PhotonError) as error:
            if isinstance(error, HostError):
                raise
            raise HostError(
                f"The new configuration could not be staged ({_said(error)}). {self._unchanged()}"
            ) from error
        finally:
            shutil.rmtree(STAGED, ignore_errors=True)

    def apply(self) -> list[str]:
        """Check, install and load; return the actions taken, such as a reload or certificates replaced at run time."""
        self.check()
        running = self._before.units["haproxy"].active
        replaced = self._replaced_at_run_time() if running else None
        done = []
        try:
            done += self._keep_originals()
            if running:
                runtime.save_state(self.haproxy)
            self._visit.write(self._found, self._before)
        except (OSError, PhotonError) as error:
            self._restore()
            raise HostError(f"The files could not be replaced ({_said(error)}). {self._unchanged()}") from error
        if any(one.kind == "restart" or one.name in (_HAPROXY_UNIT, _KEEPALIVED_UNIT) for one in self._found):
            units.reload_definitions()
        try:
            done += self._load(running, replaced)
        except PhotonError as error:
            self._restore()
            if running:
                units.change("reload", ["haproxy"])
            # pylint: disable-next=bad-exception-cause
            raise HostError(f"{error.message}. {self._unchanged('was restored and ')}") from error
        files.write(LOADED, json.dumps(self._digests()).encode(), 0o600)
        done += self._load_keepalived()
        self._visit.remove(self._found)
        return done

    def _restore(self) -> None:
        """Put the files back; the next run finds what a full disk did not take."""
        for path in self._texts().keys() | {_certificate(name) for name in self.certificates}:
            with contextlib.suppress(PhotonError):
                files.restore(path, self._before.files[path])

    def _document(self) -> dict[str, object]:
        """Return the host document; it restarts nothing, as `apply` loads what changed."""
        listed = [
            {"path": path, "content": text, "mode": _MODES.get(path, "0600"), "secret": path == CONFIG}
            for path, text in self._texts().items()
        ]
        listed += [
            {"path": _certificate(name), "content": text, "secret": True} for name, text in self.certificates.items()
        ]
        wanted: dict[str, object] = {"haproxy": {"enabled": True, "state": "started"}}
        absent = []
        if self.keepalived:
            wanted["keepalived"] = {"enabled": True, "state": "started"}
        elif _is_ours(KEEPALIVED):
            wanted["keepalived"] = {"enabled": False, "state": "stopped"}
            absent = [KEEPALIVED, _KEEPALIVED_UNIT, vrrp.SCRIPT]
        return {
            "directories": [{"path": render.DIRECTORY, "mode": "0700", "exclusive": True}],
            "files": listed,
            "absent_files": absent,
            "units": wanted,
        }

    def _texts(self) -> dict[str, str]:
        texts = {CONFIG: self.haproxy, _HAPROXY_UNIT: _HAPROXY_UNIT_TEXT}
        if self.keepalived:
            texts |= {
                vrrp.SCRIPT: vrrp.SCRIPT_TEXT,
                _KEEPALIVED_UNIT: self._keepalived_unit(),
                KEEPALIVED: self.keepalived,
            }
        return texts

    def _text(self, path: str) -> str:
        return self._before.files[path].content.decode("utf-8", "replace")

    def _keepalived_unit(self) -> str:
        # A killed keepalived leaves its addresses configured; two hosts would hold them.
        held = re.findall(r"^ {8}([0-9a-fA-F.:]+/\d+) dev (\S+)$", self.keepalived, re.MULTILINE)
        removal = "".join(f"ExecStopPost=-/usr/sbin/ip address del {address} dev {link}\n" for address, link in held)
        state = f"/bin/sh -c 'systemctl -q is-active haproxy; test $? -eq 0; echo $? > {_DOWN}'"
        before = f"ExecStartPre={_RUN_DIRECTORY}\nExecStartPre={state}\n"
        return f"[Unit]\nStartLimitIntervalSec=0\n[Service]\n{before}{removal}Restart=always\nRestartSec=500ms\n"

    def _unchanged(self, verb: str = "") -> str:
        if self._before.units["haproxy"].active:
            return f"The old configuration {verb}stays active."
        return "HAProxy did not run before and was not started."

    def _digests(self) -> dict[str, str]:
        texts = {**self.certificates, "": self.haproxy}
        return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}

    def _mask(self, text: str) -> str:
        return text.replace(_quoted(self._password), "********") if self._password else text

    def _stage(self) -> None:
        shutil.rmtree(STAGED, ignore_errors=True)
        files.settle(STAGED, 0o700, "root", "root", directory=True)
        for name, text in self.certificates.items():
            files.write(f"{STAGED}/{name}", text.encode(), 0o600)
        files.write(f"{STAGED}/haproxy.cfg", self.haproxy.replace(render.DIRECTORY, STAGED).encode(), 0o600)
        if self.keepalived:
            # keepalived checks that these files exist while it reads its configuration.
            script, down = f"{STAGED}/healthy", f"{STAGED}/down"
            files.write(script, vrrp.SCRIPT_TEXT.encode(), 0o755)
            files.write(down, b"0\n")
            text = self.keepalived.replace(vrrp.SCRIPT, script).replace(_DOWN, down)
            files.write(f"{STAGED}/keepalived.conf", text.encode(), 0o600)

    def _check_haproxy(self) -> None:
        result = run("haproxy", "-c", "-f", f"{STAGED}/haproxy.cfg")
        self.warnings = self._messages(result.stderr, "[WARNING]")
        if result.returncode != 0:
            said = self._messages(result.stderr, "[ALERT]") or [result.stderr.strip()]
            raise HostError(f"HAProxy rejected the new configuration. {self._unchanged()}\n  " + "\n  ".join(said))

    def _messages(self, said: str, level: str) -> list[str]:
        """Return HAProxy's messages of a level, each with the place in the declaration that it is about."""
        lines = self.haproxy.splitlines()
        found = []
        for line in said.splitlines():
            # A first start has no saved state of servers.
            known = (
                render.STATE_FILE in line or line.rstrip(".").endswith("in configuration") or "rror(s) found" in line
            )
            if level not in line or known:
                continue
            number = re.search(r"haproxy\.cfg:(\d+)", line)
            where = render.origin(lines, int(number.group(1))) if number else None
            text = self._mask(line.split(" : ", 1)[-1].replace(STAGED, render.DIRECTORY))
            found.append(f"{where}: {text}" if where else text)
        return found

    def _check_keepalived(self) -> None:
        result = run("keepalived", "--config-test", "--use-file", f"{STAGED}/keepalived.conf")
        if result.returncode != 0:
            raise HostError(f"keepalived rejected haproxy_vips. {self._unchanged()} {result.stderr.strip()}")

    def _keep_originals(self) -> list[str]:
        """Copy files that the role did not write before they are replaced."""
        done = []
        for path in (CONFIG, KEEPALIVED):
            there = self._before.files.get(path, files.ABSENT)
            if there.kind == "file" and there.content.strip() and not _is_ours(path):
                copy = f"{path}.original-{hashlib.sha256(there.content).hexdigest()[:8]}"
                if files.read(copy).content != there.content:
                    files.write(copy, there.content, there.mode, there.owner, there.group)
                    done.append(f"{path} copied to {copy}")
        return done

    def _replaced_at_run_time(self) -> list[str] | None:
        """Return the certificates to replace in the running process, or None when the change needs a reload."""
        loaded, wanted = _loaded(), self._digests()
        if set(loaded) != set(wanted) or self._text(CONFIG) != self.haproxy:
            return None
        changed = [name for name in wanted if loaded[name] != wanted[name]]
        return changed if all(name.endswith(".pem") for name in changed) else None

    def _load(self, running: bool, replaced: list[str] | None) -> list[str]:
        if _changes(self._found, "haproxy", "enabled"):
            units.change("enable", ["haproxy"])
        if not running:
            units.change("restart", ["haproxy"])  # also starts a unit that reached its start limit
            units.settled(["haproxy"])
            return ["haproxy started"]
        if replaced is not None:
            try:
                for name in replaced:
                    runtime.replace_certificate(name, self.certificates[name])
                return [f"certificate {name} replaced at run time" for name in replaced]
            except runtime.RuntimeApiError:
                pass  # the reload below reads them from the files
        _reload()
        return ["haproxy reloaded"]

    def _load_keepalived(self) -> list[str]:
        files.write(_DOWN, b"0\n")
        if not self.keepalived:
            there = [one for one in self._found if (one.kind, one.name) == ("unit", "keepalived")]
            for verb, after in (("disable", "disabled"), ("stop", "stopped")):
                if any(one.after == after for one in there):
                    units.change(verb, ["keepalived"])
            return ["keepalived stopped"] if there else []
        if _changes(self._found, "keepalived", "enabled"):
            units.change("enable", ["keepalived"])
        if not self._before.units["keepalived"].active:
            units.change("restart", ["keepalived"])
            return ["keepalived started"]
        if self._text(KEEPALIVED) != self.keepalived:
            units.change("reload", ["keepalived"])
            return ["keepalived reloaded"]
        return []


class Removal:
    """The state without the role: both services stopped and disabled, its files gone, files of others untouched."""

    def __init__(self) -> None:
        haproxy, keepalived = _is_ours(CONFIG) or os.path.exists(LOADED), _is_ours(KEEPALIVED)
        wanted = {"keepalived": keepalived, "haproxy": haproxy}  # the VIP leaves first
        self._units = [name for name, ours in wanted.items() if ours]
        absent = [path for path in (CONFIG, KEEPALIVED) if _is_ours(path)]
        absent += [_HAPROXY_UNIT, _KEEPALIVED_UNIT, vrrp.SCRIPT, LOADED, render.STATE_FILE, render.DIRECTORY]
        document = {
            "absent_files": absent,
            "units": {name: {"enabled": False, "state": "stopped"} for name in self._units},
        }
        self._visit = Visit(read_documents([document]))
        self._before: HostState = self._visit.read()

    def changes(self) -> list[Change]:
        """Return what would be stopped or removed."""
        return self._visit.changes(self._before)

    def apply(self) -> list[str]:
        """Stop and remove; return the actions taken."""
        found = self.changes()
        done = []
        for name in self._units:
            if self._before.units[name].there:
                units.change("disable", [name])
                units.change("stop", [name])
            if any((one.kind, one.name) == ("unit", name) for one in found):
                done.append(f"{name} stopped")
        self._visit.remove(found)
        if found:
            units.reload_definitions()
            run("systemctl", "reset-failed", *self._units)  # fails when none of them had failed
        return done + [f"{one.name} removed" for one in found if one.after == "absent"]


_MODES = {_HAPROXY_UNIT: "0644", _KEEPALIVED_UNIT: "0644", vrrp.SCRIPT: "0755"}


def _own(text: str) -> str:
    """Return the text with the header by which the role knows its files; a user's template may lack it."""
    return text if text.startswith(render.HEADER) else f"{render.HEADER}\n{text}"


def _is_ours(path: str) -> bool:
    return files.read(path).content.startswith(render.HEADER.encode())


def _changes(found: list[Change], unit: str, after: str) -> bool:
    return any((one.kind, one.name, one.after) == ("unit", unit, after) for one in found)


def _said(error: Exception) -> str:
    return error.message if isinstance(error, PhotonError) else str(error)


def _reload() -> None:
    """Reload and verify that a new worker took over; raise HostError with HAProxy's log when none did."""
    before = runtime.information()["Pid"]
    _raise_file_limit()
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    units.change("reload", ["haproxy"])
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        with contextlib.suppress(runtime.RuntimeApiError, KeyError):
            if runtime.information()["Pid"] != before:
                return
        time.sleep(0.05)
    log = run("journalctl", "-u", "haproxy", "--since", since, "-o", "cat", "--no-pager").stdout
    said = [line for line in log.splitlines() if "ALERT" in line or "cannot bind" in line.lower()]
    text = "; ".join(said[-4:]) or "see journalctl -u haproxy"
    if "FD limit" in text:
        text = f"haproxy_max_connections needs more open files than this host allows, lower it: {text}"
    raise HostError(f"HAProxy did not load the new configuration: {text}")


def _raise_file_limit() -> None:
    """Raise the file limit of a master that was started before our unit settings; a reload does not apply them."""
    master = int(run("systemctl", "show", "--property=MainPID", "--value", "haproxy").stdout or 0)
    if master:
        with contextlib.suppress(OSError):  # when it cannot be raised, the reload reports it
            resource.prlimit(master, resource.RLIMIT_NOFILE, (_FILES, _FILES))


def _with_interfaces(text: str) -> str:
    """Replace the placeholders of keepalived.conf by the names of the interfaces that carry these addresses."""
    if vrrp.INTERFACE not in text:
        return text
    links = {
        entry["local"]: link["ifname"]
        for link in json.loads(run("ip", "-json", "address").stdout or "[]")
        for entry in link.get("addr_info", ())
        if "local" in entry
    }

    def name(found: re.Match[str]) -> str:
        address = str(found[1])
        if address not in links:
            raise HostError(
                f"haproxy_address: no interface of this host has {address}, which its VIPs need. Correct the address, "
                "or name the interface in haproxy_vips."
            )
        return links[address]

    return re.sub(vrrp.INTERFACE_PATTERN, name, text)


def _with_local_names(text: str) -> str:
    """Follow no name that this host has in /etc/hosts: its name servers would deny it and take the server down.

    The address is noted, so that a changed one is a changed configuration and is loaded.
    """
    known: dict[str, str] = {}
    for words in (line.partition("#")[0].split() for line in _read_hosts().splitlines()):
        for name in words[1:]:
            known.setdefault(name, words[0])
    lines = []
    for line in text.split("\n"):
        name = line.split()[2].rpartition(":")[0] if render.FOLLOW in line else ""
        if name in known:
            lines.append(f"    # {name} is {known[name]} in /etc/hosts")
            line = line.replace(f" {render.FOLLOW}", "")
        lines.append(line)
    return "\n".join(lines)


def _read_hosts() -> str:
    return files.read("/etc/hosts").content.decode("utf-8", "replace")


def _loaded() -> dict[str, str]:
    try:
        return json.loads(files.read(LOADED).content)
    except ValueError:
        return {}


def _certificate(name: str) -> str:
    return f"{render.DIRECTORY}/{name}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
