# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site that was applied, with its CloudStore in a SQLite file and in a PostgreSQL server of the test's own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import Lab
from tests.chaos.scene import small, tree
from tests.support import postgresql
from tests.support.damage import Tables
from tests.support.site import Site

DATA = [{"name": "data", "flavor": "core-100", "capacity": "1 GB"}]


def declared(vms: int = 3) -> dict[str, Any]:
    """VMs in zone a that are off, each with a data disk."""
    return tree(vms, zone="a", spread_over=None, state="stopped", disks=DATA)


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgresql.Server]:
    reason = postgresql.missing()
    assert reason is None, reason
    with postgresql.running(tmp_path_factory.mktemp("postgresql")) as server:
        yield server


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def applied(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The site, one for all tests of a module, whose vSphere stays as it is."""
    yield from _applied(request, tmp_path_factory.mktemp("verify"))


@pytest.fixture(params=["sqlite", "postgresql"])
def changed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """The site, one for each test, on which an administrator may do anything."""
    yield from _applied(request, tmp_path)


def _applied(request: pytest.FixtureRequest, directory: Path) -> Iterator[Site]:
    url = ""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_server").create(f"verify-{uuid.uuid4().hex}")
    with Lab.start(small()) as lab:
        lab.control.guests(off=True)  # an address that arrives in between would be a change of its own
        site = Site(lab, directory, url)
        site.good(declared())
        yield site
        site.close()


@pytest.fixture
def tables(applied: Site) -> Iterator[Tables]:
    """The site's tables, put back after the test as they were before it."""
    found = Tables(applied.url)
    before = found.dump()
    yield found
    found.restore(before)


def vsphere(site: Site) -> dict[str, Any]:
    """All that vSphere holds, by the lab's own view: objects and files; without addresses, which guests report late."""
    return {
        name: {
            "objects": {key: state[key] for key in ("hosts", "clusters", "datastores")},
            "vms": [{key: value for key, value in vm.items() if key != "address"} for vm in state["vms"]],
            "files": site.admin[name].files(),
        }
        for name, state in site.lab.control.state().items()
    }


def whats(outcome: dict[str, Any]) -> list[str]:
    """The sorts of what is left."""
    return sorted({finding["what"] for finding in outcome["findings"] if not finding["repaired"]})
