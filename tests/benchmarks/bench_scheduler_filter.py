"""The filter place inside a template, beside filters that only read and write the same lists."""

from __future__ import annotations

import json
import re
import statistics
from typing import Any

from tests.benchmarks.bench_scheduler_speed import trace
from tests.support import workloads

VMS, HOSTS, RUNS = 100_000, 10_000, 3

FILTERS = '''
from ansible_collections.photon.platform.plugins.module_utils.scheduler import plain


def touch(requests, fleet):
    """Read everything, write as many rows as place does."""
    requests, fleet = plain(requests), plain(fleet)
    host = fleet["hosts"][0]["id"]
    return {"placements": [
        {"request": r["id"], "index": 0, "host": host, "zone": r.get("zone"), "rack": "r1", "datastores": [host],
         "score": 97.2, "parts": {"cpu": 97.2, "memory": 98.1, "storage": 96.4}} for r in requests]}


class FilterModule:
    def filters(self):
        hosts = lambda fleet: len(plain(fleet)["hosts"])
        return {"touch": touch, "touch_hosts": hosts}
'''

CALLBACK = """
import time

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_NAME = "tasktime"

    def v2_playbook_on_task_start(self, task, is_conditional):
        self.name, self.started = task.get_name(), time.perf_counter()

    def v2_runner_on_ok(self, result):
        print(f"TASK {self.name}: {time.perf_counter() - self.started:.4f} s", flush=True)
"""


def run(context: Any) -> dict[str, float]:
    rows, source = trace(context, VMS)
    fleet = workloads.big_fleet(HOSTS)
    print(f"{source}: {VMS:,} requests, {HOSTS:,} hosts; the seconds of a task that asserts on the filter's answer")
    each = task_seconds(
        context,
        workloads.constrained(rows),
        fleet,
        {
            "no-op": f"(requests | touch(fleet)).placements | length == {VMS}",
            "place": f"(requests | photon.platform.place(fleet)).placements | length == {VMS}",
        },
    )
    kinds: dict[tuple[int, int], int] = {}
    for row in rows:
        kinds[row["vcpus"], row["memory"]] = kinds.get((row["vcpus"], row["memory"]), 0) + 1
    counted = [
        {"id": f"type-{n}", "count": count, "vcpus": vcpus, "memory": memory}
        for n, ((vcpus, memory), count) in enumerate(sorted(kinds.items()))
    ]
    count = task_seconds(
        context,
        counted,
        fleet,
        {
            "no-op that reads the fleet": f"fleet | touch_hosts == {HOSTS}",
            "place with count:": f"(requests | photon.platform.place(fleet)).summary.placed == {VMS}",
        },
    )
    context.table(["filter", "s"], [*each.items(), *count.items()])
    noop, filtered = each.values()
    reading, counting = count.values()
    return {
        "filter_over_noop": filtered / noop,
        "place_count_over_noop": counting / reading,
    }


def task_seconds(
    context: Any, requests: list[dict[str, Any]], fleet: dict[str, Any], tasks: dict[str, str]
) -> dict[str, float]:
    """Median seconds of one task per expression, over several runs of one playbook."""
    folder = context.work
    for kind, text in (("filter_plugins/touch.py", FILTERS), ("callback_plugins/tasktime.py", CALLBACK)):
        (folder / kind).parent.mkdir(exist_ok=True)
        (folder / kind).write_text(text)
    (folder / "data.json").write_text(json.dumps({"requests": requests, "fleet": fleet}))
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars_files": [str(folder / "data.json")],
        "tasks": [
            {"name": name, "ansible.builtin.assert": {"that": [text], "quiet": True}} for name, text in tasks.items()
        ],
    }
    (folder / "play.yml").write_text(json.dumps([play]))
    runs = context.playbook(
        folder / "play.yml",
        "-i",
        "localhost,",
        "-c",
        "local",
        repeat=RUNS,
        environment={
            "ANSIBLE_CALLBACK_PLUGINS": str(folder / "callback_plugins"),
            "ANSIBLE_CALLBACKS_ENABLED": "tasktime",
        },
    )
    found: dict[str, list[float]] = {}
    for process in runs.runs:
        for name, seconds in re.findall(r"^TASK (.+): ([\d.]+) s$", process.output, re.MULTILINE):
            found.setdefault(name, []).append(float(seconds))
    return {name: statistics.median(found[name]) for name in tasks}
