"""What the role promises, seen by a client."""

from __future__ import annotations

import time

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


@pytest.mark.parametrize("url", ["http://203.0.113.200/", "http://[2001:db8::200]/", "http://[2001:db8::21]:81/"])
def test_virtual_addresses_of_other_networks_serve(host, url):
    deadline = time.monotonic() + 20
    while (answer := host.run(f"curl -sSf --max-time 5 -g {url}")).rc and time.monotonic() < deadline:
        time.sleep(0.5)
    assert answer.stdout.strip() in ("web1", "web2"), answer.stderr


def test_more_networks_and_certificates_than_a_line_holds(host, vip):
    assert host.run(f"curl -sSkf --max-time 5 https://{vip}:9201/").stdout.strip() in ("web1", "web2")
    said = host.run(f"curl -skv --resolve other.example:9201:{vip} https://other.example:9201/").stderr
    assert "subject: CN=other.example" in said


def test_a_name_is_followed_in_dns(host, vip):
    web2 = host.backend.ansible_runner.get_variables("web2")["lab_ip"]
    zone = host.file("/srv/zone").content_string
    ask = f"curl -s --max-time 5 http://{vip}:9200/"

    def answered(wanted):
        deadline = time.monotonic() + 30
        while (answer := host.run(ask).stdout.strip()) != wanted:
            assert time.monotonic() < deadline, f"{answer!r} is not {wanted!r}"
            time.sleep(0.5)

    answered("web1")  # a name that no balancer could resolve when it loaded the configuration
    try:
        host.run(f"echo moving.example.test {web2} > /srv/zone")
        answered("web2")
        # While the name server is silent, the last address stays.
        host.run("systemctl kill --signal=STOP dns")
        time.sleep(6)
        answered("web2")
    finally:
        host.run("systemctl kill --signal=CONT dns")
        host.run(f"echo '{zone.strip()}' > /srv/zone")
