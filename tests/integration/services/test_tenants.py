# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tenants on a simulated data centre: declared, used up, refused, fixed, deleted."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import open_store
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services.planning import Options
from ansible_collections.photon.platform.plugins.module_utils.services.run import Request, run_items, run_site
from ansible_collections.photon.platform.plugins.module_utils.services.state import CurrentState

from tests.support import diskimages

SITE = r"""
photon_site: test
photon_security_groups: ['photon\ESXCloudAdmins']
photon_zones: [{name: a}]
photon_hosts: [{name: "esx[01:03].lab", endpoint: vc1, zone: a}]
photon_images: [{name: debian, file: debian.ova, replication: ON_DEMAND}]
photon_image_datastores: [shared1]
photon_default_port_group: VM Network
photon_tenants:
  - name: acme
    quota: {vm.count: 3, vm.memory: 16 GB}
    security_groups: ['photon\acme-admins']
    projects:
      - name: web
        quota_percent: 100
        security_groups: ['photon\web']
        vms: [{name: "web-[1:2]", flavor: core-100, image: debian, boot_disk_flavor: core-100}]
"""
SCOPE = {"tenant": "acme", "project": "web"}
VM = {"flavor": "core-100", "image": "debian", "boot_disk_flavor": "core-100"}


class Site:
    """One site with its CloudStore on the lab's vCenter."""

    def __init__(self, lab: Any, directory: Any) -> None:
        self.lab, self.directory = lab, directory
        self.url = f"sqlite:///{directory}/cloud.db"
        diskimages.ova(directory / "debian.ova")
        endpoint = lab.endpoints["vc1"]
        self.endpoint = {
            "name": "vc1",
            "address": endpoint.address,
            "port": endpoint.port,
            "tls": {"ca_file": str(endpoint.ca_file)},
        }
        self.secret = {"username": endpoint.username, "password": endpoint.password}

    def request(self, act_as: dict[str, Any] | None = None, **more: Any) -> Request:
        options = Options(base_directory=str(self.directory), default_port_group="VM Network")
        return Request(
            cloudstore_url=self.url,
            allow_ephemeral=True,
            act_as=act_as,
            credentials={"vc1": self.secret},
            options=options,
            **more,
        )

    def apply(self, text: str = SITE, **more: Any) -> dict[str, Any]:
        tree = {**yaml.safe_load(text), "photon_endpoints": [self.endpoint]}
        return run_site(tree, self.request(whole=True, **more))

    def vms(self, *items: dict[str, Any], act_as: dict[str, Any] | None = None) -> dict[str, Any]:
        return run_items("vm", items, self.request(act_as), scope=SCOPE)

    def state(self) -> CurrentState:
        with open_store(self.url, allow_ephemeral=True) as store:
            return CurrentState.of_snapshot(store.snapshot())

    def vm(self, name: str) -> Any:
        return next(d for d in self.state().of(entities.VM) if d.name == name)

    def used(self) -> int:
        """VMs charged to acme/web."""
        state = self.state()
        project = next(d for d in state.of(entities.PROJECT) if d.name == "web")
        counter = state.counters[project.id].get("vm.count")
        return counter.usage if counter else 0


@pytest.fixture
def site(lab_factory, tmp_path) -> Site:
    return Site(lab_factory("small"), tmp_path)


def codes(outcome: dict[str, Any]) -> list[str]:
    return [failure["error_code"] for failure in outcome["failures"]]


def test_a_tenant_comes_lives_and_goes(site: Site) -> None:
    first = site.apply()
    assert codes(first) == []
    assert first["changed"]
    assert site.used() == 2
    assert not site.apply()["changed"]

    gone = SITE.replace("- name: acme", "- name: acme\n    state: absent").replace(
        "- name: web", "- name: web\n        state: absent"
    )
    with pytest.raises(PhotonError, match="project web is absent"):
        site.apply(gone)
    assert codes(site.apply(gone.replace("core-100}", "core-100, state: absent}"))) == []
    state = site.state()
    assert state.of(entities.TENANT) == state.of(entities.PROJECT) == state.of(entities.VM) == []
    assert state.counters == {}


def test_a_vm_that_vsphere_refuses_is_in_error_and_fixed_by_the_next_run(site: Site) -> None:
    site.lab.control.fault(method="CreateVM_Task", where="task", fault="NoPermission", name="web-2*", count=1)
    first = site.apply()
    assert len(codes(first)) == 1
    assert first["failures"][0]["name"].endswith("web-2")
    assert site.vm("web-1").state == "STOPPED"
    assert site.vm("web-2").state == "ERROR"
    assert site.used() == 2
    assert codes(site.apply()) == []
    assert site.vm("web-2").state == "STOPPED"
    assert site.used() == 2


def test_quota_over_the_life_of_vms(site: Site) -> None:
    site.apply()
    outcome = site.vms({"name": "more-[1:2]", **VM})
    assert codes(outcome) == ["QuotaError"]
    assert site.used() == 3
    site.vms({"name": "web-1", "state": "absent"})
    assert codes(site.vms({"name": "more-2", **VM})) == []
    assert site.used() == 3


def test_project_users_and_others(site: Site) -> None:
    site.apply()
    user = {"user": "cat@photon", "groups": [r"photon\web"]}
    other = {"user": "dan@photon", "groups": [r"photon\db"]}
    assert codes(site.vms({"name": "web-1", "state": "started"}, act_as=other)) == ["AccessForbidden"]
    assert site.vm("web-1").state == "STOPPED"
    assert codes(site.vms({"name": "web-1", "state": "started"}, act_as=user)) == []
    assert site.vm("web-1").state == "STARTED"
    assert codes(site.vms({"name": "web-1", "state": "absent"}, act_as=user)) == ["InvalidVmState"]
    assert codes(site.vms({"name": "web-1", "state": "absent", "force": True}, act_as=user)) == []


def test_mistakes_touch_nothing(site: Site) -> None:
    with pytest.raises(PhotonError) as caught:
        site.apply(SITE.replace("flavor: core-100, image", "flavour: core-100, image"))
    assert caught.value.code == "SpecInvalid"
    [mistake] = caught.value.data["mistakes"]
    assert mistake["path"] == "photon_tenants[0].projects[0].vms[0].flavour"
    assert site.state().of(entities.TENANT) == []
    assert site.lab.control.state("vc1")["vms"] == []
