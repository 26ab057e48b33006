# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role haproxy on a real pair of balancers: its operations, and faults that are really injected."""

from __future__ import annotations

import os
import signal
import time

import pytest

from lab.certificates import Authority
from lab.hosts.base import unavailable
from tests.support.balancers import Pair

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(unavailable()), reason=unavailable()),
]

CONFIG = "/etc/haproxy/haproxy.cfg"


@pytest.fixture(scope="module", name="shared")
def fixture_shared(tmp_path_factory):
    with Pair(f"faults-{os.getpid()}", tmp_path_factory.mktemp("pair"), disk="400M") as pair:
        pair.play()
        yield pair


@pytest.fixture(name="pair")
def fixture_pair(shared):
    """Return the deployed pair; restore its declaration after the test."""
    before = dict(shared.variables)
    services = [dict(service) for service in before["haproxy_services"]]
    shared.settle()
    yield shared
    shared.variables = before | {"haproxy_services": services}
    shared.play()
    shared.settle()


def checksums(pair):
    return [pair.shell(host, f"sha256sum {CONFIG} /etc/keepalived/keepalived.conf") for host in ("lb1", "lb2")]


def worker(pair, host="lb1"):
    script = "import socket;s=socket.socket(socket.AF_UNIX);s.connect('/run/haproxy/admin.sock');"
    script += "s.sendall(b'show info\\n');print([l for l in s.makefile() if l.startswith('Pid')][0])"
    return pair.shell(host, f'python3 -c "{script}"').strip()


@pytest.mark.parametrize(
    ("damage", "look", "right"),
    [
        ("chmod 0644 /etc/haproxy/certificates/web.pem", "stat -c %a /etc/haproxy/certificates/web.pem", "600"),
        ("chmod 0755 /etc/haproxy/certificates", "stat -c %a /etc/haproxy/certificates", "700"),
        (f"chown nobody {CONFIG}", f"stat -c %U {CONFIG}", "root"),
        ("systemctl -q disable haproxy", "systemctl is-enabled haproxy", "enabled"),
        ("systemctl -q disable keepalived", "systemctl is-enabled keepalived", "enabled"),
        ("touch /etc/haproxy/certificates/old.pem", "ls /etc/haproxy/certificates | grep -c old; true", "0"),
    ],
    ids=lambda text: text[:40],
)
def test_modes_owners_and_enablement_are_repaired_without_a_reload(pair, damage, look, right):
    before = worker(pair)
    pair.shell("lb1", damage)
    assert pair.changed(pair.play()) == ["lb1"]
    assert pair.shell("lb1", look, check=False).strip() == right
    assert worker(pair) == before
    assert pair.changed(pair.play()) == []


def test_second_run_changes_nothing(pair):
    before = worker(pair)
    assert pair.changed(pair.play()) == []
    assert worker(pair) == before


