"""What the role promises, seen from the hosts."""

from __future__ import annotations

import json

import pytest

BALANCERS = ["lb1", "lb2"]


@pytest.fixture(name="vip")
def fixture_vip(host):
    return host.backend.get_variables()["lab_subnet"].replace(".0/24", ".200")


def get(host, url, *options):
    """What curl on a host says: status and body."""
    result = host.run("curl -sS -k --max-time 5 -w '\n%%{http_code}' %s %s" % (" ".join(options), url))
    assert result.rc == 0, result.stderr
    body, _, status = result.stdout.rpartition("\n")
    return int(status), body.strip()


@pytest.mark.testinfra_hosts("ansible://load_balancers")
@pytest.mark.parametrize("name", ["haproxy", "keepalived"])
def test_services_run(host, name):
    assert host.service(name).is_running
    assert host.service(name).is_enabled


@pytest.mark.testinfra_hosts("ansible://load_balancers")
def test_files_are_private(host):
    assert host.file("/etc/haproxy/haproxy.cfg").mode == 0o600
    assert host.file("/etc/haproxy/certificates/web.pem").mode == 0o600
    assert not host.file("/etc/haproxy/.staged").exists


@pytest.mark.testinfra_hosts("ansible://client")
def test_vip_serves_both_servers(host, vip):
    assert {get(host, f"https://{vip}/") for _ in range(4)} == {(200, "web1"), (200, "web2")}


@pytest.mark.testinfra_hosts("ansible://client")
def test_http2_and_redirect(host, vip):
    assert get(host, f"https://{vip}/", "--http2", "-o /dev/null", "-w '%{http_version}\n%{http_code}'")[0] == 200
    result = host.run("curl -s -o /dev/null -w '%%{http_code} %%{redirect_url}' http://%s/a?b=c" % vip)
    assert result.stdout == f"301 https://{vip}/a?b=c"


@pytest.mark.testinfra_hosts("ansible://client")
@pytest.mark.parametrize(("asked", "answered"), [("web", "web"), ("other", "other"), ("nobody", "web")])
def test_certificate_by_name(host, vip, asked, answered):
    found = host.run("openssl s_client -connect %s:443 -servername %s.example </dev/null" % (vip, asked))
    assert f"CN = {answered}.example" in found.stdout or f"CN={answered}.example" in found.stdout


@pytest.mark.testinfra_hosts("ansible://client")
def test_old_tls_is_refused(host, vip):
    assert host.run("curl -sk --tls-max 1.1 https://%s/" % vip).rc != 0


@pytest.mark.testinfra_hosts("ansible://lb1")
def test_statistics_want_a_login(host):
    assert get(host, "http://127.0.0.1:8404/metrics", "-o /dev/null")[0] == 401
    status, body = get(host, "http://127.0.0.1:8404/metrics", """-u "operator:it's secret" """)
    assert status == 200
    assert 'haproxy_server_status{proxy="web",server="web1",state="UP"} 1' in body


@pytest.mark.testinfra_hosts("ansible://lb1")
def test_logs_arrive(host):
    get(host, "http://127.0.0.1:8080/")
    assert "plain/web" in host.run("journalctl -t haproxy -o cat --no-pager -n 50").stdout


@pytest.mark.testinfra_hosts("ansible://load_balancers")
def test_one_holder(host, vip):
    """This balancer's view; the holder's address is not on the other (asked through the client's ARP in the faults)."""
    addresses = json.loads(host.run("ip -json address").stdout)
    held = [e["local"] for link in addresses for e in link["addr_info"] if e["local"] == vip]
    assert len(held) == (1 if host.backend.host == "lb1" else 0)
