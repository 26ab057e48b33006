# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A part of a declaration: what it takes in, what it needs, and all that it leaves alone."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services import saved_plan
from ansible_collections.photon.platform.plugins.module_utils.services.targets import Targets

from tests.support import diskimages
from tests.support.datacenter import changes, failures

SITE = r"""
photon_endpoints: [{name: vc1, address: vc1.example.org}]
photon_zones: [{name: a}, {name: b}]
photon_hosts: [{name: "esx0[1:2]", endpoint: vc1, zone: a}]
photon_flavors:
  - {name: small, kind: vm, cost: {vm.cpu: 1, vm.memory: 1 GB}}
  - {name: large, kind: vm, cost: {vm.cpu: 2, vm.memory: 2 GB}}
  - {name: fast, kind: persistent-disk, cost: {persistent-disk.cost: 1}}
photon_images:
  - {name: debian, file: debian.ova, replication: EAGER}
  - {name: other, file: other.ova, replication: EAGER}
photon_tenants:
  - name: acme
    quota: {vm.count: 20}
    security_groups: ['photon\acme']
    projects:
      - name: web
        quota_percent: 50
        vms:
          - {name: "web-[01:03]", flavor: small, image: debian, boot_disk_flavor: core-100}
        disks:
          - {name: "data-[01:03]", flavor: fast, capacity: 10, attached_to: "web-[01:03]"}
          - {name: spare, flavor: fast, capacity: 10}
      - name: db
        quota_percent: 50
        vms: [{name: db-1, flavor: large, image: other, boot_disk_flavor: core-100}]
  - name: globex
    projects: [{name: web, vms: [{name: web-01, flavor: large, image: debian, boot_disk_flavor: core-100}]}]
"""


def planned(cloud, only, text=SITE, **options):
    """(verb, kind, name) of the changes that the targets come to; nothing may fail."""
    plan = cloud.plan(text, whole=True, only=only, **options).plan
    assert failures(plan) == {}
    return [
        (action.verb, action.kind, action.name)
        for action in plan.changes()
        if action.reason != "shipped with the platform" and action.kind != "datastore"
    ]


def names(cloud, only, kind, text=SITE, **options):
    return [name for _verb, each, name in planned(cloud, only, text, **options) if each == kind]


@pytest.fixture(autouse=True)
def other_image(datacenter):
    diskimages.ova(datacenter.directory / "other.ova", content=b"other")


@pytest.fixture
def applied(datacenter):
    """A data centre in which all of the site was made."""
    assert failures(datacenter.apply(SITE, whole=True)) == {}
    return datacenter


# -- what a pattern takes in -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "covered"),
    [
        (["acme"], {"acme", "acme/web", "acme/web/web-01", "acme/db/db-1"}),
        (["acme/web"], {"acme/web", "acme/web/web-01"}),
        (["*/web"], {"acme/web", "acme/web/web-01", "globex/web", "globex/web/web-01"}),
        (["*/*/web-0?"], {"acme/web/web-01", "globex/web/web-01"}),
        (["acme/[dw]*"], {"acme/web", "acme/web/web-01", "acme/db/db-1"}),
        (["acme/web/web-[01:03]"], {"acme/web/web-01"}),
        (["acme/web/web-02", "acme/db/db-1"], {"acme/db/db-1"}),
        (["acm", "acme/we", "web-01"], set()),
    ],
)
def test_patterns(patterns, covered):
    everything = {
        "acme": "tenant",
        "acme/web": "project",
        "acme/web/web-01": "vm",
        "acme/db/db-1": "disk",
        "globex/web": "project",
        "globex/web/web-01": "image",
    }
    targets = Targets.of(patterns)
    assert {name for name, kind in everything.items() if targets.cover(kind, name)} == covered


def test_an_image_of_everybody_is_not_a_tenant():
    assert not Targets.of(["debian"]).cover("image", "debian")


