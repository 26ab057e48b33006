package main

import (
	"fmt"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

const agentManager = "com.vmware.vim.eam" // the ESX Agent Manager owns vCLS VMs

// agentMethods are the calls that vCenter disables for its own VMs.
var agentMethods = map[string]bool{
	"Destroy_Task": true, "PowerOffVM_Task": true, "SuspendVM_Task": true, "ResetVM_Task": true, "ReconfigVM_Task": true,
	"RelocateVM_Task": true, "MigrateVM_Task": true, "UnregisterVM": true, "Rename_Task": true, "CloneVM_Task": true,
	"MarkAsTemplate": true, "CreateSnapshot_Task": true, "ShutdownGuest": true, "RebootGuest": true, "StandbyGuest": true,
}

// ofAgent refuses users' calls on vCenter's own VMs.
func (e *endpoint) ofAgent(m *simulator.Method) (types.BaseMethodFault, string) {
	if !agentMethods[m.Name] {
		return nil, ""
	}
	if vm := e.index.vm(m.This); vm != nil && vm.agent {
		return &types.MethodDisabled{Source: agentManager}, "The method is disabled by '" + agentManager + "'"
	}
	return nil, ""
}

// startAgents makes the vCLS VMs of the clusters that ask for them: one on a host, on the datastore most hosts have.
func (e *endpoint) startAgents() error {
	for _, spec := range e.spec.Clusters {
		cluster := e.cluster(spec.Name)
		for n := 0; n < spec.VCLS && n < len(cluster.Host); n++ {
			if err := e.startAgent(cluster, cluster.Host[n], n); err != nil {
				return fmt.Errorf("vCLS of cluster %s: %w", spec.Name, err)
			}
		}
	}
	return nil
}

func (e *endpoint) startAgent(cluster *simulator.ClusterComputeResource, host types.ManagedObjectReference, n int) error {
	dc := e.model.Map().Any("Datacenter").(*simulator.Datacenter)
	client, ctx := e.client()
	folder, err := object.NewFolder(client, dc.VmFolder).CreateFolder(ctx, "vCLS")
	if err != nil {
		root := e.model.Map().Get(dc.VmFolder).(*simulator.Folder)
		found := e.model.Map().FindByName("vCLS", root.ChildEntity)
		if found == nil {
			return err
		}
		folder = object.NewFolder(client, found.Reference())
	}
	var home *simulator.Datastore
	for _, ref := range e.model.Map().Get(host).(*simulator.HostSystem).Datastore {
		if ds := e.model.Map().Get(ref).(*simulator.Datastore); home == nil || len(ds.Host) > len(home.Host) {
			home = ds
		}
	}
	if home == nil {
		return fmt.Errorf("host %s has no datastore", host.Value)
	}
	name := "vCLS-" + nameUUID("vcls", e.name, cluster.Name, fmt.Sprint(n))
	task, err := folder.CreateVM(ctx, types.VirtualMachineConfigSpec{
		Name: name, InstanceUuid: nameUUID("vcls-uuid", e.name, cluster.Name, fmt.Sprint(n)), NumCPUs: 1, MemoryMB: 128,
		Files:     &types.VirtualMachineFileInfo{VmPathName: "[" + home.Name + "]"},
		ManagedBy: &types.ManagedByInfo{ExtensionKey: agentManager, Type: "cluster-agent"},
	}, object.NewResourcePool(client, *cluster.ResourcePool), object.NewHostSystem(client, host))
	if err != nil {
		return err
	}
	info, err := task.WaitForResult(ctx, nil)
	if err != nil {
		return err
	}
	e.forcePower(info.Result.(types.ManagedObjectReference), types.VirtualMachinePowerStatePoweredOn)
	return nil
}
