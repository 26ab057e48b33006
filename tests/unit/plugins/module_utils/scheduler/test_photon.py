"""The original's numbers: scores, the 95 % limit, best effort, sampling by scheduling constant."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.scheduler import place
from ansible_collections.photon.platform.plugins.module_utils.scheduler.photon import (
    scheduling_constants,
    score,
    winner_score,
)

GB = 1 << 30


def host(name="h", **changes):
    return {"id": name, "vcpus": 1, "memory": 100 * GB, "datastores": [], **changes}


def placement(hosts, **changes):
    request = {"id": "vm", "vcpus": 4, "memory": 25 * GB, **changes}
    return place([request], {"hosts": hosts, "datastores": DATASTORES, "images": {"i": ["d1"]}}, policy="photon")


DATASTORES = [
    {"id": "d1", "capacity": 100 * GB, "used": 10 * GB},
    {"id": "d2", "capacity": 100 * GB, "used": 0, "tags": ["fast"]},
]


@pytest.mark.parametrize(("share", "points"), [(0, 100), (0.25, 75), (0.994, 1), (1, 0)])
def test_score(share, points):
    assert score(share) == points


def test_the_winner_mixes_nine_to_one():
    assert winner_score({"memory": 50, "cpu": 60, "storage": 70, "transfer": 100}) == 55


def test_the_worst_part_is_the_utilization():
    [row] = placement([host()])["placements"]
    assert row["parts"] == {"memory": 75, "cpu": 75, "storage": 100, "transfer": 100}
    assert row["score"] == (9 * 75 + 100) / 10


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"vcpus": 16}, "NotEnoughCpuResource"), ({"memory": 96 * GB}, "NotEnoughMemoryResource")],
)
def test_what_would_fill_more_than_95_percent_is_refused(changes, code):
    result = placement([host()], **changes)
    assert result["unplaced"][0]["code"] == code
    assert placement([host()], vcpus=15, memory=95 * GB)["placements"]


@pytest.mark.parametrize(("consumed", "points"), [(85, (75 + 15) / 2), (75, 75), (None, 75)])
def test_real_memory_counts_where_it_is_nearly_used_up(consumed, points):
    [row] = placement([host(consumed_memory=consumed and consumed * GB)])["placements"]
    assert row["parts"]["memory"] == points


@pytest.mark.parametrize(
    ("sizes", "points"),
    [
        ([40], 100),  # 25 % of 200 GB
        ([85, 80], 12 / 10),  # 87.5 % and on two datastores: best effort
        ([90, 5], 100),  # 52.5 %, and the emptiest one takes all
    ],
)
def test_storage(sizes, points):
    disks = [{"capacity": size * GB} for size in sizes]
    [row] = placement([host(datastores=["d1", "d2"])], disks=disks)["placements"]
    assert row["parts"]["storage"] == pytest.approx(points)


def test_boot_disks_are_copies_on_write_and_count_nothing():
    disks = [{"capacity": 90 * GB, "boot": True}]
    [row] = placement([host(datastores=["d1"])], disks=disks, image="i")["placements"]
    assert (row["parts"]["storage"], row["parts"]["transfer"]) == (100, 100)
    [row] = placement([host(datastores=["d2"])], disks=disks, image="i", image_must_be_present=False)["placements"]
    assert row["parts"]["transfer"] == 0


def test_constants_are_a_halton_sequence_over_the_ids():
    assert scheduling_constants(["c", "a", "b"], [None, None, None]) == [7500, 5000, 2500]
    assert scheduling_constants(["a"], [42]) == [42]


def test_four_hosts_are_sampled_and_the_best_of_them_wins():
    hosts = [host(f"h{n}", scheduling_constant=n * 100, used_memory=(n % 7) * 10 * GB) for n in range(100)]
    chosen = {}
    for seed in range(30):
        request = {"id": "vm", "vcpus": 1, "memory": GB}
        [row] = place([request], {"hosts": hosts}, policy="photon", seed=seed)["placements"]
        chosen[seed] = row["host"]
    assert len(set(chosen.values())) > 10
    # Of any four neighbours in the sequence of seven loads the least loaded has at most 30 GB in use.
    assert all(int(name[1:]) % 7 <= 3 for name in chosen.values())


def test_the_next_hosts_are_asked_where_the_sample_refuses():
    hosts = [host(f"h{n}", scheduling_constant=n * 100, used_memory=90 * GB) for n in range(20)] + [host("free")]
    assert placement(hosts)["placements"][0]["host"] == "free"
