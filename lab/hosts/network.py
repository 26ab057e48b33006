# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of a lab on this machine: a bridge, and per host a network name space with one leg on it.

A lab takes a /24 of 198.18.0.0/15, the range reserved for benchmarks; .1 is this machine. Nothing is forwarded: hosts
reach each other, this machine and the package cache, nothing else.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import time

from .paths import LabError, run

_SUBNETS = [
    net for net in ipaddress.ip_network("198.18.0.0/15").subnets(new_prefix=24) if str(net) != "198.19.255.0/24"
]


def choose_subnet(lab: str, taken: set[str]) -> str:
    """A /24 for ``lab``: the one its name hashes to, or the next that no lab and no route of this machine uses."""
    in_use = {ipaddress.ip_network(subnet) for subnet in taken}
    for route in json.loads(run(["ip", "-json", "route"]).stdout or "[]"):
        destination = route.get("dst", "default")
        if destination != "default" and ":" not in destination:
            in_use.add(ipaddress.ip_network(destination, strict=False))
    start = int(_digest(lab), 16) % len(_SUBNETS)
    for step in range(len(_SUBNETS)):
        subnet = _SUBNETS[(start + step) % len(_SUBNETS)]
        if not any(subnet.overlaps(other) for other in in_use):
            return str(subnet)
    raise LabError("every subnet of 198.18.0.0/15 is in use: destroy labs with `bin/lab host gc` or `destroy --all`")


def bridge_name(lab: str) -> str:
    """The bridge of a lab; an interface name has at most 15 characters."""
    return f"lab{_digest(lab)[:10]}"


def namespace(lab: str, host: str) -> str:
    """The network name space of a host."""
    return f"lab-{lab}-{host}"


def leg(lab: str, host: str) -> str:
    """This machine's end of a host's cable."""
    return f"v{_digest(lab + '/' + host)[:12]}"


def gateway(address: str) -> str:
    """This machine's address on the network of a host's address."""
    return str(ipaddress.ip_interface(f"{address}/24").network[1])


def make_bridge(lab: str, subnet: str) -> None:
    """Bring the lab's bridge up with this machine's address; harmless when it is there."""
    bridge = bridge_name(lab)
    run(["ip", "link", "add", bridge, "type", "bridge", "forward_delay", "0", "stp_state", "0"], check=False)
    run(["ip", "address", "replace", f"{ipaddress.ip_network(subnet)[1]}/24", "dev", bridge])
    run(["ip", "link", "set", bridge, "up"])


def remove_bridge(lab: str) -> None:
    """Take the bridge away."""
    run(["ip", "link", "delete", bridge_name(lab)], check=False)


def plug(lab: str, host: str, address: str) -> str:
    """Make the host's name space with eth0 on the lab's bridge, wholly configured from outside; returns its path."""
    space, cable = namespace(lab, host), leg(lab, host)
    unplug(lab, host)
    run(["ip", "netns", "add", space])
    # A stable hardware address: one that changed with each creation would meet stale ARP entries.
    digest = _digest(lab + "/" + host)
    mac = "02:" + ":".join(digest[i : i + 2] for i in range(0, 10, 2))
    run(["ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "address", mac, "netns", space])
    run(["ip", "link", "set", cable, "master", bridge_name(lab), "up"])
    commands = (
        f"link set lo up\naddress add {address}/24 dev eth0\nlink set eth0 up\n"
        f"route add default via {gateway(address)}\n"
    )
    run(["ip", "-n", space, "-batch", "-"], input=commands)
    return f"/run/netns/{space}"


def unplug(lab: str, host: str) -> None:
    """Remove the host's cable and name space; harmless when they are not there."""
    run(["ip", "link", "delete", leg(lab, host)], check=False)
    run(["ip", "netns", "delete", namespace(lab, host)], check=False)


def cut(lab: str, host: str, carrier: bool = False) -> None:
    """Cut a host off: its frames are dropped while it sees a live link, or with ``carrier`` the link goes down too."""
    if carrier:
        run(["ip", "link", "set", leg(lab, host), "down"])
    else:
        run(["bridge", "link", "set", "dev", leg(lab, host), "state", "disabled"])


def heal(lab: str, host: str) -> None:
    """Undo ``cut``."""
    run(["ip", "link", "set", leg(lab, host), "up"])
    forward = ["bridge", "link", "set", "dev", leg(lab, host), "state", "forwarding"]
    deadline = time.monotonic() + 5
    while run(forward, check=False).returncode != 0:  # the carrier takes a moment to come back
        if time.monotonic() > deadline:
            run(forward)
        time.sleep(0.02)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
