# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Properties of versions and address ranges."""

from __future__ import annotations

import ipaddress
import re

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes import networks, versions
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from hypothesis import given
from hypothesis import strategies as st

NUMBERS = st.integers(0, 60)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_version_is_parsed(major, minor, patch):
    version = versions.parse(f"v{major}.{minor}.{patch}")
    assert versions.parse(str(version)) == version == (major, minor, patch)


@pytest.mark.parametrize("text", ["1.37", "1.37.2-beta.1", "latest", "", "1.37.2.1", "one"])
def test_invalid_version_is_refused(text):
    with pytest.raises(PhotonError, match="Write all three numbers"):
        versions.parse(text)


@pytest.mark.parametrize("text", ["1.33.9", "1.38.0", "2.37.2"])
def test_unsupported_minors_are_refused(text):
    with pytest.raises(PhotonError, match=r"Use 1\.34 to 1\.37"):
        versions.check_supported(versions.parse(text))


@given(st.integers(30, 40), st.integers(30, 40), NUMBERS, NUMBERS)
def test_upgrade_is_at_most_one_minor_forward(running, wanted, patch, wanted_patch):
    mistakes = versions.check_step({"n1": f"1.{running}.{patch}"}, f"1.{wanted}.{wanted_patch}")
    back = (wanted, wanted_patch) < (running, patch)
    skips = wanted - running > 1
    assert bool(mistakes) == (back or skips)
    assert all(mistake.startswith("n1 runs") for mistake in mistakes)
    if skips:
        assert f"Upgrade to 1.{running + 1} first" in mistakes[0]


def test_skew_allows_an_older_kubelet_but_not_a_newer_one():
    assert versions.check_skew(["1.37.2", "1.36.3"], {"w1": "1.34.0", "w2": "1.36.9"}) == []
    found = versions.check_skew(["1.37.2", "1.35.0"], {"w1": "1.36.0", "w2": "1.33.0"})
    assert [re.split("[:,]", line)[0] for line in found] == ["control-plane members run 1.35.0 and 1.37.2", "w1", "w2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("10.0.0.1/16", "Write 10.0.0.0/16"),
        ("fd00::/64", "is an IPv6 network"),
        ("10.0.0.0/33", "is not a valid network"),
        ("web", "is not a valid network"),
    ],
)
def test_invalid_network_is_refused(text, said):
    with pytest.raises(PhotonError, match=said):
        networks.parse(text)


RANGES = st.builds(
    lambda address, length: ipaddress.IPv4Network((address, length), strict=False),
    st.integers(0, 2**32 - 1),
    st.integers(8, 28),
)


@given(st.dictionaries(st.sampled_from(["pods", "services", "hosts"]), RANGES))
def test_networks_overlap_when_they_share_an_address(ranges):
    pairs = networks.overlaps(ranges)
    names = list(ranges)
    for first in names:
        for second in names[names.index(first) + 1 :]:
            low = max(int(ranges[first][0]), int(ranges[second][0]))
            high = min(int(ranges[first][-1]), int(ranges[second][-1]))
            assert ((first, second) in pairs) == (low <= high)


@given(st.integers(8, 24), st.integers(0, 8), st.integers(16, 28), st.data())
def test_node_networks_are_separate_parts_of_the_pod_network(length, longer, host_length, data):
    pods = ipaddress.IPv4Network(("10.0.0.0", length), strict=False)
    hosts = ipaddress.IPv4Network(("192.168.0.0", host_length), strict=False)
    mask = length + longer
    addresses = data.draw(st.sets(st.integers(0, hosts.num_addresses - 1), max_size=6))
    parts = [networks.node_network(pods, mask, hosts, str(hosts[place])) for place in addresses]
    for place, part in zip(addresses, parts, strict=True):
        assert (part is None) == (place >= networks.node_networks(pods, mask))
        assert part is None or (part.subnet_of(pods) and part.prefixlen == mask)
    there = [part for part in parts if part]
    assert len(set(there)) == len(there)


def test_address_outside_the_hosts_network_has_no_pod_network():
    pods, hosts = networks.parse("10.244.0.0/16"), networks.parse("10.0.0.0/24")
    assert networks.node_network(pods, 24, hosts, "10.0.1.1") is None
    assert str(networks.node_network(pods, 24, hosts, "10.0.0.7")) == "10.244.7.0/24"


def test_kubeadm_s_own_service_addresses():
    assert networks.service_addresses(networks.parse("10.96.0.0/16")) == ("10.96.0.1", "10.96.0.10")
