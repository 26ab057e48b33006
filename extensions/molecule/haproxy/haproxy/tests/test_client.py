"""What the role promises, seen by a client."""

from __future__ import annotations

import pytest

testinfra_hosts = ["ansible://client"]


@pytest.fixture(name="vip")
def fixture_vip(host):
    return host.backend.get_variables()["lab_subnet"].replace(".0/24", ".200")


def test_both_servers_serve(host, vip):
    answers = {host.run(f"curl -sSkf --max-time 5 https://{vip}/").stdout.strip() for _turn in range(4)}
    assert answers == {"web1", "web2"}


def test_http2(host, vip):
    wanted = "-o /dev/null -w '%{http_version} %{http_code}'"
    assert host.run(f"curl -sk --http2 {wanted} https://{vip}/").stdout == "2 200"


def test_plain_http_is_redirected(host, vip):
    result = host.run(f"curl -s -o /dev/null -w '%{{http_code}} %{{redirect_url}}' 'http://{vip}/a?b=c'")
    assert result.stdout == f"301 https://{vip}/a?b=c"


@pytest.mark.parametrize(("asked", "answered"), [("web", "web"), ("other", "other"), ("nobody", "web")])
def test_certificate_follows_the_name(host, vip, asked, answered):
    said = host.run(f"curl -skv --resolve {asked}.example:443:{vip} https://{asked}.example/").stderr
    assert f"subject: CN={answered}.example" in said


def test_old_tls_is_refused(host, vip):
    assert host.run(f"curl -sk --tls-max 1.1 https://{vip}/").rc == 35
    assert host.run(f"curl -sk --tls-max 1.2 https://{vip}/").rc == 0


def test_tcp_goes_to_one_server(host):
    balancer = host.backend.get_variables()["lab_subnet"].replace(".0/24", ".21")
    answers = {host.run(f"curl -sf --max-time 5 http://{balancer}:5432/").stdout.strip() for _turn in range(4)}
    assert len(answers) == 1
    assert answers <= {"web1", "web2"}
