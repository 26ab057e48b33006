# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tenants, projects, quotas and security groups: planned, applied to a real CloudStore, planned again."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import open_store
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.authorization import SYSTEM, Actor, group_names
from ansible_collections.photon.platform.plugins.module_utils.model.declaration import Declaration
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services.context import Context
from ansible_collections.photon.platform.plugins.module_utils.services.planning import Plan
from ansible_collections.photon.platform.plugins.module_utils.services.tenancy import describe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.support.tenancy import Platform

ACME = r"""
photon_security_groups: ['photon\ESXCloudAdmins']
photon_tenants:
  - name: acme
    quota: {vm.count: 100, vm.cpu: 200}
    security_groups: ['photon\acme-admins']
    projects:
      - {name: web, quota_percent: 50, security_groups: ['photon\web']}
      - {name: db, quota: {vm.count: 20, vm.cpu: 40}}
"""


def tenant(quota: str = "{}", projects: str = "[]", more: str = "") -> str:
    return f"photon_tenants: [{{name: acme, quota: {quota}, projects: {projects} {more}}}]"


def projects_of(platform, items: list[dict], actor: Actor = SYSTEM) -> Plan:
    return platform.apply_items("project", items, actor, tenant="acme")


def tenants_of(platform, items: list[dict], actor: Actor = SYSTEM) -> Plan:
    return platform.apply_items("tenant", items, actor)


def codes(plan: Plan) -> list[str]:
    return [failure.error.code for failure in plan.failures]


# -- life --------------------------------------------------------------------------------------------------------


def test_second_run_changes_nothing(platform) -> None:
    assert platform.changes(ACME) == [
        ("create", "deployment"),
        ("create", "acme"),
        ("create", "acme/web"),
        ("create", "acme/db"),
    ]
    assert platform.changes(ACME) == []


def test_tenant_and_project_carry_who_made_them(platform) -> None:
    platform.apply("photon_site: paris\n" + ACME)
    assert platform.find(entities.PROJECT, "acme/web").managed_by == "inventory:paris"


def test_plan_writes_nothing(platform) -> None:
    platform.plan(ACME)
    assert platform.store.snapshot().documents == []


def test_actions_tell_what_differs(platform) -> None:
    platform.apply(ACME)
    plan = platform.plan(ACME.replace("vm.cpu: 200", "vm.cpu: 300")).plan
    [action] = plan.of(entities.TENANT)
    assert (action.verb, action.changes, action.path) == ("update", ["quota"], "photon_tenants[0]")
    assert action.before == {"quota": {"vm.count": "100", "vm.cpu": "200"}}
    assert action.after == {"quota": {"vm.count": "100", "vm.cpu": "300"}}


def test_the_history_tells_of_a_change_of_quota(platform) -> None:
    platform.apply(ACME)
    platform.apply(ACME.replace("vm.cpu: 200", "vm.cpu: 300"))
    document = platform.find(entities.TENANT, "acme")
    assert document.version == 2
    assert [change.by for change in platform.store.history(document.id)] == ["tests", "tests"]


def test_tenant_with_projects_is_not_empty(platform) -> None:
    platform.apply(ACME)
    assert codes(tenants_of(platform, [{"name": "acme", "state": "absent"}])) == ["ContainerNotEmpty"]
    assert platform.changes(
        "photon_tenants: [{name: acme, state: absent, projects: [{name: web, state: absent}, "
        "{name: db, state: absent}]}]"
    ) == [("delete", "acme/web"), ("delete", "acme/db"), ("delete", "acme")]
    assert platform.store.snapshot().counters() == {}
    assert platform.store.snapshot(allocations=True).held == {}


@pytest.mark.parametrize("kind", [entities.VM, entities.IMAGE])
def test_project_with_content_is_not_empty(platform, kind: str) -> None:
    platform.apply(ACME)
    project = platform.find(entities.PROJECT, "acme/web")
    platform.put(Document(kind, "content", project.id))
    plan = projects_of(platform, [{"name": "web", "state": "absent"}])
    assert codes(plan) == ["ContainerNotEmpty"]
    assert f"{kind} content" in plan.failures[0].error.message


