# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that must be copied first: where a VM may go, what the copy takes, and what it costs a place."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.scheduler import place
from ansible_collections.photon.platform.plugins.module_utils.scheduler.fleet import Fleet
from ansible_collections.photon.platform.plugins.module_utils.scheduler.policies import read_policy
from ansible_collections.photon.platform.plugins.module_utils.scheduler.requests import Batch
from ansible_collections.photon.platform.plugins.module_utils.scheduler.state import State

GB = 1 << 30


def fleet(*stores: tuple[str, int], image: dict | None = None, hosts: int = 1) -> dict:
    """Hosts that mount all datastores ``(name, free bytes of 100 GB)``."""
    names = [name for name, _free in stores]
    return {
        "hosts": [{"id": f"h{n}", "vcpus": 64, "memory": 512 * GB, "datastores": [*names]} for n in range(hosts)],
        "datastores": [{"id": name, "capacity": 100 * GB, "used": 100 * GB - free} for name, free in stores],
        "images": {"i": image if image is not None else {"size": 4 * GB, "datastores": [], "copyable": names}},
    }


def vms(count: int = 1, capacity: int = GB, **more) -> list[dict]:
    disk = {"capacity": capacity, "boot": True}
    return [{"id": "vm", "count": count, "vcpus": 1, "memory": GB, "image": "i", "disks": [disk], **more}]


def stores(requests: list[dict], description: dict, **options) -> list[str]:
    return [row["datastores"][0] for row in place(requests, description, **options)["placements"]]


POLICIES = pytest.mark.parametrize("policy", ["spread", "pack", "photon"])


@POLICIES
def test_a_vm_may_go_where_the_image_can_be_copied_to(policy: str) -> None:
    nowhere = fleet(("d", 50 * GB), image={"size": GB, "datastores": [], "copyable": []})
    assert place(vms(), nowhere, policy=policy)["unplaced"][0]["code"] == "NoSuchResource"
    assert stores(vms(), fleet(("d", 50 * GB)), policy=policy) == ["d"]


@POLICIES
def test_the_copy_needs_its_space_once(policy: str) -> None:
    """4 GB for the copy and 1 GB for each VM."""
    requests, description = vms(10), fleet(("d", 9 * GB))
    description["datastores"][0]["capacity"] = 1000 * GB if policy == "photon" else 100 * GB
    description["datastores"][0]["used"] = description["datastores"][0]["capacity"] - 9 * GB
    if policy == "photon":  # its 95 % limit is another matter
        description["datastores"].append({"id": "other", "capacity": 100_000 * GB})
        description["hosts"][0]["datastores"].append("other")
    answer = place(requests, description, policy=policy)
    assert len(answer["placements"]) == 5
    assert {row["code"] for row in answer["unplaced"]} == {"NotEnoughDatastoreCapacity"}
    present = {**description, "images": {"i": {"size": 4 * GB, "datastores": ["d"], "copyable": []}}}
    assert len(place(requests, present, policy=policy)["placements"]) == 9


def test_vms_that_are_taken_back_take_their_copy_back() -> None:
    description = Fleet(fleet(("d", 20 * GB)))
    batch = Batch(vms(2), description)
    state = State(description, batch, read_policy("spread", None, 0, "normal", None))
    [kind] = batch.kinds
    free = []
    for times in (1, 1, -1, -1, 1):
        state.add(kind, 0, (0,), times)
        free.append(state.store_free[0] // GB)
    assert free == [15, 14, 15, 20, 15]


def test_missing_bytes_cost_a_ninth_of_a_datastore_at_most() -> None:
    have = {"size": 4 * GB, "datastores": ["old"], "copyable": ["new"]}
    assert stores(vms(), fleet(("old", 45 * GB), ("new", 55 * GB), image=have)) == ["old"]  # 10 GB are not worth it
    assert stores(vms(), fleet(("old", 40 * GB), ("new", 55 * GB), image=have)) == ["new"]  # 15 GB are
    tiny = {**have, "size": 64 << 20}
    assert stores(vms(), fleet(("old", 45 * GB), ("new", 55 * GB), image=tiny)) == ["new"]  # a 16th of a GiB: 0.7 GB


def test_the_second_vm_on_a_datastore_finds_the_image_there() -> None:
    answer = stores(vms(8), fleet(("a", 50 * GB), ("b", 51 * GB)))
    assert set(answer) == {"b"}  # 47 GB without another copy, and 50 with one


@pytest.mark.parametrize(("size", "points"), [(GB // 4, 75), (GB, 0), (40 * GB, 0), (0, 100)])
def test_the_transfer_score_is_the_originals(size: int, points: int) -> None:
    image = {"size": size, "datastores": [], "copyable": ["d"]}
    [row] = place(vms(), fleet(("d", 99 * GB), image=image), policy="photon")["placements"]
    assert row["parts"]["transfer"] == points


def test_equal_hosts_with_the_image_come_first() -> None:
    description = fleet(("shared", 60 * GB), hosts=8)
    for n, host in enumerate(description["hosts"]):
        host["datastores"] = [f"local{n}"]
    description["datastores"] = [{"id": f"local{n}", "capacity": 100 * GB, "used": 40 * GB} for n in range(8)]
    description["images"]["i"] = {"size": 4 * GB, "datastores": ["local5"], "copyable": [f"local{n}" for n in range(8)]}
    for seed in range(10):
        assert stores(vms(), description, seed=seed) == ["local5"]


def test_other_disks_do_not_wait_for_the_image() -> None:
    """A data disk beside the boot disk takes its own space alone."""
    request = vms()[0]
    request["disks"].append({"capacity": 94 * GB})
    [row] = place([request], fleet(("a", 95 * GB), ("b", 6 * GB)))["placements"]
    assert row["datastores"] == ["b", "a"]


@pytest.mark.parametrize("image", [{"sise": 1}, {"size": -1}, {"datastores": "d"}])
def test_mistakes_in_an_image_name_it(image: dict) -> None:
    with pytest.raises(PhotonError, match="image i"):
        place(vms(), fleet(("d", GB), image=image))
