# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everyday commands: the inventory of 1,000 VMs, photon-plan of a small site, mistakes that no message explains, and
replicas that share a host."""

from __future__ import annotations

import os
import pathlib
import random
import re
import sys
from typing import Any

from ansible_collections.photon.platform.plugins.module_utils.scheduler import place

from tests.benchmarks.cloud import Cloud, interleaved, median
from tests.support import workloads
from tests.support.validity import shared_hosts, violations

VMS, SMALL, REPEAT = 1000, 61, 5
FLEETS, ITEMS = 20, 30
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
    ]
    context.table(["work", "seconds", "kB"], rows)
    return {
        "inventory_list_1000_kb": sizes[-1] / 1000,
        "inventory_list_1000_over_empty": median(whole) / median(empty),
        "plan_61_over_ping": median(plan) / median(ping),
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
