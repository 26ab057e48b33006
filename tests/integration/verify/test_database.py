# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each kind of damage in the database is found without a change, and repaired where it follows from the documents."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import open_store

from tests.integration.verify.conftest import declared, vsphere, whats
from tests.support.damage import Dump, Tables
from tests.support.site import Site

GHOST = str(uuid.UUID(int=7))
DERIVED = ("allocations", "exclusives", "inventories", "providers", "tasks")


@dataclass
class Damage:
    """The database by hand, with the ids of what the site has."""

    tables: Tables
    site: Site

    def id_of(self, kind: str, name: str) -> str:
        return self.site.named(kind, name).id

    def inventory(self, kind: str, name: str, resource: str) -> int:
        return self.tables.one(
            "SELECT id FROM inventories WHERE provider = :p AND resource = :r", p=self.id_of(kind, name), r=resource
        )

    def sql(self, statement: str, **values: object) -> None:
        """A statement that changes at least one row."""
        assert self.tables.execute(statement, **values) > 0, statement


def allocation_deleted(d: Damage) -> None:
    d.sql("DELETE FROM allocations WHERE consumer = :c AND inventory = :i",
          c=d.id_of("vm", "web-01"), i=d.inventory("project", "web", "vm.count"))  # fmt: skip


def all_allocations_deleted(d: Damage) -> None:
    d.sql("DELETE FROM allocations WHERE consumer = :c", c=d.id_of("vm", "web-02"))


def allocation_doubled(d: Damage) -> None:
    """The same amount on a second host, as an allocation that a move left behind."""
    vm = d.site.record("web-01")
    assert vm.place
    other = next(name for name in ("esx01.lab", "esx02.lab", "esx03.lab") if d.site.host_of("web-01") != name)
    d.sql("INSERT INTO allocations (consumer, inventory, amount) VALUES (:c, :i, :a)",
          c=vm.id, i=d.inventory("host", other, "memory"), a=vm.memory)  # fmt: skip


def allocation_changed(d: Damage) -> None:
    d.sql("UPDATE allocations SET amount = amount * 2 WHERE consumer = :c", c=d.id_of("vm", "web-01"))


def project_allocation_changed(d: Damage) -> None:
    d.sql("UPDATE allocations SET amount = amount + 1 WHERE consumer = :c", c=d.id_of("project", "web"))


def consumer_without_document(d: Damage) -> None:
    d.sql("INSERT INTO allocations (consumer, inventory, amount) VALUES (:c, :i, 5)",
          c=GHOST, i=d.inventory("project", "web", "vm.count"))  # fmt: skip


def provider_without_document(d: Damage) -> None:
    d.sql("INSERT INTO providers (id, kind) VALUES (:p, 'host')", p=GHOST)
    d.sql("INSERT INTO inventories (id, provider, resource, unit, \"limit\", \"foreign\") "
          "VALUES (90001, :p, 'vcpus', 'COUNT', 5, 0)", p=GHOST)  # fmt: skip
    d.sql("INSERT INTO allocations (consumer, inventory, amount) VALUES (:c, 90001, 5)", c=d.id_of("vm", "web-01"))


def allocation_of_no_inventory(d: Damage) -> None:
    d.sql("INSERT INTO allocations (consumer, inventory, amount) VALUES (:c, 90002, 5)", c=d.id_of("vm", "web-01"))


def provider_row_deleted(d: Damage) -> None:
    d.sql("DELETE FROM providers WHERE id IN (:a, :b)", a=d.id_of("project", "web"), b=d.id_of("host", "esx01.lab"))


def exclusive_key_missing(d: Damage) -> None:
    d.sql("DELETE FROM exclusives WHERE consumer = :c", c=d.id_of("vm", "web-01"))


def exclusive_key_of_another(d: Damage) -> None:
    d.sql("UPDATE exclusives SET consumer = :o WHERE consumer = :c",
          c=d.id_of("vm", "web-01"), o=d.id_of("vm", "web-02"))  # fmt: skip


def exclusive_key_of_no_document(d: Damage) -> None:
    d.sql("UPDATE exclusives SET consumer = :o WHERE consumer = :c", c=d.id_of("vm", "web-01"), o=GHOST)


def exclusive_key_left_behind(d: Damage) -> None:
    d.sql("INSERT INTO exclusives (key, consumer) VALUES ('name:gone', :c)", c=d.id_of("vm", "web-01"))


def capacity_changed(d: Damage) -> None:
    d.sql('UPDATE inventories SET "limit" = 1 WHERE id = :i', i=d.inventory("host", "esx01.lab", "vcpus"))


