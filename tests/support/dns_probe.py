# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a DNS server for a name again and again, each time from a new port, and report which queries were answered.

Runs on a host with Python alone: python3 - SERVER NAME SECONDS prints [[seconds when sent, seconds when answered or
null]] as JSON. A query without an answer is lost; it is not sent again.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import selectors
import socket
import struct
import sys
import time

PAUSE = 0.2  # seconds between queries
PATIENCE = 2.0  # seconds to wait for answers after the last query


def query(number: int, name: str) -> bytes:
    """Return a DNS query for the IPv4 address of ``name``."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.rstrip(".").split("."))
    return struct.pack(">HHHHHH", number & 0xFFFF, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


def answers(number: int, message: bytes) -> bool:
    """Return whether the message is an answer with an address to query ``number``."""
    if len(message) < 12:
        return False
    found, flags, _questions, records = struct.unpack(">HHHH", message[:8])
    return found == number & 0xFFFF and flags & 0x800F == 0x8000 and records > 0


def probe(
    server: str, name: str, seconds: float, port: int = 53, patience: float = PATIENCE
) -> list[list[float | None]]:
    """Send queries for ``seconds`` and return when each was sent and answered, in seconds since the start."""
    found: list[list[float | None]] = []
    began = time.monotonic()
    with selectors.DefaultSelector() as selector:
        while (now := time.monotonic() - began) < seconds + patience:
            if len(found) * PAUSE <= now < seconds:
                one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                one.setblocking(False)
                selector.register(one, selectors.EVENT_READ, len(found))
                found.append([round(now, 3), None])
                _send(one, query(len(found) - 1, name), (server, port))
            for key, _events in selector.select(0.02):
                try:
                    if answers(key.data, key.fileobj.recv(4096)):
                        found[key.data][1] = round(time.monotonic() - began, 3)
                except OSError:  # a router reports that nobody is there: no answer
                    pass
                selector.unregister(key.fileobj)
                key.fileobj.close()
        for key in list(selector.get_map().values()):
            key.fileobj.close()
    return found


def longest_silence(found: list[list[float | None]]) -> float:
    """Return the longest time between two answers, or between one and the start or the last query, in seconds."""
    times = sorted(answered for _sent, answered in found if answered is not None)
    edges = [0.0, *times, max([*times, found[-1][0]])]
    return max(later - earlier for earlier, later in itertools.pairwise(edges))


def longest_loss(found: list[list[float | None]]) -> int:
    """Return the largest number of queries in a row that got no answer."""
    longest = row = 0
    for _sent, answered in found:
        row = 0 if answered is not None else row + 1
        longest = max(longest, row)
    return longest


def _send(one: socket.socket, message: bytes, address: tuple[str, int]) -> None:
    with contextlib.suppress(OSError):  # as good as lost
        one.sendto(message, address)


if __name__ == "__main__":
    print(json.dumps(probe(sys.argv[1], sys.argv[2], float(sys.argv[3]))))
