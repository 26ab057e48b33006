# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Address ranges of a cluster: whether they are apart, large enough, and which part of the pods' is a node's."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from ..model.errors import PhotonError

Network = ipaddress.IPv4Network


def parse(text: str) -> Network:
    """``10.244.0.0/16``; raises SpecInvalid, with the network meant where host bits are set."""
    try:
        network = ipaddress.ip_network(str(text), strict=False)
    except ValueError:
        raise PhotonError("SpecInvalid", f"{text!r} is no network: write one such as 10.244.0.0/16") from None
    if not isinstance(network, ipaddress.IPv4Network):
        raise PhotonError("SpecInvalid", f"{text!r} is an IPv6 network: clusters are made with IPv4")
    if str(network.network_address) != str(text).partition("/")[0]:
        raise PhotonError("SpecInvalid", f"{text!r} is an address within a network: write {network}")
    return network


def parse_address(text: str) -> ipaddress.IPv4Address:
    """An IPv4 address; raises SpecInvalid."""
    try:
        return ipaddress.IPv4Address(str(text))
    except ValueError:
        raise PhotonError("SpecInvalid", f"{text!r} is no IPv4 address") from None


def overlaps(ranges: Mapping[str, Network]) -> list[tuple[str, str]]:
    """Pairs of names, in the mapping's order, whose networks share addresses."""
    names = list(ranges)
    return [
        (first, second)
        for index, first in enumerate(names)
        for second in names[index + 1 :]
        if ranges[first].overlaps(ranges[second])
    ]


def node_networks(pods: Network, mask: int) -> int:
    """How many nodes' networks of /``mask`` the pods' network has."""
    return 1 << (mask - pods.prefixlen) if mask >= pods.prefixlen else 0


def node_network(pods: Network, mask: int, hosts: Network, address: str) -> Network | None:
    """The pods' network of the node with ``address``, by its place in the hosts' network: it hangs on no other node.

    None where the pods' network has fewer parts than the hosts' has addresses and this address is beyond them.
    """
    place = int(parse_address(address)) - int(hosts.network_address)
    if not 0 <= place < node_networks(pods, mask):
        return None
    return ipaddress.IPv4Network((int(pods.network_address) + place * (1 << (32 - mask)), mask))


def service_addresses(services: Network) -> tuple[str, str]:
    """The API server's and the name server's address: kubeadm takes the first and the tenth."""
    return str(services[1]), str(services[10])