def test_empty_tenant_and_project_are_deleted(platform) -> None:
    platform.apply(tenant(projects="[{name: web}]"))
    assert projects_of(platform, [{"name": "web", "state": "absent"}]).of(entities.PROJECT, "delete")
    assert tenants_of(platform, [{"name": "acme", "state": "absent"}]).of(entities.TENANT, "delete")
    assert platform.store.snapshot().documents == []


def test_absent_things_that_are_not_there(platform) -> None:
    assert platform.changes("photon_tenants: [{name: acme, state: absent}]") == []


def test_protected_things_are_not_deleted(platform) -> None:
    platform.apply(tenant(projects="[{name: web, deletion_protection: true}]", more=", deletion_protection: true"))
    assert codes(projects_of(platform, [{"name": "web", "state": "absent"}])) == ["DeletionProtected"]
    projects_of(platform, [{"name": "web", "deletion_protection": False}])
    assert codes(projects_of(platform, [{"name": "web", "state": "absent"}])) == []
    assert codes(tenants_of(platform, [{"name": "acme", "state": "absent"}])) == ["DeletionProtected"]


def test_project_of_a_tenant_that_is_not_there(platform) -> None:
    assert codes(projects_of(platform, [{"name": "web"}])) == ["TenantNotFound"]


def test_two_planners_take_one_name(platform) -> None:
    first = platform.plan(tenant())
    second = platform.plan(tenant())
    platform.write(first)
    with pytest.raises(PhotonError) as caught:
        platform.write(second)
    assert caught.value.code == "NameTaken"


def test_a_project_without_its_tenant_is_not_made(platform) -> None:
    text = "photon_tenants: [{name: acme, projects: [{name: web}]}]"
    planning = platform.plan(text)
    planning.plan.actions = planning.plan.of(entities.PROJECT)  # the tenant's own action was refused
    assert codes(platform.write(planning)) == ["DependencyFailed"]
    assert platform.store.snapshot().documents == []


def test_equal_project_names_in_two_tenants(platform) -> None:
    assert (
        len(
            platform.changes("photon_tenants: [{name: a, projects: [{name: web}]}, {name: b, projects: [{name: web}]}]")
        )
        == 4
    )


def test_plan_of_an_outdated_tenant_is_refused(platform) -> None:
    platform.apply(ACME)
    late = platform.plan(ACME.replace("vm.cpu: 200", "vm.cpu: 300"))
    platform.apply(ACME.replace("vm.cpu: 200", "vm.cpu: 400"))
    with pytest.raises(PhotonError) as caught:
        platform.write(late)
    assert caught.value.code == "StaleVersion"
    assert platform.quota("acme")["vm.cpu"] == (400, 240)


# -- quota -------------------------------------------------------------------------------------------------------


def test_project_limits_are_the_tenants_usage(platform) -> None:
    platform.apply(ACME)
    assert platform.quota("acme") == {"vm.count": (100, 70), "vm.cpu": (200, 140)}
    assert platform.quota("acme/web") == {"vm.count": (50, 0), "vm.cpu": (100, 0)}
    projects_of(platform, [{"name": "db", "state": "absent"}])
    assert platform.quota("acme") == {"vm.count": (100, 50), "vm.cpu": (200, 100)}


def shown(platform, path: str, actor: Actor = SYSTEM) -> dict:
    return describe.quota_of(Context(platform.store, actor), path)


def test_a_quota_is_shown(platform) -> None:
    platform.apply(tenant("{vm.memory: 4 GB}", "[{name: web, quota: {vm.memory: 1024 MB, vm.cost: 2.5}}]"))
    row = shown(platform, "acme")["vm.memory"]
    assert (row["limit"], row["usage"], row["free"], row["unit"]) == (4 << 30, 1 << 30, 3 << 30, "GB")
    assert shown(platform, "acme")["vm.cost"]["limit"] is None
    assert shown(platform, "acme/web")["vm.cost"]["limit"] == 2500


def test_a_quota_is_shown_to_its_own_users(platform) -> None:
    platform.apply(ACME)
    shown(platform, "acme/web", PROJECT_USER)
    shown(platform, "acme", TENANT_ADMIN)
    for path in ("acme", "acme/db"):
        with pytest.raises(PhotonError) as caught:
            shown(platform, path, PROJECT_USER)
        assert caught.value.code == "AccessForbidden"


