"""Whatever the input, no placement breaks a rule, every VM gets one answer, and the order of hosts is no matter."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.scheduler import place
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.validity import shared_hosts, violations

POLICIES = ("spread", "pack", "photon")
LEVELS = ("host", "rack", "zone")
TAGS = st.lists(st.sampled_from(("ssd", "gpu")), unique=True)
SLOW = (HealthCheck.too_slow,)


@st.composite
def fleets(draw):
    stores = [
        {
            "id": f"d{n}",
            "type": draw(st.sampled_from(("LOCAL_VMFS", "SHARED_VMFS"))),
            "tags": draw(TAGS),
            "capacity": draw(st.integers(0, 60)),
            "used": draw(st.integers(0, 20)),
            "usable_for_vms": draw(st.booleans()),
        }
        for n in range(draw(st.integers(0, 4)))
    ]
    hosts = [
        {
            "id": f"h{n}",
            "zone": draw(st.sampled_from(("a", "b", "c", None))),
            "rack": draw(st.sampled_from(("1", "2", None))),
            "state": draw(st.sampled_from(("READY", "READY", "READY", "MAINTENANCE"))),
            "usage_tags": draw(st.sampled_from((["CLOUD"], ["CLOUD"], ["CLOUD", "MGMT"], ["MGMT"]))),
            "tags": draw(TAGS),
            "vcpus": draw(st.integers(0, 8)),
            "cpu_overcommit": draw(st.sampled_from((1.0, 1.5, 2.0))),
            "memory": draw(st.integers(0, 32)),
            "used_vcpus": draw(st.integers(0, 3)),
            "used_memory": draw(st.integers(0, 8)),
            "reserved_memory": draw(st.integers(0, 2)),
            "port_groups": draw(st.lists(st.sampled_from(("x", "y")), unique=True)),
            "datastores": draw(st.lists(st.sampled_from([s["id"] for s in stores]), unique=True)) if stores else [],
        }
        for n in range(draw(st.integers(0, 7)))
    ]
    vms = [
        {
            "id": f"v{n}",
            "host": draw(st.sampled_from([h["id"] for h in hosts])),
            "groups": draw(groups()),
            "spread_group": draw(st.sampled_from((None, "s1"))),
        }
        for n in range(draw(st.integers(0, 3)) if hosts else 0)
    ]
    zones = [
        {
            "name": name,
            "state": draw(st.sampled_from(("READY", "READY", "CREATING"))),
            "dedicated_tenants": draw(st.sampled_from(([], [], ["bank"]))),
        }
        for name in ("a", "b", "c")
    ]
    images = {"i": draw(st.lists(st.sampled_from([s["id"] for s in stores]), unique=True)) if stores else []}
    return {"hosts": hosts, "datastores": stores, "zones": zones, "images": images, "vms": vms}


@st.composite
def groups(draw):
    return [
        {
            "name": name,
            "kind": draw(st.sampled_from(("affinity", "anti-affinity"))),
            "level": draw(st.sampled_from(LEVELS)),
            "hard": draw(st.booleans()),
        }
        for name in draw(st.lists(st.sampled_from(("g1", "g2", "g3")), unique=True, max_size=2))
    ]


@st.composite
def requests(draw):
    found = []
    for n in range(draw(st.integers(1, 6))):
        item = {
            "id": f"r{n}",
            "count": draw(st.integers(1, 4)),
            "vcpus": draw(st.integers(0, 4)),
            "memory": draw(st.integers(0, 12)),
            "zone": draw(st.sampled_from((None, None, "a", "b"))),
            "host_tags": draw(st.lists(st.sampled_from(("ssd",)), unique=True)),
            "image": draw(st.sampled_from((None, "i"))),
            "port_groups": draw(st.lists(st.sampled_from(("x",)), unique=True)),
            "tenant": draw(st.sampled_from((None, "bank"))),
            "disks": [
                {
                    "capacity": draw(st.integers(0, 12)),
                    "tags": draw(st.lists(st.sampled_from(("ssd", "SHARED_VMFS")), unique=True)),
                    "boot": number == 0,
                }
                for number in range(draw(st.integers(0, 3)))
            ],
            "groups": draw(groups()),
        }
        if draw(st.booleans()):
            item.update(
                spread_over=draw(st.sampled_from(LEVELS)),
                max_skew=draw(st.sampled_from((None, 1, 2))),
                spread_group=draw(st.sampled_from((None, "s1", "s2"))),
            )
        found.append(item)
    return found


def answer(wanted, fleet, **options):
    """The answer, or None where the drawn rules contradict each other."""
    try:
        return place(wanted, fleet, **options)
    except PhotonError as error:
        assert error.code == "SpecInvalid"  # noqa: PT017 - the other outcome of this draw
        assert error.data["key"] == "groups"  # noqa: PT017
        return None


@settings(max_examples=200, deadline=None, suppress_health_check=SLOW)
@given(fleet=fleets(), wanted=requests(), seed=st.integers(0, 3))
def test_replicas_share_no_host_while_another_one_fits(fleet, wanted, seed):
    result = answer(wanted, fleet, seed=seed)
    if result is not None:
        assert shared_hosts(wanted, fleet, result) == []


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(fleet=fleets(), wanted=requests(), seed=st.integers(0, 3))
def test_no_placement_breaks_a_rule(policy, fleet, wanted, seed):
    result = answer(wanted, fleet, policy=policy, seed=seed)
    if result is not None:
        assert violations(wanted, fleet, result) == []
        for row in result["unplaced"]:
            assert row["code"]
            assert row["message"]
            assert sum(n for _name, n in row["eliminated"]) == len(fleet["hosts"])


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(fleet=fleets(), wanted=requests(), random=st.randoms(use_true_random=False), policy=st.sampled_from(POLICIES))
def test_the_order_of_hosts_does_not_change_validity(fleet, wanted, random, policy):
    shuffled = {**fleet, "hosts": random.sample(fleet["hosts"], len(fleet["hosts"]))}
    result = answer(wanted, shuffled, policy=policy)
    if result is not None:
        assert violations(wanted, fleet, result) == []


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(fleet=fleets(), wanted=requests(), policy=st.sampled_from(("pack", "spread")))
def test_optimal_is_valid_and_never_places_less(fleet, wanted, policy):
    pytest.importorskip("highspy")
    quick = answer(wanted, fleet, policy=policy)
    if quick is not None:
        best = answer(wanted, fleet, policy=policy, quality="optimal")
        assert violations(wanted, fleet, best) == []
        assert len(best["unplaced"]) <= len(quick["unplaced"])
        summary = best["summary"]
        if policy == "pack" and not best["unplaced"] and summary["bound"] is not None:
            assert summary["bound"] <= summary["hosts_opened"]
