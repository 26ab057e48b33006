"""A name server for the zone file /srv/zone, a name and an IPv4 address per line; it is read at every question."""

from __future__ import annotations

import ipaddress
import pathlib
import socket

SERVER = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
SERVER.bind(("0.0.0.0", 53))
while True:
    question, client = SERVER.recvfrom(4096)
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode())
        at += 1 + question[at]
    kind = int.from_bytes(question[at + 1 : at + 3], "big")
    zone = dict(line.split() for line in pathlib.Path("/srv/zone").read_text().splitlines())
    address = zone.get(".".join(labels).lower())
    answers = b""
    if address and kind == 1:
        packed = ipaddress.ip_address(address).packed
        answers = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04" + packed
    code = 0 if address else 3
    header = question[:2] + bytes([0x85, code]) + b"\x00\x01" + (1 if answers else 0).to_bytes(2, "big") + bytes(4)
    SERVER.sendto(header + question[12 : at + 5] + answers, client)
