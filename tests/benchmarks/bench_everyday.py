# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everyday commands: the inventory of 1,000 VMs, photon-plan of a small site, what progress costs, how soon an
interrupt ends a run, mistakes that no message explains, and replicas that share a host."""

from __future__ import annotations

import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from ansible_collections.photon.platform.plugins.module_utils.scheduler import place

from tests.benchmarks.cloud import Cloud, interleaved, median
from tests.support import terminal, workloads
from tests.support.validity import shared_hosts, violations

VMS, SMALL, REPEAT = 1000, 61, 5
FLEETS, ITEMS = 20, 30
WATCHED, PAIRS = 200, 9
# When an apply of SMALL VMs is interrupted: after so many calls of a kind, and with which signal.
INTERRUPTS = (
    ("RetrieveServiceContent", 1, signal.SIGINT),  # it reads
    ("CreateVM_Task", 1, signal.SIGINT),
    ("CreateVM_Task", 30, signal.SIGTERM),
    ("PowerOnVM_Task", 1, signal.SIGINT),
    ("PowerOnVM_Task", 40, signal.SIGTERM),
)
# Every row of the table of mistakes is a test with its number.
MISTAKES = (
    "tests/unit/plugins/module_utils/model/test_mistakes.py",
    "tests/unit/plugins/lookup/test_declaration.py",
    "tests/integration/test_mistakes.py",
)


def run(context: Any) -> dict[str, float]:
    """Figures: size and time of ansible-inventory --list, photon-plan over a ping, unhelpful messages, shared hosts."""
    unhelpful, shared = mistakes_unhelpful(context), spread_shared_hosts()
    with Cloud(context) as cloud:
        cloud.declare([cloud.vm(f"web-[01:{SMALL}]")])
        cloud.apply([cloud.vm(f"web-[01:{SMALL}]")])
        plan, ping = interleaved(REPEAT, lambda: planned(context, cloud), lambda: cloud.run("ping.yml").seconds)
        cloud.clear()
        overheads = watched(cloud)
        interrupts = [interrupted(context, cloud, *moment) for moment in INTERRUPTS]
        cloud.clear()
        cloud.apply([{**cloud.vm(f"web-[0001:{VMS}]"), "state": "present"}])
        source = inventory_of(cloud)
        sizes: list[int] = []

        def full() -> float:
            done = listed(context, source)
            sizes.append(len(done.output.encode()))
            return done.cpu_seconds

        whole, empty = interleaved(REPEAT, full, lambda: listed(context, "localhost,").cpu_seconds)
    rows = [
        [f"ansible-inventory --list, {VMS} VMs", median(whole), sizes[-1] // 1000],
        ["ansible-inventory --list, one host", median(empty), ""],
        [f"photon-plan, {SMALL} VMs that stay", median(plan), ""],
        ["playbook, one ping", median(ping), ""],
        ["interrupt, or end of what was under way, to the end of photon-apply", max(interrupts), ""],
    ]
    context.table(["work", "seconds", "kB"], rows)
    return {
        "inventory_list_1000_kb": sizes[-1] / 1000,
        "inventory_list_1000_over_empty": median(whole) / median(empty),
        "plan_61_over_ping": median(plan) / median(ping),
        "progress_overhead": median(overheads),
        "interrupt_s_max": max(interrupts),
        "mistakes_unhelpful": unhelpful,
        "spread_shared_hosts": shared,
    }


def inventory_of(cloud: Cloud) -> pathlib.Path:
    """An inventory source as inventories/production has it: every VM a host."""
    folder = cloud.folder / "listed"
    folder.mkdir()
    (folder / "vms.photon.yml").write_text(
        "plugin: photon.platform.cloudstore\n"
        f"cloudstore_url: {cloud.url}\n"
        "cloudstore_allow_ephemeral: true\n"
        "compose: {ansible_user: \"'debian'\"}\n"
    )
    return folder


def listed(context: Any, source: pathlib.Path | str) -> Any:
    """One run of ansible-inventory --list."""
    program = pathlib.Path(sys.executable).parent / "ansible-inventory"
    environment = {"ANSIBLE_CONFIG": str(context.root / "ansible.cfg")}
    return context.process([program, "-i", source, "--list"], environment=environment).runs[0]


def planned(context: Any, cloud: Cloud) -> float:
    """Seconds of photon-plan where nothing changes."""
    words = [sys.executable, context.root / "bin" / "photon-plan", "-i", cloud.folder / "inventory"]
    return context.process(words).runs[0].seconds


def watched(cloud: Cloud) -> list[float]:
    """How much longer each of the pairs takes with bars on a terminal than without: a ratio."""
    cloud.declare([cloud.vm(f"web-[001:{WATCHED}]")])
    config = cloud.folder / "ansible.cfg"
    config.write_text(re.sub("(?m)^callbacks_enabled.*$", "", (cloud.context.root / "ansible.cfg").read_text()))
    program = str(pathlib.Path(sys.executable).parent / "ansible-playbook")
    collections = str(cloud.context.root / "collections")
    environment = {**os.environ, "ANSIBLE_CONFIG": str(config), "ANSIBLE_COLLECTIONS_PATH": collections}
    environment["TERM"] = "xterm"

    def once(callbacks: dict[str, str]) -> float:
        cloud.clear()
        began = time.perf_counter()
        seen = terminal.run([program, "vm.yml"], {**environment, **callbacks}, str(cloud.folder), columns=100)
        seconds = time.perf_counter() - began
        if seen.code or ("vm create" in seen.raw) != bool(callbacks):
            raise RuntimeError(seen.raw[-4000:])
        return seconds

    callback = {"ANSIBLE_CALLBACKS_ENABLED": "photon.platform.progress"}
    pairs = zip(*interleaved(PAIRS, lambda: once(callback), lambda: once({})), strict=True)
    return [with_bars / without for with_bars, without in pairs]


def interrupted(context: Any, cloud: Cloud, method: str, calls: int, number: int) -> float:
    """Seconds from a signal to the end of photon-apply, without those that the tasks under way still took."""
    cloud.clear()
    cloud.declare([cloud.vm(f"web-[01:{SMALL}]")])
    cloud.lab.control.delay(task={"CreateVm": 1000, "PowerOn": 1000})
    words = [sys.executable, context.root / "bin" / "photon-apply", "--yes", "-i", cloud.folder / "inventory"]
    with open(cloud.folder / "interrupted.log", "w+", encoding="utf-8") as log:
        apply = subprocess.Popen(
            [str(word) for word in words],
            env={**os.environ, "ANSIBLE_CONFIG": str(context.root / "ansible.cfg")},
            stdout=log,
            stderr=log,
        )
        while cloud.lab.control.calls("vc1").get(method, 0) < calls and apply.poll() is None:
            time.sleep(0.02)
        apply.send_signal(number)
        ended = threading.Event()
        changes = [time.perf_counter()]
        watcher = threading.Thread(target=_note_changes, args=(cloud, ended, changes))
        watcher.start()
        code = apply.wait()
        seconds = time.perf_counter()
        ended.set()
        watcher.join()
        log.seek(0)
        said = log.read()
    cloud.lab.control.delay(task={})
    if code != 1 or "Traceback" in said or "interrupted" not in said.lower():
        raise RuntimeError(f"photon-apply ended with {code}:\n{said[-4000:]}")
    return seconds - max(change for change in changes if change <= seconds)


def _note_changes(cloud: Cloud, ended: threading.Event, changes: list[float]) -> None:
    """Note each time at which a VM was made or started."""
    before = None
    while not ended.wait(0.05):
        now = {vm["moid"]: vm["power_state"] for vm in cloud.lab.control.state("vc1")["vms"]}
        if before is not None and now != before:
            changes.append(time.perf_counter())
        before = now


def mistakes_unhelpful(context: Any) -> int:
    """The number of mistakes whose message lacks the words that a person needs."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *MISTAKES]
    done = context.process(words, environment={**os.environ, "PYTHONPATH": "collections"}, check=False).runs[0]
    if not re.search(r"\d+ passed", done.output):
        raise RuntimeError(done.output[-2000:])
    return sum(int(number) for number in re.findall(r"(\d+) (?:failed|errors?)\b", done.output))


