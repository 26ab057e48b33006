"""Ask as a proxy before the balancer would: proxied.py ADDRESS PORT PATH [CLIENT]; without CLIENT as any client."""

import socket
import sys

address, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
with socket.create_connection((address, port), timeout=5) as one:
    if len(sys.argv) > 4:
        one.sendall(f"PROXY TCP4 {sys.argv[4]} {address} 40000 {port}\r\n".encode())
    one.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    print(one.makefile().read().splitlines()[-1])
