# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load balancing declaration: every mistake is reported with its key path before a host is contacted."""

from __future__ import annotations

import copy
import datetime
import pathlib
import subprocess

import pytest
import yaml
from ansible_collections.photon.platform.plugins.filter.haproxy_plan import declaration_of
from ansible_collections.photon.platform.plugins.module_utils.haproxy import plan, render

ROLE = pathlib.Path(__file__).resolve().parents[5] / "roles" / "haproxy"
CONTRACT = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
READY_MADE = yaml.safe_load((ROLE / "vars/platform_services.yml").read_text())["__haproxy_platform_services"]
# The tests' certificates are created after this module is imported.
NOW = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
ADDRESSES = {"lb1": "198.51.100.1", "lb2": "198.51.100.2", "w1": "198.51.100.3", "w2": "198.51.100.4"}
GROUPS = {"all": list(ADDRESSES), "load_balancers": ["lb1", "lb2"], "web": ["w1", "w2"], "empty": []}


@pytest.fixture(scope="session", name="pems")
def fixture_pems(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pems")
    for name in ("good", "else"):
        command = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 10 -subj /CN={name}"
        command += f" -keyout {folder}/{name}.key -out {folder}/{name}.pem"
        subprocess.run(command.split(), check=True, capture_output=True)
    return folder


@pytest.fixture(name="declared")
def fixture_declared(pems):
    declaration = copy.deepcopy({name.removeprefix("haproxy_"): value for name, value in DEFAULTS.items()})
    declaration["vips"] = [{"name": "public", "address": "198.51.100.200/24"}]
    declaration["certificates"] = [{"name": "web", "certificate": f"{pems}/good.pem", "key": f"{pems}/good.key"}]
    declaration["services"] = [
        {
            "name": "web",
            "bind": [{"vip": "public", "port": 443}],
            "certificates": ["web"],
            "group": "web",
            "port": 8000,
        },
        {"name": "db", "mode": "tcp", "bind": [{"port": 5432}], "group": "web", "port": 5432},
    ]
    return declaration


def build(declaration, groups=GROUPS, now=NOW):
    return plan.build(declaration, CONTRACT, groups, ADDRESSES.__getitem__, now)


def problems(declaration, **more):
    with pytest.raises(plan.DeclarationError) as caught:
        build(declaration, **more)
    return caught.value.problems


def test_declaration_is_rendered(declared):
    built = build(declared)
    assert "    bind 198.51.100.200:443 transparent ssl crt web.pem alpn h2,http/1.1" in built["haproxy"].splitlines()
    assert built["services"] == {"web": ["w1", "w2"], "db": ["w1", "w2"]}
    assert "priority 200" in built["keepalived"]["lb1"]
    assert "priority 190" in built["keepalived"]["lb2"]


MISTAKES = [
    ("services.0.bnid", 1, "haproxy_services[0] (web).bnid: unknown key"),
    ("services.0.bind.0.prot", 1, "haproxy_services[0] (web).bind[0].prot: unknown key"),
    ("services.0.mode", "udp", "haproxy_services[0] (web).mode: must be one of http, tcp, got 'udp'"),
    ("services.0.bind.0.port", "many", "haproxy_services[0] (web).bind[0].port: must be an integer, got 'many'"),
    ("services.0.bind.0.port", 70000, "haproxy_services[0] (web).bind[0].port: must be a TCP port, got 70000"),
    (
        "services.1.bind.0.port",
        443,
        "haproxy_services[1] (db).bind[0].port: *:443 is used by haproxy_services[0] (web)",
    ),
    ("services.1.name", "web", "haproxy_services[1] (web).name: 'web' is defined twice"),
    ("services.0.group", "empty", "haproxy_services[0] (web).group: the inventory group empty is empty"),
    ("services.0.group", "missing", "haproxy_services[0] (web).group: the inventory group missing is empty"),
    (
        "services.0.certificates",
        ["nope"],
        "haproxy_services[0] (web).certificates[0]: 'nope' is not defined in haproxy_certificates",
    ),
    ("services.0.bind.0.vip", "nope", "haproxy_services[0] (web).bind[0].vip: 'nope' is not defined in haproxy_vips"),
    ("services.0.servers", [{"name": "x", "address": "no.such.host.invalid"}], "no.such.host.invalid does not resolve"),
    ("services.0.servers", [{"name": "x"}], "haproxy_services[0] (web).servers[x].address: is required"),
    ("services.0.servers", [{"name": "w1", "weight": 300}], "servers[w1].weight: 300 is not within 0..256"),
    ("services.0.allowed_networks", ["10.0.0.1/8"], "haproxy_services[0] (web).allowed_networks[0]: "),
    ("services.0.timeouts", {"client": "1m\nbad"}, "timeouts.client: must not contain a line break"),
    ("services.0.tls", {"verify": True}, "haproxy_services[0] (web).tls.authority: is required"),
    (
        "services.1.stickiness",
        {"type": "cookie"},
        "haproxy_services[1] (db).stickiness.type: cookie requires mode http",
    ),
    ("services.1.redirect_port", 80, "haproxy_services[1] (db).redirect_port: requires mode http and certificates"),
    (
        "vips.0.address",
        "203.0.113.9/24",
        "haproxy_vips[0] (public).address: lb1 (198.51.100.1) is not in the VIP's network",
    ),
    ("vips.0.address", "198.51.100.200", "haproxy_vips[0] (public).address: 198.51.100.200 has no prefix length"),
    ("vips.0.address", "198.51.100.1/24", "haproxy_vips[0] (public).address: 198.51.100.1/24 is the address of lb1"),
    ("vips.0.router_id", 256, "haproxy_vips[0] (public).router_id: 256 is not within 1..255"),
    ("vips.0.priorities", {"lb9": 1}, "haproxy_vips[0] (public).priorities.lb9: lb9 is not a balancer"),
    (
        "certificates.0.certificate",
        "/no/such.pem",
        "haproxy_certificates[0] (web).certificate: /no/such.pem cannot be read",
    ),
    ("statistics", {"user": "x"}, "haproxy_statistics.password: is missing"),
    ("group", "missing", "haproxy_group: the inventory group missing is empty"),
]


@pytest.mark.parametrize(("path", "value", "expected"), MISTAKES, ids=lambda part: str(part)[:40])
def test_mistake_is_reported_with_its_path(declared, path, value, expected):
    *steps, last = path.split(".")
    item = declared
    for step in steps:
        item = item[int(step)] if step.isdigit() else item[step]
    item[int(last) if last.isdigit() else last] = value
    assert any(expected in problem for problem in problems(declared))


def test_all_mistakes_are_reported_at_once(declared):
    declared["services"][0]["port"] = "x"
    declared["services"][1]["nonsense"] = 1
    assert len(problems(declared)) == 2


def test_key_of_another_certificate_is_refused(declared, pems):
    declared["certificates"][0]["key"] = f"{pems}/else.key"
    assert problems(declared) == ["haproxy_certificates[0] (web).key: does not match the certificate"]


def test_expired_certificate_is_refused(declared):
    found = problems(declared, now=NOW + datetime.timedelta(days=11))
    assert found[0].startswith("haproxy_certificates[0] (web).certificate: the certificate expired on ")


def test_certificate_that_expires_soon_is_refused(declared):
    declared["certificate_days"] = 20
    assert "expires in less than 20 days" in problems(declared)[0]


def test_configuration_line_is_traced_to_the_declaration(declared):
    declared["services"][1]["extra_backend"] = ["bogus"]
    lines = build(declared)["haproxy"].splitlines()
    assert render.origin(lines, lines.index("    bogus") + 1) == "haproxy_services[1] (db).extra_backend"


def test_platform_services_follow_their_groups(declared):
    groups = GROUPS | {"lightwave": ["w1"], "kubernetes_masters": ["w2"]}
    declared |= {"ready_made": READY_MADE, "platform_services": list(READY_MADE)}
    built = build(declaration_of(declared, groups), groups)
    assert set(built["services"]) == {"lightwave_ldap", "lightwave_kdc", "kubernetes_api", "web", "db"}


def test_every_platform_service_is_valid(declared, pems):
    groups = GROUPS | {service["group"]: ["w1", "w2"] for service in READY_MADE.values()}
    pem = {"certificate": f"{pems}/good.pem", "key": f"{pems}/good.key"}
    declared |= {"ready_made": READY_MADE, "platform_services": list(READY_MADE), "services": []}
    declared["certificates"] = [{"name": name, **pem} for name in ("management", "identity")]
    assert set(build(declaration_of(declared, groups), groups)["services"]) == set(READY_MADE)


def test_unknown_platform_service_is_refused(declared):
    with pytest.raises(
        plan.DeclarationError, match=r"haproxy_platform_services: unknown service nope, must be one of management_api"
    ):
        declaration_of(declared | {"ready_made": READY_MADE, "platform_services": ["nope"]}, GROUPS)