def test_setting_replaces_all_limits(platform) -> None:
    platform.apply(tenant("{vm.count: 10, vm.cpu: 20}"))
    platform.apply(tenant("{vm.count: 11, vm.cost: 2.5}"))
    assert platform.quota("acme") == {"vm.count": (11, 0), "vm.cost": (2500, 0)}


def test_updating_merges_limits(platform) -> None:
    platform.apply(tenant("{vm.count: 10, vm.cpu: 20}"))
    tenants_of(platform, [{"name": "acme", "quota": {"vm.cpu": 30}, "quota_mode": "update"}])
    assert platform.quota("acme") == {"vm.count": (10, 0), "vm.cpu": (30, 0)}


def test_excluding_takes_keys_out(platform) -> None:
    platform.apply(tenant("{vm.count: 10, vm.cpu: 20}"))
    tenants_of(platform, [{"name": "acme", "quota_exclude": ["vm.cpu", "vm.cost"]}])
    assert platform.quota("acme") == {"vm.count": (10, 0)}


def test_a_quota_that_is_left_out_stays(platform) -> None:
    platform.apply(tenant("{vm.count: 10}"))
    assert platform.changes("photon_tenants: [{name: acme}]") == []
    assert platform.quota("acme") == {"vm.count": (10, 0)}


@pytest.mark.parametrize(("percent", "limits"), [(50, (50, 25)), (33, (33, 16)), (1, (1, 0)), (100, (100, 50))])
def test_percent_of_the_tenants_limits(platform, percent: int, limits: tuple[int, int]) -> None:
    platform.apply(tenant("{vm.count: 100, vm.cpu: 50}", f"[{{name: web, quota_percent: {percent}}}]"))
    assert [limit for limit, _usage in platform.quota("acme/web").values()] == list(limits)


def test_percent_follows_the_tenant(platform) -> None:
    platform.apply(ACME)
    assert platform.changes(ACME.replace("vm.count: 100", "vm.count: 200")) == [
        ("update", "acme"),
        ("update", "acme/web"),
    ]
    assert platform.quota("acme/web")["vm.count"] == (100, 0)


def test_percent_of_no_limits(platform) -> None:
    refused = platform.refusals("photon_tenants: [{name: acme, projects: [{name: web, quota_percent: 10}]}]")
    assert refused == {"acme/web": "InvalidResourceTicketSubdivide"}


def test_tenant_and_project_shrink_together(platform) -> None:
    platform.apply(ACME)
    platform.apply(ACME.replace("vm.count: 100", "vm.count: 60"))
    assert platform.quota("acme")["vm.count"] == (60, 50)


def test_projects_cannot_have_more_than_the_tenant(platform) -> None:
    platform.apply(ACME)
    plan = projects_of(
        platform,
        [
            {"name": "db", "quota": {"vm.count": 50, "vm.cpu": 40}},
            {"name": "more", "quota": {"vm.count": 1, "vm.cpu": 0}},
        ],
    )
    assert codes(plan) == ["QuotaError"]
    assert plan.failures[0].name == "acme/more"
    assert plan.failures[0].error.data == {
        "key": "vm.count",
        "unit": "COUNT",
        "limit": 100,
        "usage": 101,
        "newUsage": 101,
    }
    assert platform.quota("acme")["vm.count"] == (100, 100)


def test_limit_below_what_projects_have(platform) -> None:
    platform.apply(ACME)
    plan = tenants_of(platform, [{"name": "acme", "quota": {"vm.count": 69}, "quota_mode": "update"}])
    assert codes(plan) == ["QuotaError"]
    assert platform.quota("acme")["vm.count"] == (100, 70)
    assert codes(tenants_of(platform, [{"name": "acme", "quota": {"vm.count": 70}, "quota_mode": "update"}])) == []


def test_limit_below_what_is_used(platform) -> None:
    platform.apply(ACME)
    platform.use("acme/db", "vm.count", 5)
    plan = projects_of(platform, [{"name": "db", "quota": {"vm.count": 4}, "quota_mode": "update"}])
    assert codes(plan) == ["QuotaError"]
    assert platform.quota("acme/db")["vm.count"] == (20, 5)
    assert codes(projects_of(platform, [{"name": "db", "quota": {"vm.count": 5}, "quota_mode": "update"}])) == []


