# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutants of the CloudStore's part of the accounting: who holds what, and what is compared when a claim is written."""

from __future__ import annotations

from tests.support.mutants import DROP, Mutant

ALLOCATIONS, DOCUMENTS = "cloudstore/allocations.py", "cloudstore/documents.py"


def claims(*names: str, database: str = "sqlite") -> tuple[str, ...]:
    """Tests of tests/integration/cloudstore/test_claims.py; a name may end in its own parameter after a colon."""
    return tuple(_test("claims", name, database) for name in names)


def documents(*names: str) -> tuple[str, ...]:
    return tuple(_test("documents", name, "sqlite") for name in names)


def _test(module: str, name: str, database: str) -> str:
    name, _colon, parameter = name.partition(":")
    suffix = f"-{parameter}" if parameter else ""
    return f"tests/integration/cloudstore/test_{module}.py::test_{name}[{database}{suffix}]"


def _allocations(where: str, what: str, old: str, new: str, *names: str, equivalent: str = "") -> Mutant:
    return Mutant(ALLOCATIONS, where and f"Allocations.{where}", what, old, new, claims(*names), equivalent)


def _documents(where: str, what: str, old: str, new: str, tests: tuple[str, ...], equivalent: str = "") -> Mutant:
    return Mutant(DOCUMENTS, where and f"Documents.{where}", what, old, new, tests, equivalent)


