# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of day-two operations: for any input, they keep etcd's quorum and never skip a minor."""

from __future__ import annotations

import copy
import json
import re

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes import encryption, versions
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.encryption import Layout, covers
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.plans import (
    create,
    quorum,
    repair,
    resize,
    restore,
    rotate,
    state,
    update,
    upgrade,
    verbs,
)
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from hypothesis import assume, given, settings
from hypothesis import strategies as st

NEW, OLD = "1.37.2", "1.36.3"
LAYOUT = {"keys": ["secretbox:k1:1"], "resources": ["secrets"], "readable": []}
ADDRESSES = {f"cp{n}": f"10.0.0.1{n}" for n in range(1, 6)} | {f"w{n}": f"10.0.0.2{n}" for n in range(1, 6)}


def cluster(control_plane=3, workers=2, version=NEW, plugin="flannel"):
    names = [f"cp{n + 1}" for n in range(control_plane)], [f"w{n + 1}" for n in range(workers)]
    members = [
        {"name": name, "address": ADDRESSES[name], "role": role, "labels": {}, "taints": []}
        for role, group in zip(("control_plane", "worker"), names, strict=True)
        for name in group
    ]
    return {
        "name": "prod",
        "version": version,
        "members": members,
        "control_plane": names[0],
        "workers": names[1],
        "first": names[0][0] if names[0] else None,
        "networks": {"plugin": plugin},
        "runtime": {"containerd": "1.7"},
        "groups": {"control_plane": "prod_control_plane", "workers": "prod_workers", "balancers": "prod_balancers"},
        "encryption": {"provider": "secretbox", "keys": [], "resources": ["secrets"]},
    }


def node(name, version=NEW, ready=True, **more):
    return {
        "name": name,
        "version": version,
        "ready": ready,
        "reason": "" if ready else "kubelet stopped posting",
        "addresses": [ADDRESSES[name]],
        "roles": ["control-plane"] if name.startswith("cp") else [],
        "unschedulable": False,
        "cordoned": False,
        "settled": True,
        **more,
    }


def voter(name, healthy=True, learner=False):
    return {
        "id": name,
        "name": name,
        "peer_urls": [f"https://{ADDRESSES[name]}:2380"],
        "client_urls": [f"https://{ADDRESSES[name]}:2379"],
        "learner": learner,
        "started": True,
        "healthy": healthy,
        "alarms": [],
    }


def host(name, version=NEW, **more):
    control = name.startswith("cp")
    return {
        "state": "member",
        "role": "control_plane" if control else "worker",
        "cluster_id": "sha256:1",
        "cluster_name": "prod" if control else None,
        "kubeadm_version": version,
        "kubelet_version": version,
        "kubelet_active": True,
        "serving_certificate": True,
        "etcd_data": control,
        "missing": [],
        "drift": [],
        "stale": [],
        "encryption": {"enabled": True, "layout": LAYOUT} if control else {"enabled": None, "layout": None},
        "restored_from": "",
        "addresses": [],
        "error": "",
        **more,
    }


def clean(name):
    return host(
        name, state="clean", role="", cluster_id=None, cluster_name=None, etcd_data=False, kubelet_active=False,
        serving_certificate=False,
    )  # fmt: skip


def observed(declared, version=NEW, nodes=None, voters=None):
    """Return a complete cluster as observed on each of its hosts."""
    names = [member["name"] for member in declared["members"]]
    there = {
        "reachable": True,
        "error": "",
        "version": version,
        "declared_version": version,
        "cluster_name": "prod",
        "nodes": [node(name, version) for name in names] if nodes is None else nodes,
        "missing": [],
        "addons": [{"kind": "Deployment", "namespace": "kube-system", "name": "coredns", "wanted": 2, "available": 2}],
    }
    members = [voter(name) for name in declared["control_plane"]] if voters is None else voters
    found = {}
    for name in names:
        found[name] = {
            "host": host(name, version),
            "linux": {"changed": False, "changes": [], "error": ""},
            "certificates": [],
        }
        if name in declared["control_plane"]:
            found[name] |= {"cluster": copy.deepcopy(there), "etcd": {"members": copy.deepcopy(members)}}
    first = declared["first"]
    found[first] |= {"objects": {"changes": [], "error": ""}, "nodes": {"changes": [], "not_ready": [], "error": ""}}
    return found


def attempt(function):
    """Return (result, "") or (None, the error's code)."""
    try:
        return function(), ""
    except PhotonError as error:
        return None, error.code


def set_everywhere(found, change):
    for answer in found.values():
        if answer and "cluster" in answer:
            change(answer)


# --- the state -------------------------------------------------------------------------------------------------------


def test_complete_cluster_is_ready():
    declared = cluster()
    assert state.state(declared, observed(declared)) == {"state": "READY", "reasons": [], "source": "cp1"}


def test_clean_hosts_are_in_state_creating():
    declared = cluster()
    found = {name: {"host": clean(name)} for name in ADDRESSES}
    assert state.state(declared, found)["state"] == "CREATING"


def test_additional_worker_is_a_resize():
    found = observed(cluster())
    answer = state.state(cluster(workers=3), found | {"w3": {"host": clean("w3")}})
    assert (answer["state"], answer["reasons"]) == ("RESIZING", ["w3 has not joined"])