def capacity_deleted(d: Damage) -> None:
    d.sql("DELETE FROM allocations WHERE inventory = :i", i=d.inventory("datastore", "shared1", "space"))
    d.sql("DELETE FROM inventories WHERE id = :i", i=d.inventory("datastore", "shared1", "space"))


def task_of_a_dead_run(d: Damage) -> None:
    run = str(uuid.uuid4())
    d.sql('INSERT INTO runs (id, epoch, holder, process, ttl, started_at, expires_at) '
          "VALUES (:r, 1, 'gone', '', 30, :t, :t)", r=run, t=time.time() - 3600)  # fmt: skip
    d.sql('INSERT INTO tasks (id, operation, entity_kind, entity_id, run_id, state, "by", queued_at, data) '
          "VALUES (:i, 'START_VM', 'vm', :c, :r, 'STARTED', 'gone', :t, '{}')",
          i=str(uuid.uuid4()), c=d.id_of("vm", "web-01"), r=run, t=time.time() - 3600)  # fmt: skip


def facts_changed(d: Damage) -> None:
    d.sql("UPDATE documents SET state = 'STARTED' WHERE id = :c", c=d.id_of("vm", "web-01"))


_CHANGE_VERSION = re.compile(r'"change_version":(?:"[^"]*"|null)')
REPAIRED: dict[str, tuple[Callable[[Damage], None], list[str]]] = {
    "allocation deleted": (allocation_deleted, ["allocation"]),
    "all allocations of a VM deleted": (all_allocations_deleted, ["allocation"]),
    "allocation doubled": (allocation_doubled, ["allocation"]),
    "amounts changed": (allocation_changed, ["allocation"]),
    "amounts of a project changed": (project_allocation_changed, ["allocation"]),
    "consumer without document": (consumer_without_document, ["allocation"]),
    "provider without document": (provider_without_document, ["allocation", "provider"]),
    "allocation of no inventory": (allocation_of_no_inventory, ["allocation"]),
    "provider row deleted": (provider_row_deleted, ["provider"]),
    "exclusive key missing": (exclusive_key_missing, ["exclusive key"]),
    "exclusive key of another VM": (exclusive_key_of_another, ["exclusive key"]),
    "exclusive key of no document": (exclusive_key_of_no_document, ["exclusive key"]),
    "exclusive key left behind": (exclusive_key_left_behind, ["exclusive key"]),
    "capacity changed": (capacity_changed, ["capacity"]),
    "capacity deleted": (capacity_deleted, ["allocation", "capacity"]),
    "task of a dead run": (task_of_a_dead_run, ["interrupted task"]),
    "facts changed": (facts_changed, ["facts"]),
}


@pytest.mark.parametrize("name", REPAIRED)
def test_damage_is_found_and_repaired(name: str, applied: Site, tables: Tables) -> None:
    site, (damage, expected) = applied, REPAIRED[name]
    sound, before = tables.dump(), vsphere(site)
    damage(Damage(tables, site))
    damaged = tables.dump()
    assert damaged != sound

    found = site.verify(check=True)
    assert whats(found) == expected
    assert (found["changed"], found["repaired"], found["repairable"]) == (True, 0, found["left"])
    assert tables.dump() == damaged, "a check changes nothing"

    repaired = site.verify()
    assert (repaired["changed"], repaired["left"]) == (True, 0)
    assert repaired["repaired"] == found["left"]
    assert derived(tables.dump(), sound) == derived(sound, sound)
    assert vsphere(site) == before, "vSphere stays as it is"


def derived(dump: Dump, sound: Dump) -> Dump:
    """The rows that are derived, with (provider, resource) for the numbers of inventories, and the documents."""
    keys = {row[0]: row[1:3] for row in dump["inventories"]}
    known = {row[0] for row in sound["tasks"]}
    return {
        # Recovery forgets the change version, so that the next plan compares the VM in detail.
        "documents": [tuple(_CHANGE_VERSION.sub("", str(cell)) for cell in row) for row in dump["documents"]],
        "allocations": sorted((row[0], keys.get(row[1]), row[2]) for row in dump["allocations"]),
        "inventories": sorted(row[1:] for row in dump["inventories"]),
        "providers": dump["providers"],
        "exclusives": dump["exclusives"],
        "open tasks": [row for row in dump["tasks"] if row[0] not in known and row[9] is None],
    }


def test_a_repair_without_damage_leaves_no_trace_but_its_run(applied: Site, tables: Tables) -> None:
    before = tables.dump()
    outcome = applied.verify()
    assert (outcome["changed"], outcome["found"], outcome["repaired"]) == (False, 0, 0)
    own = {"runs": [], "commits": []}
    assert tables.dump() | own == before | own


