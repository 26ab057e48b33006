"""Who may come in, who is turned away, and what a server learns of the client."""

from __future__ import annotations

import time

import pytest
import testinfra

testinfra_hosts = ["ansible://client"]
STATUS = "curl -sk -o /dev/null --max-time 5 -w '%{http_code} '"


@pytest.fixture(name="vip")
def fixture_vip(host):
    return host.backend.get_variables()["lab_subnet"].replace(".0/24", ".200")


@pytest.fixture(name="web1")
def fixture_web1(host):
    return testinfra.get_host("ansible://web1", ansible_inventory=host.backend.ansible_runner.inventory_file)


@pytest.mark.parametrize(
    ("port", "shown", "answered"),
    [
        (9443, "known", True),
        (9443, "unknown", False),
        (9443, None, False),
        (9444, "known", True),
        (9444, "unknown", False),
        (9444, None, True),
    ],
)
def test_client_certificates(host, vip, port, shown, answered):
    words = f"--cert /srv/{shown}.pem --key /srv/{shown}.key " if shown else ""
    result = host.run(f"curl -sSk --max-time 5 {words}https://{vip}:{port}/")
    assert (result.rc == 0) is answered, result.stderr
    assert (result.stdout.strip() in ("web1", "web2")) is answered
    if not answered:
        assert result.rc in (35, 55, 56)  # refused while or after shaking hands, not unreachable


def test_only_allowed_networks_connect(host, vip, web1):
    # Reset: while it connects or after, as curl's versions see it.
    assert host.run(f"curl -sS --max-time 5 http://{vip}:9000/").rc in (7, 52, 56)
    assert web1.run(f"{STATUS} http://{vip}:9000/").stdout.strip() == "200"


def test_requests_per_source_are_limited(host, vip, web1):
    statuses = host.run(f"{STATUS} http://{vip}:9001/[1-9]").stdout.split()
    assert 0 < statuses.count("200") <= 5
    assert statuses[-1] == "429"
    assert web1.run(f"{STATUS} http://{vip}:9001/").stdout.strip() == "200"


def test_connections_in_a_while_per_source_are_limited(host, vip, web1):
    statuses = host.run(f"for n in 1 2 3 4 5 6 7 8 9; do {STATUS} http://{vip}:9002/; done").stdout.split()
    assert 0 < statuses.count("200") <= 5
    assert statuses[-1] == "000"
    assert web1.run(f"{STATUS} http://{vip}:9002/").stdout.strip() == "200"


def test_connections_at_once_per_source_are_limited(host, vip, web1):
    assert host.run(f"python3 /srv/connect.py {vip} 9003 6").stdout.strip() == "3"
    assert host.run(f"{STATUS} http://{vip}:9003/").stdout.strip() == "200"  # they ended
    assert web1.run(f"{STATUS} http://{vip}:9003/").stdout.strip() == "200"


def test_a_proxys_client_is_passed_on_as_a_header(host, vip):
    assert host.run(f"python3 /srv/proxied.py {vip} 9004 /source 203.0.113.9").stdout.strip() == "203.0.113.9"


def test_allowed_networks_are_those_of_a_proxys_client(host, vip):
    assert host.run(f"python3 /srv/proxied.py {vip} 9004 /source 192.0.2.9").rc != 0


def test_who_speaks_no_proxy_protocol_is_refused(host, vip):
    assert host.run(f"python3 /srv/proxied.py {vip} 9004 /source").rc != 0


def test_a_proxys_client_is_passed_on_by_the_proxy_protocol(host, vip):
    assert host.run(f"python3 /srv/proxied.py {vip} 9005 /source 203.0.113.9").stdout.strip() == "203.0.113.9"


def test_a_cookie_keeps_a_client_at_one_server(host, vip):
    free = {host.run(f"curl -sf --max-time 5 http://{vip}:9006/").stdout.strip() for _turn in range(4)}
    assert free == {"web1", "web2"}
    for server in sorted(free):
        ask = f"curl -sf --max-time 5 -b SERVER={server} http://{vip}:9006/"
        assert {host.run(ask).stdout.strip() for _turn in range(4)} == {server}
    given = host.run(f"curl -s -o /dev/null -D - http://{vip}:9006/").stdout.lower()
    assert "set-cookie: server=web" in given
    assert "httponly" in given


def test_a_syslog_server_gets_a_line_per_request(host, vip):
    path = f"/logged-{time.time_ns()}"
    assert host.run(f"curl -sf http://{vip}:8080{path}").rc == 0
    found = host.run(
        f"for n in $(seq 50); do grep -F 'GET {path} ' /srv/syslog && exit; sleep 0.1; done; exit 1"
    ).stdout
    assert "plain-frontend plain/web" in found