def test_removed_worker_is_a_resize():
    answer = state.state(cluster(workers=1), observed(cluster()))
    assert (answer["state"], answer["reasons"]) == ("RESIZING", ["w2 is no longer declared"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda found: found.update(w1=None), "w1 is unreachable"),
        (lambda found: found["w1"].update(host=clean("w1")), "w1 was reset or lost its disk"),
        (lambda found: set_everywhere(found, lambda one: one["etcd"]["members"].pop()), "cp3 is not a member of etcd"),
        (
            lambda found: set_everywhere(found, lambda one: one["etcd"]["members"][2].update(healthy=False)),
            "does not answer",
        ),
        (
            lambda found: set_everywhere(found, lambda one: one["cluster"]["nodes"][4].update(ready=False)),
            "w2 is not Ready",
        ),
        (
            lambda found: set_everywhere(found, lambda one: one["cluster"]["addons"][0].update(available=1)),
            "1 of 2 pods",
        ),
        (
            lambda found: found["cp2"].update(certificates=[{"path": "/a/b.crt", "days_left": -1}]),
            "/a/b.crt has expired",
        ),
    ],
)
def test_repairable_faults_are_recoverable(change, reason):
    declared = cluster()
    found = observed(declared)
    change(found)
    answer = state.state(declared, found)
    assert answer["state"] == "RECOVERABLE_ERROR"
    assert reason in "; ".join(answer["reasons"])


def test_two_of_three_lost_disks_are_fatal():
    declared = cluster()
    found = observed(declared, voters=[voter("cp1"), voter("cp2", False), voter("cp3", False)])
    for name in ("cp2", "cp3"):
        found[name] = {"host": clean(name)}
    found["cp1"]["cluster"]["reachable"] = False
    assert state.state(declared, found)["state"] == "FATAL_ERROR"
    with pytest.raises(PhotonError, match="cluster_restore") as caught:
        repair.plan(declared, found)
    assert caught.value.code == "QuorumLost"


def test_two_of_three_unreachable_members_may_return():
    declared = cluster()
    found = observed(declared, voters=[voter("cp1"), voter("cp2", False), voter("cp3", False)])
    found["cp1"]["cluster"]["reachable"] = False
    found |= {"cp2": None, "cp3": None}
    assert state.state(declared, found)["state"] == "RECOVERABLE_ERROR"


# --- resize ----------------------------------------------------------------------------------------------------------


def look_at(names, unhealthy=(), unready=()):
    control = [name for name in names if name.startswith("cp")]
    there = observed(cluster())["cp1"]["cluster"] | {"nodes": [node(name, ready=name not in unready) for name in names]}
    return {"cluster": there, "etcd": {"members": [voter(name, name not in unhealthy) for name in control]}}


def test_joining_worker_involves_itself_and_one_member():
    plan = resize.plan(cluster(workers=5), "cp1", look_at(["cp1", "cp2", "cp3", "w1", "w2", "w3", "w4"]), ADDRESSES)
    assert plan["touched"] == ["cp1", "w5"]
    assert (plan["routes"], plan["balancers"], plan["leave"]) == ([], False, [])


def test_node_with_an_interrupted_join_is_settled():
    """Test a killed run whose kubeadm finished by itself, so that only the Node exists."""
    look = look_at(["cp1", "cp2", "cp3", "w1", "w2"], unready=["w2"])
    look["cluster"]["nodes"][-1]["settled"] = False
    plan = resize.plan(cluster(), "cp1", look, ADDRESSES)
    assert (plan["state"], plan["touched"], plan["join"]["worker"]) == ("RESIZING", ["cp1", "w2"], ["w2"])
    assert plan["actions"] == [{"host": "w2", "action": "join", "reasons": ["its join is incomplete"]}]


def test_voting_member_is_settled_while_another_is_down():
    look = look_at(["cp1", "cp2", "cp3", "w1", "w2"], unhealthy=["cp2"], unready=["cp2"])
    look["cluster"]["nodes"][2]["settled"] = False
    assert resize.plan(cluster(), "cp1", look, ADDRESSES)["touched"] == ["cp1", "cp3"]


def test_with_routes_the_other_hosts_are_updated():
    plan = resize.plan(
        cluster(workers=3, plugin="routed"), "cp1", look_at(["cp1", "cp2", "cp3", "w1", "w2"]), ADDRESSES
    )
    assert (plan["touched"], plan["routes"]) == (["cp1", "w3"], ["cp2", "cp3", "w1", "w2"])


def test_nothing_to_do_is_ready():
    plan = resize.plan(cluster(), "cp1", look_at(["cp1", "cp2", "cp3", "w1", "w2"]), ADDRESSES)
    assert (plan["state"], plan["touched"], plan["actions"]) == ("READY", [], [])


def test_removing_all_workers_by_mistake_is_refused():
    with pytest.raises(PhotonError, match="every worker would be removed"):
        resize.plan(
            cluster() | {"workers": ["w4"], "members": cluster()["members"][:3]},
            "cp1",
            look_at(["cp1", "cp2", "cp3", "w1"]),
            [],
        )


def test_worker_does_not_join_during_an_incomplete_upgrade():
    declared = cluster(workers=3)
    look = observed(cluster())["cp1"]
    look["cluster"]["nodes"][2]["version"] = OLD
    with pytest.raises(PhotonError, match="newer than the API server") as caught:
        resize.plan(declared, "cp1", look, [])
    assert caught.value.code == "UpgradeNeeded"
    look["cluster"]["nodes"][2]["version"] = NEW
    assert resize.plan(declared, "cp1", look, [])["join"]["worker"] == ["w3"]


