package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vmware/govmomi/pbm/methods"
	pbmsim "github.com/vmware/govmomi/pbm/simulator"
	pbm "github.com/vmware/govmomi/pbm/types"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// profileManager is the simulator's, with what it knows nothing of: which disk and VM has which policy.
type profileManager struct {
	*pbmsim.ProfileManager
	e *endpoint
}

// placementSolver says which datastores can hold what has a policy.
type placementSolver struct {
	*pbmsim.PlacementSolver
	e *endpoint
}

// policies are the storage policies of a vCenter.
type policies struct {
	registry *simulator.Registry
	manager  *profileManager
	stores   map[string][]string // id of a policy -> names of its datastores; others fit everywhere
}

// startPolicies puts the topology's storage policies next to those that every vCenter has.
func (e *endpoint) startPolicies() {
	if e.kind == "esxi" {
		return
	}
	registry := pbmsim.New()
	p := &policies{registry: registry, stores: map[string][]string{}}
	for _, object := range registry.AllReference("PbmProfileProfileManager") {
		p.manager = &profileManager{object.(*pbmsim.ProfileManager), e}
		registry.Put(p.manager)
	}
	for _, object := range registry.AllReference("PbmPlacementSolver") {
		registry.Put(&placementSolver{object.(*pbmsim.PlacementSolver), e})
	}
	for _, spec := range e.spec.Policies {
		body := p.manager.PbmCreate(e.context(), &pbm.PbmCreate{CreateSpec: pbm.PbmCapabilityProfileCreateSpec{
			Name: spec.Name, Category: string(pbm.PbmProfileCategoryEnumREQUIREMENT),
			ResourceType: pbm.PbmProfileResourceType{ResourceType: string(pbm.PbmProfileResourceTypeEnumSTORAGE)},
			Constraints:  &pbm.PbmCapabilitySubProfileConstraints{}}}).(*methods.PbmCreateBody)
		p.stores[body.Res.Returnval.UniqueId] = spec.Datastores
	}
	e.policies = p
	e.model.Service.RegisterSDK(registry)
}

// knownPolicy says whether a policy has that id.
func (e *endpoint) knownPolicy(id string) (known bool) {
	if e.policies == nil {
		return false
	}
	ctx := &simulator.Context{Context: e.context().Context, Map: e.policies.registry}
	ctx.WithLock(e.policies.manager, func() {
		known = e.policies.manager.PbmRetrieveContent(&pbm.PbmRetrieveContent{
			ProfileIds: []pbm.PbmProfileId{{UniqueId: id}}}).Fault() == nil
	})
	return known
}

// profileOf is the id of the policy that a call gives, "" without one.
func profileOf(specs []types.BaseVirtualMachineProfileSpec) string {
	for _, spec := range specs {
		if defined, ok := spec.(*types.VirtualMachineDefinedProfileSpec); ok {
			return defined.ProfileId
		}
	}
	return ""
}

func profileOfSpec(spec types.BaseVirtualDiskSpec) string {
	if backed, ok := spec.(types.BaseFileBackedVirtualDiskSpec); ok {
		return profileOf(backed.GetFileBackedVirtualDiskSpec().Profile)
	}
	return ""
}

// wantedPolicies are the policies that a create or reconfigure gives: by key of a disk, and that of the VM's home under 0.
func wantedPolicies(spec *types.VirtualMachineConfigSpec) map[int32]string {
	wanted := map[int32]string{}
	if len(spec.VmProfile) > 0 {
		wanted[0] = profileOf(spec.VmProfile)
	}
	for _, change := range spec.DeviceChange {
		s := change.GetVirtualDeviceConfigSpec()
		if disk, ok := s.Device.(*types.VirtualDisk); ok && len(s.Profile) > 0 {
			wanted[disk.Key] = profileOf(s.Profile)
		}
	}
	return wanted
}

func (e *endpoint) keepPolicies(vm *vmRecord, wanted map[int32]string) {
	if vm == nil {
		return
	}
	for key, id := range wanted {
		if key == 0 {
			e.disks.setProfile(vm.vmx, id)
		}
		for _, d := range vm.disks {
			if d.key == key {
				e.disks.setProfile(d.path, id)
			}
		}
	}
}

// policyOf is the policy of a VM's home (vm-12), of its disk (vm-12:2000) or of a first-class disk.
func (e *endpoint) policyOf(entity pbm.PbmServerObjectRef) (ids []pbm.PbmProfileId, fault types.BaseMethodFault) {
	file := ""
	switch pbm.PbmObjectType(entity.ObjectType) {
	case pbm.PbmObjectTypeVirtualMachine, pbm.PbmObjectTypeVirtualDiskId:
		moid, key, _ := strings.Cut(entity.Key, ":")
		vm := e.index.vm(types.ManagedObjectReference{Type: "VirtualMachine", Value: moid})
		if vm != nil && key == "" {
			file = vm.vmx
		} else if vm != nil {
			for _, d := range vm.disks {
				if fmt.Sprint(d.key) == key {
					file = d.path
				}
			}
		}
	case pbm.PbmObjectTypeVirtualDiskUUID:
		if o := e.disk(types.ID{Id: entity.Key}, types.ManagedObjectReference{}); o != nil {
			file = fileOf(o)
		}
	}
	if file == "" {
		return nil, &types.InvalidArgument{InvalidProperty: "entity"}
	}
	if id := e.disks.profile(file); id != "" {
		ids = append(ids, pbm.PbmProfileId{UniqueId: id})
	}
	return ids, nil
}

