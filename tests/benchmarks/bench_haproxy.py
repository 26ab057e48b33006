"""The role haproxy: requests lost while it changes, fail-over, a dead back end, its own time, large sites, Molecule.

On real hosts of the lab (root, Debian); an ordinary user measures a whole run of Molecule with podman alone.
PHOTON_BENCH_SECONDS (60) is the time per kind of event; PHOTON_BENCH_HAPROXY names the parts to run besides the role's
own time (lost,failover,dead_server,large,molecule).
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import yaml

from lab.hosts import Lab, load_topology
from tests.support import balancers
from tests.support.balancers import Load, Pair

SECONDS = int(os.environ.get("PHOTON_BENCH_SECONDS", "60"))
PARTS = os.environ.get("PHOTON_BENCH_HAPROXY", "lost,failover,dead_server,large,molecule").split(",")
FAILOVERS = 10


def run(context: Any) -> dict[str, float]:
    """The figures; a table of them is printed on the way."""
    if os.geteuid() != 0:
        return {"haproxy_molecule_podman_s": whole_run(LAB_DRIVER="podman")}
    balancers.generator()
    with Pair("bench-haproxy", context.work, "trixie") as pair:
        figures = role(pair)
        for name, part in {"lost": lost, "failover": failover, "dead_server": dead_server}.items():
            if name in PARTS:
                figures |= part(pair)
        if "large" in PARTS:
            figures |= large(context, pair)
    if "molecule" in PARTS:
        figures |= molecule()
    context.table(["figure", "value"], sorted(figures.items()))
    return figures


def role(pair: Pair) -> dict[str, float]:
    """The role on two hosts: from nothing, a second time, with a service more; and gathering facts alone."""
    first = timed(pair.play)
    pair.settle()
    noop = min(timed(pair.play) for _ in range(3))
    facts = pair.folder / "facts.yml"
    facts.write_text("[{hosts: load_balancers, gather_facts: true}]")
    gathering = min(timed(lambda: Pair.finish(pair.run_ansible(str(facts)))) for _ in range(3))
    pair.variables["haproxy_services"].append(pair.service("third", 8081))
    added = timed(pair.play)
    return {
        "haproxy_first_s": first,
        "haproxy_noop_s": noop,
        "haproxy_facts_only_s": gathering,
        "haproxy_service_added_s": added,
    }


def lost(pair: Pair) -> dict[str, float]:
    """Requests lost during each kind of event, with and without keep-alive, 300/s each."""
    kinds = {"calm": calm, "reload": reloads, "rotation": rotation, "drain": drain, "server": server_added_and_removed}
    figures: dict[str, float] = {}
    for kind, event in kinds.items():
        port = 8443 if kind in ("calm", "rotation") else 8080
        loads = [pair.load(SECONDS, keep_alive, port) for keep_alive in (True, False)]
        done = event(pair, loads[0])
        results = [load.done() for load in loads]
        for result in results:
            print(
                kind,
                f"{done} events",
                result["requests"],
                "requests",
                result["lost"],
                "lost",
                result["errors"],
                flush=True,
            )
        figures[f"haproxy_{kind}_events"] = done
        figures[f"haproxy_{kind}_requests"] = sum(result["requests"] for result in results)
        figures[f"haproxy_{kind}_lost"] = sum(result["lost"] for result in results)
    figures["haproxy_lost_requests"] = sum(figures[f"haproxy_{kind}_lost"] for kind in kinds if kind != "calm")
    return figures


def calm(pair: Pair, load: Load) -> int:
    """Nothing happens: what is lost here the machine lost, not the role."""
    return 0


def reloads(pair: Pair, load: Load) -> int:
    """20 reloads of both balancers, spread over the time."""
    for _ in range(20):
        for host in ("lb1", "lb2"):
            pair.shell(host, "systemctl reload haproxy")
        time.sleep(SECONDS / 20 * 0.8)
    return 20


def rotation(pair: Pair, load: Load) -> int:
    """New certificates at run time, again and again."""
    number = 0
    while load.running():
        pair.certificate("web")
        output = pair.play("load_balancer_rotate_certificates").stdout
        if "changed=1" not in output:
            raise RuntimeError(f"nothing was rotated: {output[-2000:]}")
        number += 1
    return number


def drain(pair: Pair, load: Load) -> int:
    """Each server in turn drained, restarted and brought back."""
    number = 0
    while load.running():
        web = ("web1", "web2")[number % 2]
        pair.play("load_balancer_drain", haproxy_service="web", haproxy_server=web)
        # Health checks of the other services use the server too; theirs is no traffic.
        pair.shell(web, "systemctl stop web")
        pair.start_web(web)
        pair.play("load_balancer_ready", haproxy_service="web", haproxy_server=web)
        number += 1
    return number


def server_added_and_removed(pair: Pair, load: Load) -> int:
    """A third server appears in the declaration and disappears again."""
    number = 0
    service = pair.variables["haproxy_services"][0]
    while load.running():
        service["servers"] = [{"name": "web3", "address": None}] if number % 2 == 0 else []
        for server in service["servers"]:
            server["address"] = pair.lab.hosts()["web1"]["address"]
        pair.play()
        number += 1
    service["servers"] = []
    pair.play()
    return number


def failover(pair: Pair) -> dict[str, float]:
    """The longest time without an answer, ten times each: HAProxy killed, keepalived killed, the host cut off."""
    events: dict[str, Callable[[], Any]] = {
        "haproxy_killed": lambda: balancers.killed(pair, "haproxy"),
        "haproxy_killed_whole": lambda: balancers.killed(pair, "haproxy", "all"),
        "keepalived_killed": lambda: balancers.killed(pair, "keepalived"),
        "host_cut": lambda: balancers.cut_off(pair),
    }
    figures = {}
    for kind, event in events.items():
        gaps = []
        for _ in range(FAILOVERS):
            pair.settle()
            gaps.append(pair.longest_gap(event()))
        print(kind, [round(gap, 2) for gap in gaps], flush=True)
        figures[f"haproxy_failover_{kind}_s_max"] = max(gaps)
    return figures | {"haproxy_failover_s_max": max(figures.values())}


def dead_server(pair: Pair) -> dict[str, float]:
    """A server killed under load: requests lost, and how long after the kill the last one was lost."""
    figures: dict[str, float] = {}
    service = pair.variables["haproxy_services"][0]
    for redispatch in (True, False):
        service["redispatch"] = redispatch
        pair.play()
        pair.settle()
        load = pair.load(10, False)
        time.sleep(3)
        moment = datetime.datetime.now(datetime.UTC)
        pair.shell("web1", "systemctl kill --signal=KILL web")
        result = load.done()
        times = [datetime.datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00") for text in result["failures"]]
        late = [(when - moment).total_seconds() for when in times]
        name = "redispatch" if redispatch else "no_redispatch"
        figures[f"haproxy_dead_server_lost_{name}"] = result["lost"]
        figures[f"haproxy_dead_server_last_lost_s_{name}"] = max([0.0, *late])
        print("dead server", name, result["requests"], "requests", result["lost"], "lost", result["errors"], flush=True)
        pair.start_web("web1")
    return figures


def large(context: Any, pair: Pair) -> dict[str, float]:
    """200 services with 20 servers each: check and template, HAProxy's own check, and the whole role in check mode."""
    from ansible_collections.photon.platform.plugins.module_utils.haproxy import plan

    specs = yaml.safe_load((context.root / "roles/haproxy/meta/argument_specs.yml").read_text())["argument_specs"]
    defaults = yaml.safe_load((context.root / "roles/haproxy/defaults/main.yml").read_text())
    declaration = {name.removeprefix("haproxy_"): value for name, value in defaults.items()}
    declaration["services"] = [
        {
            "name": f"service{number}",
            "bind": [{"port": 10000 + number}],
            "port": 80,
            "servers": [{"name": f"s{k}", "address": f"198.18.{number % 200}.{k + 1}"} for k in range(20)],
        }
        for number in range(200)
    ]
    now = datetime.datetime.now(datetime.UTC)
    timing = context.time(
        lambda: plan.build(declaration, specs, {"load_balancers": ["a"]}, lambda name: "198.18.0.1", now), repeat=3
    )
    pair.shell("lb1", "cat > /tmp/large.cfg", input=timing.result["haproxy"])
    checks = [timed(lambda: pair.shell("lb1", "haproxy -c -q -f /tmp/large.cfg")) for _ in range(3)]
    variables = pair.folder / "large.json"
    variables.write_text(json.dumps(pair.variables | {"haproxy_services": declaration["services"]}))
    words = ("photon.platform.load_balancer", "-e", f"@{variables}", "--check")
    return {
        "haproxy_large_plan_s": timing.seconds,
        "haproxy_large_check_s": min(checks),
        "haproxy_large_role_check_mode_s": timed(lambda: Pair.finish(pair.run_ansible(*words))),
    }