def test_etcd_member_without_a_node_is_removed_too():
    plan = resize.plan(cluster(), "cp1", look_at(["cp1", "cp2", "cp3", "w1", "w2"]) | {
        "etcd": {"members": [voter(name) for name in ("cp1", "cp2", "cp3", "cp4")]}
    }, ["cp4"])  # fmt: skip
    assert [(one["name"], one["address"], one["reset"]) for one in plan["lost"]] == [("cp4", ADDRESSES["cp4"], True)]


MEMBERS = [f"cp{n}" for n in range(1, 6)]


@settings(deadline=None)
@given(
    st.sets(st.sampled_from(MEMBERS), min_size=1),
    st.sampled_from([1, 3, 5]),
    st.sets(st.sampled_from(MEMBERS)),
    st.sets(st.sampled_from(MEMBERS)),
)
def test_resize_never_breaks_etcd_s_quorum(there, wanted, unhealthy, unready):
    assume("cp1" in there and "cp1" not in unhealthy)
    declared = cluster(wanted, 0)
    look = look_at(sorted(there), unhealthy, unready)
    voters = {name: name not in unhealthy for name in there}
    plan, code = attempt(lambda: resize.plan(declared, "cp1", look, ADDRESSES))
    if plan is None:
        assert code == "QuorumAtRisk"
        return
    for step, name in [
        *(("leave", one["name"]) for one in plan["lost"]),
        *(("join", name) for name in plan["join"]["control_plane"]),
        *(("leave", one["name"]) for one in plan["leave"]),
    ]:
        assert sum(voters.values()) >= quorum.needed(len(voters)), "etcd needs a majority"
        if step == "leave":
            del voters[name]
        else:
            voters[name] = True
        assert sum(voters.values()) >= quorum.needed(len(voters)), (step, name)
    assert set(voters) == set(declared["control_plane"])


def test_member_does_not_join_etcd_while_another_does_not_answer():
    """Refuse the join, because kubeadm would wait for all members; a repair removes or fixes the broken one."""
    look = look_at(["cp1", "cp2", "cp3"], {"cp3"}, {"cp3"})
    declared = cluster(3, 0)
    declared["control_plane"] = ["cp1", "cp3", "cp4"]
    declared["members"] = [
        {"name": name, "address": ADDRESSES[name], "role": "control_plane", "labels": {}, "taints": []}
        for name in declared["control_plane"]
    ]
    with pytest.raises(PhotonError, match="cp4 cannot join while 1 of 3 members of etcd do not answer") as caught:
        resize.plan(declared, "cp1", look, ADDRESSES)
    assert caught.value.code == "QuorumAtRisk"


# --- upgrade ---------------------------------------------------------------------------------------------------------


def test_upgrade_of_a_complete_cluster():
    declared = cluster()
    plan = upgrade.plan(declared, observed(declared, OLD), at_once=2)
    assert (plan["apply"], plan["control_plane"], plan["batches"]) == ("cp1", ["cp1", "cp2", "cp3"], [["w1", "w2"]])
    assert plan["keep"]["cp2"] == {"kubelet": OLD, "kubectl": OLD}
    assert plan["helper"]["cp1"] in ("cp2", "cp3")


def test_nothing_to_upgrade():
    declared = cluster()
    plan = upgrade.plan(declared, observed(declared))
    assert (plan["needed"], plan["control_plane"], plan["batches"], plan["apply"]) == (False, [], [], "")


def test_interrupted_members_come_first_and_are_uncordoned():
    declared = cluster()
    found = observed(declared, OLD)
    found["cp2"]["host"]["kubeadm_version"] = NEW
    set_everywhere(found, lambda one: one["cluster"]["nodes"][1].update(unschedulable=True, cordoned=True, ready=False))
    plan = upgrade.plan(declared, found)
    assert (plan["control_plane"], plan["apply"], plan["cordoned"]) == (["cp2", "cp1", "cp3"], "cp2", [])


def test_node_cordoned_by_an_administrator_stays_cordoned():
    declared = cluster()
    found = observed(declared, OLD)
    set_everywhere(found, lambda one: one["cluster"]["nodes"][3].update(unschedulable=True))
    assert upgrade.plan(declared, found)["cordoned"] == ["w1"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda found: found.update(w1=None), "HostUnreachable"),
        (lambda found: found["w1"].update(host=clean("w1")), "InvalidHostState"),
        (lambda found: found["w1"]["linux"].update(error="too little disk"), "PreflightFailed"),
        (
            lambda found: set_everywhere(found, lambda one: one["cluster"]["nodes"][3].update(ready=False)),
            "ClusterNotReady",
        ),
        (
            lambda found: set_everywhere(found, lambda one: one["etcd"]["members"][1].update(healthy=False)),
            "QuorumAtRisk",
        ),
        (
            lambda found: set_everywhere(found, lambda one: one["etcd"]["members"][1].update(learner=True)),
            "QuorumAtRisk",
        ),
        (
            lambda found: set_everywhere(found, lambda one: one["cluster"]["nodes"][3].update(version="1.35.9")),
            "SpecInvalid",
        ),
        (
            lambda found: set_everywhere(found, lambda one: one["cluster"]["nodes"][3].update(version="1.38.0")),
            "SpecInvalid",
        ),
        (  # a kubelet that was upgraded manually before any API server
            lambda found: set_everywhere(found, lambda one: one["cluster"]["nodes"][3].update(version=NEW)),
            "SpecInvalid",
        ),
    ],
)
def test_obstacles_to_an_upgrade(change, code):
    declared = cluster()
    found = observed(declared, OLD)
    change(found)
    with pytest.raises(PhotonError) as caught:
        upgrade.plan(declared, found)
    assert caught.value.code == code


