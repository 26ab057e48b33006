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
    assert (
        "    bind 198.51.100.200:443 transparent ssl crt-list /etc/haproxy/certificates/web.crt-list alpn h2,http/1.1"
        in built["haproxy"].splitlines()
    )
    assert built["services"] == {"web": ["w1", "w2"], "db": ["w1", "w2"]}
    assert "priority 200" in built["keepalived"]["lb1"]
    assert "priority 190" in built["keepalived"]["lb2"]
    for text in built["keepalived"].values():
        instances = text.split("vrrp_instance ")[1:]
        assert all("track_script {\n        haproxy_healthy\n" in instance for instance in instances)
        assert all("track_file {\n        haproxy_down\n" in instance for instance in instances)


MISTAKES = [
    ("services.0.bnid", 1, "haproxy_services[0] (web).bnid: unknown key"),
    ("services.0.bind.0.prot", 1, "haproxy_services[0] (web).bind[0].prot: unknown key"),
    ("services.0.mode", "udp", "haproxy_services[0] (web).mode: must be one of http, tcp, got 'udp'"),
    ("services.0.bind.0.port", "many", "haproxy_services[0] (web).bind[0].port: must be an integer, got 'many'"),
    ("services.0.bind.0.port", 70000, "haproxy_services[0] (web).bind[0].port: must be within 1..65535, got 70000"),
    (
        "services.1.bind.0.port",
        443,
        "haproxy_services[1] (db).bind[0].port: *:443 is used by haproxy_services[0] (web)",
    ),
    ("services.0.bind", [], "haproxy_services[0] (web).bind: must have at least one entry"),
    ("services.1.bind.0.port", 8405, "haproxy_services[1] (db).bind[0].port: *:8405 is used by the health check"),
    (
        "services.1.name",
        "health",
        "haproxy_services[1] (health).name: the section health of haproxy.cfg belongs to the",
    ),
    ("services.1.name", "statistics", "the section statistics of haproxy.cfg belongs to the role itself"),
    ("services.1.name", "web-frontend", "the section web-frontend of haproxy.cfg belongs to haproxy_services[0] (web)"),
    ("services.1.name", "n" * 64, ".name: must have at most 63 characters, got 64"),
    ("services.1.name", "a b", ".name: must consist of letters, digits, '.', '-' and '_' and begin with"),
    ("services.0.health", {"fall": 0}, "haproxy_services[0] (web).health.fall: must be within 1..1000, got 0"),
    ("services.0.limits", {"request_rate": -3}, "(web).limits.request_rate: must be within 1..2147483647, got -3"),
    ("services.0.max_connections", -5, "(web).max_connections: must be within 1..2147483647, got -5"),
    ("services.0.retries", -1, "(web).retries: must be within 0..1000, got -1"),
    ("services.1.hsts", 10, "haproxy_services[1] (db).hsts: requires TLS"),
    ("services.1.balance", "uri", "haproxy_services[1] (db).balance: uri requires mode http"),
    ("services.1.retry_on", "503", "haproxy_services[1] (db).retry_on: requires mode http"),
    ("services.0.retry_on", "503\n bad", "(web).retry_on: must be HAProxy's words for retry-on"),
    ("services.0.health", {"path": "/a#b"}, "(web).health.path: must be a path such as /health without blanks"),
    ("services.0.health", {"path": "/x ver HTTP/1.1"}, "(web).health.path: must be a path"),
    ("services.0.health", {"path": "health"}, "(web).health.path: must be a path"),
    ("services.0.health", {"host": "h #"}, "(web).health.host: must be a host name"),
    ("services.0.health", {"host": "%[src]"}, "(web).health.host: must be a host name"),
    ("services.0.health", {"status": "20x"}, "(web).health.status: must be statuses such as 200"),
    ("services.0.stickiness", {"type": "cookie", "cookie": "a b"}, "(web).stickiness.cookie: must be a cookie's name"),
    ("services.0.servers", [{"name": "x", "address": "10.0.0.1 backup"}], "(web).servers[0].address: must be an IP"),
    ("services.0.bind.0.address", "10.0.0.1 ssl", "(web).bind[0].address: must be * or an IP address"),
    ("max_connections", -1, "haproxy_max_connections: must be within 1..2147483647, got -1"),
    ("drain_seconds", 0, "haproxy_drain_seconds: must be within 1..2000000, got 0"),
    ("tls_ciphers", "HIGH\nbad", "haproxy_tls_ciphers: must be cipher suites"),
    ("log_targets", ["/dev/log local0", "/dev/log local0 #"], "haproxy_log_targets[1]: must be words without '#'"),
    ("nameservers", ["10.0.0.53 x"], "haproxy_nameservers[0]: must be an IP address or a host name"),
    ("statistics", {"user": "a:b", "password": "p"}, "haproxy_statistics.user: must not contain ':'"),
    ("statistics", {"user": "a", "password": "p\nq"}, "haproxy_statistics.password: must not contain a line break"),
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
    ("services.0.servers", [{"name": "w1", "weight": 300}], "servers[0].weight: must be within 0..256, got 300"),
    ("services.0.allowed_networks", ["10.0.0.1/8"], "haproxy_services[0] (web).allowed_networks[0]: "),
    ("services.0.timeouts", {"client": "1m\nbad"}, "timeouts.client: must be a duration"),
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
    (
        "vips.0.address",
        "198.51.100.0/24",
        "(public).address: 198.51.100.0 is the address of the network 198.51.100.0/24",
    ),
    ("vips.0.address", "198.51.100.255/24", "(public).address: 198.51.100.255 is the broadcast address"),
    ("vips.0.address", "198.51.100.3/24", "(public).address: 198.51.100.3 is the address of w1"),
    ("vips.0.address", "224.0.0.9/24", "(public).address: 224.0.0.9 is not an address that a host can hold"),
    ("vips.0.address", "2001:db8::10/64", "(public).address: lb1 (198.51.100.1) and the VIP are not of one IP version"),
    ("vips.0.addresses", {"lb9": "198.51.100.9"}, "(public).addresses.lb9: lb9 is not a balancer"),
    ("vips.0.addresses", {"lb1": "198.51.100.2"}, "198.51.100.2 is the address of both lb1 and lb2"),
    ("vips.0.addresses", {"lb1": "nowhere"}, "(public).addresses.lb1: VRRP needs the IP address of lb1, got 'nowhere'"),
    ("vips.0.priorities", {"lb2": 200}, "(public).priorities: lb1 and lb2 both have priority 200"),
    ("vips.0.priorities", {"lb2": 0}, "(public).priorities.lb2: must be within 1..254, got 0"),
    ("vips.0.advertisement", 0, "(public).advertisement: must be within 0.01..40, got 0"),
    ("vips.0.interface", "eth0\n}", "(public).interface: must be the name of a network interface"),
    (
        "vips",
        [{"name": n, "address": f"198.51.100.200/{bits}"} for n, bits in (("one", 24), ("two", 25))],
        "haproxy_vips[1] (two).address: 198.51.100.200 is the address of the VIP one",
    ),
    (
        "vips",
        [{"name": n, "address": f"198.51.100.{n}/24", "router_id": 7} for n in (200, 201)],
        "haproxy_vips[1] (201).router_id: 7 is used by 200",
    ),
    ("vips.0.address", "198.51.100.200", "haproxy_vips[0] (public).address: 198.51.100.200 has no prefix length"),
    ("vips.0.address", "198.51.100.1/24", "haproxy_vips[0] (public).address: 198.51.100.1 is the address of lb1"),
    ("vips.0.router_id", 256, "haproxy_vips[0] (public).router_id: must be within 1..255, got 256"),
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
    built = build(plan.with_platform_services(declared, groups), groups)
    assert set(built["services"]) == {"lightwave_ldap", "lightwave_kdc", "kubernetes_api", "web", "db"}


def test_every_platform_service_is_valid(declared, pems):
    groups = GROUPS | {service["group"]: ["w1", "w2"] for service in READY_MADE.values()}
    pem = {"certificate": f"{pems}/good.pem", "key": f"{pems}/good.key"}
    declared |= {"ready_made": READY_MADE, "platform_services": list(READY_MADE), "services": []}
    declared["certificates"] = [{"name": name, **pem} for name in ("management", "identity")]
    declared["authorities"] = [{"name": "platform", "certificate": f"{pems}/else.pem"}]
    unverified = problems(plan.with_platform_services(declared, groups), groups=groups)
    assert [line.split(":")[0] for line in unverified] == [
        "haproxy_services[0] (management_api).tls.authority",
        "haproxy_services[1] (management_ui).tls.authority",
        "haproxy_services[4] (identity_provider).tls.authority",
    ]
    declared["platform_authority"] = "platform"
    assert set(build(plan.with_platform_services(declared, groups), groups)["services"]) == set(READY_MADE)


def test_unknown_platform_service_is_refused(declared):
    with pytest.raises(
        plan.DeclarationError, match=r"haproxy_platform_services: unknown service nope, must be one of management_api"
    ):
        plan.with_platform_services(declared | {"ready_made": READY_MADE, "platform_services": ["nope"]}, GROUPS)


def extranet(declared, **more):
    declared["services"].append({"name": "extranet", "bind": [{"port": 90}], "group": "web", "port": 1, **more})
    return declared


def test_line_breaks_are_refused_whatever_a_service_is_called(declared):
    wrong = "/x ver HTTP/1.1\n    http-request deny \n    #"
    assert problems(extranet(declared, health={"type": "http", "path": wrong}))[0].startswith(
        "haproxy_services[2] (extranet).health.path: must be a path"
    )


def test_extra_lines_are_taken_as_they_are(declared):
    extranet(declared, extra_backend=["http-request deny if { path_beg /a } # why"])
    declared |= {"extra_global": ['setenv WHERE "here # there"'], "extra_config": "listen own\n    bind :91\n"}
    lines = build(declared)["haproxy"].splitlines()
    assert "    http-request deny if { path_beg /a } # why" in lines
    assert '    setenv WHERE "here # there"' in lines
    assert lines[-2:] == ["listen own", "    bind :91"]


def test_balancers_with_one_address_are_refused(declared):
    groups = GROUPS | {"load_balancers": ["lb1", "lb2", "lb3"], "all": [*GROUPS["all"], "lb3"]}
    with pytest.raises(plan.DeclarationError) as caught:
        plan.build(declared, CONTRACT, groups, (ADDRESSES | {"lb3": "198.51.100.1"}).__getitem__, NOW)
    assert "haproxy_address of lb3: 198.51.100.1 is the address of lb1 too. Set one per host." in caught.value.problems


def test_addresses_are_compared_in_any_spelling(declared):
    addresses = ADDRESSES | {"lb1": "2001:db8::1", "lb2": "2001:DB8:0::1", "w1": "2001:db8:0:0::10"}
    declared["vips"][0]["address"] = "2001:db8::10/64"
    with pytest.raises(plan.DeclarationError) as caught:
        plan.build(declared, CONTRACT, GROUPS, addresses.__getitem__, NOW)
    assert caught.value.problems[:2] == [
        "haproxy_address of lb2: 2001:DB8:0::1 is the address of lb1 too. Set one per host.",
        "haproxy_vips[0] (public).address: 2001:db8::10 is the address of w1. A VIP needs an address of its own.",
    ]


def test_address_of_a_host_is_checked(declared):
    with pytest.raises(plan.DeclarationError) as caught:
        plan.build(declared, CONTRACT, GROUPS, (ADDRESSES | {"w1": "10.0.0.1 weight 0"}).__getitem__, NOW)
    assert caught.value.problems[0].startswith(
        "haproxy_services[0] (web).servers[w1].address: must be an IP address or"
    )


def binds(declared, *lists):
    services = [{"name": f"s{n}", "bind": bind, "group": "web", "port": 1} for n, bind in enumerate(lists)]
    return declared | {"services": services, "certificates": [], "vips": []}


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("::1", "0::1"),
        ("*", "0.0.0.0"),
        ("0.0.0.0", "10.0.0.1"),
        ("::", "2001:db8::1"),
        ("10.0.0.1", "::ffff:10.0.0.1"),
    ],
)
def test_one_listener_in_two_spellings_is_refused(declared, one, two):
    found = problems(binds(declared, [{"address": one, "port": 81}], [{"address": two, "port": 81}]))
    assert len(found) == 1
    assert "81 is used by haproxy_services[0] (s0).bind[0].port" in found[0]


