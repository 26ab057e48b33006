# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage policies of a vCenter, which a disk is given, keeps and is asked for."""

from __future__ import annotations

import pytest
from pyVmomi import SoapStubAdapter, VmomiSupport, pbm, vim, vmodl


class Policies:
    """The policy service of a vCenter, on the session of a client."""

    def __init__(self, client):
        self.client = client
        cookie = client.instance._stub.cookie.partition("=")[2].partition(";")[0].strip('"')
        VmomiSupport.GetRequestContext()["vcSessionCookie"] = cookie
        stub = SoapStubAdapter(
            host=client.endpoint.address,
            port=client.endpoint.port,
            path="/pbm",
            version="pbm.version.version14",
            sslContext=client.endpoint.pyvmomi()["sslContext"],
        )
        self.content = pbm.ServiceInstance("ServiceInstance", stub).RetrieveContent()
        self.manager, self.solver = self.content.profileManager, self.content.placementSolver

    def ids(self):
        found = self.manager.PbmQueryProfile(pbm.profile.ResourceType(resourceType="STORAGE"))
        return {each.name: each.profileId for each in self.manager.PbmRetrieveContent(found)}

    def of(self, kind, *keys):
        entities = [pbm.ServerObjectRef(objectType=kind, key=key) for key in keys]
        found = self.manager.PbmQueryAssociatedProfiles(entities)
        return [[each.uniqueId for each in result.profileId] for result in found]

    def names(self, hubs):
        stores = {store._moId: store.name for store in self.client.datacenter.datastore}
        return sorted(stores[hub.hubId] for hub in hubs)

    def check(self, *ids, hubs=None):
        wanted = [pbm.placement.CapabilityProfileRequirement(profileId=each) for each in ids]
        results = self.solver.PbmCheckRequirements(hubs, None, wanted)
        return self.names(each.hub for each in results if not each.error)


@pytest.fixture
def policies(vc):
    yield Policies(vc)
    VmomiSupport.GetRequestContext().pop("vcSessionCookie")


def profile(identity):
    return [vim.vm.DefinedProfileSpec(profileId=getattr(identity, "uniqueId", identity))]


def test_a_policy_says_which_datastores_fit(vc, policies):
    every = sorted(store.name for store in vc.datacenter.datastore)
    ids = policies.ids()
    assert {"gold", "vSAN Default Storage Policy"} <= set(ids)
    gold = ids["gold"]
    assert policies.names(policies.solver.PbmQueryMatchingHub(None, gold)) == ["local-h1", "shared"]
    assert policies.names(policies.solver.PbmQueryMatchingHub(None, ids["vSAN Default Storage Policy"])) == every
    hubs = [pbm.placement.PlacementHub(hubType="Datastore", hubId=vc.datastore(n)._moId) for n in ("shared", "second")]
    assert policies.names(policies.solver.PbmQueryMatchingHub(hubs, gold)) == ["shared"]
    assert policies.check(gold) == ["local-h1", "shared"]
    assert policies.check(gold, hubs=hubs) == ["shared"]
    assert policies.check() == every
    refused = [
        each
        for each in policies.solver.PbmCheckRequirements(
            hubs, None, [pbm.placement.CapabilityProfileRequirement(profileId=gold)]
        )
        if each.error
    ]
    assert policies.names(each.hub for each in refused) == ["second"]
    assert isinstance(refused[0].error[0], pbm.fault.CompatibilityCheckFault)
    unknown = pbm.profile.ProfileId(uniqueId="unknown")
    for call in (policies.solver.PbmQueryMatchingHub, policies.solver.PbmCheckCompatibility):
        with pytest.raises(vmodl.fault.InvalidArgument):
            call(None, unknown)
    with pytest.raises(vmodl.fault.InvalidArgument):
        policies.check(unknown)


def test_disks_keep_the_policy_that_they_were_given(vc, policies):
    gold, plain = policies.ids()["gold"], policies.ids()["vSAN Default Storage Policy"]
    boot, data = vc.disk(1), vc.disk(1, unit=1)
    data.profile = profile(gold)
    vm = vc.create(vc.spec("web", devices=[boot, data], vmProfile=profile(plain)))
    keys = [f"{vm._moId}:{key}" for key in (2000, 2001)]
    assert policies.of("virtualDiskId", *keys) == [[], [gold.uniqueId]]
    assert policies.of("virtualMachine", vm._moId) == [[plain.uniqueId]]
    entity = pbm.ServerObjectRef(objectType="virtualDiskId", key=keys[1])
    assert [each.uniqueId for each in policies.manager.PbmQueryAssociatedProfile(entity)] == [gold.uniqueId]
    vc.change(vm, "edit", vc.disks(vm)[0], profile=profile(gold))
    vc.change(vm, "edit", vc.disks(vm)[1], profile=profile(plain))
    assert policies.of("virtualDiskId", *keys) == [[gold.uniqueId], [plain.uniqueId]]
    file = vc.disks(vm)[1].backing.fileName
    vc.change(vm, "remove", vc.disks(vm)[1])
    vc.change(vm, "add", vc.disk(0, file=file, existing=True, unit=1).device)
    assert policies.of("virtualDiskId", keys[1]) == [[plain.uniqueId]]
    vc.make_disk("[shared] disks/a.vmdk", profile=profile(gold))
    vc.change(vm, "add", vc.disk(0, file="[shared] disks/a.vmdk", existing=True, unit=2).device)
    assert policies.of("virtualDiskId", f"{vm._moId}:2002", f"{vm._moId}:9") == [[gold.uniqueId], []]


def test_first_class_disks_have_policies_too(vc, policies):
    gold, plain = policies.ids()["gold"], policies.ids()["vSAN Default Storage Policy"]
    manager, store = vc.content.vStorageObjectManager, vc.datastore()
    backing = vim.vslm.CreateSpec.DiskFileBackingSpec(datastore=store, provisioningType="thin")
    spec = vim.vslm.CreateSpec(name="data", capacityInMB=1, backingSpec=backing, profile=profile(gold))
    disk = vc.result(manager.CreateDisk_Task(spec)).config.id
    assert policies.of("virtualDiskUUID", disk.id) == [[gold.uniqueId]]
    vc.result(manager.UpdateVStorageObjectPolicy_Task(disk, store, profile(plain)))
    assert policies.of("virtualDiskUUID", disk.id) == [[plain.uniqueId]]
    with pytest.raises(vmodl.fault.InvalidArgument):
        manager.UpdateVStorageObjectPolicy_Task(disk, store, profile("unknown"))
    vc.result(manager.DeleteVStorageObject_Task(disk, store))


def test_an_unknown_policy_is_refused_everywhere(either):
    vm, unknown = either.create(either.spec("web", devices=[either.disk(1)])), profile("unknown")
    disk = either.disk(1, unit=1)
    disk.profile = unknown
    attempts = [
        lambda: either.create(either.spec("other", devices=[disk])),
        lambda: either.create(either.spec("other", vmProfile=unknown)),
        lambda: either.change(vm, "add", disk.device, fileOperation="create", profile=unknown),
        lambda: either.change(vm, "edit", either.disks(vm)[0], profile=unknown),
        lambda: either.make_disk("[shared] disks/a.vmdk", profile=unknown),
    ]
    for attempt in attempts:
        with pytest.raises(vmodl.fault.InvalidArgument):
            attempt()
    assert [each.name for each in either.folder.childEntity] == ["web"]
    assert len(either.disks(vm)) == 1