ALLOCATION_MUTANTS = [
    # What a claim replaces.
    _allocations("claim", "keep the old rows", "self.release(older)", DROP,
                 "a_claim_replaces_everything_its_consumer_held"),
    _allocations("claim", "forget that a new consumer has rows", "self.inserted.difference_update(wanted)", DROP,
                 "a_new_consumer_can_be_claimed_for_twice_in_one_transaction"),
    _allocations("claim", "count kept amounts as growth", "growth[row.inventory] -= row.amount", DROP,
                 "shrinking_is_allowed_beyond_the_limit_and_growing_is_not"),
    _allocations("claim", "ignore who leaves", "gone = set(leaving) - set(wanted)", "gone = set()",
                 "those_that_leave_make_room"),
    _allocations("claim", "free what a leaving consumer claims again", "set(leaving) - set(wanted)", "set(leaving)",
                 "one_that_leaves_and_claims_frees_nothing_for_itself"),
    _allocations("claim", "reserve no key", "self._reserve(wanted", DROP, "an_exclusive_key_has_one_holder"),
    _allocations("claim", "compare with no limit", "self._refuse_overfull(", DROP,
                 "usage_reaches_the_limit_and_never_passes_it"),
    _allocations("claim", "compare although asked not to", "        if check:", "        if True:",
                 "recording_without_a_check_accepts_any_amount"),
    _allocations("claim", "check growth by one never", "if amount > 0", "if amount > 1",
                 "capacity_is_recorded_by_the_last_writer"),
    _allocations("claim", "check what does not grow", "if amount > 0", "if amount >= 0",
                 "shrinking_is_allowed_beyond_the_limit_and_growing_is_not"),
    _allocations("release", "keep the amounts", "_RELEASE.execute(", DROP,
                 "release_deletes_all_rows_and_cannot_be_done_twice"),
    _allocations("release", "keep the keys", "_RELEASE_KEYS.execute(", DROP,
                 "release_deletes_all_rows_and_cannot_be_done_twice"),
    # The rows of a claim.
    _allocations("_add_rows", "write no amount", "_TAKE.execute(", DROP,
                 "a_claim_replaces_everything_its_consumer_held"),
    _allocations("_add_rows", "double the amount", '"amount": min(amount,', '"amount": min(2 * amount,',
                 "a_claim_replaces_everything_its_consumer_held"),
    _allocations("_add_rows", "write it for the wrong consumer", '"consumer": consumer', '"consumer": provider',
                 "a_claim_replaces_everything_its_consumer_held"),
    _allocations("_add_rows", "write it for the wrong provider", '"inventory": inventory',
                 '"inventory": max(ids.values())',
                 "a_claim_replaces_everything_its_consumer_held"),
    _allocations("_add_rows", "count no growth", "growth[inventory] += amount", DROP,
                 "usage_reaches_the_limit_and_never_passes_it"),
    _allocations("_add_rows", "count the last growth alone", "growth[inventory] += amount",
                 "growth[inventory] = amount",
                 "usage_reaches_the_limit_and_never_passes_it",
                 equivalent="growth is compared with 0, and its amount appears in messages only: amounts are above 0"),
    _allocations("_add_rows", "write rows of nothing", "if amount > 0 and", "if amount >= 0 and",
                 "an_amount_of_zero_has_no_row:0"),
    _allocations("_add_rows", "write negative amounts", "if amount > 0 and", "if amount != 0 and",
                 "an_amount_of_zero_has_no_row:-1"),
    _allocations("_inventory_ids", "leave out deleted providers silently", "raise _deleted(provider)", "continue",
                 "a_deleted_provider_is_a_conflict_or_left_out"),
    _allocations("_inventory_ids", "take from what is not recorded without a limit", "_limit(kinds[provider])", "None",
                 "a_host_without_recorded_capacity_takes_nothing_more"),
    _allocations("_inventory_ids", "accept what is not recorded", "if kinds[provider] not in QUOTA_OWNERS:",
                 "if False:",
                 "a_host_without_recorded_capacity_takes_nothing_more",
                 equivalent="its inventory is added with limit 0, which refuses the claim with the same code"),
    # Exclusive keys.
    _allocations("_reserve", "ignore twins in one batch", "if owners.setdefault(key, consumer) != consumer and check:",
                 "if owners.setdefault(key, consumer) != consumer and False:", "an_exclusive_key_has_one_holder"),
    _allocations("_reserve", "leave keys with those that leave", "if leaving:", "if False:",
                 "those_that_leave_make_room"),
    _allocations("_reserve", "take keys of those that stay", "for row in held if row.consumer in leaving]",
                 "for row in held]", "those_that_leave_make_room"),
    _allocations("_reserve", "give the key to another", '"consumer": owners[key]', '"consumer": min(owners.values())',
                 "two_consumers_swap_their_keys"),
    _allocations("_reserve", "ignore the holder", "or not check:", "or True:", "an_exclusive_key_has_one_holder"),
    _allocations("_reserve", "refuse although asked not to", "or not check:", "or False:",
                 "an_exclusive_key_has_one_holder"),
    # Limits and capacity.
    _allocations("_refuse_overfull", "refuse the last of a limit", "+ row.foreign > row.limit",
                 "+ row.foreign >= row.limit",
                 "usage_reaches_the_limit_and_never_passes_it"),
    _allocations("_refuse_overfull", "ignore what others use", " + row.foreign > row.limit", " > row.limit",
                 "what_others_use_counts"),
    _allocations("_refuse_overfull", "ignore our own usage", "row.used - freed[row.id] + row.foreign", "row.foreign",
                 "usage_reaches_the_limit_and_never_passes_it"),
    _allocations("_refuse_overfull", "free nothing of those that leave", "row.used - freed[row.id]", "row.used",
                 "those_that_leave_make_room"),
    _allocations("_refuse_overfull", "accept beyond a quota", "raise self._over_quota", DROP,
                 "usage_reaches_the_limit_and_never_passes_it"),
    _allocations("_refuse_overfull", "accept beyond a capacity", "if full:", DROP, "what_others_use_counts"),
    Mutant(ALLOCATIONS, "Allocations._refuse_overfull", "free twice what a leaving VM holds",
           "freed[held.inventory] += held.amount", "freed[held.inventory] += 2 * held.amount",
           ("tests/unit/plugins/module_utils/services/test_write.py::test_a_deleted_vm_frees_no_more_than_it_holds",)),
    _allocations("", "see no usage", "else_=used)", "else_=0)", "usage_reaches_the_limit_and_never_passes_it"),
    _allocations("add_providers", "add no row to lock", "_ADD_PROVIDERS.execute(", DROP,
                 "a_provider_without_its_row_gets_one_with_its_capacity"),
    _allocations("set_inventories", "add no row to lock", "self.add_providers(", DROP,
                 "a_provider_without_its_row_gets_one_with_its_capacity"),
    _allocations("set_inventories", "record no capacity", "self._store_inventories(", DROP,
                 "capacity_is_recorded_by_the_last_writer"),
    _allocations("set_limits", "record no limit", "self._store_inventories(", DROP,
                 "limits_are_replaced_and_compared_on_request"),
    _allocations("set_limits", "double the limit", "unit, limit, known[key].foreign",
                 "unit, limit and 2 * limit, known[key].foreign",
                 "limits_are_replaced_and_compared_on_request"),
    _allocations("set_limits", "keep limits that are not named",
                 "{key: (None, row.unit) for key, row in known.items()} | dict(limits)", "dict(limits)",
                 "limits_are_replaced_and_compared_on_request"),
    _allocations("set_limits", "forget what others use", "known[key].foreign if key in known else 0", "0",
                 "what_others_use_of_a_project_counts_and_survives_a_change_of_limits"),
    _allocations("check_limits", "accept limits below usage", "raise self._below_usage", DROP,
                 "limits_are_replaced_and_compared_on_request"),
    _allocations("check_limits", "refuse limits equal to usage", "> row.limit", ">= row.limit",
                 "limits_are_replaced_and_compared_on_request"),
    _allocations("check_limits", "ignore what others use", "row.used + row.foreign >", "row.used >",
                 "what_others_use_of_a_project_counts_and_survives_a_change_of_limits"),
    _allocations("_store_inventories", "never replace", "and replace:", "and False:",
                 "capacity_is_recorded_by_the_last_writer"),
    _allocations("_store_inventories", "replace nothing", "_SET_INVENTORIES.execute(", DROP,
                 "capacity_is_recorded_by_the_last_writer"),
    _allocations("_store_inventories", "add none",
                 "_ADD_INVENTORIES.execute(self.connection, rows) != len(rows) and replace",
                 "replace", "a_key_without_limit_is_counted_in_its_unit"),
    _allocations("", "replace all resources of a provider",
                 'Update("inventories", ("provider", "resource")', 'Update("inventories", ("provider",)',
                 "capacity_is_recorded_by_the_last_writer"),
    _allocations("", "replace no limit", '("unit", "limit", "foreign"))', '("unit", "foreign"))',
                 "capacity_is_recorded_by_the_last_writer"),
    _allocations("", "replace no foreign usage", '("unit", "limit", "foreign"))', '("unit", "limit"))',
                 "capacity_is_recorded_by_the_last_writer"),
    # Locks, which SQLite does not need.
    Mutant(ALLOCATIONS, "", "lock no provider", '_LOCK = Fetch("providers", "id", lock=CHANGE)',
           '_LOCK = Fetch("providers", "id")',
           claims("a_claim_counts_those_that_commit_before_it", database="postgresql")),
    Mutant(ALLOCATIONS, "", "lock no consumer", 'Fetch("documents", "id", lock=CHANGE, columns=("id",))',
           'Fetch("documents", "id", columns=("id",))',
           claims("two_claims_of_one_consumer_leave_the_rows_of_one", database="postgresql")),
]  # fmt: skip

