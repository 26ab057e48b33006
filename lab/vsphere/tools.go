package main

import (
	"net/http"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func (e *endpoint) hasSnapshot(ref types.ManagedObjectReference) (has bool) {
	if vm, ok := e.model.Map().Get(ref).(*simulator.VirtualMachine); ok {
		ctx := e.context()
		ctx.WithLock(vm, func() { has = vm.Snapshot != nil && len(vm.Snapshot.RootSnapshotList) > 0 })
	}
	return has
}

// removeSnapshot makes the parent current first: the simulator panics, lock in hand, when the current snapshot that
// goes has none.
func (e *endpoint) removeSnapshot(_ http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	snapshot, ok := e.model.Map().Get(m.This).(*simulator.VirtualMachineSnapshot)
	if !ok {
		return false
	}
	vm, ok := e.model.Map().Get(snapshot.Vm).(*simulator.VirtualMachine)
	if !ok {
		return false
	}
	ctx := e.context()
	ctx.WithLock(vm, func() {
		if vm.Snapshot != nil && vm.Snapshot.CurrentSnapshot != nil && *vm.Snapshot.CurrentSnapshot == m.This {
			vm.Snapshot.CurrentSnapshot = parentSnapshot(vm.Snapshot.RootSnapshotList, nil, m.This)
		}
	})
	return false
}

func parentSnapshot(tree []types.VirtualMachineSnapshotTree, parent *types.ManagedObjectReference, child types.ManagedObjectReference) *types.ManagedObjectReference {
	for _, each := range tree {
		if each.Snapshot == child {
			return parent
		}
		here := each.Snapshot
		if found := parentSnapshot(each.ChildSnapshotList, &here, child); found != nil {
			return found
		}
	}
	return nil
}

// needsTools refuses what only VMware Tools can do while they do not run.
func (e *endpoint) needsTools(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	vm, ok := e.model.Map().Get(m.This).(*simulator.VirtualMachine)
	if !ok {
		return false
	}
	var power types.VirtualMachinePowerState
	var tools string
	ctx := e.context()
	ctx.WithLock(vm, func() { power, tools = vm.Runtime.PowerState, vm.Guest.ToolsRunningStatus })
	switch {
	case power != types.VirtualMachinePowerStatePoweredOn:
		writeFault(w, &types.InvalidPowerState{RequestedState: types.VirtualMachinePowerStatePoweredOn, ExistingState: power},
			"The attempted operation cannot be performed in the current state ("+string(power)+").")
	case tools != string(types.VirtualMachineToolsRunningStatusGuestToolsRunning):
		writeFault(w, &types.ToolsUnavailable{}, "Cannot complete operation because VMware Tools is not running in this virtual machine.")
	default:
		return false
	}
	return true
}

// onlyVCenter refuses on an ESXi host what it leaves to vCenter.
func (e *endpoint) onlyVCenter(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
	if e.kind == "esxi" {
		writeFault(w, &types.NotSupported{}, "The operation is not supported on the object.")
		return true
	}
	return e.newVersion(w, r, m)
}