def spread_shared_hosts() -> int:
    """Replicas that share a host though another one fits, in seeded fleets that grow by two batches of ranges."""
    shared = 0
    for seed in range(FLEETS):
        rng = random.Random(seed)
        fleet = workloads.big_fleet(rng.randrange(8, 60), zones=rng.choice((1, 2, 4)), seed=seed)
        zones = [zone["name"] for zone in fleet["zones"]]
        for batch in range(2):
            items = rng.sample(range(2 * ITEMS), ITEMS)
            requests = [an_item(f"{batch}-{number}", f"item-{number}-*", zones, rng) for number in items]
            answer = place(requests, fleet, seed=seed)
            if broken := violations(requests, fleet, answer):
                raise RuntimeError(f"fleet {seed}: {broken[0]}")
            shared += len(shared_hosts(requests, fleet, answer))
            grow(fleet, requests, answer)
    return shared


def an_item(name: str, item: str, zones: list[str], rng: random.Random) -> dict[str, Any]:
    """A range of VMs as a project declares it; some of the second batch add members to one of the first."""
    request = {
        "id": name,
        "count": rng.choice((1, 2, 3, 5, 8, 20)),
        "vcpus": rng.choice((1, 2, 4)),
        "memory": rng.choice((1, 2, 8)) << 30,
        "disks": [{"capacity": 20 << 30, "boot": True}],
        "image": "debian",
        "tenant": "acme",
        "spread_group": item,
        "project": f"project-{rng.randrange(4)}",
        "port_groups": rng.choice(([], ["dmz"])),
        "host_tags": rng.choice(([], [], ["ssd"])),
    }
    if rng.random() < 0.3:
        request["spread_over"] = rng.choice(("zone", "rack", "host"))
    elif rng.random() < 0.3:
        request["zone"] = rng.choice(zones)
    return request


def grow(fleet: dict[str, Any], requests: list[dict[str, Any]], answer: dict[str, Any]) -> None:
    """Add the placed VMs to the fleet, with what they use."""
    wanted = {request["id"]: request for request in requests}
    hosts, stores = ({row["id"]: row for row in fleet[key]} for key in ("hosts", "datastores"))
    for row in answer["placements"]:
        request, host = wanted[row["request"]], hosts[row["host"]]
        host["used_vcpus"] += request["vcpus"]
        host["used_memory"] += request["memory"]
        for disk, store in zip(request["disks"], row["datastores"], strict=True):
            stores[store]["used"] += disk["capacity"]
        kept = {key: request[key] for key in ("spread_group", "project")}
        fleet["vms"].append({"id": f"{row['request']}-{row['index']}", "host": row["host"], **kept})
