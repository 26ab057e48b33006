"""A receiver of syslog messages: one datagram, one line of /srv/syslog."""

import socket

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver, open("/srv/syslog", "ab", buffering=0) as lines:
    receiver.bind(("", 5514))
    while True:
        lines.write(receiver.recv(65536).rstrip() + b"\n")
