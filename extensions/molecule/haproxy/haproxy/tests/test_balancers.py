"""What the role promises, seen on the balancers."""

from __future__ import annotations

import pytest
import testinfra

testinfra_hosts = ["ansible://load_balancers"]


@pytest.mark.parametrize("name", ["haproxy", "keepalived"])
def test_services_run(host, name):
    assert host.service(name).is_running
    assert host.service(name).is_enabled


def test_files_are_private(host):
    assert host.file("/etc/haproxy/haproxy.cfg").mode == 0o600
    assert host.file("/etc/haproxy/certificates/web.pem").mode == 0o600
    assert not host.file("/etc/haproxy/.staged").exists


def test_statistics_want_a_login(host):
    status = "curl -s -o /dev/null -w '%{http_code}'"
    assert host.run(f"{status} http://127.0.0.1:8404/metrics").stdout == "401"
    assert host.run(f"{status} -u operator:wrong http://127.0.0.1:8404/metrics").stdout == "401"
    metrics = host.run("""curl -s -u "operator:it's secret" http://127.0.0.1:8404/metrics""").stdout
    assert 'haproxy_server_status{proxy="web",server="web1",state="UP"} 1' in metrics


def test_logs_arrive(host):
    assert host.run("curl -s http://127.0.0.1:8080/").rc == 0
    assert "plain/web" in host.run("journalctl --sync; journalctl -t haproxy -o cat --no-pager -n 50").stdout


def test_exactly_one_holds_the_vip(host):
    vip = host.backend.get_variables()["lab_subnet"].replace(".0/24", ".200")
    inventory = host.backend.ansible_runner.inventory_file
    pair = testinfra.get_hosts(["ansible://load_balancers"], ansible_inventory=inventory)
    assert [f" {vip}/" in one.run("ip -brief address").stdout for one in pair].count(True) == 1