def test_a_part_of_limits_that_cannot_change(platform) -> None:
    platform.apply(ACME)
    platform.use("acme/db", "vm.count", 15)
    refused = platform.refusals(
        "photon_tenants: [{name: acme, quota: {vm.count: 10, vm.cpu: 10}, projects: [{name: web, quota_percent: 60}]}]"
    )
    assert refused["acme"] == "QuotaError"
    assert refused["acme/web"] == "DependencyFailed"
    assert platform.quota("acme")["vm.count"] == (100, 70)


def test_usage_in_the_meantime_is_not_passed(platform) -> None:
    platform.apply(ACME)
    plan = platform.plan(ACME.replace("{vm.count: 20, vm.cpu: 40}", "{vm.count: 4, vm.cpu: 40}"))
    platform.use("acme/db", "vm.count", 5)
    with pytest.raises(PhotonError) as caught:
        platform.write(plan)
    assert caught.value.code == "QuotaError"
    assert platform.quota("acme/db")["vm.count"] == (20, 5)
    assert platform.quota("acme")["vm.count"] == (100, 70)


def test_a_project_limits_what_its_tenant_limits(platform) -> None:
    platform.apply(ACME)
    assert codes(projects_of(platform, [{"name": "new", "quota": {"vm.count": 1}}])) == [
        "InvalidResourceTicketSubdivide"
    ]
    assert codes(projects_of(platform, [{"name": "new"}])) == ["InvalidResourceTicketSubdivide"]
    assert codes(projects_of(platform, [{"name": "db", "quota_exclude": ["vm.cpu"]}])) == [
        "InvalidResourceTicketSubdivide"
    ]
    assert codes(projects_of(platform, [{"name": "new", "quota": {"vm.count": 1, "vm.cpu": 1, "vm.cost": 4}}])) == []


def test_a_new_limit_that_existing_projects_lack(platform) -> None:
    platform.apply(ACME)
    plan = tenants_of(platform, [{"name": "acme", "quota": {"vm.cost": 9}, "quota_mode": "update"}])
    assert codes(plan) == ["InvalidResourceTicketSubdivide"]
    assert "vm.cost" not in platform.quota("acme")


def test_a_project_may_limit_what_its_tenant_does_not(platform) -> None:
    platform.apply(tenant(projects="[{name: web, quota: {vm.potrzebie: 3}}]"))
    assert platform.quota("acme") == {"vm.potrzebie": (None, 3)}


def test_units_are_kept(platform) -> None:
    platform.apply(tenant("{vm.memory: 4 GB}", "[{name: web, quota: {vm.memory: 1024 MB}}]"))
    assert platform.quota("acme")["vm.memory"] == (4 << 30, 1 << 30)
    plan = platform.plan(tenant("{vm.memory: 4096 MB}")).plan
    [action] = plan.of(entities.TENANT)
    assert action.after.get("quota", {}) == {}  # the same amount, written otherwise, is no change for people


def test_limits_move_between_projects_in_one_plan(platform) -> None:
    platform.apply(ACME)
    platform.use("acme/web", "vm.count", 10)
    text = ACME.replace("quota_percent: 50", "quota: {vm.count: 10, vm.cpu: 10}")
    assert platform.refusals(text.replace("{vm.count: 20, vm.cpu: 40}", "{vm.count: 90, vm.cpu: 190}")) == {}
    assert platform.quota("acme") == {"vm.count": (100, 100), "vm.cpu": (200, 200)}
    assert platform.quota("acme/web")["vm.count"] == (10, 10)


def test_limits_fall_together_with_the_projects(platform) -> None:
    platform.apply(ACME)
    lower = "{name: acme, quota: {vm.count: 30, vm.cpu: 30}, projects: [{name: web, quota: {vm.count: 10, vm.cpu: 10}}"
    text = f"photon_tenants: [{lower}, {{name: db, quota: {{vm.count: 20, vm.cpu: 20}}}}]}}]"
    assert platform.refusals(text) == {}
    assert platform.quota("acme") == {"vm.count": (30, 30), "vm.cpu": (30, 30)}


