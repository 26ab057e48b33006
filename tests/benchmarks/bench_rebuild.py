# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rebuild of a CloudStore with 1,000 VMs against one plain read of its endpoint, with devices and extraConfig."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.photon.platform.plugins.module_utils.services.planning import Options
from ansible_collections.photon.platform.plugins.module_utils.services.rebuild import rebuild
from ansible_collections.photon.platform.plugins.module_utils.services.run import Request
from ansible_collections.photon.platform.plugins.module_utils.vsphere import inventory
from pyVmomi import vim

from tests.benchmarks.cloud import Cloud, RawSession, interleaved, median

VMS, REPEAT = 1000, 5


def run(context: Any) -> dict[str, float]:
    """Figures: seconds of a rebuild, and that over the plain read."""
    with Cloud(context) as cloud:
        vms = [{**cloud.vm(f"web-[0001:{VMS}]"), "state": "stopped"}]
        cloud.apply(vms)
        ours, plain = interleaved(REPEAT, lambda: _rebuild(cloud, vms), lambda: _read(cloud))
    table = [
        [f"rebuild {VMS} VMs", median(ours)],
        ["plain pyvmomi: one session, one read with devices and extraConfig", median(plain)],
    ]
    context.table(["work", "seconds"], table)
    return {"rebuild_1000_s": median(ours), "rebuild_1000_over_read": median(ours) / median(plain)}


def _rebuild(cloud: Cloud, vms: list[dict[str, Any]]) -> float:
    """Seconds of a rebuild into a database that was deleted."""
    for path in cloud.folder.glob("cloud.db*"):
        path.unlink()
    request = Request(
        cloudstore_url=cloud.url,
        allow_ephemeral=True,
        credentials=cloud.credentials,
        whole=True,
        options=Options(base_directory=str(cloud.folder)),
    )
    started = time.perf_counter()
    outcome = rebuild(cloud.tree(vms), request)
    seconds = time.perf_counter() - started
    if outcome["rebuilt"]["vm"] != VMS or outcome["contradicting"]:
        raise RuntimeError(f"{outcome['rebuilt']} {outcome['contradictions'][:3]}")
    return seconds


def _read(cloud: Cloud) -> float:
    """Seconds of one session with one read of everything that a rebuild reads."""
    paths = {**inventory.PATHS, "VirtualMachine": [*inventory.VM_PATHS, *inventory.HEAVY_PATHS]}
    started = time.perf_counter()
    with RawSession(cloud.endpoint) as raw:
        seen = raw.read(paths)
    seconds = time.perf_counter() - started
    if sum(isinstance(row.obj, vim.VirtualMachine) for row in seen) < VMS:
        raise RuntimeError(f"the plain read saw only {len(seen)} objects")
    return seconds
