# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each supported HAProxy and keepalived accepts, without a warning, whatever the role renders."""

from __future__ import annotations

import copy
import datetime
import itertools
import os
import pathlib

import pytest
import yaml
from ansible_collections.photon.platform.plugins.module_utils.haproxy import certificates, keepalived, plan, render

from lab.certificates import Authority
from lab.hosts import HostSpec
from lab.hosts.base import SUITES, unavailable
from tests.support.linux_hosts import Hosts

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(unavailable()), reason=unavailable()),
]
ROLE = pathlib.Path(__file__).resolve().parents[3] / "roles" / "haproxy"
CONTRACT = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
GROUPS = {"all": ["lb1", "lb2", "w1", "w2"], "load_balancers": ["lb1", "lb2"], "web": ["w1", "w2"]}
ADDRESSES = {"lb1": "127.0.0.1", "lb2": "127.0.0.2", "w1": "10.0.0.3", "w2": "2001:db8::3"}
TLS = {"certificates": [f"c{n}" for n in range(40)]}
VERIFIED = {"authority": "corp", "server_name": "web.example"}
# Per option, values that it may have together with all others of the same mode.
COMMON = {
    "balance": ["roundrobin", "static-rr", "leastconn", "first", "source", "random"],
    "health": [
        {"type": "http", "path": "/a?b=c&d=%20", "host": "web.example:80", "status": "200,204-299"},
        {"type": "http", "tls": True, "port": 99, "observe": False, "interval": "500ms"},
        {"type": "tcp", "fall": 1, "rise": 1000},
        {"type": "ssl"},
        {"type": "ldap", "tls": True},
        {"type": "kubernetes"},
    ],
    "tls": [None, {"verify": False}, VERIFIED],
    "send_proxy": [False, True],
    "limits": [None, {"connections": 1, "connection_rate": 2**31 - 1}],
    "allowed_networks": [[], [f"10.{n}.0.0/16" for n in range(200)] + ["2001:db8::/32"]],
    "max_connections": [None, 7],
    "redispatch": [True, False],
    "client": [{}, TLS, TLS | {"client_authority": "corp", "client_certificate": "optional", "strict_sni": True}],
}
HTTP = {
    "balance": [*COMMON["balance"], "uri"],
    "stickiness": [None, {"type": "cookie"}, {"type": "prefix", "cookie": "AUTH.S"}, {"type": "source"}],
    "limits": [None, {"request_rate": 3, "connections": 1, "connection_rate": 3}],
    "retry_on": [None, "conn-failure empty-response 503"],
    "http2": [True, False],
    "forwarded_headers": [True, False],
}
TCP = {"stickiness": [None, {"type": "source", "expire": "1d"}]}


def services():
    """As many services as the longest list of values is long, and each value with different others around it."""
    ports = itertools.count(1000)
    for mode, more in (("http", HTTP), ("tcp", TCP)):
        options = COMMON | more
        for turn, shift in itertools.product(range(7), range(4)):
            chosen = {
                key: copy.deepcopy(values[(turn + shift * number) % len(values)])
                for number, (key, values) in enumerate(options.items())
            }
            chosen |= chosen.pop("client")
            bind = [{"port": next(ports), "accept_proxy": turn == 1}, {"address": "::1", "port": next(ports)}]
            if mode == "http" and chosen.get("certificates"):
                chosen |= {"hsts": 1000, "redirect_port": next(ports)}
            servers = [{"name": "w1", "backup": True, "weight": 0, "max_connections": 3}]
            servers.append({"name": "named", "address": "named.example"})
            yield {
                "name": f"s.{mode}-{turn}_{shift}", "mode": mode, "bind": bind, "group": "web", "port": 1,
                "servers": servers, **chosen,
            }  # fmt: skip