def test_both_ip_versions_are_listened_on(declared):
    both = binds(declared, [{"port": 80}, {"address": "::", "port": 80}], [{"address": "0::1", "port": 81}])
    lines = build(both)["haproxy"].splitlines()
    assert "    bind *:80" in lines
    assert "    bind [::]:80 v6only" in lines
    assert "    bind [::1]:81 transparent" in lines


def test_long_lists_take_several_lines(declared):
    networks = [f"10.{n}.0.0/16" for n in range(100)]
    declared["certificates"] = [{**declared["certificates"][0], "name": f"c{n}"} for n in range(70)]
    declared["services"][0] |= {"allowed_networks": networks, "certificates": [f"c{n}" for n in range(70)]}
    built = build(declared)
    lines = built["haproxy"].splitlines()
    assert max(len(line.split()) for line in lines) < 64
    listed = [word for line in lines if "acl allowed_networks src" in line for word in line.split()[3:]]
    assert listed == networks
    assert "    tcp-request connection reject unless allowed_networks" in lines
    assert built["lists"] == {"web.crt-list": "".join(f"c{n}.pem\n" for n in range(70))}


def test_one_balancer_holds_a_vip_without_peers(declared):
    built = build(declared, groups=GROUPS | {"load_balancers": ["lb1"]})
    assert "unicast" not in built["keepalived"]["lb1"]
    assert "        198.51.100.200/24 dev @INTERFACE 198.51.100.1@" in built["keepalived"]["lb1"].splitlines()
    assert "unicast_src_ip 198.51.100.1" in build(declared)["keepalived"]["lb1"]


