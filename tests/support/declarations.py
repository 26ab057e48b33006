# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site as a user declares it, to be spoiled by tests."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.declaration import Known, validate
from ansible_collections.photon.platform.plugins.module_utils.model.errors import HTTP_STATUS, PhotonError

SITE = r"""
photon_site: lab
photon_endpoints: [{name: vc1, kind: vcenter, address: vc1.example.org, credential: vc1}]
photon_zones: [{name: a}, {name: b}]
photon_hosts: [{name: "esx[01:04]", endpoint: vc1, zone: a, usage_tags: [CLOUD]}]
photon_images: [{name: debian-13, file: debian-13.ova, replication: EAGER}]
photon_flavors:
  - {name: fast, kind: ephemeral, cost: {ephemeral-disk.cost: 2.5, storage.shared_vmfs: 1}}
photon_tenants:
  - name: acme
    quota: {vm.count: 100, vm.cpu: 200, vm.memory: 400 GB, ephemeral-disk.capacity: 4000 GB}
    security_groups: ['photon\acme-admins']
    projects:
      - name: web
        quota_percent: 50
        vms:
          - {name: "web-[01:20]", flavor: core-100, image: debian-13, boot_disk_flavor: fast, spread_over: zone,
             state: started, disks: [{name: data, flavor: core-100, capacity: 40}]}
"""


def web(tree: dict[str, Any]) -> dict[str, Any]:
    return tree["photon_tenants"][0]["projects"][0]


def vm(tree: dict[str, Any]) -> dict[str, Any]:
    return web(tree)["vms"][0]


VM = "photon_tenants[0].projects[0].vms[0]"


def mistakes(tree: dict[str, Any], known: Known | None = None) -> dict[str, tuple[str, str]]:
    """{path: (code, message)} of what validate refuses."""
    with pytest.raises(PhotonError) as caught:
        validate(tree, known)
    assert caught.value.code == "SpecInvalid"
    rows = caught.value.data["mistakes"]
    assert all(row["code"] in HTTP_STATUS for row in rows)
    assert all(row["path"] in caught.value.message for row in rows)
    return {row["path"]: (row["code"], row["message"]) for row in rows}