VERSIONS = ["1.35.4", "1.36.3", "1.37.2", "1.38.0"]
# Supported skew: API servers of two minors, kubelets not newer than the oldest of them.
RUNNING = st.integers(1, 3).flatmap(
    lambda place: st.lists(st.sampled_from(VERSIONS[place - 1 : place + 1]), min_size=3, max_size=3).flatmap(
        lambda servers: st.tuples(
            st.just(servers),
            st.lists(st.sampled_from(VERSIONS[: VERSIONS.index(min(servers)) + 1]), min_size=2, max_size=2),
        )
    )
)


@settings(deadline=None)
@given(RUNNING, st.sampled_from(VERSIONS), st.integers(1, 3))
def test_upgrade_never_skips_a_minor_or_drains_two_control_planes(sides, target, at_once):
    """Execute the plan step by step and check that the version skew is supported after each step."""
    servers, kubelets = sides
    declared = cluster(version=target)
    found = observed(declared, OLD)
    running = dict(zip(["cp1", "cp2", "cp3", "w1", "w2"], [*servers, *kubelets], strict=True))
    api = dict(list(running.items())[:3])
    assert not versions.check_skew(api.values(), {name: running[name] for name in ("w1", "w2")})
    for name, version in running.items():
        found[name]["host"] |= {"kubeadm_version": version, "kubelet_version": version}
        set_everywhere(found, lambda one, name=name, version=version: next(
            item for item in one["cluster"]["nodes"] if item["name"] == name
        ).update(version=version))  # fmt: skip
    for name, version in api.items():
        found[name]["cluster"] |= {"version": version, "declared_version": min(servers)}
    plan, code = attempt(lambda: upgrade.plan(declared, found, at_once))
    if plan is None:
        assert code == "SpecInvalid"
        assert any(versions.check_step({"node": version}, target) for version in running.values())
        return
    assert all(versions.parse(target).minor - versions.parse(version).minor <= 1 for version in running.values())
    for step in [*([name] for name in plan["control_plane"]), *plan["batches"]]:
        assert sum(name in api for name in step) <= 1
        assert len(step) <= max(1, at_once)
        for name in step:
            running[name] = target
            if name in api:
                api[name] = target
            assert plan["helper"][name] not in step
        assert not versions.check_skew(api.values(), {name: running[name] for name in ("w1", "w2")})
    assert set(running.values()) == {target}


# --- repair ----------------------------------------------------------------------------------------------------------


def test_nothing_to_repair():
    declared = cluster()
    plan = repair.plan(declared, observed(declared))
    assert (plan["state"], plan["health"]["state"], plan["actions"]) == ("READY", "READY", [])


def test_lost_worker_is_removed():
    declared = cluster()
    found = observed(declared)
    found["w2"] = None
    set_everywhere(found, lambda one: one["cluster"]["nodes"][4].update(ready=False))
    plan = repair.plan(declared, found)
    assert [one["name"] for one in plan["gone"]] == ["w2"]
    assert (plan["unreachable"], plan["health"]["state"]) == (["w2"], "RECOVERABLE_ERROR")


def test_host_unreachable_only_for_the_controller_stays():
    declared = cluster()
    assert repair.plan(declared, observed(declared) | {"w2": None})["gone"] == []


def test_wiped_member_rejoins():
    declared = cluster()
    found = observed(declared, voters=[voter("cp1", False), voter("cp2"), voter("cp3")])
    found["cp1"] = {"host": clean("cp1"), "linux": {"changed": True, "changes": [], "error": ""}}
    plan = repair.plan(declared, found)
    assert (plan["source"], plan["join"]["control_plane"], plan["initialize"]) == ("cp2", ["cp1"], None)


def test_expired_certificates_are_renewed_first():
    declared = cluster()
    found = observed(declared)
    for name in declared["control_plane"]:
        found[name]["certificates"] = [{"path": "/etc/kubernetes/pki/apiserver.crt", "days_left": -3}]
        found[name]["cluster"]["reachable"] = False
    plan = repair.plan(declared, found)
    assert plan["renew"] == ["cp1", "cp2", "cp3"]
    assert "join" not in plan


def test_renewed_certificates_are_loaded_when_no_api_answers():
    declared = cluster()
    found = observed(declared)
    found["cp2"]["host"]["stale"] = [{"pod": "kube-apiserver", "path": "/etc/kubernetes/pki/apiserver.crt"}]
    plan = repair.plan(declared, found)
    assert (plan["renew"], plan["settle"]) == ([], ["cp2"])  # one by one, as all others serve
    assert "cp2: kube-apiserver has not read /etc/kubernetes/pki/apiserver.crt" in plan["health"]["reasons"][0]
    for name in declared["control_plane"]:
        found[name]["cluster"] |= {"reachable": False, "error": "x509: certificate has expired", "nodes": []}
    assert repair.plan(declared, found)["renew"] == ["cp2"]