@pytest.fixture(name="wrong")
def fixture_wrong(shared, tmp_path):
    """Return ways to break the declaration; the pair itself is not changed."""
    before = dict(shared.variables)
    shared.variables = before | {"haproxy_services": [dict(service) for service in before["haproxy_services"]]}
    authority = Authority(tmp_path)
    expired, another = authority.issue("expired", expired=True), authority.issue("another")

    def replace(**changes):
        return lambda: shared.variables["haproxy_services"][0].update(changes)

    def certificates(**changes):
        item = before["haproxy_certificates"][0] | {key: str(path) for key, path in changes.items()}
        return lambda: shared.variables.update(haproxy_certificates=[item])

    yield {
        "unknown key": replace(bnid=1),
        "port twice": lambda: shared.variables["haproxy_services"].append(shared.service("two", 8080)),
        "empty group": replace(group="missing"),
        "unresolvable": replace(servers=[{"name": "x", "address": "no.such.host.invalid"}]),
        "certificate missing": certificates(certificate=tmp_path / "none.pem"),
        "certificate expired": certificates(certificate=expired.file, key=expired.key),
        "key of another": certificates(key=another.key),
        "vip outside": lambda: shared.variables.update(haproxy_vips=[{"name": "public", "address": "203.0.113.9/24"}]),
    }
    shared.variables = before


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ("unknown key", "haproxy_services[0] (web).bnid: unknown key"),
        ("port twice", "haproxy_services[2] (two).bind[0].port: {vip}:8080 is used by haproxy_services[0] (web)"),
        ("empty group", "haproxy_services[0] (web).group: the inventory group missing is empty"),
        ("unresolvable", "haproxy_services[0] (web).servers[x].address: no.such.host.invalid does not resolve"),
        ("certificate missing", "haproxy_certificates[0] (web).certificate: "),
        ("certificate expired", "haproxy_certificates[0] (web).certificate: the certificate expired on"),
        ("key of another", "haproxy_certificates[0] (web).key: does not match the certificate"),
        ("vip outside", "haproxy_vips[0] (public).address: lb1 ("),
    ],
)
def test_invalid_declaration_changes_no_host(shared, wrong, mistake, said):
    before = checksums(shared), [worker(shared, host) for host in ("lb1", "lb2")]
    wrong[mistake]()
    run = shared.play(check=False)
    assert run.returncode == 2
    assert said.format(vip=shared.vip) in " ".join(run.stdout.split())
    assert "Check, install and load the configuration" not in run.stdout  # on no host
    assert run.stdout.count("fatal:") == 1  # once for all hosts
    assert "error_code: SpecInvalid" in run.stdout
    assert "Traceback" not in run.stdout
    assert (checksums(shared), [worker(shared, host) for host in ("lb1", "lb2")]) == before


def test_rejected_configuration_leaves_the_old_one_active(pair):
    before = checksums(pair), worker(pair)
    pair.variables["haproxy_services"][0]["extra_backend"] = ["no-such-keyword here"]
    run = pair.play(check=False)
    assert run.returncode == 2
    assert "haproxy_services[0] (web).extra_backend:" in " ".join(run.stdout.split())
    assert (checksums(pair), worker(pair)) == before
    assert pair.answers() in ("web1", "web2")


def test_port_in_use_restores_the_old_configuration(pair):
    before = checksums(pair)[0]
    pair.shell("lb1", "systemd-run -q --unit=squatter --collect python3 -m http.server 9099")
    pair.variables["haproxy_services"] = [*pair.variables["haproxy_services"], pair.service("new", 9099)]
    pair.variables["haproxy_services"][-1]["bind"] = [{"port": 9099}]
    try:
        time.sleep(1)
        run = pair.play(check=False)
        assert run.returncode == 2
        assert "The old configuration was restored" in " ".join(run.stdout.split())
        assert checksums(pair)[0] == before
        assert pair.answers() in ("web1", "web2")
    finally:
        pair.shell("lb1", "systemctl stop squatter")
    assert pair.play().returncode == 0


def test_full_disk_leaves_the_old_configuration_active(pair):
    before = checksums(pair)[0]
    pair.variables["haproxy_services"] = [*pair.variables["haproxy_services"], pair.service("more", 8090)]
    # Keep Ansible's own files in memory, so that only the balancer's writes meet the full disk.
    pair.shell(
        "lb1",
        "dd if=/dev/zero of=/fill bs=64k status=none; dd if=/dev/zero of=/fill2 bs=512 status=none; true",
        check=False,
    )
    try:
        run = pair.play(check=False, ansible_remote_tmp="/dev/shm/ansible")
        assert run.returncode == 2
        assert "cannot be written because the disk is full" in " ".join(run.stdout.split())
        assert "The old configuration stays active" in " ".join(run.stdout.split())
        assert "error_code: BalancerChangeFailed" in run.stdout
        assert checksums(pair)[0] == before
        assert pair.answers() in ("web1", "web2")
    finally:
        pair.shell("lb1", "rm -f /fill /fill2")
    assert pair.play().returncode == 0
    assert pair.answers(8090) in ("web1", "web2")


