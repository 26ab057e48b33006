"""The upgrades from schema versions 1 and 2: a database that the code of that version wrote, compared row by row."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
from collections import Counter

import pytest
import sqlalchemy
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import migrations
from ansible_collections.photon.platform.plugins.module_utils.cloudstore.migrations import v2
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

from tests.support import cloudstore_v1

FACTS = {
    "vm": ["endpoint", "host", "cluster", "address", "vsphere"],
    "host": ["moid", "cluster", "drs", "vcpus", "memory", "port_groups", "datastores"],
    "datastore": ["moid", "url", "type", "capacity"],
}


@pytest.fixture
def v1():
    """The rows of the version 1 database; documents have their bodies decoded."""
    return cloudstore_v1.rows()


@pytest.fixture
def upgraded(cloudstore_url, open_again, v1):
    cloudstore_v1.load(cloudstore_url, v1)
    return open_again("upgrade")


def bodies(v1, kind):
    return {row["id"]: (row, json.loads(row["body"])) for row in v1["documents"] if row["kind"] == kind}


def expected_usage(v1):
    """What the rows of version 1 say is used: ``{(provider, resource): amount}``."""
    usage = Counter()
    for row, body in bodies(v1, "vm").values():
        usage.update({(row["scope"], key): amount for key, (amount, _unit) in body["cost"].items()})
        usage[body["host"], "vcpus"] += body["vcpus"]
        usage[body["host"], "memory"] += body["memory"]
        for disk in body["disks"]:
            usage[disk.get("datastore", body["datastore"]), "space"] += disk["capacity"]
    tenants = {key: row["scope"] for key, (row, _body) in bodies(v1, "project").items()}
    for row in v1["counters"]:
        if row["owner_id"] in tenants and row["limit"] is not None:
            usage[tenants[row["owner_id"]], row["key"]] += row["limit"]
    return +usage


def copies_of(v1):
    """``{(image, datastore): copy}`` of the copies that version 1 listed in images' bodies, each with its ``size``."""
    return {
        (image_id, store_id): {**copy_, "size": body["size"]}
        for image_id, (_row, body) in bodies(v1, "image").items()
        for store_id, copy_ in body["copies"].items()
    }


def used(v1):
    """What is used after the upgrade: what version 1 counted, and the copies of images."""
    usage = expected_usage(v1)
    for (_image, store_id), each in copies_of(v1).items():
        if store_id in {row["id"] for row in v1["documents"]}:
            usage[store_id, "space"] += each["size"]
    return usage


def counted_usage(v1):
    """What version 1's own running totals say."""
    usage = {(row["owner_id"], row["key"]): row["usage"] for row in v1["counters"]}
    for row in v1["capacity"]:
        usage |= {
            (row["id"], "vcpus"): row["vcpu_claimed"],
            (row["id"], "memory"): row["memory_claimed"],
            (row["id"], "space"): row["space_claimed"],
        }
    return {key: amount for key, amount in usage.items() if amount}


def found_usage(store):
    return {(p, r): amount for p, resources in store.snapshot().usage.items() for r, amount in resources.items()}


def test_the_fixture_holds_what_the_upgrade_has_to_handle(v1):
    kinds = Counter(row["kind"] for row in v1["documents"])
    assert (kinds["tenant"], kinds["project"], kinds["vm"], kinds["endpoint"], kinds["image"]) == (2, 3, 15, 2, 2)
    levels = {g["level"] for _row, body in bodies(v1, "vm").values() for g in body["groups"]}
    assert levels == {"host", "zone"}
    assert any(len(body["disks"]) == 3 for _row, body in bodies(v1, "vm").values())
    assert sum(row["ended_at"] is None for row in v1["tasks"]) == 2
    assert any(json.loads(row["before"]).get("body.host") for row in v1["history"])
    assert expected_usage(v1) == counted_usage(v1)


def test_usage_is_the_sum_of_allocations_and_equals_the_old_totals(upgraded, v1):
    assert expected_usage(v1) == counted_usage(v1)
    assert found_usage(upgraded) == used(v1)
    held = upgraded.snapshot(allocations=True).held
    assert held.keys() == {d.id for d in upgraded.snapshot(["vm", "project", "image-copy"]).documents}
    [web] = [row for row, _body in bodies(v1, "vm").values() if row["name"] == "web-02"]
    body = json.loads(web["body"])
    assert held[web["id"]] == {
        **{(web["scope"], key): amount for key, (amount, _unit) in body["cost"].items()},
        (body["host"], "vcpus"): 1,
        (body["host"], "memory"): 2 << 30,
        (body["datastore"], "space"): (12 << 30) + 65536,
    }


