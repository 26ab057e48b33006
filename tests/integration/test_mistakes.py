# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes that show when a site is read or changed: each message says what to do, and a cause is named once.

Elsewhere: 1 to 24 and 34, tests/unit/plugins/module_utils/model/test_mistakes.py; 59 (undefined variables),
tests/unit/plugins/lookup/test_declaration.py; 62 (a stale plan), entry_points/test_site.py; 64 (Ctrl-C),
faults/test_interrupt.py and entry_points/test_interrupted.py.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
import time

import pytest
from ansible.errors import AnsibleError
from ansible_collections.photon.platform.plugins.module_utils import entry_point, plan_text, progress_text
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import Step, Task, database, errors, open_store
from ansible_collections.photon.platform.plugins.module_utils.cloudstore.progress import Reader
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services import info
from ansible_collections.photon.platform.plugins.plugin_utils import store
from photon_platform import command, show
from photon_platform.collection import Failure

from tests.chaos.scene import tree
from tests.support import diskimages
from tests.support.site import Site


@pytest.fixture(scope="module")
def lab(lab_small):
    return lab_small


@pytest.fixture
def site(lab_small, tmp_path):
    made = Site(lab_small, tmp_path / "fresh")
    yield made
    made.close()


@pytest.fixture(scope="module")
def applied(lab_small, tmp_path_factory):
    """A site with four running VMs; only plans are made of it."""
    made = Site(lab_small, tmp_path_factory.mktemp("applied"))
    made.good(tree(4) | {"photon_site": "mistakes"})
    yield made
    made.close()


def plan(site, declared, **more):
    return site.run({**declared, "photon_site": "mistakes"}, check=True, result="full", **more)


def message(outcome, name):
    """The message of what failed by this name."""
    return next(row["message"] for row in outcome["failures"] if name in row["name"])


def has(text, *words):
    assert [word for word in words if word not in text] == [], text


def project(declared):
    return declared["photon_tenants"][0]["projects"][0]


# -- images --------------------------------------------------------------------------------------------------------


def test_25_an_image_file_that_is_not_there(site):
    declared = tree(0) | {"photon_images": [{"name": "debian", "file": "nope.ova", "replication": "EAGER"}]}
    has(message(plan(site, declared), "debian"), "nope.ova", "No such file", "check the path")


def test_26_a_file_that_is_no_image(site):
    (site.directory / "bad.vmdk").write_text("no disk")
    declared = tree(0) | {"photon_images": [{"name": "debian", "file": "bad.vmdk", "replication": "EAGER"}]}
    has(message(plan(site, declared), "debian"), "bad.vmdk", "qemu-img convert")


def test_27_an_image_whose_file_was_replaced(applied):
    path = applied.directory / "other.ova"
    diskimages.ova(path, content=b"other")
    declared = tree(4) | {"photon_images": [{"name": "debian", "file": "other.ova", "replication": "EAGER"}]}
    has(message(plan(applied, declared), "debian"), "differs from the file", "declare it under a new name")