@pytest.mark.parametrize(
    ("task", "seconds"),
    [
        ("Check the whole declaration before any host is touched", 0.2),
        ("Check, install and load the configuration", 0.3),
        ("Check, install and load the configuration", 0.9),
        ("Check, install and load the configuration", 1.5),
    ],
)
def test_killed_run_is_completed_by_the_next(pair, task, seconds):
    """Killed a moment after a task began, and always before the run would have ended."""
    port = int(8100 + 10 * seconds + len(task))
    pair.variables["haproxy_services"] = [*pair.variables["haproxy_services"], pair.service("late", port)]
    run = pair.start_play()
    begun = any(line.startswith("TASK [") and line.partition("]")[0].endswith(task) for line in run.stdout)
    time.sleep(seconds)
    assert (begun, run.poll()) == (True, None), "the run had ended already"
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert pair.answers() in ("web1", "web2")
    for host in ("lb1", "lb2"):
        assert "200" in pair.shell(host, "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8405/health")
    pair.settle()
    pair.play()
    assert pair.answers(port) in ("web1", "web2")
    assert pair.changed(pair.play()) == []


def test_certificates_are_replaced_without_a_reload(pair):
    show = f"curl -skv https://{pair.vip}:8443/ 2>&1 | grep 'start date'"
    before, served = [worker(pair, host) for host in ("lb1", "lb2")], pair.shell("client", show)
    time.sleep(1.1)  # certificate dates have a resolution of one second
    pair.certificate("web")
    pair.play("load_balancer_rotate_certificates")
    assert [worker(pair, host) for host in ("lb1", "lb2")] == before
    assert pair.shell("client", show) != served
    assert pair.changed(pair.play()) == []


def test_rotation_refuses_any_other_change(pair):
    pair.variables["haproxy_services"] = [*pair.variables["haproxy_services"], pair.service("more", 8090)]
    run = pair.play("load_balancer_rotate_certificates", check=False)
    assert run.returncode == 2
    assert "Deploy the load balancer instead" in " ".join(run.stdout.split())


def test_drained_server_stays_drained_until_it_is_ready(pair):
    pair.play("load_balancer_drain", haproxy_service="web", haproxy_server="web1")
    pair.variables["haproxy_services"] = [*pair.variables["haproxy_services"], pair.service("more", 8090)]
    pair.play()  # reloads
    assert {pair.answers() for _ in range(6)} == {"web2"}
    table = " ".join(pair.play("load_balancer_status").stdout.split())
    assert "web web1" in table
    assert "DRAIN" in table
    pair.play("load_balancer_ready", haproxy_service="web", haproxy_server="web1")
    assert {pair.answers() for _ in range(6)} == {"web1", "web2"}


def test_draining_an_unknown_server_lists_the_known_ones(pair):
    run = pair.play("load_balancer_drain", check=False, haproxy_service="web", haproxy_server="web9")
    assert run.returncode == 2
    assert "service web has no server web9. Its servers: web1, web2." in " ".join(run.stdout.split())


def test_changed_port_of_a_server_overrides_its_saved_state(pair):
    pair.shell("web1", "sed 's/:8000/:8001/;s/string web1/string moved/' /etc/web.cfg > /etc/web2.cfg")
    pair.shell("web1", "systemd-run -q --unit=moved --collect haproxy -db -f /etc/web2.cfg")
    pair.variables["haproxy_services"][0] |= {"servers": [{"name": "web1", "port": 8001}]}
    pair.play()
    try:
        assert {pair.answers() for _ in range(6)} == {"moved", "web2"}
    finally:
        pair.shell("web1", "systemctl stop moved")


@pytest.mark.parametrize("unit", ["haproxy", "keepalived"])
def test_the_vip_moves_when_a_service_is_killed(pair, unit):
    holder = pair.settle()
    pair.shell(holder, f"systemctl kill --signal=KILL --kill-whom=main {unit}")
    deadline = time.monotonic() + 10
    while pair.holders() != [other := "lb2" if holder == "lb1" else "lb1"]:
        assert time.monotonic() < deadline, f"{other} never held the VIP alone"
        time.sleep(0.1)
    assert pair.answers() in ("web1", "web2")
    assert pair.settle() == other  # no failback when the killed service returns


