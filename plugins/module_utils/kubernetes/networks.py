# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check a cluster's address ranges for overlap and size, and assign each node its part of the pod network."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from ..model.errors import PhotonError

Network = ipaddress.IPv4Network


def parse(text: str) -> Network:
    """Parse a network such as ``10.244.0.0/16``; SpecInvalid suggests the network when host bits are set."""
    try:
        network = ipaddress.ip_network(str(text), strict=False)
    except ValueError:
        raise PhotonError(
            "SpecInvalid", f"{text!r} is not a valid network. Write it as 10.244.0.0/16, for example."
        ) from None
    if not isinstance(network, ipaddress.IPv4Network):
        raise PhotonError("SpecInvalid", f"{text!r} is an IPv6 network. Only IPv4 is supported.")
    if str(network.network_address) != str(text).partition("/")[0]:
        raise PhotonError("SpecInvalid", f"{text!r} has host bits set. Write {network}.")
    return network


def parse_address(text: str) -> ipaddress.IPv4Address:
    """Parse an IPv4 address; raise SpecInvalid."""
    try:
        return ipaddress.IPv4Address(str(text))
    except ValueError:
        raise PhotonError("SpecInvalid", f"{text!r} is not a valid IPv4 address") from None


def parse_host_address(text: str) -> ipaddress.IPv4Address:
    """Parse the address of a host; raise SpecInvalid when no host can have it."""
    address = parse_address(text)
    kind = _special(address)
    if kind:
        raise PhotonError("SpecInvalid", f"{text} is {kind}, not the address of a host")
    return address


def check_usable(network: Network) -> None:
    """Raise SpecInvalid when pods or Services cannot have the addresses of a network."""
    for address in (network.network_address, network.broadcast_address):
        kind = _special(address)
        if kind:
            raise PhotonError("SpecInvalid", f"{network}: {address} is {kind}. Choose a private network.")


def _special(address: ipaddress.IPv4Address) -> str:
    if address.is_unspecified:
        return "no address"
    if address.is_loopback:
        return "a loopback address"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast:
        return "a multicast address"
    return "a reserved or broadcast address" if address.is_reserved else ""


def overlaps(ranges: Mapping[str, Network]) -> list[tuple[str, str]]:
    """Return pairs of names, in the mapping's order, whose networks overlap."""
    names = list(ranges)
    return [
        (first, second)
        for index, first in enumerate(names)
        for second in names[index + 1 :]
        if ranges[first].overlaps(ranges[second])
    ]


def node_networks(pods: Network, mask: int) -> int:
    """Return the number of node networks of size /``mask`` in the pod network."""
    return 1 << (mask - pods.prefixlen) if mask >= pods.prefixlen else 0


def node_network(pods: Network, mask: int, hosts: Network, address: str) -> Network | None:
    """Return a node's pod network, derived from its address in the host network and independent of other nodes.

    Return None when the pod network is too small for this address.
    """
    place = int(parse_address(address)) - int(hosts.network_address)
    if not 0 <= place < node_networks(pods, mask):
        return None
    return ipaddress.IPv4Network((int(pods.network_address) + place * (1 << (32 - mask)), mask))


def pods_per_node(mask: int) -> int:
    """Return how many pods have an address in a node's pod network, less its own, the gateway's and the broadcast."""
    return (1 << (32 - mask)) - 3


def service_addresses(services: Network) -> tuple[str, str]:
    """Return the addresses of the API server and of the DNS server: kubeadm uses the first and the tenth."""
    return str(services[1]), str(services[10])