@pytest.mark.parametrize("pattern", ["", "/", "acme/", "/web", "acme//web-01", "a/b/c/d"])
def test_what_is_not_a_target_is_refused(pattern):
    with pytest.raises(PhotonError, match="write tenant, tenant/project or tenant/project/name"):
        Targets.of([pattern])


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("acme/wbe", "did you mean 'acme/web'"),
        ("acme/web/web-09", "did you mean 'acme/web/web-0"),
        ("initech", "write tenant, tenant/project"),
        ("acme/web/db-*", "matches no declared"),
    ],
)
def test_a_target_that_matches_nothing_is_an_error(datacenter, pattern, words):
    with pytest.raises(PhotonError) as caught:
        datacenter.plan(SITE, whole=True, only=["acme/web", pattern])
    assert (caught.value.code, caught.value.data["path"]) == ("SpecInvalid", "only[1]")
    assert words in caught.value.message
    assert "nothing was done" in caught.value.message


# -- what a target needs ---------------------------------------------------------------------------------------------


def test_a_first_apply_of_one_vm_makes_what_it_needs_and_nothing_else(datacenter):
    made = planned(datacenter, ["acme/web/web-02"])
    assert [(kind, name) for verb, kind, name in made if verb == "create"] == [
        ("endpoint", "vc1"),
        ("zone", "a"),
        ("flavor", "vm/small"),
        ("flavor", "persistent-disk/fast"),
        ("host", "esx01"),
        ("host", "esx02"),
        ("tenant", "acme"),
        ("project", "acme/web"),
        ("image", "debian"),
        ("image-copy", "debian/vc1/shared"),
        ("image-copy", "debian/vc1/local"),
        ("vm", "acme/web/web-02"),
        ("disk", "acme/web/data-02"),
    ]
    assert len(made) == 13


def test_the_rest_is_made_later(datacenter):
    assert failures(datacenter.apply(SITE, whole=True, only=["acme/web/web-02"])) == {}
    rest = names(datacenter, ["acme"], "vm")
    assert rest == ["acme/web/web-01", "acme/web/web-03", "acme/db/db-1"]
    assert failures(datacenter.apply(SITE, whole=True, only=["acme"])) == {}
    assert names(datacenter, ["*"], "vm") == ["globex/web/web-01"]
    assert failures(datacenter.apply(SITE, whole=True)) == {}
    assert changes(datacenter.apply(SITE, whole=True)) == []


def test_only_the_target_changes(applied):
    text = SITE.replace("boot_disk_flavor: core-100}", "boot_disk_flavor: core-100, tags: [new]}")
    assert names(applied, ["acme/db"], "vm", text) == ["acme/db/db-1"]
    assert planned(applied, ["acme/web/web-0[13]"], text) == [
        ("update", "vm", "acme/web/web-01"),
        ("update", "vm", "acme/web/web-03"),
    ]
    assert planned(applied, ["acme/web/spare"], text) == []


def test_what_is_recorded_of_the_fleet_stays_as_it_is(applied):
    text = (
        SITE.replace("zone: a}]", "zone: a, tags: [gpu]}]")
        .replace("{name: b}", "{name: b, dedicated_tenants: [acme]}")
        .replace('web-[01:03]", flavor', 'web-[01:04]", flavor')
    )
    assert planned(applied, ["acme/web/web-04"], text) == [("create", "vm", "acme/web/web-04")]
    assert ("update", "host", "esx01") in planned(applied, (), text)


def test_of_the_tenant_and_project_only_the_quota_is_planned(applied):
    text = (
        SITE.replace("vm.count: 20", "vm.count: 40")
        .replace("photon\\acme'", "photon\\others'")
        .replace('web-[01:03]", flavor', 'web-[01:15]", flavor')
    )
    made = planned(applied, ["acme/web/web-*"], text)
    assert [row for row in made if row[1] != "vm"] == [("update", "tenant", "acme"), ("update", "project", "acme/web")]
    assert len(made) == 14
    plan = applied.plan(text, whole=True, only=["acme/web/web-*"]).plan
    assert {tuple(action.changes) for action in plan.of("tenant") + plan.of("project")} == {("quota",)}
    assert any("security_groups" in a.changes for a in applied.plan(text, whole=True).plan.of("project"))


def test_a_flavor_that_a_target_refers_to_is_planned_as_it_is_declared(applied):
    text = SITE.replace("name: large, kind: vm, cost: {vm.cpu: 2", "name: huge, kind: vm, cost: {vm.cpu: 8").replace(
        '- {name: "web-[01:03]", flavor: small', '- {name: "web-[01:03]", flavor: huge'
    )
    text = text.replace("flavor: large", "flavor: small")
    assert ("create", "flavor", "vm/huge") in planned(applied, ["acme/web/web-01"], text)
    assert planned(applied, ["acme/db"], text)[0][1:] != ("flavor", "vm/huge")