@pytest.fixture(scope="module", name="declared")
def fixture_declared(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("pems"))
    issued = authority.issue("web.example")
    declaration = copy.deepcopy({name.removeprefix("haproxy_"): value for name, value in DEFAULTS.items()})
    pem = {"certificate": str(issued.file), "key": str(issued.key)}
    return declaration | {
        "certificates": [{"name": name, **pem} for name in TLS["certificates"]],
        "authorities": [{"name": "corp", "certificate": str(authority.file)}],
        "statistics": {"address": "::", "user": "it's me", "password": "no # secret", "certificate": "c0"},
        "log_targets": ["/dev/log local0", "127.0.0.1:514 len 2048 format rfc5424 local1 info"],
        "nameservers": ["127.0.0.53", "127.0.0.54"],
        "max_connections": 100,
        "check_names": False,
        "services": list(services()),
    }


def built(declaration, groups=GROUPS):
    return plan.build(declaration, CONTRACT, groups, ADDRESSES.__getitem__, datetime.datetime.now(datetime.UTC))


@pytest.fixture(scope="module", name="hosts")
def fixture_hosts():
    with Hosts(f"syntax-{os.getpid()}", [HostSpec(suite, suite) for suite in SUITES]) as hosts:
        for suite in SUITES:
            hosts.shell(
                suite, "apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq install haproxy keepalived"
            )
        yield hosts


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("nameservers", [True, False])
def test_haproxy_accepts_every_option(hosts, declared, suite, nameservers):
    declaration = declared if nameservers else declared | {"nameservers": []}
    result = built(declaration)
    files = certificates.files(declared["certificates"], declared["authorities"]) | result["lists"]
    hosts.shell(suite, f"mkdir -p {render.DIRECTORY}; echo nameserver 127.0.0.53 > /etc/resolv.conf")
    hosts.shell(suite, f"echo 1 > {render.STATE_FILE}")
    for name, text in {**files, "all.cfg": result["haproxy"].replace(render.PASSWORD, "secret")}.items():
        hosts.lab.run(suite, ["sh", "-c", f"cat > {render.DIRECTORY}/{name}"], input=text)
    said = hosts.shell(suite, f"haproxy -c -f {render.DIRECTORY}/all.cfg 2>&1; echo ended with $?")
    assert "ended with 0" in said, said
    assert "[WARNING]" not in said
    assert "[ALERT]" not in said


VIPS = [
    {"name": "plain", "address": "127.0.0.10/8"},
    {"name": "other", "address": "203.0.113.10/24", "interface": "eth0", "extra": ["garp_master_delay 2"]},
    {"name": "six", "address": "2001:db8::10/64", "addresses": {"lb1": "2001:db8::1", "lb2": "2001:db8::2"}},
    {"name": "last", "address": "198.51.100.10/32", "interfaces": {"lb1": "eth0", "lb2": "eth0"}, "preempt": True},
]


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("balancers", [["lb1"], ["lb1", "lb2"]])
def test_keepalived_accepts_every_vip(hosts, declared, suite, balancers):
    vips = [vip for vip in copy.deepcopy(VIPS) if vip["name"] != "plain"]
    for vip in vips:
        for key in ("addresses", "interfaces"):
            vip[key] = {host: value for host, value in vip.get(key, {}).items() if host in balancers}
    declaration = declared | {"vips": vips, "services": [], "keepalived_extra_global": ["vrrp_garp_interval 0.001"]}
    text = built(declaration, GROUPS | {"load_balancers": balancers})["keepalived"]["lb1"]
    text = text.replace(keepalived.SCRIPT, "/usr/bin/true").replace(keepalived.DOWN_FILE, "/etc/hostname")
    for address in ("127.0.0.1", "2001:db8::1"):
        text = text.replace(f"{keepalived.INTERFACE}{address}@", "eth0")
    hosts.lab.run(suite, ["sh", "-c", "cat > /tmp/keepalived.conf"], input=text)
    said = hosts.shell(suite, "keepalived --config-test --use-file /tmp/keepalived.conf 2>&1; echo ended with $?")
    assert "ended with 0" in said, said