def test_limits_of_a_refused_project_are_not_given_to_another(platform) -> None:
    """web would free 40 VMs but asks for too many CPUs: db cannot have them."""
    platform.apply(ACME)
    plan = projects_of(
        platform,
        [
            {"name": "db", "quota": {"vm.count": 60, "vm.cpu": 40}},
            {"name": "web", "quota": {"vm.count": 10, "vm.cpu": 500}},
        ],
    )
    assert {f.name: f.error.code for f in plan.failures} == {"acme/db": "QuotaError", "acme/web": "QuotaError"}
    assert platform.quota("acme")["vm.count"] == (100, 70)


def test_a_tenant_does_not_fall_below_a_project_that_cannot_shrink(platform) -> None:
    platform.apply(ACME)
    platform.use("acme/web", "vm.cpu", 90)
    text = ACME.replace("vm.count: 100", "vm.count: 60").replace("quota_percent: 50", "quota: {vm.count: 5, vm.cpu: 5}")
    assert platform.refusals(text) == {"acme": "QuotaError", "acme/web": "QuotaError"}
    assert platform.quota("acme")["vm.count"] == (100, 70)


def test_the_history_shows_previous_limits(platform) -> None:
    platform.apply(tenant("{vm.count: 10}"))
    platform.apply(tenant("{vm.count: 20}"))
    [_insert, update] = platform.store.history(platform.find(entities.TENANT, "acme").id)
    assert update.before == {"body.limits": {"vm.count": [10, "COUNT"]}}


def test_a_project_claims_its_limits_of_its_tenant(platform) -> None:
    planning = platform.plan(ACME)
    web = next(a for a in planning.plan.actions if a.name == "acme/web")
    acme = next(a for a in planning.plan.actions if a.name == "acme")
    assert web.claim is not None
    assert web.claim.amounts == {acme.id: {"vm.count": 50, "vm.cpu": 100}}
    assert web.limits == {"vm.count": (50, "COUNT"), "vm.cpu": (100, "COUNT")}
    assert web.needs == (entities.DEPLOYMENT, acme.id)
    assert acme.claim is None


def test_a_change_too_small_to_be_shown_is_made(platform) -> None:
    platform.apply(tenant("{vm.memory: 400 GB}"))
    [action] = platform.apply(tenant("{vm.memory: 409601 MB}")).actions
    assert (action.verb, action.after) == ("update", {"quota": {"vm.memory": "409601 MB"}})
    assert platform.quota("acme")["vm.memory"] == (409601 << 20, 0)


KEYS = ("vm.count", "vm.cpu")
QUOTA = some.fixed_dictionaries({}, optional={key: some.integers(0, 6) for key in KEYS})
PROJECT = some.one_of(
    some.just({}),
    some.fixed_dictionaries({"quota": QUOTA}),
    some.fixed_dictionaries({"quota_percent": some.integers(1, 60)}),
    some.just({"state": "absent"}),
)
STEP = some.one_of(
    some.tuples(some.just("tenant"), QUOTA),
    some.tuples(some.sampled_from(["web", "db"]), PROJECT),
    some.tuples(some.just("use"), some.tuples(some.sampled_from(["web", "db"]), some.integers(1, 3))),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=some.lists(STEP, max_size=10))
def test_books_balance_whatever_is_asked(tmp_path_factory, steps) -> None:
    """After any sequence: the tenant's usage is the sum of its projects' limits, and no usage passes its limit."""
    path = tmp_path_factory.mktemp("books") / "cloud.db"
    with open_store(f"sqlite:///{path}", mode="write", allow_ephemeral=True, by="tests") as store:
        platform = Platform(store)
        platform.apply("photon_tenants: [{name: acme}]")
        for what, value in steps:
            _step(platform, what, value)
            _check_books(platform)


