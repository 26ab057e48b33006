# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several planners at once on one tenant's quota, on both databases."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import open_store
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

from tests.support import postgresql
from tests.support.tenancy import Platform

ACME = "photon_tenants: [{name: acme, quota: {vm.count: 100, vm.cpu: 200}}]"


@pytest.fixture(scope="module")
def server() -> Iterator[postgresql.Server]:
    reason = postgresql.missing()
    if reason:
        pytest.skip(f"CANNOT TEST POSTGRESQL: {reason}")
    with postgresql.running() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/cloudstore.db"
        return
    server = request.getfixturevalue("server")
    name = f"test-{uuid.uuid4().hex}"
    yield server.create(name)
    server.drop(name)


@pytest.fixture
def platform(url: str) -> Iterator[Platform]:
    with open_store(url, mode="write", allow_ephemeral=True, by="tests") as store:
        yield Platform(store)


def project(name: str, percent: int) -> str:
    return f"photon_tenants: [{{name: acme, projects: [{{name: {name}, quota_percent: {percent}}}]}}]"


def together(url: str, texts: list[str]) -> list[str]:
    """Each text is planned by a planner of its own before any is applied; the codes of what was refused."""
    planned = threading.Barrier(len(texts))
    refused: list[str] = []

    def work(text: str) -> None:
        with open_store(url, mode="write", allow_ephemeral=True, by="tests") as store:
            here = Platform(store)
            planning = here.plan(text)
            assert planning.plan.failures == []
            planned.wait()
            try:
                here.write(planning)
            except PhotonError as error:
                refused.append(error.code)

    threads = [threading.Thread(target=work, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(refused)


def test_projects_given_at_once_never_pass_the_tenants_limit(platform: Platform, url: str) -> None:
    platform.apply(ACME)
    refused = together(url, [project(f"p{n}", 30) for n in range(8)])
    assert refused == ["QuotaError"] * 5
    assert platform.quota("acme") == {"vm.count": (100, 90), "vm.cpu": (200, 180)}
    assert len(platform.state().of(entities.PROJECT)) == 3


def test_one_name_is_taken_once(platform: Platform, url: str) -> None:
    platform.apply(ACME)
    assert together(url, [project("web", 10)] * 6) == ["NameTaken"] * 5
    assert platform.quota("acme")["vm.count"] == (100, 10)


def test_one_project_is_changed_by_one_at_a_time(platform: Platform, url: str) -> None:
    platform.apply(ACME)
    platform.apply(project("web", 10))
    refused = together(url, [project("web", percent) for percent in (20, 30, 40, 50)])
    assert refused == ["StaleVersion"] * 3
    limit, _usage = platform.quota("acme/web")["vm.count"]
    assert platform.quota("acme")["vm.count"] == (100, limit)


def test_a_whole_life(platform: Platform) -> None:
    text = ACME[:-2] + ", projects: [{name: web, quota_percent: 50}, {name: db, quota_percent: 50}]}]"
    assert len(platform.changes(text)) == 3
    assert platform.changes(text) == []
    assert platform.changes(text.replace("100", "50").replace("200", "90")) == [
        ("update", "acme"),
        ("update", "acme/web"),
        ("update", "acme/db"),
    ]
    assert platform.quota("acme") == {"vm.count": (50, 50), "vm.cpu": (90, 90)}
    gone = text.replace(", quota_percent: 50", ", state: absent").replace("{name: acme", "{name: acme, state: absent")
    assert len(platform.changes(gone)) == 3
    assert platform.store.snapshot().counters() == {}