def test_a_kube_proxy_that_is_left_out_is_not_missing():
    declared = cluster()
    found = observed(declared)
    set_everywhere(found, lambda one: one["cluster"].update(missing=["kube-proxy"]))
    assert create.plan(declared, found)["lost"] == {"cp1": ["kube-proxy"]}
    without = declared | {"networks": declared["networks"] | {"proxy_mode": "none"}}
    assert create.plan(without, found)["lost"] == {}
    assert state.state(without, found)["state"] == "READY"


def test_a_full_etcd_is_named_with_its_remedy_and_never_taken_for_a_dead_one():
    declared = cluster()
    full = {**voter("cp2"), "alarms": ["NOSPACE"]}
    found = observed(declared, voters=[voter("cp1"), full, voter("cp3")])
    health = state.state(declared, found)
    assert health["state"] == "RECOVERABLE_ERROR"
    assert health["reasons"] == [
        "cp2's etcd has the alarm NOSPACE. Its database is full, so that the API changes nothing. Run cluster_maintain"
    ]
    assert repair.plan(declared, found, again=True)["rejoin"] == []
    with pytest.raises(PhotonError, match="etcd on cp2 has the alarm NOSPACE") as error:
        upgrade.plan(declared | {"version": "1.38.0"}, found)
    assert error.value.code == "EtcdUnhealthy"


def test_repair_in_place_comes_before_a_rejoin():
    declared = cluster()
    found = observed(declared, voters=[voter("cp1"), voter("cp2"), voter("cp3", False)])
    set_everywhere(found, lambda one: one["cluster"]["nodes"][3].update(ready=False))
    assert repair.plan(declared, found)["rejoin"] == []
    plan = repair.plan(declared, found, again=True)
    assert sorted(one["host"] for one in plan["rejoin"]) == ["cp3", "w1"]
    assert plan["restart"] == ["cp3", "w1"]


def test_lost_authority_is_copied_from_another_member():
    declared = cluster()
    found = observed(declared)
    found["cp2"]["host"]["missing"] = ["/etc/kubernetes/pki/ca.crt"]
    plan = repair.plan(declared, found)
    assert (plan["join"]["control_plane"], plan["settle"]) == (["cp2"], [])


CONDITIONS = st.sampled_from(["well", "unhealthy", "wiped", "unreached"])


@settings(deadline=None)
@given(st.lists(CONDITIONS, min_size=3, max_size=5), st.booleans())
def test_repair_never_breaks_etcd_s_quorum(conditions, again):
    if len(conditions) % 2 == 0:
        conditions.append("well")
    declared = cluster(len(conditions))
    names = declared["control_plane"]
    voters = {name: condition == "well" for name, condition in zip(names, conditions, strict=True)}
    found = observed(declared, voters=[voter(name, healthy) for name, healthy in voters.items()])
    serves = sum(voters.values()) >= quorum.needed(len(voters))
    for name, condition in zip(names, conditions, strict=True):
        set_everywhere(found, lambda one, name=name, ready=condition == "well": next(
            item for item in one["cluster"]["nodes"] if item["name"] == name
        ).update(ready=ready))  # fmt: skip
        found[name]["cluster"]["reachable"] = serves and condition == "well"
    for name, condition in zip(names, conditions, strict=True):
        if condition == "wiped":
            found[name] = {"host": clean(name), "linux": {"changed": True, "changes": [], "error": ""}}
        elif condition == "unreached":
            found[name] = None
    plan, code = attempt(lambda: repair.plan(declared, found, again))
    if plan is None:
        assert not serves, code
        return
    if not plan["source"]:
        assert not any(plan["join"].values())
        return
    for name in [one["name"] for one in plan["gone"] if one["etcd"]] + plan["join"]["control_plane"]:
        assert not voters[name], "a member that answers must not be touched"
        assert quorum.refusal(voters, name) == ""
        del voters[name]
        assert sum(voters.values()) >= quorum.needed(len(voters))


# --- restore, keys ---------------------------------------------------------------------------------------------------

MANIFEST = {
    "cluster": "prod", "cluster_id": "sha256:1", "version": NEW, "made": "2026-11-25T03:00:00Z",
    "sha256": {"snapshot.db": "5eed"},
}  # fmt: skip


def test_restore_on_clean_hosts():
    declared = cluster()
    found = {name: {"host": clean(name), "linux": {"changed": True}} for name in ("cp1", "cp2", "cp3", "w1", "w2")}
    plan = restore.plan(declared, found, MANIFEST)
    assert (plan["restore"], plan["prepare"]) == ("cp1", ["cp1", "cp2", "cp3", "w1", "w2"])


def test_interrupted_restore_is_resumed():
    declared = cluster()
    found = {name: {"host": clean(name)} for name in ("cp2", "cp3", "w1", "w2")}
    found["cp1"] = {"host": host("cp1", state="partial", restored_from="5eed")}
    assert restore.plan(declared, found, MANIFEST)["restore"] == ""
    found["cp2"] = {"host": host("cp2")}  # had joined what was restored
    assert restore.plan(declared, found, MANIFEST)["restore"] == ""