def test_vips_of_several_networks_and_ip_versions(declared):
    declared["vips"] = [
        {"name": "inside", "address": "198.51.100.10/24"},
        {"name": "outside", "address": "203.0.113.10/24", "interface": "eth1", "interfaces": {"lb2": "ens4"}},
        {"name": "third", "address": "192.0.2.10/24", "addresses": {"lb1": "192.0.2.1", "lb2": "192.0.2.2"}},
        {"name": "six", "address": "2001:DB8:0::10/64", "addresses": {"lb1": "2001:db8::1", "lb2": "2001:db8:0::2"}},
    ]
    declared["services"][0]["bind"] = [{"vip": "six", "port": 443}]
    built = build(declared)
    assert built["vips"]["six"] == "2001:db8::10"
    assert "    bind [2001:db8::10]:443 transparent" in built["haproxy"]
    instances = dict(part.split(" {", 1) for part in built["keepalived"]["lb2"].split("vrrp_instance ")[1:])
    held = {
        name: " ".join(text.split("virtual_ipaddress {")[1].split("}")[0].split()) for name, text in instances.items()
    }
    assert held == {
        "inside": "198.51.100.10/24 dev @INTERFACE 198.51.100.2@",
        "outside": "203.0.113.10/24 dev ens4",
        "third": "192.0.2.10/24 dev @INTERFACE 192.0.2.2@",
        "six": "2001:db8::10/64 dev @INTERFACE 2001:db8::2@",
    }
    assert "unicast_src_ip 2001:db8::2" in instances["six"]
    assert "        192.0.2.1\n" in instances["third"]
    ids = [line.split()[1] for line in built["keepalived"]["lb1"].splitlines() if "virtual_router_id" in line]
    assert ids == ["10", "11", "12", "16"]  # the last octet, or the next that is free


def test_extra_lines_of_keepalived(declared):
    declared["vips"][0]["extra"] = ["garp_master_delay 2"]
    declared |= {"keepalived_extra_global": ["enable_dbus"], "keepalived_extra_config": "vrrp_sync_group all {\n}"}
    text = build(declared)["keepalived"]["lb1"]
    assert "    enable_dbus\n}" in text
    assert "    garp_master_delay 2\n}" in text
    assert text.endswith("# haproxy_keepalived_extra_config\nvrrp_sync_group all {\n}\n")


def test_names_are_followed_in_dns(declared):
    declared["services"][0]["servers"] = [{"name": "late", "address": "localhost"}]
    lines = build(declared)["haproxy"].splitlines()
    servers = [line for line in lines if line.startswith("    server ")]
    assert [render.FOLLOW in line for line in servers] == [False, False, True, False, False]
    assert "    parse-resolv-conf" in lines
    declared["nameservers"] = ["10.0.0.53", "2001:db8::53"]
    lines = build(declared)["haproxy"].splitlines()
    assert "    nameserver dns2 [2001:db8::53]:53" in lines
    assert "    parse-resolv-conf" not in lines
    declared["follow_names"] = False
    assert "resolvers" not in build(declared)["haproxy"]