def _step(platform, what: str, value) -> None:
    if what == "tenant":
        tenants_of(platform, [{"name": "acme", "quota": value}])
    elif what == "use":
        name, amount = value
        if platform.state().find(entities.PROJECT, platform.find(entities.TENANT, "acme").id, name):
            limit, used = platform.quota(f"acme/{name}").get("vm.count", (None, 0))
            if limit is None or used + amount <= limit:
                platform.use(f"acme/{name}", "vm.count", amount)
                return
            with pytest.raises(PhotonError, match="Not enough quota"):
                platform.use(f"acme/{name}", "vm.count", amount)
    else:
        projects_of(platform, [{"name": what, **value}])


def _check_books(platform) -> None:
    state = platform.state()
    owner = platform.find(entities.TENANT, "acme")
    projects = state.of(entities.PROJECT, owner.id)
    has = state.counters.get(owner.id, {})
    for key in KEYS:
        given = sum(c.limit or 0 for p in projects if (c := state.counters.get(p.id, {}).get(key)))
        counter = has.get(key)
        assert (counter.usage if counter else 0) == given
        for project in projects:
            own = state.counters.get(project.id, {}).get(key)
            if counter and counter.limit is not None:
                assert own is not None
                assert own.limit is not None
    for counters in state.counters.values():
        assert all(c.limit is None or c.usage <= c.limit for c in counters.values())


# -- security groups ---------------------------------------------------------------------------------------------


def groups(platform, kind: str, path: str) -> list[tuple[str, bool]]:
    return [(g["name"], g["inherited"]) for g in platform.find(kind, path).body["security_groups"]]


def test_groups_come_down(platform) -> None:
    platform.apply(ACME)
    assert groups(platform, entities.TENANT, "acme") == [
        (r"photon\ESXCloudAdmins", True),
        (r"photon\acme-admins", False),
    ]
    assert groups(platform, entities.PROJECT, "acme/web") == [
        (r"photon\ESXCloudAdmins", True),
        (r"photon\acme-admins", True),
        (r"photon\web", False),
    ]


def test_a_change_above_is_pushed_down(platform) -> None:
    platform.apply(ACME)
    platform.apply(r"photon_security_groups: ['photon\others']")
    assert groups(platform, entities.PROJECT, "acme/db") == [(r"photon\others", True), (r"photon\acme-admins", True)]
    tenants_of(platform, [{"name": "acme", "security_groups": [r"photon\new"]}])
    assert groups(platform, entities.PROJECT, "acme/web") == [
        (r"photon\others", True),
        (r"photon\new", True),
        (r"photon\web", False),
    ]


def test_setting_groups_replaces_the_own_ones_alone(platform) -> None:
    platform.apply(ACME)
    projects_of(platform, [{"name": "web", "security_groups": [r"photon\two"]}])
    assert groups(platform, entities.PROJECT, "acme/web") == [
        (r"photon\ESXCloudAdmins", True),
        (r"photon\acme-admins", True),
        (r"photon\two", False),
    ]


def test_an_inherited_group_is_warned_of_and_not_added(platform) -> None:
    platform.apply(ACME)
    plan = projects_of(platform, [{"name": "web", "security_groups": [r"photon\acme-admins", r"photon\web"]}])
    assert [w.split(":")[0] for w in plan.warnings] == ["SecurityGroupsAlreadyInherited"]
    assert group_names(platform.find(entities.PROJECT, "acme/web").body, own_only=True) == [r"photon\web"]
    assert [action.verb for action in plan.of(entities.PROJECT)] == ["keep"]


def test_wrong_format_of_the_deployments_groups(platform) -> None:
    planning = platform.planned(Declaration(security_groups=["nobody"]), SYSTEM)
    assert codes(planning.plan) == ["InvalidSecurityGroupFormat"]


# -- who may -----------------------------------------------------------------------------------------------------

TENANT_ADMIN = Actor("bob@photon", frozenset({r"photon\acme-admins"}))
PROJECT_USER = Actor("cat@photon", frozenset({r"photon\web"}))


def test_tenant_administrators_make_projects(platform) -> None:
    platform.apply(ACME)
    assert codes(projects_of(platform, [{"name": "lab", "quota": {"vm.count": 1, "vm.cpu": 1}}], TENANT_ADMIN)) == []
    assert codes(projects_of(platform, [{"name": "lab", "state": "absent"}], TENANT_ADMIN)) == []