@pytest.mark.parametrize("mark", ["", "another"])
def test_a_living_cluster_is_not_taken_for_a_restored_one(mark):
    """Its hosts have the backup's authority and data, so that only the mark of a restore tells."""
    declared = cluster()
    found = observed(declared)
    found["cp1"]["host"]["restored_from"] = mark
    with pytest.raises(PhotonError, match="kubernetes_restore_reset") as error:
        restore.plan(declared, found, MANIFEST)
    assert [one["code"] for one in error.value.data["reasons"]] == ["InvalidHostState"] * 5


def test_a_restore_ends_with_a_complete_cluster():
    declared = cluster()
    found = observed(declared)
    assert create.plan(declared, found)["restored"] == []
    found["cp1"]["host"]["restored_from"] = "5eed"
    plan = create.plan(declared, found)
    assert (plan["state"], plan["restored"]) == ("CREATING", ["cp1"])


def test_a_backup_with_other_keys_than_declared_is_refused():
    declared = with_encryption(keys=[NEW_KEY])
    found = {name: {"host": clean(name)} for name in ("cp1", "cp2", "cp3", "w1", "w2")}
    with pytest.raises(PhotonError, match="are encrypted with secretbox:k1"):
        restore.plan(declared, found, MANIFEST | {"encryption": LAYOUT})
    assert restore.plan(with_encryption(keys=[OLD_KEY]), found, MANIFEST | {"encryption": LAYOUT})["restore"] == "cp1"


@pytest.mark.parametrize(
    ("found", "manifest", "reason"),
    [
        ({}, {"cluster": "other"}, "is of cluster other"),
        ({}, {"version": OLD}, f"Declare {OLD}"),
        ({"w1": None}, {}, "w1 is unreachable"),
        (
            {"cp2": {"host": host("cp2", cluster_id="sha256:2")}},
            {},
            "cp2 is a control-plane member of cluster prod with data",
        ),
    ],
)
def test_obstacles_to_a_restore(found, manifest, reason):
    declared = cluster()
    there = {name: {"host": clean(name)} for name in ("cp1", "cp2", "cp3", "w1", "w2")} | found
    with pytest.raises(PhotonError, match=reason):
        restore.plan(declared, there, MANIFEST | manifest)


LABELS = ["secretbox:a:1", "secretbox:b:2", "aescbc:c:3"]
RESOURCES = [("secrets",), ("secrets", "deployments.apps"), ("*.*",), ("*.", "*.apps")]


@settings(deadline=None, report_multiple_bugs=False)
@given(st.permutations(LABELS), st.integers(0, 2), st.integers(1, 3), st.integers(0, 2), st.data())
def test_every_object_stays_readable_while_encryption_changes(keys, number, hosts, begun, data):
    """Interrupt runs after any host of any step: keys, provider, resources, from and to plain text."""
    target = Layout(tuple(keys[:number]), data.draw(st.sampled_from(RESOURCES)) if number else ())
    old = Layout((keys[begun],), data.draw(st.sampled_from(RESOURCES))) if data.draw(st.booleans()) else Layout()
    files = {f"cp{n}": old for n in range(hosts)}
    objects = {one: {writes(old, one)} for one in ("secrets", "deployments.apps", "nodes")}
    for _turn in range(40):
        wanted = {one: writes(target, one) for one in objects}
        stale = sum(len(stored - {wanted[one]}) for one, stored in objects.items())
        step = rotate.step(target, files, stale)
        if step["step"] == rotate.DONE:
            break
        if step["step"] == rotate.REWRITE:
            objects = {one: {wanted[one]} for one in objects}
        for place in data.draw(st.permutations(sorted(step["files"])))[: data.draw(st.integers(1, 3))]:
            files[place] = Layout.of(step["files"][place])
            for one, stored in objects.items():
                stored |= {writes(layout, one) for layout in files.values()}
                for layout in files.values():
                    assert stored <= reads(layout, one), (step, files, one, stored)
    assert set(files.values()) == {target}
    assert objects == {one: {writes(target, one)} for one in objects}


def writes(layout, resource):
    return layout.keys[0] if covers(layout.resources, resource) else "identity"


def reads(layout, resource):
    listed = covers(layout.resources, resource) or covers(layout.readable, resource)
    return {"identity", *(layout.keys if listed else ())}


def test_layouts_survive_the_file():
    keys = [
        {"provider": "secretbox", "name": "n", "secret": "bg=="},
        {"provider": "aescbc", "name": "o", "secret": "bw=="},
    ]
    labels = tuple(encryption.label(**key) for key in keys)
    for layout in (
        Layout(labels, ("secrets",)),
        Layout(labels[::-1], ("secrets",), ("*.apps",)),
        Layout(labels, (), ("secrets",)),
        Layout(),
    ):
        found, secrets = encryption.parse(json.dumps(encryption.configuration(layout, keys)))
        assert found == layout
        assert {encryption.label(**key) for key in secrets} == set(layout.keys)


@pytest.mark.parametrize(
    ("resource", "wanted"),
    [
        ("secrets", {"secrets", "*.", "*.*"}),
        ("deployments.apps", {"deployments.apps", "*.apps", "*.*"}),
        ("", {"*.", "*.*"}),
    ],
)
def test_resources_are_covered_by_wildcards(resource, wanted):
    every = ["secrets", "*.", "*.*", "deployments.apps", "*.apps", "deployments"]
    assert {one for one in every if covers([one], resource)} == wanted