# -- endpoints: one cause, named once --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "change", "words"),
    [
        (28, {"port": 1}, ["cannot be reached", "check address, port and network"]),
        (29, {"address": "no-such-host.invalid"}, ["cannot be reached", "check address, port and network"]),
        (30, {"tls": {}}, ["the certificate was refused", "tls.ca_file", "tls.thumbprint"]),
        (
            31,
            {"credential": "wrong"},
            ["login of 'nobody'", "check the user name and password of the endpoint's credential"],
        ),
        (32, {"credential": "nobody"}, ["photon_credentials", "PHOTON_CREDENTIAL_NOBODY_USERNAME"]),
        (33, {"datacenter": "Paris"}, ["no datacenter named 'Paris'", "dc1"]),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
def test_an_endpoint_that_cannot_be_read_is_explained_once(applied, number, change, words):
    applied.credentials["wrong"] = {"username": "nobody", "password": "wrong-password"}
    declared = tree(4)
    declared["photon_endpoints"] = [{**applied.endpoints[0], **change}, *applied.endpoints[1:]]
    outcome = plan(applied, declared)
    text = "\n".join(plan_text.failure_lines(outcome))
    has(text, *words)
    assert text.count(words[0]) == 1, text
    assert "wrong-password" not in text
    assert max(len(line) for line in text.splitlines()) < 400, text


def test_35_a_host_that_vcenter_does_not_have(site):
    declared = tree(0)
    declared["photon_hosts"].append({"name": "esx99.lab", "endpoint": "vc1", "zone": "a"})
    has(message(plan(site, declared), "esx99"), "no host named 'esx99.lab'", "esx01.lab")


# -- quotas and deletions --------------------------------------------------------------------------------------------


def test_36_over_quota(applied):
    declared = tree(4)
    project(declared)["vms"].append({**project(declared)["vms"][0], "name": "more-[01:60]"})
    has(message(plan(applied, declared), "more"), "acme/web", "left", "raise the quota or ask for less")


def test_37_a_percentage_below_what_is_used_names_the_project(applied):
    declared = tree(4)
    declared["photon_tenants"][0]["quota"]["vm.count"] = 4
    outcome = plan(applied, declared)
    tenant = next(row["message"] for row in outcome["failures"] if row["kind"] == "tenant")
    has(tenant, "project web already uses 4 of vm.count", "delete VMs first or set a higher limit")


def test_38_a_disk_cannot_shrink_in_people_s_units(applied, lab):
    flavored = {"disks": [{"name": "data", "flavor": "core-100", "capacity": "20 GB"}]}
    extra = {**project(tree(1))["vms"][0], "name": "fat", **flavored}
    declared = tree(4)
    project(declared)["vms"].append(extra)
    applied.good(declared | {"photon_site": "mistakes"})
    extra["disks"][0]["capacity"] = "10 GB"
    has(message(plan(applied, declared), "fat"), "cannot shrink from 20 GB to 10 GB", "declare its present size")


def test_39_pruning_a_running_vm_says_which_line_deletes_it(applied):
    declared = tree(0) | {"photon_prune": "delete", "photon_max_deletes": 20}
    text = message(plan(applied, declared), "web-01")
    has(text, "is STARTED", "stop it first", "{name: web-01, state: absent, force: true}")


def test_40_deletion_protection_says_the_order(applied):
    protected = tree(4, deletion_protection=True) | {"photon_site": "mistakes"}
    applied.good(protected)
    try:
        text = message(plan(applied, tree(4, state="absent", force=True)), "web-")
        has(text, "set deletion_protection: false and apply, then declare it absent")
    finally:
        applied.good(tree(4, deletion_protection=False) | {"photon_site": "mistakes"})


def test_41_too_many_deletions_are_listed_as_ranges(applied):
    declared = tree(4, state="absent", force=True) | {"photon_max_deletes": 2}
    with pytest.raises(PhotonError) as caught:
        plan(applied, declared)
    has(caught.value.message, "vm acme/web/web-[01:04]", "photon_max_deletes (2)", "raise the limit")


def test_42_a_host_in_another_zone(applied):
    declared = tree(4)
    declared["photon_hosts"][0]["zone"] = "b"
    has(message(plan(applied, declared), "esx["), "Declare zone: a", "maintenance", "state: absent")


# -- the CloudStore ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "url", "words"),
    [
        (43, "sqlite:///relative.db", ["absolute path with four slashes", "sqlite:////var/lib/photon/cloudstore.db"]),
        (44, "/var/lib/photon/cloudstore.db", ["sqlite:////absolute/path.db"]),
        (45, "sqlite:////nowhere/at/all/cloudstore.db", ["mkdir -p /nowhere/at/all"]),
        (68, "sqlite:////usr", ["/usr is not a regular file: name a file"]),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
def test_a_wrong_url(site, number, url, words):
    site.url = url
    for check in (True, False) if number != 45 else (False,):  # a plan may be made where no CloudStore is yet
        with pytest.raises(PhotonError) as caught:
            site.run(tree(0), check=check)
        has(caught.value.message, *words)


def test_46_a_file_that_would_be_lost(site):
    site.url = "sqlite:////dev/shm/photon-mistake.db"
    with pytest.raises(PhotonError) as caught:
        site.run(tree(0), allow_ephemeral=False)
    has(caught.value.message, "is lost when", "use a persistent folder, or PostgreSQL")


def test_47_a_database_of_another_program(site):
    with sqlite3.connect(site.directory / "cloudstore.db") as other:
        other.execute("CREATE TABLE customers (name TEXT)")
    with pytest.raises(PhotonError) as caught:
        site.run(tree(0))
    has(caught.value.message, "tables of another application (customers)", "give the CloudStore a database of its own")


def test_48_and_49_a_plan_says_that_there_is_no_cloudstore_yet(site):
    site.url = f"sqlite:///{site.directory}/stroe/cloudstore.db"
    has(" ".join(plan(site, tree(0))["warnings"]), "stroe/cloudstore.db", "there is no CloudStore", "yet")


def test_50_a_damaged_file_is_to_be_restored(site):
    (site.directory / "cloudstore.db").write_text("this is text, and no database at all\n" * 100)
    with pytest.raises(PhotonError) as caught:
        site.run(tree(0))
    has(caught.value.message, "not a database", "restore the latest backup")


@pytest.mark.parametrize(
    ("number", "words", "advice"),
    [
        (51, "database or disk is full", "free space"),
        (53, "connection failed: fe_sendauth: no password supplied", "PGPASSWORD"),
        (54, 'FATAL: password authentication failed for user "photon"', "the password in ~/.pgpass or PGPASSWORD"),
        (54, 'FATAL: database "photno" does not exist', "createdb NAME"),
        (54, 'FATAL: role "photno" does not exist', "createuser NAME"),
    ],
)
def test_what_a_database_says_decides_the_next_step(number, words, advice):
    has(errors.unavailable("postgresql+psycopg://db/photon", words).message, words, advice)


def test_52_and_55_a_server_that_is_down(monkeypatch):
    monkeypatch.setattr(database, "PATIENCE_FOR_SERVER", 0.2)
    with pytest.raises(AnsibleError) as caught:
        store.ask(
            {"cloudstore_url": "postgresql+psycopg://photon@127.0.0.1:1/photon"},
            lambda context: info.resources(context, info.Query(kind="vm")),
        )
    text = str(caught.value)
    has(text, "refused", "start PostgreSQL, or correct the host and port")
    assert "look for a process" not in text
    assert "sqlalche.me" not in text
    assert caught.value.__cause__ is None, "Ansible prints every cause"


# -- commands --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inventories", [["nope"], [".", "nope"]], ids=["56", "57"])
def test_an_inventory_that_is_not_there(inventories):
    with pytest.raises(Failure, match="the inventory nope does not exist: correct -i nope"):
        command.play("plan.yml", argparse.Namespace(inventory=inventories, ask_vault_pass=False))


def test_58_broken_yaml_is_named_with_file_and_line(tmp_path):
    path = tmp_path / "host_vars" / "localhost" / "fleet.yml"
    path.parent.mkdir(parents=True)
    path.write_text("photon_site: paris\nphoton_zones: [{name: a}\nphoton_prune: report\n")
    [found] = command.broken_yaml([str(tmp_path)])
    has(found, f"{path}:3:", "correct the YAML there")


@pytest.mark.parametrize("content", [None, "garbage", '{"a": 1}', "{}"], ids=["60", "61", "61-other", "61-empty"])
def test_a_file_that_is_no_plan(applied, tmp_path, content):
    path = tmp_path / "plan.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(PhotonError) as caught:
        applied.run(tree(4), saved=entry_point.read_json(str(path)))
    has(caught.value.message, "make one with photon-plan -o")


def test_63_a_stranger_is_told_what_and_who_may(applied):
    stranger = {"user": "eve@corp", "groups": []}
    declared = tree(4, tags=["changed"])
    lines = "\n".join(plan_text.failure_lines(plan(applied, declared, act_as=stranger)))
    has(lines, "vm acme/web/web-[01:04]", "eve@corp may not update vm acme/web", "only ")


def test_65_of_two_runs_at_once_the_second_says_whom_it_waits_for(applied):
    [vm] = [d for d in applied.snapshot().documents if d.name == "web-01"]
    reader = Reader(applied.url)
    with open_store(applied.url, mode="write", allow_ephemeral=True, by="a colleague") as store:
        run = store.begin_run()
        store.run(lambda tx: tx.add_tasks([Task("STOP_VM", "vm", vm.id, [Step(0, "STOP_VM")], state="STARTED")]))
        second = applied.start(tree(4) | {"photon_site": "mistakes"})
        until = time.monotonic() + 120
        while not (seen := reader.read(second.process.pid)) or not seen.waiting:
            assert time.monotonic() < until
            time.sleep(0.1)
        has(progress_text.line(seen, {}), f"waiting for run {run.id[:8]} by ", "(a colleague)", " since ")
        store.run(lambda tx: tx.finish_tasks({t.id: None for t in tx.open_tasks([vm.id]).values()}))
        run.end()
    outcome = second.end()["outcome"]
    assert (outcome["failures"], outcome["changed"]) == ([], False)


def test_66_a_closed_terminal_leaves_no_traceback(capfd):
    @command.command
    def broken() -> int:
        raise BrokenPipeError

    kept = os.dup(1)
    try:
        assert broken() == 0
    finally:
        os.dup2(kept, 1)


def test_67_an_unknown_table_is_wrong_usage(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["photon-show", "foo"])
    with pytest.raises(SystemExit, match="64"):
        show.main()
    has(capsys.readouterr().err, "no table is named 'foo'", "choose from tenants, hosts, vms")