@pytest.mark.parametrize("carrier", [False, True])
def test_partitioned_host_loses_the_vip_without_a_split_brain(pair, carrier):
    holder = pair.settle()
    other = "lb2" if holder == "lb1" else "lb1"
    pair.lab.cut(holder, carrier)
    try:
        deadline = time.monotonic() + 10
        while other not in pair.holders():
            assert time.monotonic() < deadline, f"{other} never took over"
            time.sleep(0.1)
        assert pair.answers() in ("web1", "web2")
    finally:
        pair.lab.heal(holder)
    pair.settle()
    assert pair.answers() in ("web1", "web2")


def test_killed_server_receives_no_more_requests(pair):
    pair.shell("web1", "systemctl kill --signal=KILL web")
    try:
        answers = [pair.answers() for _ in range(20)]
        assert set(answers) == {"web2"}
    finally:
        pair.start_web("web1")


def test_stopped_balancer_is_removed_whole(pair):
    pair.shell("lb1", "systemctl stop haproxy keepalived")
    try:
        pair.play("load_balancer_remove", haproxy_remove="lb1")
        assert pair.shell("lb1", "systemctl is-enabled haproxy keepalived", check=False).split() == ["disabled"] * 2
        assert pair.shell("lb1", "systemctl --failed --plain --no-legend", check=False) == ""
        left = "ls -d /etc/haproxy/haproxy.cfg /etc/haproxy/certificates /etc/systemd/system/*.service.d/photon.conf"
        assert pair.shell("lb1", f"{left} 2>/dev/null", check=False) == ""
        assert pair.changed(pair.play("load_balancer_remove", haproxy_remove="lb1")) == []
    finally:
        pair.play()
        pair.settle()


def test_files_of_others_are_kept_as_copies(pair):
    pair.play("load_balancer_remove", haproxy_remove="lb1")
    foreign = "# our own\ndefaults\n    timeout connect 1s\n    timeout client 1s\n    timeout server 1s\n"
    pair.shell("lb1", f"cat > {CONFIG}; echo '# VRRP of others' > /etc/keepalived/keepalived.conf", input=foreign)
    try:
        pair.play()
        assert pair.shell("lb1", "cat /etc/haproxy/haproxy.cfg.original-* | grep -c 'our own'").strip() == "1"
        assert pair.shell("lb1", "cat /etc/keepalived/keepalived.conf.original-*") == "# VRRP of others\n"
    finally:
        pair.shell("lb1", "rm -f /etc/haproxy/*.original-* /etc/keepalived/*.original-*")
    pair.settle()


def test_keepalived_of_others_stays_without_virtual_addresses(pair):
    pair.play("load_balancer_remove", haproxy_remove="lb1")
    own = "vrrp_instance OURS {\n    interface eth0\n    virtual_router_id 77\n    priority 50\n"
    own += "    virtual_ipaddress {\n        203.0.113.77/32\n    }\n}\n"
    pair.shell("lb1", "cat > /etc/keepalived/keepalived.conf; systemctl enable -q --now keepalived", input=own)
    pair.variables = pair.variables | {
        "haproxy_vips": [],
        "haproxy_services": [pair.service("web", 8080) | {"bind": [{"port": 8080}]}],
    }
    try:
        pair.play()
        assert pair.shell("lb1", "cat /etc/keepalived/keepalived.conf") == own
        assert pair.shell("lb1", "systemctl is-enabled keepalived; systemctl is-active keepalived").split() == [
            "enabled",
            "active",
        ]
        pair.play("load_balancer_remove", haproxy_remove="lb1")
        assert (
            pair.shell("lb1", "cat /etc/keepalived/keepalived.conf; systemctl is-active keepalived") == own + "active\n"
        )
    finally:
        pair.shell("lb1", "systemctl stop keepalived; rm /etc/keepalived/keepalived.conf")


