"""Health checks against real servers: TLS, HTTPS that is verified, an API server's readiness, LDAP over TLS."""

from __future__ import annotations

import csv
import time

import pytest

testinfra_hosts = ["ansible://load_balancers"]


@pytest.fixture(name="servers")
def fixture_servers(host):
    def read():
        shown = host.run("""curl -sf -u "operator:it's secret" 'http://127.0.0.1:8404/;csv'""").stdout
        rows = csv.DictReader(shown.removeprefix("# ").splitlines())
        return {(row["pxname"], row["svname"]): row for row in rows}

    return read


@pytest.mark.parametrize(
    ("service", "good", "bad"),
    [
        ("tls", "L6OK", "L6RSP"),
        ("verified", "L7OK", "L6RSP"),
        ("kubernetes", "L7OK", "L7STS"),
        ("directory", "L7OK", "L7TOUT"),  # HTTPS waits for the rest of a request that never comes
        ("sending", "L7OK", None),
    ],
)
def test_a_check_tells_the_right_servers_from_a_wrong_one(servers, service, good, bad):
    wanted = {("web1", "UP", good), ("web2", "UP", good)} | ({("wrong", "DOWN", bad)} if bad else set())
    deadline = time.monotonic() + 20
    while True:
        rows = servers()
        found = {(n, row["status"], row["check_status"].lstrip("* ")) for (s, n), row in rows.items() if s == service}
        found = {one for one in found if one[0] not in ("FRONTEND", "BACKEND")}
        if found == wanted:
            return
        assert time.monotonic() < deadline, f"{service}: {found}"
        time.sleep(0.5)


def test_the_directory_answers_through_the_balancer(host):
    asked = host.run("LDAPTLS_REQCERT=never curl -sk 'ldaps://127.0.0.1:9103/??base'")
    assert "objectClass: top" in asked.stdout, asked.stderr


def test_the_statistics_page_wants_a_login(host):
    status = "curl -s -o /dev/null -w '%{http_code}'"
    assert host.run(f"{status} http://127.0.0.1:8404/").stdout == "401"
    page = host.run("""curl -sf -u "operator:it's secret" http://127.0.0.1:8404/""").stdout
    assert "<title>Statistics Report for HAProxy" in page
