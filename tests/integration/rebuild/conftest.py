# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site on a vCenter with DRS and on an ESXi host, whose CloudStore (SQLite or PostgreSQL) can be lost."""

from __future__ import annotations

import contextlib
import copy
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.photon.platform.plugins.module_utils.services.planning import Options
from ansible_collections.photon.platform.plugins.module_utils.services.rebuild import rebuild
from ansible_collections.photon.platform.plugins.module_utils.services.run import Request

from lab import Lab
from tests.chaos.scene import small
from tests.support import postgresql
from tests.support.site import Site

SITE = r"""
photon_site: chaos
photon_security_groups: [lab\admins]
photon_zones: [{name: a}, {name: b}]
photon_hosts:
  - {name: "esx[01:03].lab", endpoint: vc1, zone: a, tags: [ssd]}
  - {name: esx09.lab, endpoint: esx9, zone: b}
photon_image_datastores: [shared1, datastore1]
photon_datastores: [{name: shared1, endpoint: vc1, tags: [fast]}]
photon_flavors:
  - {name: tiny, kind: vm, cost: {vm.cpu: 1, vm.memory: 1 GB}}
  - {name: tiny, kind: ephemeral-disk, cost: {ephemeral-disk: 1}}
photon_images: [{name: debian, file: debian.ova, replication: EAGER}]
photon_default_port_group: VM Network
photon_tenants:
  - name: acme
    quota: {vm.count: 100, vm.cpu: 400, vm.memory: 400 GB, persistent-disk.capacity: 400 GB}
    projects:
      - name: web
        quota_percent: 50
        vms:
          - {name: "web-[01:02]", flavor: tiny, image: debian, boot_disk_flavor: core-100, zone: a, state: started,
             tags: [front], deletion_protection: true, metadata: {user_data: "#cloud-config", environment: {ROLE: web}},
             anti_affinity: [{name: apart, level: host, hard: true}],
             disks: [{name: data, flavor: tiny, capacity: 1 GB}]}
          - {name: esx, flavor: tiny, image: debian, boot_disk_flavor: core-100, zone: b, state: stopped,
             port_groups: [{name: VM Network, address: 10.0.0.5/24, gateway: 10.0.0.1}]}
        disks:
          - {name: logs, flavor: core-100, capacity: 1 GB, attached_to: web-01, tags: [kept]}
          - {name: spare, flavor: core-100, capacity: 1 GB}
          - {name: local, flavor: core-100, capacity: 1 GB, attached_to: esx}
"""


class LostSite(Site):
    """A site whose database can be deleted and rebuilt."""

    server: postgresql.Server | None = None

    def lose(self) -> None:
        """Delete the database."""
        if self.server is None:
            for each in self.directory.glob("cloudstore.db*"):
                each.unlink()
        else:
            name = self.url.rpartition("/")[2]
            self.server.drop(name)
            self.server.create(name)

    def rebuild(self, declared: dict[str, Any], *, check: bool = False, force: bool = False) -> dict[str, Any]:
        options = Options(**self._options(30.0))
        request = Request(**self._request(), check=check, options=options, result="full")
        return rebuild(self._tree(declared), request, force=force)

    def plan(self, declared: dict[str, Any]) -> dict[str, Any]:
        """What photon-plan finds: ``{name: names of what differs}``."""
        outcome = self.run(declared, check=True, result="full")
        assert outcome["failures"] == [], outcome["failures"]
        return {row["name"]: sorted(row["changes"]) for row in outcome["plan"] if row["verb"] != "keep"}

    def project(self, declared: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = declared["photon_tenants"][0]["projects"][0]
        return found


def site_tree() -> dict[str, Any]:
    return copy.deepcopy(yaml.safe_load(SITE))


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgresql.Server]:
    reason = postgresql.missing()
    assert reason is None, reason
    with postgresql.running(tmp_path_factory.mktemp("postgresql")) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LostSite]:
    url, server = "", None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgresql_server")
        url = server.create(f"rebuild-{uuid.uuid4().hex}")
    with Lab.start(small(drs=True)) as lab, contextlib.closing(LostSite(lab, tmp_path, url)) as made:
        lab.control.guests(off=True)
        made.server = server
        made.settled(site_tree())
        yield made