def test_balancer_can_be_removed_and_deployed_again(pair):
    pair.play("load_balancer_remove", haproxy_remove="lb1")
    assert pair.holders() == ["lb2"]
    assert pair.shell("lb1", f"ls {CONFIG} /etc/haproxy/certificates 2>/dev/null", check=False) == ""
    assert pair.answers() in ("web1", "web2")
    pair.play()
    pair.settle()


@pytest.fixture(name="retired")
def fixture_retired(pair, tmp_path):
    """Ansible's options after lb2 was moved to the retired balancers; the pair is deployed again afterwards."""
    inventory = tmp_path / "retired.yml"
    inventory.write_text("{solo: {hosts: {lb1: }}, load_balancers_retired: {hosts: {lb2: }}}")
    yield ["-i", str(inventory), "-e", "haproxy_group=solo"]
    pair.variables["haproxy_services"][0].pop("extra_backend", None)
    pair.play()
    pair.settle()


def wait_for_holders(pair, names):
    """The virtual address moves some time after the balancer that had it was stopped."""
    deadline = time.monotonic() + 10
    while pair.holders() != names:
        assert time.monotonic() < deadline, pair.holders()
        time.sleep(0.1)


def test_retired_balancer_of_a_pair_leaves_the_vip_to_the_other(pair, retired):
    pair.play("load_balancer", *retired)
    wait_for_holders(pair, ["lb1"])
    assert pair.shell("lb2", "systemctl is-active haproxy keepalived", check=False).split() == ["inactive"] * 2
    assert pair.answers() in ("web1", "web2")
    assert pair.changed(pair.play("load_balancer", *retired)) == []


def test_retired_balancer_leaves_also_when_the_deployment_fails(pair, retired):
    pair.variables["haproxy_services"][0]["extra_backend"] = ["no-such-keyword here"]
    assert pair.play("load_balancer", *retired, check=False).returncode == 2
    assert pair.shell("lb2", "systemctl is-active haproxy keepalived", check=False).split() == ["inactive"] * 2
    wait_for_holders(pair, ["lb1"])
    assert pair.answers() in ("web1", "web2")


def test_dead_retired_balancer_holds_no_other_up(pair, tmp_path):
    inventory = tmp_path / "dead.yml"
    dead = pair.lab.subnet.replace(".0/24", ".250")
    inventory.write_text(f"{{load_balancers_retired: {{hosts: {{dead: {{ansible_host: {dead}}}}}}}}}")
    pair.variables["haproxy_services"] = [*pair.variables["haproxy_services"], pair.service("more", 8090)]
    run = pair.play("load_balancer", "-i", str(inventory), "--timeout", "3", check=False)
    assert run.returncode == 2
    assert "dead cannot be reached and was not removed" in " ".join(run.stdout.split())
    assert pair.changed(run) == ["lb1", "lb2"]
    assert pair.answers(8090) in ("web1", "web2")


@pytest.mark.parametrize(
    ("playbook", "options", "said"),
    [
        ("load_balancer", ["--limit", "web1"], "--limit web1 leaves no host of load_balancers"),
        ("load_balancer_status", ["--limit", "web"], "--limit web leaves no host of load_balancers (lb1, lb2)"),
        ("load_balancer_remove", [], "the inventory has no hosts in load_balancers_retired"),
        ("load_balancer_remove", ["-e", "haproxy_remove=lb9"], "the inventory has no hosts in lb9"),
        ("load_balancer", ["--tags", "conifg"], "--tags conifg selects nothing. This playbook has packages, config,"),
        (
            "load_balancer_drain",
            ["--tags", "x", "-e", "haproxy_service=a"],
            "--tags x selects nothing. This playbook has no",
        ),
        ("load_balancer", ["--skip-tags", "all"], "--skip-tags all leaves nothing to do"),
    ],
)
def test_run_that_would_do_nothing_fails(pair, playbook, options, said):
    run = pair.play(playbook, *options, check=False)
    assert run.returncode == 2
    assert said in " ".join(run.stdout.split())


