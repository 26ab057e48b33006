# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones: planned, applied to a real CloudStore, planned again."""

from __future__ import annotations

from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.authorization import Actor
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document, name_key

ZONE = "photon_zones: [{name: a}]"
NO_ZONE = "photon_zones: [{name: a, state: absent}]"
NOBODY = Actor("dan@photon")


def host_in(platform) -> Document:
    """A host in zone a."""
    zone = platform.find(entities.ZONE, "a")
    host = Document(
        entities.HOST,
        "esx01",
        name_key=name_key(entities.HOST, "", "esx01"),
        body={"zone": zone.id, "endpoint": "vc1"},
    )
    platform.put(host)
    return host


def test_zone_lives(platform) -> None:
    assert platform.changes(ZONE) == [("create", "a")]
    assert platform.changes(ZONE) == []
    assert platform.changes(NO_ZONE) == [("delete", "a")]


def test_zone_is_dedicated(platform) -> None:
    text = "photon_tenants: [{name: acme}]\nphoton_zones: [{name: a, dedicated_tenants: [acme]}]"
    platform.apply(text)
    assert platform.find(entities.ZONE, "a").body == {"dedicated_tenants": ["acme"]}
    assert platform.changes(text) == []
    assert platform.changes(ZONE) == [("update", "a")]


def test_zone_with_hosts_is_pending_and_goes_with_the_last(platform) -> None:
    platform.apply(ZONE)
    host = host_in(platform)
    assert platform.changes(NO_ZONE) == [("update", "a")]
    assert platform.find(entities.ZONE, "a").state == "PENDING_DELETE"
    assert platform.changes(NO_ZONE) == []
    platform.remove(host)
    assert platform.changes("photon_zones: []") == [("delete", "a")]


def test_pending_zone_that_is_declared_again(platform) -> None:
    platform.apply(ZONE)
    host_in(platform)
    platform.apply(NO_ZONE)
    assert platform.changes(ZONE) == [("update", "a")]
    assert platform.find(entities.ZONE, "a").state == "READY"


def test_zones_are_the_administrators(platform) -> None:
    assert platform.refusals(ZONE, NOBODY) == {"a": "AccessForbidden"}
    platform.apply(ZONE)
    assert platform.refusals(NO_ZONE, NOBODY) == {"a": "AccessForbidden"}


def test_a_pending_zone_is_left_to_a_run_that_may_delete_it(platform) -> None:
    platform.apply(ZONE)
    host = host_in(platform)
    platform.apply(NO_ZONE)
    platform.remove(host)
    plan = platform.apply("photon_zones: []", NOBODY)
    assert (plan.failures, plan.of(entities.ZONE)) == ([], [])
    assert platform.changes("photon_zones: []") == [("delete", "a")]
