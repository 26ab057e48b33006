"""The scheduler's filters: called as functions, and once from a playbook."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.photon.platform.plugins.filter import (
    explain,
    fits,
    headroom,
    place,
    rebalance,
    replace_lost,
    what_if,
)

GB = 1 << 30
FLEET = {
    "hosts": [
        {"id": f"h{n}", "zone": "ab"[n % 2], "vcpus": 4, "cpu_overcommit": 1.0, "memory": 16 * GB, "used_vcpus": n}
        for n in range(3)
    ],
    "zones": [{"name": "a"}, {"name": "b"}],
    "vms": [
        {"id": "v1", "host": "h1", "vcpus": 1, "memory": GB},
        {"id": "v2", "host": "h2", "vcpus": 2, "memory": GB},
    ],
}
REQUESTS = [{"id": "web", "count": 2, "vcpus": 2, "memory": GB}, {"id": "big", "vcpus": 5, "memory": GB}]
FILTERS = {
    name: function
    for plugin in (explain, fits, headroom, place, rebalance, replace_lost, what_if)
    for name, function in plugin.FilterModule().filters().items()
}


def test_place_and_its_two_results():
    result = FILTERS["place"](REQUESTS, FLEET, policy="pack")
    assert [row["request"] for row in result["placements"]] == ["web", "web"]
    assert result["unplaced"][0]["code"] == "NotEnoughCpuResource"
    short = FILTERS["place"](REQUESTS, FLEET, policy="pack", result="counts")
    assert sum(row["count"] for row in short["placements"]) == 2
    assert short["unplaced"][0]["count"] == 1
    assert short["summary"] == result["summary"]


def test_explain():
    lines = FILTERS["explain"](FILTERS["place"]([REQUESTS[1], REQUESTS[0]], FLEET, policy="pack"))
    assert lines[0] == (
        "big: no place: NotEnoughCpuResource: needs 5 vCPUs, the freest host in zone a has 4 left "
        "(hosts removed: 3 cpu)"
    )
    assert lines[1].startswith("web[0]: h")
    assert FILTERS["explain"](FILTERS["place"](REQUESTS, FLEET), limit=1)[-1] == "... and 1 more placed"


def test_in_a_playbook(tmp_path):
    """Data that comes out of templates: lazy containers and tagged values."""
    playbook = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {"fleet": FLEET, "count": 2, "requests": [{**REQUESTS[0], "count": "{{ count }}"}, REQUESTS[1]]},
            "tasks": [
                {
                    "ansible.builtin.assert": {
                        "that": [
                            "(requests | photon.platform.place(fleet)).summary.placed == 2",
                            (
                                "(requests | photon.platform.place(fleet) | photon.platform.explain(limit=0))"
                                " == ['... and 1 more without a place', '... and 2 more placed']"
                            ),
                            "(requests | photon.platform.fits(fleet)).web.total == 4",
                            "(fleet | photon.platform.headroom).survives",
                            "(fleet | photon.platform.rebalance(moves=1)).emptied == ['h1']",
                            "(requests | photon.platform.what_if(fleet, remove=['h0'])).failing == []",
                        ]
                    }
                }
            ],
        }
    ]
    path = tmp_path / "play.yml"
    path.write_text(json.dumps(playbook))
    root = pathlib.Path(__file__).parents[4]
    done = subprocess.run(
        [pathlib.Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local", path],
        capture_output=True,
        text=True,
        env={**os.environ, "ANSIBLE_CONFIG": str(root / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        cwd=root,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_fits():
    assert FILTERS["fits"]([{"id": "x", "vcpus": 2, "memory": GB}], FLEET) == {
        "x": {"zones": {"a": 3, "b": 1}, "total": 4, "limited_by": "cpu"}
    }


def test_headroom():
    assert FILTERS["headroom"](FLEET) == {"survives": True, "level": "host", "method": "placed", "losses": []}


def test_rebalance():
    result = FILTERS["rebalance"](FLEET, empty=["h2"])
    assert [(move["vm"], move["from"], move["to"]) for move in result["moves"]] == [("v2", "h2", "h1")]


def test_replace_lost_places_just_the_vms_of_the_lost_host():
    result = FILTERS["replace_lost"](FLEET, ["h2"])
    assert [row["request"] for row in result["placements"]] == ["v2"]
    assert result["placements"][0]["host"] in ("h0", "h1")


def test_what_if():
    result = FILTERS["what_if"](REQUESTS, FLEET, add=[{"id": "h9", "vcpus": 8, "memory": 16 * GB}])
    assert result["gained"] == ["big"]


@pytest.mark.parametrize(
    ("name", "arguments", "options", "words"),
    [
        ("place", [[{"id": "a", "vcpus": -1, "memory": 1}], FLEET], {}, "request a: vcpus"),
        ("place", [REQUESTS, FLEET], {"result": "short"}, "result"),
        ("fits", [[{"id": "a", "vcpus": 1}], FLEET], {}, "request a: memory"),
        ("headroom", [FLEET, "cluster"], {}, "level"),
        ("rebalance", [FLEET], {}, "empty"),
        ("rebalance", [FLEET], {"empty": ["h7"]}, "'h7'"),
        ("replace_lost", [FLEET, ["h7"]], {}, "'h7'"),
        ("what_if", [REQUESTS, FLEET], {"remove": ["h7"]}, "'h7'"),
    ],
)
def test_errors_carry_code_item_and_key(name, arguments, options, words):
    with pytest.raises(AnsibleFilterError, match=f"{name}: SpecInvalid: .*{words}"):
        FILTERS[name](*arguments, **options)


UUIDS = [f"7f4de060-8d7c-40cc-b78f-c46e71e30fd{n}" for n in range(6)]
NAMED = {
    "hosts": [
        {"id": UUIDS[n], "name": f"esx{n:02}.lab", "zone": "a", "vcpus": 4, "cpu_overcommit": 1.0, "memory": "16 GB",
         "datastores": [UUIDS[3]]}
        for n in range(3)
    ],
    "datastores": [{"id": UUIDS[3], "name": "shared", "type": "NFS", "capacity": "100 GB", "used": "10 GB"}],
    "vms": [{"id": UUIDS[4], "name": "acme/web/web-01", "host": UUIDS[1], "vcpus": 2, "memory": "4 GB"}],
}  # fmt: skip
WANTED = [{"id": "db", "vcpus": 1, "memory": "4 GB", "host": "esx02.lab", "disks": [{"capacity": "20 GB"}]}]


def test_names_and_sizes_are_taken_and_printed():
    result = FILTERS["place"](WANTED, NAMED)
    [row] = result["placements"]
    assert row["host"] == "esx02.lab"
    assert "shared" in json.dumps(row["datastores"])
    assert not any(uuid in json.dumps(result) for uuid in UUIDS)
    assert FILTERS["explain"](result)[0].startswith("db[0]: esx02.lab in zone a")
    assert FILTERS["place"](WANTED, NAMED, ids=True)["placements"][0]["host"] == UUIDS[2]


def test_hosts_are_emptied_removed_and_lost_by_name():
    [move] = FILTERS["rebalance"](NAMED, empty=["esx01.lab"])["moves"]
    assert (move["vm"], move["from"]) == ("acme/web/web-01", "esx01.lab")
    assert FILTERS["rebalance"](NAMED, empty=["esx01.lab"], ids=True)["moves"][0]["from"] == UUIDS[1]
    [moved] = FILTERS["what_if"](WANTED, NAMED, remove=["esx01.lab"])["moved"]
    assert moved["request"] == "acme/web/web-01"
    [placed] = FILTERS["replace_lost"](NAMED, ["esx01.lab"])["placements"]
    assert placed["host"] in ("esx00.lab", "esx02.lab")
    with pytest.raises(AnsibleFilterError, match=r"SpecInvalid.*'esx99\.lab'"):
        FILTERS["rebalance"](NAMED, empty=["esx99.lab"])


def test_a_name_that_two_hosts_have_stands_for_neither():
    twins = {"hosts": [{**host, "name": "esx"} for host in NAMED["hosts"]], "datastores": NAMED["datastores"]}
    row = FILTERS["place"]([{"id": "db", "vcpus": 1, "memory": "1 GB"}], twins)["placements"][0]
    assert row["host"] in UUIDS


def test_very_large_sizes_are_written_as_numbers():
    large = [{"id": "x", "vcpus": 1, "memory": "40000 GB"}]
    assert "needs 40000 GB of memory" in FILTERS["explain"](FILTERS["place"](large, NAMED))[0]