def test_limits_and_capacity_become_inventories(upgraded, v1):
    found = {
        (row.provider, row.resource): (row.kind, row.unit, row.limit, row.foreign)
        for resources in upgraded.snapshot().inventories.values()
        for row in resources.values()
    }
    kinds = {row["id"]: row["kind"] for row in v1["documents"]}
    expected = {
        (row["owner_id"], row["key"]): (kinds[row["owner_id"]], row["unit"], row["limit"], 0)
        for row in v1["counters"]
        if row["limit"] is not None
    }
    for row in v1["capacity"]:
        parts = (
            (("vcpus", "vcpu", "COUNT"), ("memory", "memory", "B"))
            if row["kind"] == "host"
            else (("space", "space", "B"),)
        )
        for resource, column, unit in parts:
            expected[row["id"], resource] = (row["kind"], unit, row[f"{column}_limit"], row[f"{column}_foreign"])
    assert {key: row for key, row in found.items() if row[2] is not None} == expected
    assert {key for key, row in found.items() if row[2] is None} == expected_usage(v1).keys() - expected.keys()


def test_names_and_anti_affinity_become_exclusive_keys(upgraded, v1):
    expected = {}
    for row in v1["group_members"]:
        prefix = "" if row["group_name"].startswith("name:") else "anti-affinity:"
        expected[f"{prefix}{row['group_name']}:{row['topology_key']}"] = row["entity_id"]
    assert upgraded.snapshot().exclusives == expected
    assert len(expected) == 19


def test_documents_are_split_into_intent_and_facts(upgraded, v1):
    found = {d.id: d for d in upgraded.snapshot().documents if d.kind != "image-copy"}
    assert found.keys() == {row["id"] for row in v1["documents"]}
    for row in v1["documents"]:
        document, body = found[row["id"]], json.loads(row["body"])
        for name in ("kind", "scope", "name", "state", "managed_by", "version", "name_key", "created_at", "updated_at"):
            assert getattr(document, name) == row[name]
        facts = {key: body.pop(key) for key in FACTS.get(row["kind"], []) if key in body}
        observed = dict(document.observed)
        if row["kind"] == "vm":
            disks = observed.pop("disks")
            main = body.pop("datastore")
            assert [disks[disk["name"]] for disk in body["disks"]] == [
                {"datastore": disk.pop("datastore", main), "path": None, "uuid": None, "unit": unit}
                for unit, disk in enumerate(body["disks"])
            ]
            body["host_tags"] = []
        elif row["kind"] == "host":
            facts |= {"connected": True, "in_maintenance": False, "hardware_uuid": ""}
        elif row["kind"] == "datastore":
            facts["accessible"] = True
        elif row["kind"] == "image":
            del body["copies"]
        assert (document.body, observed) == (body, facts)


def test_everything_else_stays(cloudstore_url, upgraded, v1):
    after = cloudstore_v1.dump(cloudstore_url)
    for name in ("runs", "tasks", "steps", "commits", "history"):
        assert after[name] == sorted(v1[name], key=lambda row: json.dumps(row, default=str))
    meta = {row["key"]: row["value"] for row in after["meta"]}
    assert meta["schema_version"] == "3"
    assert meta.pop("store_id") == upgraded.store_id
    assert {**meta, "schema_version": "1"} == {row["key"]: row["value"] for row in v1["meta"]}
    assert not {"counters", "capacity", "group_members"} & after.keys()
    [tomb] = upgraded.tombstones()
    assert (tomb.name, tomb.state) == ("apart-3", "DELETED")
    assert tomb.observed["vsphere"]["name"] == "apart-3"
    assert "host" not in tomb.body


def test_the_upgraded_schema_is_the_new_one(cloudstore_url, upgraded, tmp_path, request):
    """Tables, columns and indexes are those that a new CloudStore gets."""
    from ansible_collections.photon.platform.plugins.module_utils.cloudstore import open_store

    server = None
    url = f"sqlite:///{tmp_path}/new.db"
    if not cloudstore_url.startswith("sqlite"):
        server = request.getfixturevalue("postgresql_server")
        url = server.create("migration-new")
        request.addfinalizer(lambda: server.drop("migration-new"))
    with open_store(url, mode="write", allow_ephemeral=True) as new:
        assert shape(upgraded) == shape(new)


def shape(store):
    with store.database.engine.connect() as connection:
        inspector = sqlalchemy.inspect(connection)
        return {
            name: (
                [(c["name"], str(c["type"]).replace("DOUBLE_PRECISION", "DOUBLE"), c["nullable"])
                 for c in inspector.get_columns(name)],
                inspector.get_pk_constraint(name)["constrained_columns"],
                sorted((i["name"], tuple(i["column_names"]), bool(i["unique"])) for i in inspector.get_indexes(name)),
            )
            for name in inspector.get_table_names()
        }  # fmt: skip