def test_other_runs_at_work_are_mentioned(applied: Site, tables: Tables) -> None:
    with open_store(applied.url, mode="write", allow_ephemeral=True) as store:
        run = store.begin_run(ttl=30)
        warnings = applied.verify(check=True)["warnings"]
        run.end()
    assert [text for text in warnings if text.startswith("1 other run works on this CloudStore")]
    assert applied.verify(check=True)["warnings"] == []


def limit_below_usage(d: Damage) -> None:
    d.sql('UPDATE inventories SET "limit" = 1 WHERE id = :i', i=d.inventory("project", "web", "vm.count"))
    d.sql("UPDATE allocations SET amount = 1 WHERE consumer = :c AND inventory = :i",
          c=d.id_of("project", "web"), i=d.inventory("tenant", "acme", "vm.count"))  # fmt: skip


def dangling_image(d: Damage) -> None:
    d.sql("DELETE FROM documents WHERE id = :i", i=d.id_of("image", "debian"))


def dangling_project(d: Damage) -> None:
    d.sql("DELETE FROM documents WHERE kind = 'project'")


def dangling_tenant(d: Damage) -> None:
    d.sql("DELETE FROM documents WHERE kind = 'tenant'")


def dangling_datastore(d: Damage) -> None:
    d.sql("DELETE FROM documents WHERE id = :i", i=d.id_of("datastore", "shared1"))


def dangling_zone(d: Damage) -> None:
    d.sql("DELETE FROM documents WHERE id = :i", i=d.id_of("zone", "a"))


def shared_key(d: Damage) -> None:
    """Two VMs whose records say that they have one name in one folder."""
    observed = d.site.named("vm", "web-02").observed
    moved = d.site.named("vm", "web-01").observed["vsphere"]["name"]
    text = d.tables.one("SELECT observed FROM documents WHERE id = :c", c=d.id_of("vm", "web-02"))
    assert observed["vsphere"]["name"] in text
    d.sql("UPDATE documents SET observed = :o WHERE id = :c", c=d.id_of("vm", "web-02"),
          o=text.replace(f'"name":"{observed["vsphere"]["name"]}"', f'"name":"{moved}"'))  # fmt: skip


# What is left after a repair, and what the next step mentions.
DECIDED: dict[str, tuple[Callable[[Damage], None], list[str], str]] = {
    "limit below usage": (limit_below_usage, ["limit exceeded"], "raise the limit"),
    "image without document": (dangling_image, ["dangling reference"], "that has this image"),
    "project without document": (dangling_project, ["dangling reference"], "restore a backup that has this project"),
    "tenant without document": (dangling_tenant, ["dangling reference"], "restore a backup that has this tenant"),
    "datastore without document": (dangling_datastore, ["dangling reference"], "that has this datastore"),
    "zone without document": (dangling_zone, ["dangling reference"], "that has this zone"),
}


@pytest.mark.parametrize("name", DECIDED)
def test_what_needs_a_decision_is_left_with_its_next_step(name: str, applied: Site, tables: Tables) -> None:
    site, (damage, expected, step) = applied, DECIDED[name]
    before = vsphere(site)
    damage(Damage(tables, site))
    damaged = tables.dump()
    found = site.verify(check=True)
    assert set(expected) <= set(whats(found))
    assert tables.dump() == damaged, "a check changes nothing"
    repaired = site.verify()
    assert whats(repaired) == expected
    assert any(step in finding["step"] for finding in repaired["findings"])
    assert [row[:4] for row in tables.dump()["documents"]] == [row[:4] for row in damaged["documents"]]
    assert vsphere(site) == before


def test_a_key_that_two_records_claim_is_reported_until_the_facts_are_recorded(applied: Site, tables: Tables) -> None:
    shared_key(Damage(tables, applied))
    found = applied.verify(check=True)
    assert {"shared key", "facts"} <= set(whats(found))
    assert applied.verify()["left"] == 0


def test_everything_at_once_is_repaired_at_once(applied: Site, tables: Tables) -> None:
    sound = tables.dump()
    for each in (all_allocations_deleted, exclusive_key_missing, capacity_changed, consumer_without_document,
                 provider_row_deleted, task_of_a_dead_run, project_allocation_changed):  # fmt: skip
        each(Damage(tables, applied))
    assert applied.verify()["left"] == 0
    assert derived(tables.dump(), sound) == derived(sound, sound)
    applied.settled(declared())
