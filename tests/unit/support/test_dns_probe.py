# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe that cluster tests measure DNS with notices every query that is lost."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from tests.support import dns_probe

NAME = "kubernetes.default.svc.cluster.local"
ANSWER, REFUSAL = 0x8180, 0x8183


@pytest.fixture(name="server")
def fixture_server():
    """server(answered, flags) starts a DNS server on loopback that answers the queries with these numbers; its port."""
    ends = []

    def start(answered, flags=ANSWER):
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind(("127.0.0.1", 0))
        one.settimeout(10)

        def serve():
            while True:
                message, sender = one.recvfrom(512)
                if not message:
                    return
                (number,) = struct.unpack(">H", message[:2])
                assert b"\x0akubernetes\x07default" in message
                if number in answered:
                    records = int(flags == ANSWER)
                    one.sendto(struct.pack(">HHHHHH", number, flags, 1, records, 0, 0) + message[12:], sender)

        thread = threading.Thread(target=serve)
        thread.start()
        ends.append((one.getsockname()[1], thread))
        return ends[-1][0]

    yield start
    for port, thread in ends:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", port))
        thread.join()


@pytest.mark.parametrize(("answered", "loss"), [({0, 1, 2, 3, 4}, 0), ({0, 4}, 3), ({0, 1, 3}, 1), (set(), 5)])
def test_queries_without_an_answer_are_counted(server, answered, loss):
    found = dns_probe.probe("127.0.0.1", NAME, 1.0, server(answered), patience=0.1)
    assert [number for number, (_sent, got) in enumerate(found) if got is not None] == sorted(answered)
    assert (len(found), dns_probe.longest_loss(found)) == (5, loss)


def test_a_refusal_is_not_an_answer(server):
    found = dns_probe.probe("127.0.0.1", NAME, 0.4, server(range(9), REFUSAL), patience=0.1)
    assert dns_probe.longest_loss(found) == 2


@pytest.mark.parametrize(
    ("found", "seconds"),
    [
        ([[0.0, 0.1], [0.2, 0.3], [0.4, 0.5]], 0.2),
        ([[0.0, 0.1], [0.2, None], [0.4, 1.5], [0.6, 0.7]], 0.8),
        ([[0.0, 0.1], [0.2, None], [9.0, None]], 8.9),
        ([[0.0, None], [9.0, None]], 9.0),
    ],
)
def test_the_longest_silence_lies_between_answers_in_their_order(found, seconds):
    assert dns_probe.longest_silence(found) == pytest.approx(seconds)