def test_the_unfinished_tasks_are_taken_over(upgraded, v1):
    run = upgraded.begin_run()
    taken = upgraded.take_over(run)
    assert {t.id for t in taken} == {row["id"] for row in v1["tasks"] if row["ended_at"] is None}
    documents = upgraded.run(lambda tx: tx.get([t.entity_id for t in taken]))
    assert upgraded.run(lambda tx: tx.bury(documents.values())) == []
    upgraded.run(lambda tx: tx.finish_tasks({t.id: None for t in taken}))
    run.end()
    late = {row["id"] for row in v1["documents"] if row["name"].startswith("late-")}
    v1["documents"] = [row for row in v1["documents"] if row["id"] not in late]
    assert len(late) == 2
    assert found_usage(upgraded) == used(v1)


def test_totals_that_drifted_are_recomputed(cloudstore_url, open_again, v1):
    drifted = copy.deepcopy(v1)
    for row in drifted["counters"]:
        row["usage"] += 7
    for row in drifted["capacity"]:
        row["vcpu_claimed"], row["memory_claimed"] = 0, row["memory_claimed"] * 2
    drifted["counters"].append({"owner_id": "deleted", "key": "vm", "unit": "COUNT", "limit": 3, "usage": 1})
    drifted["group_members"].append({"group_name": "host:acme/web/apart", "topology_key": "h", "entity_id": "deleted"})
    cloudstore_v1.load(cloudstore_url, drifted)
    store = open_again("upgrade")
    assert found_usage(store) == used(v1)
    assert len(store.snapshot().exclusives) == 19
    assert "deleted" not in store.snapshot().inventories


def test_a_disk_without_datastore_lies_where_its_vm_does(cloudstore_url, open_again, v1):
    [row] = [row for row in v1["documents"] if row["name"] == "web-01"]
    body = json.loads(row["body"])
    body["disks"].append(body["disks"].pop(0))  # swapping disks lost their datastores
    for disk in body["disks"]:
        disk.pop("datastore")
    row["body"] = json.dumps(body)
    cloudstore_v1.load(cloudstore_url, v1)
    store = open_again("upgrade")
    [vm] = [d for d in store.snapshot().documents if d.name == "web-01"]
    assert {disk["datastore"] for disk in vm.observed["disks"].values()} == {body["datastore"]}
    assert found_usage(store) == used(v1)


def test_records_of_things_that_no_longer_exist_hold_nothing(cloudstore_url, open_again, v1):
    """Without their hosts and datastores VMs keep their quota; without a place there are no facts."""
    v1["documents"] = [row for row in v1["documents"] if row["kind"] not in ("host", "datastore")]
    [row] = [row for row in v1["documents"] if row["name"] == "late-1"]
    body = json.loads(row["body"])
    for key in ("endpoint", "host", "cluster", "datastore", "vsphere"):
        del body[key]
    row["body"], row["state"] = json.dumps(body), "ERROR"
    cloudstore_v1.load(cloudstore_url, v1)
    store = open_again("upgrade")
    snapshot = store.snapshot()
    assert snapshot.usage.keys() == {d.id for d in snapshot.documents if d.kind in ("tenant", "project")}
    [vm] = [d for d in snapshot.documents if d.name == "late-1"]
    assert (vm.state, vm.observed) == ("ERROR", {})


@pytest.mark.parametrize(
    ("kind", "state", "after", "facts"),
    [
        ("host", "ERROR", "READY", {"connected": False, "in_maintenance": False}),
        ("host", "MAINTENANCE", "MAINTENANCE", {"connected": True, "in_maintenance": True}),
        ("host", "SUSPENDED", "SUSPENDED", {"connected": True, "in_maintenance": False}),
        ("datastore", "ERROR", "READY", {"accessible": False}),
    ],
)
def test_states_become_intent_and_facts(kind, state, after, facts):
    found, _body, observed = v2.split(kind, state, {})
    assert found == after
    assert observed.items() >= facts.items()


def test_the_eighth_disk_skips_the_controllers_own_unit():
    disks = [{"name": f"d{n}", "capacity": 1} for n in range(9)]
    _state, _body, observed = v2.split("vm", "STOPPED", {"endpoint": "e", "datastore": "d", "disks": disks})
    assert [disk["unit"] for disk in observed["disks"].values()] == [0, 1, 2, 3, 4, 5, 6, 8, 9]


