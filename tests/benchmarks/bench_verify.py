"""Verification of 6,400 VMs against one plain read of the same database and the same endpoint."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy
from ansible_collections.photon.platform.plugins.module_utils.cloudstore.tables import tables
from ansible_collections.photon.platform.plugins.module_utils.services import verify
from ansible_collections.photon.platform.plugins.module_utils.services.run import Request, reading
from ansible_collections.photon.platform.plugins.module_utils.vsphere import inventory
from pyVmomi import vim

from tests.benchmarks.cloud import Cloud, RawSession, interleaved, median

VMS, REPEAT = 6400, 5


def run(context: Any) -> dict[str, float]:
    """Figures: seconds of a verification that finds nothing, and that over the plain read."""
    with Cloud(context) as cloud:
        cloud.apply([{**cloud.vm(f"web-[0001:{VMS}]"), "state": "stopped"}])
        rows: list[int] = []
        ours, database, endpoint = interleaved(
            REPEAT, lambda: _verify(cloud), lambda: _read_database(cloud, rows), lambda: _read_endpoint(cloud)
        )
    plain = median(database) + median(endpoint)
    table = [
        [f"verify {VMS} VMs", median(ours)],
        [f"read every row of the database ({rows[-1]})", median(database)],
        ["plain pyvmomi: one session, one read of the same paths", median(endpoint)],
    ]
    context.table(["work", "seconds"], table)
    return {"verify_6400_s": median(ours), "verify_6400_over_read": median(ours) / plain}


def _verify(cloud: Cloud) -> float:
    request = Request(cloudstore_url=cloud.url, allow_ephemeral=True, credentials=cloud.credentials)
    request.options.base_directory = str(cloud.folder)
    started = time.perf_counter()
    with reading(request) as context:
        verified = verify.verify(context)
    seconds = time.perf_counter() - started
    if verified.left or verified.compared != ["vc1"]:
        raise RuntimeError(f"{len(verified.left)} findings of a sound site: {verified.left[:3]} {verified.warnings}")
    return seconds


def _read_database(cloud: Cloud, rows: list[int]) -> float:
    """Seconds of reading every row of every table that describes the present, as plain rows."""
    names = ("documents", "providers", "inventories", "allocations", "exclusives", "tasks", "runs", "tombstones")
    started = time.perf_counter()
    engine = sqlalchemy.create_engine(cloud.url)
    with engine.connect() as connection:
        rows.append(sum(len(connection.execute(getattr(tables(), name).select()).all()) for name in names))
    engine.dispose()
    return time.perf_counter() - started


def _read_endpoint(cloud: Cloud) -> float:
    """Seconds of one session with one read of everything that the product reads."""
    started = time.perf_counter()
    with RawSession(cloud.endpoint) as raw:
        seen = raw.read(inventory.PATHS)
    seconds = time.perf_counter() - started
    if sum(isinstance(row.obj, vim.VirtualMachine) for row in seen) < VMS:
        raise RuntimeError(f"the plain read saw only {len(seen)} objects")
    return seconds