def test_a_deletion_needs_the_disks_of_the_vm_and_nothing_else(applied):
    text = SITE.replace('web-[01:03]", flavor: small', 'web-[01:03]", state: absent, flavor: small').replace(
        'attached_to: "web-[01:03]"', "attached_to: ''"
    )
    assert sorted(planned(applied, ["acme/web/web-01"], text)) == [
        ("delete", "vm", "acme/web/web-01"),
        ("update", "disk", "acme/web/data-01"),
    ]


def test_an_endpoint_that_is_not_needed_may_be_away(applied):
    more = SITE.replace("vc1.example.org}]", "vc1.example.org}, {name: vc2, address: vc2.example.org}]")
    applied.endpoint("vc2")
    assert failures(applied.apply(more, whole=True)) == {}
    applied.endpoints["vc2"] = PhotonError("EndpointUnreachable", "it is away")
    assert "vc2" in failures(applied.plan(more, whole=True).plan)
    text = more.replace("flavor: small", "tags: [new], flavor: small")
    assert planned(applied, ["acme/web/web-01"], text) == [("update", "vm", "acme/web/web-01")]


# -- pruning ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def shrunk():
    """The site without the last VM of each project, and without a tenant."""
    return (
        SITE.partition("  - name: globex")[0]
        .replace("web-[01:03]", "web-[01:02]")
        .replace("data-[01:03]", "data-[01:02]")
        .replace("vms: [{name: db-1, flavor: large, image: other, boot_disk_flavor: core-100}]", "vms: []")
    )


def test_pruning_outside_of_the_target_never_happens(applied, shrunk):
    assert sorted(planned(applied, ["acme/web"], shrunk, prune="delete")) == [
        ("delete", "disk", "acme/web/data-03"),
        ("delete", "vm", "acme/web/web-03"),
    ]
    assert planned(applied, ["acme/web/web-01"], shrunk, prune="delete") == []
    plan = applied.plan(shrunk, whole=True, only=["acme/db"]).plan
    assert [text for text in plan.warnings if "no longer declared" in text] == [
        "no longer declared and left alone: vm acme/db/db-1; photon_prune: delete removes them"
    ]


def test_what_is_no_longer_declared_can_be_a_target(applied, shrunk):
    text = shrunk.replace("spare, flavor: fast, capacity: 10}", "spare, flavor: fast, capacity: 10, tags: [x]}")
    assert planned(applied, ["acme/db/db-1"], text, prune="delete") == [("delete", "vm", "acme/db/db-1")]
    assert [row[2] for row in planned(applied, ["globex"], text, prune="delete")] == [
        "globex/web/web-01",
        "globex/web",
        "globex",
    ]


def test_what_waits_for_its_last_user_is_left_to_a_run_of_the_whole_site(applied):
    gone = SITE.replace("{name: other, file: other.ova, replication: EAGER}", "{name: other, state: absent}")
    with pytest.raises(PhotonError):
        applied.plan(gone, whole=True, only=["acme/db"])  # db-1 uses it
    text = gone.replace(
        "vms: [{name: db-1, flavor: large, image: other", "vms: [{name: db-1, state: absent, flavor: large"
    )
    assert planned(applied, ["acme/db"], text) == [("delete", "vm", "acme/db/db-1")]
    assert ("delete", "image", "other") in planned(applied, (), text)


# -- saved plans -----------------------------------------------------------------------------------------------------


def test_a_saved_plan_keeps_its_targets(applied):
    saved = saved_plan.make(applied.plan(SITE, whole=True, only=["acme/web"]), ["acme/web"])
    assert saved_plan.targets(saved, ()) == ["acme/web"]
    assert saved_plan.targets(saved, ["acme/web"]) == ["acme/web"]
    with pytest.raises(PhotonError, match="of acme/web, not of acme/db"):
        saved_plan.targets(saved, ["acme/db"])
    with pytest.raises(PhotonError, match="of the whole site, not of acme/db"):
        saved_plan.targets({**saved, "only": []}, ["acme/db"])