def test_tenant_administrators_leave_the_tenants_quota_alone(platform) -> None:
    platform.apply(ACME)
    plan = tenants_of(platform, [{"name": "acme", "quota": {"vm.count": 1000, "vm.cpu": 1000}}], TENANT_ADMIN)
    assert codes(plan) == ["AccessForbidden"]
    assert codes(tenants_of(platform, [{"name": "acme", "state": "absent"}], TENANT_ADMIN)) == ["AccessForbidden"]
    assert codes(tenants_of(platform, [{"name": "mine"}], TENANT_ADMIN)) == ["AccessForbidden"]


@pytest.mark.parametrize(
    "item",
    [
        {"name": "lab", "quota": {"vm.count": 1, "vm.cpu": 1}},
        {"name": "web", "quota": {"vm.count": 60, "vm.cpu": 100}},
        {"name": "web", "security_groups": [r"photon\all"]},
        {"name": "web", "state": "absent"},
        {"name": "db", "deletion_protection": True},
    ],
)
def test_project_users_do_not_run_projects(platform, item: dict) -> None:
    platform.apply(ACME)
    before = platform.store.snapshot().documents
    assert codes(projects_of(platform, [item], PROJECT_USER)) == ["AccessForbidden"]
    assert platform.store.snapshot().documents == before


def test_project_users_name_their_tenant_and_project(platform) -> None:
    platform.apply(ACME)
    assert platform.refusals("photon_tenants: [{name: acme, projects: [{name: web}]}]", PROJECT_USER) == {}
    assert platform.refusals(ACME, PROJECT_USER)["acme"] == "AccessForbidden"
    assert platform.refusals("photon_tenants: [{name: acme, projects: [{name: db}]}]", PROJECT_USER) == {
        "acme/db": "AccessForbidden"
    }


def test_project_users_protect_their_project(platform) -> None:
    platform.apply(ACME)
    assert codes(projects_of(platform, [{"name": "web", "deletion_protection": True}], PROJECT_USER)) == []


def test_administrators_set_the_deployments_groups(platform) -> None:
    platform.apply(ACME)
    assert platform.refusals(r"photon_security_groups: ['photon\bob']", TENANT_ADMIN) == {
        "security_groups": "AccessForbidden"
    }
    admin = Actor("ann@photon", frozenset({r"photon\ESXCloudAdmins"}))
    assert platform.changes(r"photon_security_groups: ['photon\ESXCloudAdmins', 'photon\bob']", admin)


def test_inherited_groups_wait_for_a_run_of_an_administrator(platform) -> None:
    """A tenant's administrator passes them on to projects, not to the tenant; a project's user to nothing."""
    platform.apply(ACME)
    deployment = platform.find(entities.DEPLOYMENT, entities.DEPLOYMENT)
    new = deployment.with_body(security_groups=[r"photon\ESXCloudAdmins", r"photon\second"])
    platform.store.run(lambda tx: tx.update([new]))
    acme = platform.find(entities.TENANT, "acme")
    more = acme.with_body(security_groups=[*acme.body["security_groups"], {"name": r"photon\x", "inherited": False}])
    platform.store.run(lambda tx: tx.update([more]))
    web = [{"name": "web", "deletion_protection": True}]
    assert {a.name: a.changes for a in projects_of(platform, web, PROJECT_USER).actions} == {
        "acme/web": ["deletion_protection"]
    }
    assert {a.name: a.changes for a in projects_of(platform, web, TENANT_ADMIN).actions} == {
        "acme/web": ["security_groups"],
        "acme/db": ["security_groups"],
    }
    assert (r"photon\x", True) in groups(platform, entities.PROJECT, "acme/db")
    assert (r"photon\second", True) not in groups(platform, entities.TENANT, "acme")
    assert platform.changes("photon_tenants: []") == [("update", "acme"), ("update", "acme/web"), ("update", "acme/db")]
    assert (r"photon\second", True) in groups(platform, entities.PROJECT, "acme/db")


def test_groups_that_are_declared_as_they_are_need_no_right_to_set_them(platform) -> None:
    platform.apply(ACME)
    same = [{"name": "web", "security_groups": [r"photon\web"]}]
    assert codes(projects_of(platform, same, PROJECT_USER)) == []