def test_limit_deploys_one_balancer(pair):
    before = checksums(pair)
    pair.variables["haproxy_services"] = [*pair.variables["haproxy_services"], pair.service("more", 8090)]
    pair.play("load_balancer", "--limit", "lb2")
    after = checksums(pair)
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_tags_choose_a_phase(pair):
    before = checksums(pair)
    pair.variables["haproxy_services"] = [*pair.variables["haproxy_services"], pair.service("more", 8090)]
    assert pair.changed(pair.play("load_balancer", "--tags", "packages")) == []
    assert checksums(pair) == before
    refused = pair.play("load_balancer", "--tags", "certificates", check=False)
    assert "More than certificates would change" in " ".join(refused.stdout.split())
    assert pair.changed(pair.play("load_balancer", "--tags", "config")) == ["lb1", "lb2"]
    assert pair.answers(8090) in ("web1", "web2")


def test_ordinary_user_becomes_root_or_is_told_to(pair):
    user = "id ops 2>/dev/null || useradd --create-home --shell /bin/bash ops; install -o ops -d /home/ops/.ssh;"
    user += "install -o ops /root/.ssh/authorized_keys /home/ops/.ssh;"
    user += "echo 'ops ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/ops"
    for host in ("lb1", "lb2"):
        pair.shell(host, user)
    run = pair.play(check=False, ansible_user="ops")
    assert run.returncode == 2
    assert "needs root on the host and runs as ops. Set become: true" in " ".join(run.stdout.split())
    assert "error_code: RootRequired" in run.stdout
    pair.variables["haproxy_services"] = [*pair.variables["haproxy_services"], pair.service("more", 8090)]
    ops = {"ansible_user": "ops", "ansible_become": True}
    assert pair.changed(pair.play(**ops)) == ["lb1", "lb2"]
    assert pair.answers(8090) in ("web1", "web2")
    pair.play("load_balancer_drain", haproxy_service="web", haproxy_server="web1", **ops)
    pair.play("load_balancer_ready", haproxy_service="web", haproxy_server="web1", **ops)
    assert "web1" in pair.play("load_balancer_status", **ops).stdout


def test_templates_replace_whole_files(pair, tmp_path):
    for name in ("haproxy", "keepalived"):
        text = "haproxy_plan." + {"haproxy": "haproxy", "keepalived": "keepalived[inventory_hostname]"}[name]
        (tmp_path / name).write_text(f"{{{{ {text} }}}}# for {{{{ inventory_hostname }}}}\n")
    own = {"haproxy_template": str(tmp_path / "haproxy"), "haproxy_keepalived_template": str(tmp_path / "keepalived")}
    pair.play(**own)
    assert (
        pair.shell("lb2", f"tail -n 1 {CONFIG} /etc/keepalived/keepalived.conf -q").split("\n")[:2] == ["# for lb2"] * 2
    )
    assert pair.changed(pair.play(**own)) == []
    pair.settle()


def test_names_of_the_hosts_own_are_not_asked_for_in_dns(pair):
    addresses = {web: pair.lab.hosts()[web]["address"] for web in ("web1", "web2")}

    def name(web):
        for lb in ("lb1", "lb2"):
            pair.shell(lb, f"sed -i /local.internal/d /etc/hosts; echo {addresses[web]} local.internal >> /etc/hosts")

    # The name servers are there and deny the name: they answer nothing at all.
    pair.variables = pair.variables | {"haproxy_check_names": False, "haproxy_nameservers": [addresses["web1"]]}
    pair.variables["haproxy_services"][0] |= {"group": None, "servers": [{"name": "s", "address": "local.internal"}]}
    name("web1")
    pair.play()
    assert pair.answers() == "web1"
    assert pair.changed(pair.play()) == []
    name("web2")
    assert pair.changed(pair.play()) == ["lb1", "lb2"]
    assert pair.answers() == "web2"