_LEAVES_NOTHING = claims("a_deleted_document_leaves_no_rows")
_LEFT_OUT = claims("a_deleted_provider_is_a_conflict_or_left_out")
_BURIED = documents("bury_deletes_what_the_task_locks_and_all_it_held")

DOCUMENT_MUTANTS = [
    _documents("insert", "add no provider", "_ADD_PROVIDERS.execute(", DROP,
               claims("a_key_without_limit_is_counted_in_its_unit")),
    _documents("insert", "take new consumers for old ones", "self.inserted.update(", DROP,
               claims("a_new_consumer_can_be_claimed_for_twice_in_one_transaction"),
               "it only saves the look for rows that a new document cannot have"),
    _documents("delete", "keep everything", "self._bury(", DROP, _LEAVES_NOTHING),
    _documents("bury", "keep everything", "self._bury(", DROP, _BURIED),
    _documents("_bury", "keep what it held and provided", "self.forget(", DROP, _LEAVES_NOTHING),
    _documents("_bury", "keep the document", "_DELETE.execute(", DROP, _BURIED),
    _documents("forget", "keep what it held and provided", "statement.execute(", DROP, _LEAVES_NOTHING),
    _documents("", "keep the amounts of the deleted",
               '    Delete("allocations", "consumer"),\n', "", _LEAVES_NOTHING),
    _documents("", "keep the keys of the deleted",
               '    Delete("exclusives", "consumer"),\n', "", _LEAVES_NOTHING),
    _documents("", "delete the keys of others", 'Delete("exclusives", "consumer")',
               """Delete("exclusives", where=lambda t, _wanted: t.exclusives.c.consumer != '')""", _LEAVES_NOTHING),
    _documents("", "keep what others hold of the deleted",
               "t.inventories.select().where(wanted(t.inventories.c.provider))", "t.inventories.select().where(False)",
               _LEAVES_NOTHING),
    _documents("", "keep the capacity of the deleted",
               '    Delete("inventories", "provider"),\n', "", _LEFT_OUT),
    _documents("", "keep the row to lock of the deleted",
               '    Delete("providers", "id"),\n', "", _LEFT_OUT),
    _documents("observe", "record no fact", "_OBSERVE.execute(", DROP,
               documents("an_observation_changes_neither_version_nor_history")),
    _documents("observe", "observe what others work on", "if d.id not in tasks or self.is_ours(tasks[d.id])", "if True",
               documents("a_locked_document_is_not_observed_by_others")),
    _documents("settle", "record no result", "self._change(", DROP,
               documents("settle_needs_no_version_and_names_what_is_gone")),
    _documents("_locked_by_us", "settle without the lease", "self.fence()", DROP,
               documents("a_run_that_lost_its_lease_settles_nothing")),
    _documents("_locked_by_us", "settle without a task", "if unlocked:", DROP,
               documents("settle_needs_no_version_and_names_what_is_gone")),
    _documents("_unchanged", "change what others work on", "raise concurrent(task)", DROP,
               documents("a_locked_document_is_changed_by_its_run_alone")),
    _documents("_unchanged", "change what others changed", "_refuse_stale(", DROP,
               documents("an_update_needs_the_version_that_was_read")),
    _documents("check_versions", "accept what others changed", "_refuse_stale(", DROP,
               documents("versions_are_checked_without_writing")),
]  # fmt: skip