def test_a_key_of_the_same_name_with_another_secret_is_refused():
    with pytest.raises(PhotonError, match="another secret for the encryption key secretbox:a"):
        rotate.step(Layout(("secretbox:a:9",), ("secrets",)), {"cp1": Layout(("secretbox:a:1",), ("secrets",))}, 0)


GENERATED = {"provider": "secretbox", "keys": [], "resources": ["secrets"]}
DECLARED = GENERATED | {"keys": [{"name": "n", "label": "secretbox:n:1"}, {"name": "b", "label": "secretbox:b:2"}]}


def made(*names):
    return Layout(tuple(f"secretbox:made-{name}:1" for name in names), ("secrets",))


@pytest.mark.parametrize(
    ("files", "declared", "due", "stale", "wanted"),
    [
        ({"cp1": made("1")}, DECLARED, False, 0, (Layout(("secretbox:n:1", "secretbox:b:2"), ("secrets",)), False)),
        ({"cp1": made("1"), "cp2": made("1")}, GENERATED, False, 0, (made("1"), False)),
        ({"cp1": made("1"), "cp2": made("1")}, GENERATED, True, 0, (made(), True)),
        ({"cp1": made("1", "2"), "cp2": made("1")}, GENERATED, True, 0, (made("2"), False)),
        ({"cp1": made("2"), "cp2": made("2")}, GENERATED, True, 7, (made("2"), False)),
        ({"cp1": made("1")}, GENERATED | {"provider": "aescbc"}, False, 0, (made(), True)),
        ({"cp1": made("1")}, GENERATED | {"provider": "none"}, False, 3, (Layout(), False)),
        ({"cp1": Layout()}, GENERATED, False, 3, (made(), True)),
    ],
    ids=["declared", "nothing due", "due", "in progress", "not yet rewritten", "provider", "off", "on"],
)
def test_desired_keys(files, declared, due, stale, wanted):
    assert rotate.wanted(files, declared, due, stale) == wanted


def with_encryption(**settings):
    """Return a cluster with these settings of encryption."""
    declared = cluster()
    return {**declared, "encryption": {**declared["encryption"], **settings}}


NEW_KEY = {"name": "k2", "label": "secretbox:k2:2"}
OLD_KEY = {"name": "k1", "label": "secretbox:k1:1"}
CHANGES = {
    "replaced": ({"keys": [NEW_KEY]}, "encrypts with secretbox:k1 but secretbox:k2 is declared"),
    "put first": (
        {"keys": [NEW_KEY, OLD_KEY]},
        "encrypts with secretbox:k1 but secretbox:k2, secretbox:k1 is declared",
    ),
    "secret": ({"keys": [OLD_KEY | {"label": "secretbox:k1:9"}]}, "another secret for the key secretbox:k1"),
    "provider": ({"provider": "aescbc", "keys": []}, "encrypts with secretbox:k1 but the provider aescbc is declared"),
    "off": ({"provider": "none", "keys": []}, "encrypts with secretbox:k1 but no key is declared"),
    "more": ({"resources": ["secrets", "nodes"]}, "encrypts secrets but secrets, nodes is declared"),
    "less": ({"resources": ["nodes"]}, "encrypts secrets but nodes is declared"),
}


@pytest.mark.parametrize("verb", ["create", "repair", "upgrade", "resize"])
@pytest.mark.parametrize("change", CHANGES)
def test_encryption_that_objects_may_need_is_changed_by_a_rotation_alone(change, verb):
    settings, reason = CHANGES[change]
    declared = with_encryption(**({"keys": [OLD_KEY]} | settings))
    found = observed(declared)
    plans = {
        "create": lambda: create.plan(declared, found),
        "repair": lambda: repair.plan(declared, found),
        "upgrade": lambda: upgrade.plan(declared, found),
        "resize": lambda: resize.plan(declared, "cp1", found["cp1"], []),
    }
    with pytest.raises(PhotonError, match=re.escape(reason)) as error:
        plans[verb]()
    assert error.value.code == "RotationNeeded"
    assert "cluster_rotate" in error.value.message


def test_encryption_is_switched_on_by_a_rotation():
    declared = cluster()
    found = observed(declared)
    for name in declared["control_plane"]:
        found[name]["host"]["encryption"] = {"enabled": False, "layout": None}
    with pytest.raises(PhotonError, match="stores Secrets in plain text") as error:
        create.plan(declared, found)
    assert error.value.code == "RotationNeeded"
    off = with_encryption(provider="none")
    assert create.plan(off, found)["state"] == "READY"


@pytest.mark.parametrize("there", [{"enabled": True, "layout": None}, {"enabled": None, "layout": None}])
def test_a_lost_file_of_keys_is_repaired(there):
    declared = cluster()
    found = observed(declared)
    found["cp2"]["host"]["encryption"] = there
    assert create.plan(declared, found)["settle"] == ["cp2"]


# --- updates of hosts ------------------------------------------------------------------------------------------------

UP_TO_DATE = {"updates": [], "reboot_reasons": []}
OUTDATED = {"updates": [{"name": "libc6", "before": "1", "after": "2"}], "reboot_reasons": []}
TO_REBOOT = {"updates": [], "reboot_reasons": ["required by libc6"]}


