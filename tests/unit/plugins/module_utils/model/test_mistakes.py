# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes that people make in a declaration: each message says what to do. Numbers go on in the integration test."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.photon.platform.plugins.module_utils.model import units
from ansible_collections.photon.platform.plugins.module_utils.model.declaration import validate

from tests.support.declarations import SITE, VM, mistakes, vm, web

TENANT = "photon_tenants[0]"
PROJECT = f"{TENANT}.projects[0]"


def vm_with(**keys: Any):
    return lambda tree: vm(tree).update(keys)


def without(key: str, **others: Any):
    def spoil(tree):
        del vm(tree)[key]
        vm(tree).update(others)

    return spoil


def variable(**keys: Any):
    return lambda tree: tree.update(keys)


def quota(**keys: Any):
    return lambda tree: tree["photon_tenants"][0]["quota"].update(keys)


def endpoint(**keys: Any):
    return lambda tree: tree["photon_endpoints"][0].update(keys)


def twice(tree):
    web(tree)["vms"].append({**vm(tree), "name": "web-03"})


def percent(tree):
    web(tree)["quota_percent"] = 80
    tree["photon_tenants"][0]["projects"].append({"name": "lab", "quota_percent": 50})


def both_quotas(tree):
    web(tree)["quota"] = {"vm.count": 10, "vm.cpu": 10, "vm.memory": "1 GB", "ephemeral-disk.capacity": "1 GB"}


# number: (what is done wrong, key path, words that the message must have)
TABLE = {
    1: (without("flavor", flavour="core-100"), f"{VM}.flavour", ["unknown key", "did you mean 'flavor'?"]),
    2: (variable(photon_tennants=[]), "photon_tennants", ["unknown key", "did you mean 'photon_tenants'?"]),
    3: (quota(**{"vm.memory": "400 GX"}), f"{TENANT}.quota.vm.memory", ["B, KB, MB, GB, TB, PB or COUNT"]),
    4: (quota(**{"vm.memory": 400}), f"{TENANT}.quota.vm.memory", ["counted in bytes", '"400 GB"']),
    5: (
        lambda tree: web(tree).update(vms={"web": {"flavor": "core-100"}}),
        f"{PROJECT}.vms",
        ["must be a list", "write [{name: ..., flavor: ..., image: ..."],
    ),
    6: (endpoint(port="https"), "photon_endpoints[0].port", ["must be a whole number, not 'https'"]),
    7: (without("image"), f"{VM}.image", ["missing", "project image or global image"]),
    8: (vm_with(state="running"), f"{VM}.state", ["choose one of present, absent", "did you mean 'started'?"]),
    81: (vm_with(state="runing"), f"{VM}.state", ["did you mean 'started'?"]),
    9: (
        variable(photon_security_groups=["admins"]),
        "photon_security_groups[0]",
        [r"domain\group", r"'photon\acme-admins' in single quotes"],
    ),
    10: (variable(photon_security_groups=["photon\acme"]), "photon_security_groups[0]", ["in single quotes"]),
    82: (vm_with(name=42), f"{VM}.name", ["42 is not text in YAML", "put the name in quotes ('42', not 42)"]),
    11: (vm_with(name=False), f"{VM}.name", ["put the name in quotes", "'no'"]),
    12: (twice, f"{PROJECT}.vms[1].name", ["'web-03' is already declared at", VM]),
    13: (vm_with(flavor="core-101"), f"{VM}.flavor", ["did you mean 'core-100'?"]),
    14: (vm_with(flavor="fast"), f"{VM}.flavor", ["'fast' is a flavor of kind ephemeral-disk", "kind vm"]),
    15: (vm_with(zone="c"), f"{VM}.zone", ["no zone is named 'c'", "known: a, b"]),
    16: (
        lambda tree: tree["photon_hosts"][0].update(endpoint="vc2"),
        "photon_hosts[0].endpoint",
        ["did you mean 'vc1'?"],
    ),
    17: (vm_with(name="web-[20:01]"), f"{VM}.name", ["is empty", "write the lower bound first"]),
    18: (vm_with(name="web_01"), f"{VM}.name", ["'web_01' is not a valid name", "letters, digits and dashes"]),
    19: (
        variable(photon_placement_policy="sprad"),
        "photon_placement_policy",
        ["choose one of spread, pack, photon", "did you mean 'spread'?"],
    ),
    20: (both_quotas, f"{PROJECT}.quota_percent", ["cannot be combined with quota", "remove one of the two"]),
    21: (percent, f"{TENANT}.projects", ["add up to 130", "the maximum is 100"]),
    22: (
        without("spread_over", max_skew=1),
        f"{VM}.max_skew",
        ["no effect without spread_over", "add spread_over: zone"],
    ),
    23: (
        vm_with(metadata={"user_data": {"packages": ["nginx"]}}),
        f"{VM}.metadata.user_data",
        ["must be text", "'user_data: |'"],
    ),
    34: (
        endpoint(tls={"thumbprint": "AA:BB"}),
        "photon_endpoints[0].tls.thumbprint",
        ["64 hexadecimal digits", "openssl x509 -noout -fingerprint -sha256"],
    ),
}


@pytest.mark.parametrize("number", TABLE)
def test_the_message_says_what_to_do(number):
    spoil, path, words = TABLE[number]
    tree = yaml.safe_load(SITE)
    spoil(tree)
    found = mistakes(tree)
    assert list(found) == [path], "one mistake, one message"
    assert [word for word in words if word not in found[path][1]] == [], found[path][1]


@pytest.mark.parametrize("text", ["400 GiB", "400Gi", "400G", "400 GB", "400gb"])
def test_3_units_of_other_tools_are_read(text):
    assert units.parse(text) == (400 << 30, "GB")


def test_11_a_number_as_text_is_to_be_quoted():
    tree = yaml.safe_load(SITE)
    tree["photon_default_port_group"] = 10
    assert "put it in quotes" in mistakes(tree)["photon_default_port_group"][1]


@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("https://vc1.example.org", "write vc1.example.org"),
        ("https://vc1.example.org/ui/", "write vc1.example.org"),
        ("vc1.example.org:8443", "write vc1.example.org and port 8443"),
        ("https://vc1.example.org:8443/sdk", "write vc1.example.org and port 8443"),
    ],
)
def test_an_address_with_more_than_a_name_says_how_to_write_it(address, advice):
    tree = yaml.safe_load(SITE)
    tree["photon_endpoints"][0]["address"] = address
    ((path, (code, message)),) = mistakes(tree).items()
    assert (path, code) == ("photon_endpoints[0].address", "InvalidEntity")
    assert message.endswith(advice)


@pytest.mark.parametrize("address", ["vc1", "vc1.example.org", "10.0.0.1", "2001:db8::1", "::1"])
def test_names_and_addresses_are_taken(address):
    tree = yaml.safe_load(SITE)
    tree["photon_endpoints"][0]["address"] = address
    assert validate(tree).of("endpoint")[0]["address"] == address


def test_24_a_misspelt_quota_key_is_a_warning_that_says_so():
    tree = yaml.safe_load(SITE)
    tree["photon_tenants"][0]["quota"]["vm.memroy"] = "4 GB"
    [warning] = validate(tree).warnings
    assert "it limits nothing; did you mean 'vm.memory'?" in warning
