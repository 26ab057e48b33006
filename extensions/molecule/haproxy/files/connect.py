"""How many of so many connections at the same time are answered: connect.py ADDRESS PORT NUMBER."""

import contextlib
import socket
import sys

address, port, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with contextlib.ExitStack() as stack:
    answered = 0
    for _turn in range(number):
        with contextlib.suppress(OSError):
            one = stack.enter_context(socket.create_connection((address, port), timeout=3))
            one.sendall(b"GET / HTTP/1.1\r\nHost: limits\r\n\r\n")
            answered += one.recv(12).endswith(b"200")
    print(answered)