def to_update(control_plane=3, **answers):
    """A cluster with two balancers, and what each host answers about its packages."""
    declared = {**cluster(control_plane), "balancers": ["lb1", "lb2"]}
    hosts = [*declared["balancers"], *(member["name"] for member in declared["members"])]
    return declared, observed(declared), {**dict.fromkeys(hosts, UP_TO_DATE), **answers}


def test_hosts_with_updates_follow_balancers_first_and_workers_last():
    declared, found, updates = to_update(w1=OUTDATED, cp2=TO_REBOOT, lb2=OUTDATED, w2=OUTDATED, cp1=OUTDATED)
    plan = update.plan(declared, found, updates)
    assert (plan["balancers"], plan["control_plane"], plan["workers"]) == (["lb2"], ["cp1", "cp2"], ["w1", "w2"])
    assert plan["helper"] == {"cp1": "cp2", "cp2": "cp1", "w1": "cp1", "w2": "cp1"}
    assert plan["actions"][2]["reasons"] == ["reboot: required by libc6"]


def test_hosts_that_are_up_to_date_are_left_alone():
    declared, found, updates = to_update()
    assert update.plan(declared, found, updates)["actions"] == []


def test_without_reboots_only_packages_count():
    declared, found, updates = to_update(w1=TO_REBOOT, w2=OUTDATED)
    plan = update.plan(declared, found, updates, "never")
    assert (plan["workers"], plan["control_plane"]) == (["w2"], [])
    with pytest.raises(PhotonError, match="must be one of required, never, got 'always'"):
        update.plan(declared, found, updates, "always")


def test_an_interrupted_update_resumes_with_the_host_it_left_cordoned():
    declared, found, updates = to_update(w1=OUTDATED)
    set_everywhere(found, lambda one: one["cluster"]["nodes"][4].update(unschedulable=True, cordoned=True))
    plan = update.plan(declared, found, updates)
    assert (plan["begun"], plan["workers"], plan["cordoned"]) == (["w2"], ["w2", "w1"], [])


def test_a_node_that_an_administrator_cordoned_stays_so():
    declared, found, updates = to_update(w1=OUTDATED)
    set_everywhere(found, lambda one: [one["cluster"]["nodes"][n].update(unschedulable=True) for n in (3, 4)])
    plan = update.plan(declared, found, updates)
    assert (plan["workers"], plan["cordoned"], plan["begun"]) == (["w1"], ["w1"], [])


def test_a_single_control_plane_member_helps_itself():
    declared, found, updates = to_update(1, cp1=OUTDATED, w1=OUTDATED)
    assert update.plan(declared, found, updates)["helper"] == {"cp1": "cp1", "w1": "cp1"}


def test_a_member_whose_api_is_down_helps_nobody():
    declared, found, updates = to_update(w1=OUTDATED)
    found["cp1"]["cluster"]["reachable"] = False
    assert update.plan(declared, found, updates)["helper"] == {"w1": "cp2"}


def test_members_that_are_balancers_too_are_updated_as_members():
    declared, found, updates = to_update(cp1=OUTDATED)
    declared["balancers"] = ["cp1", "cp2"]
    plan = update.plan(declared, found, updates)
    assert (plan["balancers"], plan["control_plane"]) == ([], ["cp1"])


@pytest.mark.parametrize("name", ["lb1", "cp3", "w2"])
def test_nothing_is_updated_while_a_host_is_unreachable(name):
    declared, found, updates = to_update(w1=OUTDATED)
    with pytest.raises(PhotonError, match=f"Nothing was changed:\n- {name} is unreachable") as error:
        verbs.plan("update", declared, found, settings={"updates": {**updates, name: {"unreachable": True}}})
    assert error.value.code == "HostUnreachable"


def test_nothing_is_updated_while_the_cluster_is_not_ready():
    declared, found, updates = to_update(w1=OUTDATED)
    set_everywhere(found, lambda one: one["etcd"]["members"][2].update(healthy=False))
    with pytest.raises(PhotonError, match=r"cp3's etcd does not answer\. Run cluster_repair first") as error:
        update.plan(declared, found, updates)
    assert error.value.code == "ClusterNotReady"


# --- etcd's quorum ---------------------------------------------------------------------------------------------------


def test_a_majority_is_more_than_half():
    assert [quorum.needed(voters) for voters in range(1, 8)] == [1, 2, 2, 3, 3, 4, 4]


@pytest.mark.parametrize(
    ("voters", "leaving", "reason"),
    [
        ("TTT", "m1", ""),
        ("TTF", "m3", ""),
        ("TTF", "m1", "without m1 etcd would lose its quorum: 1 of 2 answer"),
        ("TFF", "m3", "etcd has no quorum: 1 of 3 members answer"),
        ("TTTFF", "m1", "without m1 etcd would lose its quorum: 2 of 4 answer"),
        ("TTTTF", "m1", ""),
        ("T", "m1", "m1 is the only member of etcd"),
    ],
)
def test_a_member_leaves_only_where_a_majority_answers_before_and_after(voters, leaving, reason):
    answers = {f"m{number}": answer == "T" for number, answer in enumerate(voters, 1)}
    assert quorum.refusal(answers, leaving) == reason


def test_learners_have_no_vote():
    assert quorum.voters_of([voter("cp1"), voter("cp2", healthy=False), voter("cp3", learner=True)]) == {
        "cp1": True, "cp2": False,
    }  # fmt: skip
