# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mutants of the services' part of the accounting: what a record stands for, and when its rows are written."""

from __future__ import annotations

from tests.support.mutants import DROP, Mutant

_UNIT = "tests/unit/plugins/module_utils/services/"


def _ids(module: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{module}::test_{name}" for name in names)


def _rows(*names: str) -> tuple[str, ...]:
    return _ids(f"{_UNIT}vms/test_accounting.py", *names)


def _planned(*names: str) -> tuple[str, ...]:
    return _ids(f"{_UNIT}vms/test_plan.py", *names)


def _written(*names: str) -> tuple[str, ...]:
    return _ids(f"{_UNIT}test_write.py", *names)


def _tenancy(*names: str) -> tuple[str, ...]:
    return _ids(f"{_UNIT}tenancy/test_plan.py", *names)


def _capacity(*names: str) -> tuple[str, ...]:
    return _ids(f"{_UNIT}fleet/test_capacity.py", *names)


def _repaired(*damages: str) -> tuple[str, ...]:
    module = "tests/integration/verify/test_database.py"
    return tuple(f"{module}::test_damage_is_found_and_repaired[sqlite-{each}]" for each in damages)


def _lab(*names: str) -> tuple[str, ...]:
    return _ids("tests/integration/faults/test_platform_goes_on.py", *names)


_HOLDS = _rows("a_vm_holds_its_cost_its_host_its_datastores_and_its_name")
_SLOTS = _rows("a_hard_group_of_vms_apart_takes_a_slot")
_VM_CLAIMS = "services/vms/claims.py"

VM_CLAIM_MUTANTS = [
    Mutant(_VM_CLAIMS, "claim_of", what, old, new, tests)
    for what, old, new, tests in (
        ("charge nothing", "{key: amount for key, (amount, _unit) in vm.cost.items()}", "{}", _HOLDS),
        ("double the cost", "{key: amount for key,", "{key: 2 * amount for key,", _HOLDS),
        ("charge the wrong project", "= {vm.project: {key", "= {vm.id: {key", _HOLDS),
        ("hold no vCPUs", '{"vcpus": vm.vcpus, "memory"', '{"memory"', _HOLDS),
        ("double the vCPUs", '"vcpus": vm.vcpus', '"vcpus": 2 * vm.vcpus', _HOLDS),
        ("hold no memory", ', "memory": vm.memory}', "}", _HOLDS),
        ("double the memory", '"memory": vm.memory', '"memory": 2 * vm.memory', _HOLDS),
        ("hold from the wrong host", "amounts[host.id] =", "amounts[vm.place.endpoint] =", _HOLDS),
        ("hold nothing of the host", "amounts[host.id] =", DROP, _HOLDS),
        ("take no slot", "keys.update(_anti_affinity_slots(vm, host))", DROP, _SLOTS),
        ("hold no space", 'table["space"] += disk.capacity', DROP, _HOLDS),
        ("double the space", '+= disk.capacity', '+= 2 * disk.capacity', _HOLDS),
        ("hold the space of one disk", 'table["space"] += disk.capacity', 'table["space"] = disk.capacity', _HOLDS),
        ("hold from the wrong datastore", "setdefault(str(disk.datastore)", "setdefault(str(vm.disks[0].datastore)",
         _HOLDS),
        ("hold from undeclared datastores", "if state.get(disk.datastore) is not None:", "if True:",
         _rows("an_undeclared_datastore_is_not_claimed_from")),
        ("take no name", "keys.add(name_slot(", DROP, _HOLDS),
        ("write it for the wrong consumer", "Claim(vm.id,", "Claim(vm.project,", _HOLDS),
        ("take no key", "frozenset(keys)", "frozenset()", _HOLDS),
    )
] + [
    Mutant(_VM_CLAIMS, "name_slot", "take names with their case", "{name.lower()}", "{name}", _HOLDS),
    Mutant(_VM_CLAIMS, "name_slot", "one name in all folders", "{folder}:", "", _HOLDS),
    Mutant(_VM_CLAIMS, "name_slot", "one name on all endpoints", "{endpoint_id}:", "", _HOLDS),
    Mutant(_VM_CLAIMS, "_anti_affinity_slots", "slots of soft groups", "group.hard and", "True and", _SLOTS),
    Mutant(_VM_CLAIMS, "_anti_affinity_slots", "slots of VMs together", 'and group.kind == "anti-affinity"', "",
           _SLOTS),
    Mutant(_VM_CLAIMS, "_anti_affinity_slots", "a slot of the wrong level", '"rack": host.body.get("rack")',
           '"rack": host.id', _SLOTS),
    Mutant(_VM_CLAIMS, "_anti_affinity_slots", "one slot of all groups", ":{group.name}:", ":", _SLOTS),
    Mutant(_VM_CLAIMS, "_anti_affinity_slots", "one rack of all hosts without one", "{domain or host.id}", "{domain}",
           _rows("hosts_without_a_rack_are_racks_of_their_own")),
]  # fmt: skip

_WRITE = "services/write.py"
_SEEN_NOW = _rows("a_vm_is_compared_with_the_capacity_that_is_seen_now")
_FOLLOW = _rows("the_rows_of_a_moved_vm_follow_it_beyond_the_capacity")

WRITE_MUTANTS = [
    Mutant(_WRITE, "begin", "free nothing of what is deleted", "[a.id for a in recorded if a.verb == DELETE]", "[]",
           _written("a_new_vm_may_use_the_quota_of_one_that_the_same_plan_deletes")),
    Mutant(_WRITE, "begin", "free what stays", "[a.id for a in recorded if a.verb == DELETE]",
           "[a.id for a in recorded]",
           _written("a_new_vm_may_use_the_quota_of_one_that_the_same_plan_deletes"),
           "a consumer that claims in the same transaction frees nothing for itself, and others do not claim"),
    Mutant(_WRITE, "begin", "claim without the capacity that is seen",
           "registry.inventories(state) if any(a.claim is not None for a in actions) else []", "[]", _SEEN_NOW),
    Mutant(_WRITE, "observe", "let the rows stay behind", "tx.claim(", DROP, _FOLLOW),
    Mutant(_WRITE, "observe", "refuse what vSphere shows", ", check=False)", ")", _FOLLOW),
    Mutant(_WRITE, "observe", "record no capacity", "_set_capacity(tx, capacity)", DROP, _FOLLOW),
    Mutant(_WRITE, "observe", "record no fact", "tx.observe(plan.observed, plan.observed_states)",
           "[state.must(i) for i in plan.observed]", _FOLLOW),
    Mutant(_WRITE, "_begin", "rest on changed documents", "tx.check_versions(uses)", DROP,
           _written("a_needed_document_that_changed_makes_a_conflict")),
    Mutant(_WRITE, "_begin", "record no place", "tx.observe(", DROP,
           _rows("an_update_records_the_place_that_its_claim_was_made_of")),
    Mutant(_WRITE, "_begin", "record no capacity", "_set_capacity(tx, capacity)", DROP, _SEEN_NOW),
    Mutant(_WRITE, "_begin", "set no limit", "tx.set_limits(", DROP, _tenancy("project_limits_are_the_tenants_usage")),
    Mutant(_WRITE, "_begin", "claim nothing", "tx.claim(", DROP, _SEEN_NOW),
    Mutant(_WRITE, "_begin", "claim without a check", "leaving=leaving)", "leaving=leaving, check=False)",
           _written("quota_that_another_run_frees_is_not_used")),
    Mutant(_WRITE, "_begin", "free nothing of what is deleted", ", leaving=leaving)", ")",
           _written("a_new_vm_may_use_the_host_and_slot_of_a_deleted_one")),
    Mutant(_WRITE, "_begin", "accept limits below usage", "tx.check_limits(", DROP,
           _tenancy("usage_in_the_meantime_is_not_passed")),
    Mutant(_WRITE, "_begin", "compare the limits of projects alone", "(a.id, *(a.claim.amounts if a.claim else ()))",
           "(a.id,)", _tenancy("usage_in_the_meantime_is_not_passed", "limits_move_between_projects_in_one_plan"),
           "the claim of a project's limits is compared with its tenant's when it grows, and a tenant whose limits "
           "change is compared itself"),
    Mutant(_WRITE, "_set_capacity", "record no capacity", "tx.set_inventories(", DROP, _SEEN_NOW),
    Mutant(_WRITE, "_set_capacity", "record the capacity of deleted hosts", "if row.provider in known]", "]",
           _rows("capacity_of_a_host_that_was_deleted_concurrently_is_not_recorded")),
    Mutant(_WRITE, "_end", "delete no record", "tx.delete(", DROP, _tenancy("empty_tenant_and_project_are_deleted")),
]  # fmt: skip

_APPLY, _RECOVER = "services/vms/apply.py", "services/vms/recover.py"
_REPLACED = _rows("a_result_replaces_what_its_vm_held")
_RECOVERED = _rows("a_recovered_vm_holds_what_vsphere_shows")
_PLACE = _rows("a_vm_that_was_not_created_keeps_its_place_only_where_it_may_exist")

VM_RESULT_MUTANTS = [
    Mutant(_APPLY, "_commit", "record no result", "set(tx.settle(kept))", "set()", _REPLACED),
    Mutant(_APPLY, "_commit", "keep what was deleted", "tx.bury(", DROP,
           _rows("a_deleted_vm_holds_nothing_and_others_keep_theirs")),
    Mutant(_APPLY, "_commit", "bury what stays", "if r.document is None]", "]",
           _rows("a_deleted_vm_holds_nothing_and_others_keep_theirs")),
    Mutant(_APPLY, "_commit", "let the rows stay behind", "tx.claim(", DROP, _REPLACED),
    Mutant(_APPLY, "_commit", "rows for what was deleted concurrently", " if d.id not in vanished]", "]",
           _rows("a_vm_that_was_deleted_concurrently_gets_no_rows")),
    Mutant(_APPLY, "_commit", "refuse what vSphere shows", ", check=False)", ")",
           _rows("a_result_is_recorded_beyond_the_capacity")),
    Mutant(_APPLY, "_Runner._not_made", "keep the place of what was not created",
           "action.lost or replace(document, observed={})", "action.lost or document", _PLACE),
    Mutant(_APPLY, "_Runner._not_made", "free the place of what may exist", "if not unknown:", "if True:", _PLACE),
    Mutant(_RECOVER, "recover", "record no fact", "tx.settle([now])", DROP, _RECOVERED),
    Mutant(_RECOVER, "recover", "let the rows stay behind", "tx.claim(", DROP, _RECOVERED),
    Mutant(_RECOVER, "recover", "claim by the old record", "claim_of(now, state)", "claim_of(document, state)",
           _RECOVERED),
    Mutant(_RECOVER, "recover", "refuse what vSphere shows", ", check=False)", ")",
           _rows("a_recovered_move_is_recorded_beyond_the_capacity")),
    Mutant(_RECOVER, "recover", "keep what was deleted", "tx.bury(", DROP,
           _rows("a_recovered_delete_frees_everything")),
    Mutant(_RECOVER, "recover", "free what will be created", "tx.settle([replace(document, state=states.ERROR)])",
           "tx.bury([document])", _rows("a_vm_that_was_not_created_keeps_all_it_holds")),
    Mutant(_RECOVER, "recover", "record no failed create", "tx.settle([replace(", DROP,
           _rows("a_vm_that_was_not_created_keeps_all_it_holds")),
    Mutant(_RECOVER, "recover", "bury what cannot be seen",
           "elif vm.place is not None and vm.place.endpoint not in state.inventories:", "elif False:",
           _rows("a_task_on_an_unread_endpoint_is_not_settled")),
    Mutant("services/vms/plan.py", "_add_create", "create without a claim", "claim=claim_of(document, state)",
           "claim=None", _planned("creates_and_updates_claim_what_the_vm_will_hold")),
    Mutant("services/vms/plan.py", "_plan_existing", "resize without a claim", "claim=claim_of(document, state)",
           "claim=None", _planned("creates_and_updates_claim_what_the_vm_will_hold")),
    Mutant("services/vms/plan.py", "_take_quota", "plan beyond the quota", "_charge(", DROP,
           _planned("quota_fails_the_items_it_hits_in_list_order")),
    Mutant("services/vms/plan.py", "_plan_existing", "resize without a charge", "_charge(desired.vm, recorded, state)",
           DROP, _planned("a_larger_flavor_is_charged")),
    Mutant("services/vms/plan.py", "_charge", "charge old and new", "before.cost if before is not None else None",
           "None", _planned("a_larger_flavor_is_charged")),
    Mutant("services/vms/lost.py", "plan_register", "register without a claim", "claim=claim_of(current, state)",
           "claim=None", _ids("tests/integration/faults/test_data_loss.py", "an_unregistered_vm_is_registered_again"),
           "the record holds its rows already, and the result claims the place that vSphere shows"),
    # Whole runs against the lab: two of the most important writes once more.
    Mutant(_APPLY, "_commit", "claim by the record before the work", "claim_of(d, state) for d in kept",
           "claim_of(state.get(d.id) or d, state) for d in kept", _lab("drs_moves_at_power_on")),
    Mutant(_WRITE, "observe", "let the rows stay behind (a whole run)", "tx.claim(", DROP,
           _lab("the_old_host_is_free_when_a_member_moved")),
]  # fmt: skip

_TENANCY, _LIMITS = "services/tenancy/plan.py", "services/tenancy/limits.py"
_CLAIMED = _tenancy("a_project_claims_its_limits_of_its_tenant")
_USED = _tenancy("project_limits_are_the_tenants_usage")

TENANCY_MUTANTS = [
    Mutant(_TENANCY, "_claim", "double the limits", "{key: amount for key", "{key: 2 * amount for key", _CLAIMED),
    Mutant(_TENANCY, "_claim", "claim nothing", "{key: amount for key, (amount, _unit) in has.items()}", "{}",
           _CLAIMED),
    Mutant(_TENANCY, "_claim", "claim from the wrong provider", "{project.scope: amounts}", "{project.id: amounts}",
           _CLAIMED),
    Mutant(_TENANCY, "_claim", "claim for the wrong consumer", "Claim(project.id,", "Claim(project.scope,", _USED),
    Mutant(_TENANCY, "claim_of", "a recorded project holds nothing", "limits.of(state, document.id)", "{}",
           _repaired("amounts of a project changed")),
    Mutant(_TENANCY, "_add_action", "set no limit", "action.limits = draft.limits", DROP, _USED),
    Mutant(_TENANCY, "_add_action", "claim nothing", "action.claim = _claim(", DROP, _CLAIMED),
    Mutant(_TENANCY, "plan_delete", "a deleted project keeps its share", "limits.count(", DROP,
           _tenancy("tenant_administrators_make_projects")),
    Mutant(_TENANCY, "_settle", "plan without the new limits", "limits.write(", DROP, _USED),
    Mutant(_TENANCY, "_settle", "count no share", "limits.count(", DROP, _USED),
    Mutant(_LIMITS, "count", "double the share", ".usage += delta", ".usage += 2 * delta", _USED),
    Mutant(_LIMITS, "write", "keep limits that are not named", "counter.limit = None", DROP,
           _tenancy("setting_replaces_all_limits")),
    Mutant(_LIMITS, "part", "round up", "amount * percent // 100", "-(-amount * percent // 100)",
           _tenancy("percent_of_the_tenants_limits")),
    Mutant(_LIMITS, "_below_usage", "accept limits below usage", "if counter and counter.usage > amount:", "if False:",
           _tenancy("limit_below_what_is_used")),
    Mutant(_LIMITS, "_below_usage", "refuse limits equal to usage", "counter.usage > amount", "counter.usage >= amount",
           _tenancy("limit_below_what_is_used")),
    Mutant(_LIMITS, "_too_low", "accept limits below the projects'", "if given > amount:", "if False:",
           _tenancy("limit_below_what_projects_have")),
    Mutant(_LIMITS, "_too_low", "refuse limits equal to the projects'", "given > amount", "given >= amount",
           _tenancy("limit_below_what_projects_have")),
    Mutant(_LIMITS, "_more_than_left", "give more than there is", "+ more > limits[key][0]", "> limits[key][0]",
           _tenancy("projects_cannot_have_more_than_the_tenant")),
    Mutant(_LIMITS, "_more_than_left", "refuse the last share", "+ more > limits[key][0]", "+ more >= limits[key][0]",
           _tenancy("projects_cannot_have_more_than_the_tenant")),
    Mutant(_LIMITS, "_refuse_next", "give each project all that is left", "given[key] = given.get(key, 0) + more", DROP,
           _tenancy("projects_cannot_have_more_than_the_tenant")),
    Mutant(_LIMITS, "_refuse_next", "forget what projects have", "given[key] = given.get(key, 0) + amount", DROP,
           _tenancy("projects_cannot_have_more_than_the_tenant")),
    Mutant(_LIMITS, "_lacks_keys", "accept projects without a limit", "if not lacking:", "if True:",
           _tenancy("a_project_limits_what_its_tenant_limits")),
]  # fmt: skip

_CAPACITY, _PLACEMENT, _VERIFY = "services/fleet/capacity.py", "services/placement.py", "services/verify.py"
_OFFER = _capacity("hosts_offer_their_hardware_times_overcommit")
_FOREIGN = _capacity("vms_of_others_count_as_foreign_and_ours_do_not")
_FILES = _capacity("files_of_others_count_as_foreign_and_ours_do_not")

CAPACITY_MUTANTS = [
    Mutant(_CAPACITY, "_promised", "no overcommit of CPUs", '* host.body["cpu_overcommit"]', "", _OFFER),
    Mutant(_CAPACITY, "_promised", "no overcommit of memory", '* host.body["memory_overcommit"]', "", _OFFER),
    Mutant(_CAPACITY, "host_inventories", "vCPUs of memory", "units.COUNT, vcpus,", "units.COUNT, memory,", _OFFER),
    Mutant(_CAPACITY, "host_inventories", "vCPUs without foreign", ", vcpus, others.vcpus)", ", vcpus, 0)", _FOREIGN),
    Mutant(_CAPACITY, "host_inventories", "memory without foreign", ", memory, others.memory)", ", memory, 0)",
           _FOREIGN),
    Mutant(_CAPACITY, "host_inventories", "count what is deleted as foreign",
           "foreign_usage(state, state.versions)", "foreign_usage(state)",
           _capacity("a_vm_that_the_plan_deletes_is_still_ours")),
    Mutant(_CAPACITY, "host_inventories", "no vCPUs", 'rows.append(Inventory(host.id, host.kind, "vcpus"',
           DROP, _OFFER),
    Mutant(_CAPACITY, "host_inventories", "no memory", 'rows.append(Inventory(host.id, host.kind, "memory"',
           DROP, _OFFER),
    Mutant(_CAPACITY, "datastore_inventories", "double the space", "seen.capacity,", "2 * seen.capacity,", _OFFER),
    Mutant(_CAPACITY, "datastore_inventories", "space without foreign", "usage[store.id].space", "0", _FILES),
    Mutant(_CAPACITY, "_changed", "record what is recorded", "!= row]", "== row]",
           _capacity("only_differences_are_written")),
    Mutant(_CAPACITY, "recorded", "forget what others use", "kept.foreign if kept is not None else 0", "0",
           _capacity("an_unread_endpoint_offers_what_is_recorded")),
    Mutant(_PLACEMENT, "foreign_usage", "count no foreign vCPUs", "usage[host_id].vcpus += row.vcpus", DROP, _FOREIGN),
    Mutant(_PLACEMENT, "foreign_usage", "count foreign memory once", "memory += row.memory", "memory = row.memory",
           _FOREIGN),
    Mutant(_PLACEMENT, "foreign_usage", "count our VMs as foreign",
           "(document is not None and document.kind == entities.VM) or row.uuid in ours", "row.uuid in ()", _FOREIGN),
    Mutant(_PLACEMENT, "foreign_usage", "count templates as foreign", "elif not row.template and", "elif", _FOREIGN),
    Mutant(_PLACEMENT, "foreign_usage", "count copies of images as foreign", " or row.uuid in copies", "",
           _capacity("copies_of_images_use_no_cpu_and_no_memory")),
    Mutant(_PLACEMENT, "foreign_usage", "count our files as foreign", "committed[moid] += space", DROP, _FILES),
    Mutant(_VERIFY, "_write", "record no fact", "tx.observe(", DROP, _repaired("facts changed")),
    Mutant(_VERIFY, "_write", "forget no orphan", "tx.forget(", DROP, _repaired("consumer without document")),
    Mutant(_VERIFY, "_write", "add no provider", "tx.add_providers(", DROP, _repaired("provider row deleted")),
    Mutant(_VERIFY, "_write", "repair no capacity", "tx.set_inventories(", DROP, _repaired("capacity changed")),
    Mutant(_VERIFY, "_write", "repair no claim", "tx.claim(", DROP, _repaired("allocation deleted")),
]  # fmt: skip