// PbmQueryAssociatedProfile is the policy of one object.
func (m *profileManager) PbmQueryAssociatedProfile(req *pbm.PbmQueryAssociatedProfile) soap.HasFault {
	body := new(methods.PbmQueryAssociatedProfileBody)
	ids, fault := m.e.policyOf(req.Entity)
	if fault != nil {
		body.Fault_ = simulator.Fault("A specified parameter was not correct: entity", fault)
		return body
	}
	body.Res = &pbm.PbmQueryAssociatedProfileResponse{Returnval: ids}
	return body
}

// PbmQueryAssociatedProfiles are the policies of many objects in one call.
func (m *profileManager) PbmQueryAssociatedProfiles(req *pbm.PbmQueryAssociatedProfiles) soap.HasFault {
	body := &methods.PbmQueryAssociatedProfilesBody{Res: new(pbm.PbmQueryAssociatedProfilesResponse)}
	for _, entity := range req.Entities {
		result := pbm.PbmQueryProfileResult{Object: entity}
		ids, fault := m.e.policyOf(entity)
		if result.ProfileId = ids; fault != nil {
			result.Fault = &types.LocalizedMethodFault{Fault: fault}
		}
		body.Res.Returnval = append(body.Res.Returnval, result)
	}
	return body
}

// fits says whether a datastore can hold what has a policy.
func (e *endpoint) fits(id, datastore string) bool {
	stores, limited := e.policies.stores[id]
	return !limited || slices.Contains(stores, datastore)
}

// hubs are the datastores that a question is about; all of them when it names none.
func (e *endpoint) hubs(asked []pbm.PbmPlacementHub) (found []pbm.PbmPlacementHub) {
	for _, ds := range e.disks.all() {
		hub := pbm.PbmPlacementHub{HubType: ds.Self.Type, HubId: ds.Self.Value}
		if len(asked) == 0 || slices.Contains(asked, hub) {
			found = append(found, hub)
		}
	}
	slices.SortFunc(found, func(a, b pbm.PbmPlacementHub) int { return strings.Compare(a.HubId, b.HubId) })
	return found
}

// check says of each datastore whether it satisfies all policies.
func (e *endpoint) check(asked []pbm.PbmPlacementHub, ids ...string) (results []pbm.PbmPlacementCompatibilityResult, fault types.BaseMethodFault) {
	for _, id := range ids {
		if !e.knownPolicy(id) {
			return nil, &types.InvalidArgument{InvalidProperty: "profileId"}
		}
	}
	for _, hub := range e.hubs(asked) {
		result := pbm.PbmPlacementCompatibilityResult{Hub: hub}
		name := e.entityName(types.ManagedObjectReference{Type: hub.HubType, Value: hub.HubId})
		for _, id := range ids {
			if !e.fits(id, name) {
				result.Error = append(result.Error, types.LocalizedMethodFault{Fault: &pbm.PbmCompatibilityCheckFault{Hub: hub},
					LocalizedMessage: "Datastore does not satisfy compatibility since it does not support one or more required properties."})
			}
		}
		results = append(results, result)
	}
	return results, nil
}

// PbmCheckRequirements says of each datastore whether it satisfies the policies; without any every datastore does.
func (s *placementSolver) PbmCheckRequirements(_ *simulator.Context, req *pbm.PbmCheckRequirements) soap.HasFault {
	body, ids := new(methods.PbmCheckRequirementsBody), []string{}
	for _, each := range req.PlacementSubjectRequirement {
		if profile, ok := each.(*pbm.PbmPlacementCapabilityProfileRequirement); ok {
			ids = append(ids, profile.ProfileId.UniqueId)
		}
	}
	results, fault := s.e.check(req.HubsToSearch, ids...)
	if fault != nil {
		body.Fault_ = simulator.Fault("A specified parameter was not correct: profileId", fault)
		return body
	}
	body.Res = &pbm.PbmCheckRequirementsResponse{Returnval: results}
	return body
}

// PbmCheckCompatibility is PbmCheckRequirements for one policy.
func (s *placementSolver) PbmCheckCompatibility(_ *simulator.Context, req *pbm.PbmCheckCompatibility) soap.HasFault {
	body := new(methods.PbmCheckCompatibilityBody)
	results, fault := s.e.check(req.HubsToSearch, req.Profile.UniqueId)
	if fault != nil {
		body.Fault_ = simulator.Fault("A specified parameter was not correct: profileId", fault)
		return body
	}
	body.Res = &pbm.PbmCheckCompatibilityResponse{Returnval: results}
	return body
}

// PbmQueryMatchingHub are the datastores that satisfy a policy.
func (s *placementSolver) PbmQueryMatchingHub(_ *simulator.Context, req *pbm.PbmQueryMatchingHub) soap.HasFault {
	body := new(methods.PbmQueryMatchingHubBody)
	results, fault := s.e.check(req.HubsToSearch, req.Profile.UniqueId)
	if fault != nil {
		body.Fault_ = simulator.Fault("A specified parameter was not correct: profileId", fault)
		return body
	}
	body.Res = new(pbm.PbmQueryMatchingHubResponse)
	for _, result := range results {
		if len(result.Error) == 0 {
			body.Res.Returnval = append(body.Res.Returnval, result.Hub)
		}
	}
	return body
}
