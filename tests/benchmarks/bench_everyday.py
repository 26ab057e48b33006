# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everyday commands: the inventory of 1,000 VMs, photon-plan of a small site, and mistakes that no message explains."""

from __future__ import annotations

import os
import pathlib
import re
import sys
from typing import Any

from tests.benchmarks.cloud import Cloud, interleaved, median

VMS, SMALL, REPEAT = 1000, 61, 5
# Every row of the table of mistakes is a test with its number.
MISTAKES = (
    "tests/unit/plugins/module_utils/model/test_mistakes.py",
    "tests/unit/plugins/lookup/test_declaration.py",
    "tests/integration/test_mistakes.py",
)


def run(context: Any) -> dict[str, float]:
    """Figures: size and time of ansible-inventory --list, photon-plan over a ping, unhelpful messages."""
    unhelpful = mistakes_unhelpful(context)
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