def molecule() -> dict[str, float]:
    """A whole `molecule test` of the scenario: hosts of its own, and hosts that somebody made."""
    figures = {"haproxy_molecule_nspawn_s": whole_run(LAB_DRIVER="nspawn")}
    made = Lab("bench-made", "nspawn", os.getpid())
    made.destroy()
    try:
        topology = load_topology(balancers.ROOT / "extensions/molecule/haproxy/lab/hosts.yml", "trixie")
        made.create(topology.hosts, topology.variables)
        inventory = str(made.inventory_file)
        return figures | {"haproxy_molecule_ssh_s": whole_run(LAB_DRIVER="ssh", LAB_INVENTORY=inventory)}
    finally:
        made.destroy()


def whole_run(**environment: str) -> float:
    """Seconds of `make test-roles ROLE=haproxy` on trixie; RuntimeError with its last words when it fails."""
    environment = {**os.environ, "ROLE": "haproxy", "LAB_SUITE": "trixie", **environment}
    words = [sys.executable, str(balancers.ROOT / "scripts" / "tests.py"), "roles"]
    started = time.monotonic()
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"molecule test with {environment['LAB_DRIVER']} failed:\n{ran.stdout[-4000:]}{ran.stderr}")
    return time.monotonic() - started


def timed(action: Callable[[], Any]) -> float:
    """Seconds that an action took."""
    started = time.monotonic()
    action()
    return time.monotonic() - started
