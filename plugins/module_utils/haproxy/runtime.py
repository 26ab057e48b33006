# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Use HAProxy's runtime API on the balancer; needs only the host's Python and its standard library."""

from __future__ import annotations

import csv
import io
import os
import socket
import tempfile
import time

from ..model.errors import PhotonError
from .render import DIRECTORY, SOCKET, STATE_FILE

_KEPT_EMPTY = 0x01 | 0x08  # bits of srv_admin_state: forced maintenance, forced drain


class RuntimeApiError(PhotonError):
    """The socket does not answer, or HAProxy rejected a command."""

    def __init__(self, message: str) -> None:
        super().__init__("BalancerRefused", message)


def ask(command: str, path: str = SOCKET) -> str:
    """Send one command and return HAProxy's answer."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(10)
            connection.connect(path)
            connection.sendall(command.encode() + b"\n")
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
    except OSError as error:
        raise RuntimeApiError(
            f"HAProxy's socket {path} does not answer ({error}). Check that haproxy.service is running."
        ) from error
    return b"".join(parts).decode(errors="replace").strip("\n")


def information() -> dict[str, str]:
    """Return the fields of `show info`: Pid, Uptime_sec, Version, CurrConns ..."""
    return dict(line.split(": ", 1) for line in ask("show info").splitlines() if ": " in line)


def statistics() -> list[dict[str, str]]:
    """Return the lines of `show stat`, a mapping each: pxname, svname, status, scur, weight, addr ..."""
    return list(csv.DictReader(io.StringIO(ask("show stat").lstrip("# "))))


def server(service: str, name: str) -> dict[str, str]:
    """Return one server's line of the statistics; RuntimeApiError lists the known servers when it is unknown."""
    rows = [row for row in statistics() if row["pxname"] == service and row["svname"] not in ("FRONTEND", "BACKEND")]
    for row in rows:
        if row["svname"] == name:
            return row
    known = ", ".join(row["svname"] for row in rows) or "none. Check the name of the service"
    raise RuntimeApiError(f"service {service} has no server {name}. Its servers: {known}.")


def drained(service: str, name: str) -> bool:
    """Return whether a server is in drain or maintenance; its status shows this only while it is up."""
    for row in _states(ask("show servers state")):
        if (row["be_name"], row["srv_name"]) == (service, name):
            return bool(int(row["srv_admin_state"]) & _KEPT_EMPTY)
    server(service, name)  # raises with the known names
    return False


def drain(service: str, name: str, timeout: float) -> tuple[bool, int]:
    """Stop new sessions to a server and wait for its sessions to end; return (changed, sessions left)."""
    changed = not drained(service, name)
    if changed:
        _order(f"set server {service}/{name} state drain")
        save_state()
    deadline = time.monotonic() + timeout
    while (left := int(server(service, name)["scur"])) and time.monotonic() < deadline:
        time.sleep(0.1)
    return changed, left


def ready(service: str, name: str, timeout: float) -> tuple[bool, str]:
    """Return a server to rotation and wait for its check to succeed; return (changed, status)."""
    changed = drained(service, name)
    if changed:
        _order(f"set server {service}/{name} state ready")
        save_state()
    deadline = time.monotonic() + timeout
    while (
        not (status := server(service, name)["status"]).startswith(("UP", "no check")) and time.monotonic() < deadline
    ):
        time.sleep(0.1)
    return changed, status


def replace_certificate(name: str, pem: str) -> None:
    """Load a certificate's new content into the running process without a reload."""
    path = f"{DIRECTORY}/{name}"
    text = "\n".join(line for line in pem.splitlines() if line.strip())
    answer = ask(f"set ssl cert {path} <<\n{text}\n")
    if "ransaction" not in answer:
        raise RuntimeApiError(f"HAProxy rejected the certificate {name}: {answer}")
    answer = ask(f"commit ssl cert {path}")
    if "Success" not in answer:
        ask(f"abort ssl cert {path}")
        raise RuntimeApiError(f"HAProxy did not load the certificate {name}: {answer}")


def certificates() -> dict[str, str]:
    """Return file name -> end of validity of the certificates that the running process uses."""
    found = {}
    for line in ask("show ssl cert").splitlines():
        if line.startswith(DIRECTORY):
            details = ask(f"show ssl cert {line}")
            ends = [row.split(": ", 1)[1] for row in details.splitlines() if row.startswith("notAfter")]
            found[os.path.basename(line)] = ends[0] if ends else ""
    return found


def save_state(config: str | None = None) -> None:
    """Save the servers' states for the next process, so that a drained server stays drained across a reload.

    HAProxy prefers a saved port to the configured one, so the ports of ``config``, the next configuration, are written.
    """
    text = ask("show servers state")
    if config is not None:
        text = _with_ports(text, _ports(config))
    directory = os.path.dirname(STATE_FILE)
    handle, part = tempfile.mkstemp(dir=directory)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text + "\n")
        os.replace(part, STATE_FILE)
    except OSError:
        os.unlink(part)
        raise


def _states(text: str) -> list[dict[str, str]]:
    """Parse the output of `show servers state`."""
    lines = text.splitlines()
    columns = next((line.lstrip("# ").split() for line in lines if line.startswith("#")), [])
    rows = (line.split() for line in lines if not line.startswith("#"))
    # Python 3.9 on hosts knows no zip(strict=...).
    return [dict(zip(columns, cells)) for cells in rows if columns and len(cells) == len(columns)]  # noqa: B905


def _ports(config: str) -> dict[tuple[str, str], str]:
    """Return (backend, server) -> port of a configuration."""
    found, backend = {}, ""
    for words in (line.split() for line in config.splitlines()):
        if words[:1] in (["backend"], ["frontend"], ["listen"]):
            backend = words[1]
        elif words[:1] == ["server"]:
            found[backend, words[1]] = words[2].rpartition(":")[2]
    return found


def _with_ports(states: str, ports: dict[tuple[str, str], str]) -> str:
    """Replace the ports in the output of `show servers state`; drop servers that are not in ``ports``."""
    lines = states.splitlines()
    columns = next((line.lstrip("# ").split() for line in lines if line.startswith("#")), [])
    kept = []
    for line in lines:
        cells = line.split()
        if len(cells) == len(columns) and columns and not line.startswith("#"):
            named = dict(zip(columns, cells))  # noqa: B905
            key = (named["be_name"], named["srv_name"])
            if key not in ports:
                continue
            cells[columns.index("srv_port")] = ports[key]
            line = " ".join(cells)
        kept.append(line)
    return "\n".join(kept)


def _order(command: str) -> None:
    answer = ask(command)
    if answer.strip():
        raise RuntimeApiError(f"HAProxy rejected `{command}`: {answer.strip()}")