def test_history_keeps_fifty_versions(cloudstore_url, open_again, v1):
    [row] = [row for row in v1["documents"] if row["name"] == "web-02"]
    change = next(c for c in v1["history"] if c["entity_id"] == row["id"])
    v1["history"] = [c for c in v1["history"] if c["entity_id"] != row["id"]]
    v1["history"] += [{**change, "version": n} for n in range(1, 61)]
    row["version"] = 60
    cloudstore_v1.load(cloudstore_url, v1)
    store = open_again("upgrade")
    assert [c.version for c in store.history(row["id"])] == list(range(11, 61))


def test_nothing_upgrades_by_itself(cloudstore_url, open_again, v1):
    cloudstore_v1.load(cloudstore_url, v1)
    before = cloudstore_v1.dump(cloudstore_url)
    for mode in ("read", "write"):
        with pytest.raises(PhotonError) as caught:
            open_again(mode)
        assert caught.value.code == "SchemaTooOld"
        assert "state=upgraded" in caught.value.message
    assert cloudstore_v1.dump(cloudstore_url) == before


def test_copies_become_documents_with_their_space(upgraded, v1):
    snapshot = upgraded.snapshot(allocations=True)
    names = {d.id: d for d in snapshot.documents}
    found = {(d.scope, d.body["datastore"]): d for d in snapshot.documents if d.kind == "image-copy"}
    expected = copies_of(v1)
    assert len(expected) == len(found) > 2
    assert found.keys() == expected.keys()
    for (image_id, store_id), copied in found.items():
        old = expected[image_id, store_id]
        assert (copied.state, copied.version, copied.managed_by) == ("READY", 1, names[image_id].managed_by)
        assert copied.name == names[store_id].name
        assert copied.name_key == f"image-copy/{image_id}/{store_id}"
        assert copied.body == {"datastore": store_id, "size": old["size"], "template_uuid": old["template_uuid"]}
        assert copied.observed == {"path": old["path"], "template_moid": old["template_moid"]}
        assert snapshot.held[copied.id] == {(store_id, "space"): old["size"]}


def test_copies_that_were_not_complete_or_lost_their_datastore_are_left_out(cloudstore_url, open_again, v1):
    """A run makes them again; tombstones of images lose their list too."""
    rows = [row for row in v1["documents"] if row["kind"] == "image"]
    body = json.loads(rows[0]["body"])
    stores = [*body["copies"]]
    body["copies"][stores[0]]["path"] = ""
    body["copies"]["gone"] = body["copies"].get(stores[-1], {})
    rows[0]["body"] = json.dumps(body)
    tomb = {"id": "dead", "kind": "image", "deleted_at": 1.0, "deleted_by": "tests"}
    document = {**rows[0], "id": "dead", "deleted_at": 1.0, "body": body}
    v1["tombstones"].append({**tomb, "document": json.dumps(document)})
    cloudstore_v1.load(cloudstore_url, v1)
    store = open_again("upgrade")
    copies = [d for d in store.snapshot().documents if d.kind == "image-copy" and d.scope == rows[0]["id"]]
    assert {d.body["datastore"] for d in copies} == set(stores[1:])
    [dead] = [d for d in store.tombstones() if d.id == "dead"]
    assert "copies" not in dead.body
    assert dead.body["sha256"] == body["sha256"]


KILLED = """
import os, signal, sys
import sqlalchemy
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import open_store

def killed(_connection, _cursor, statement, *_more):
    if statement.startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

sqlalchemy.event.listen(sqlalchemy.engine.Engine, "before_cursor_execute", killed)
open_store(sys.argv[1], mode="upgrade", allow_ephemeral=True)
"""


def test_a_killed_upgrade_leaves_version_1_whole(cloudstore_url, v1, open_again, pytestconfig):
    cloudstore_v1.load(cloudstore_url, v1)
    before = cloudstore_v1.dump(cloudstore_url)
    environment = {**os.environ, "PYTHONPATH": str(pytestconfig.rootpath / "collections")}
    statements = (
        "INSERT INTO allocations", "UPDATE documents", "DROP TABLE group_members", "CREATE TABLE raw_digests",
        "INSERT INTO documents", "UPDATE meta",
    )  # fmt: skip
    for statement in statements:
        words = [sys.executable, "-c", KILLED, cloudstore_url, statement]
        assert subprocess.run(words, env=environment, check=False).returncode == -signal.SIGKILL, statement
        assert cloudstore_v1.dump(cloudstore_url) == before
    assert found_usage(open_again("upgrade")) == used(v1)


def test_every_version_has_its_upgrade():
    assert sorted(migrations.UPGRADES) == list(range(2, migrations.VERSION + 1))
