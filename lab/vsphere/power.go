package main

import (
	"net/http"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func (e *endpoint) powerOn(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
	e.drsPlaces(m.This)
	no := e.claimPower(m.This)
	if no.fault != nil {
		writeResult(w, m.Name, e.failedTask(m, no.fault, no.message))
		return true
	}
	e.passTask(w, r, func(bool) { e.releasePower(m.This) })
	return true
}

func (e *endpoint) powerOnMany(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
	vms := m.Body.(*types.PowerOnMultiVM_Task).Vm
	for i, vm := range vms {
		e.drsPlaces(vm)
		if no := e.claimPower(vm); no.fault != nil {
			for _, claimed := range vms[:i] {
				e.releasePower(claimed)
			}
			writeResult(w, m.Name, e.failedTask(m, no.fault, no.message))
			return true
		}
	}
	e.passTask(w, r, func(bool) {
		for _, vm := range vms {
			e.releasePower(vm)
		}
	})
	return true
}

// claimPower admits a power-on and counts the VM as running until its task has ended.
func (e *endpoint) claimPower(ref types.ManagedObjectReference) refusal {
	vm := e.index.vm(ref)
	if vm == nil || vm.powered == types.VirtualMachinePowerStatePoweredOn {
		return refusal{} // the simulator knows the right fault
	}
	host, ok := e.model.Map().Get(vm.host).(*simulator.HostSystem)
	if !ok {
		return refuse(&types.ManagedObjectNotFound{Obj: vm.host}, "Host %s is gone", vm.host.Value)
	}
	if state := host.Runtime.ConnectionState; state != types.HostSystemConnectionStateConnected {
		return refuse(&types.HostNotConnected{}, "Host %s is %s", host.Name, state)
	}
	for _, d := range vm.disks {
		if other := e.runsOn(d.path, ref); other != nil {
			return refuse(&types.GenericVmConfigFault{Reason: "Failed to lock the file " + d.path},
				"Failed to lock the file %s: virtual machine %s runs on it", d.path, other.name)
		}
	}
	return e.admitPower(vm, host)
}

func (e *endpoint) releasePower(ref types.ManagedObjectReference) {
	e.index.mu.Lock()
	delete(e.index.starting, ref)
	e.index.mu.Unlock()
}

// admitPower checks reservations only, as ESXi does: what is not reserved may be overcommitted without limit.
func (e *endpoint) admitPower(vm *vmRecord, host *simulator.HostSystem) refusal {
	hw := host.Summary.Hardware
	if int(vm.cpus) > int(hw.NumCpuThreads) {
		return refuse(&types.NotEnoughCpus{NumCpuDest: int32(hw.NumCpuThreads), NumCpuVm: vm.cpus},
			"%s has %d vCPUs, host %s has %d logical processors", vm.name, vm.cpus, host.Name, hw.NumCpuThreads)
	}
	x := e.index
	x.mu.Lock()
	defer x.mu.Unlock()
	var memory, mhz int64
	for ref, other := range x.vms {
		on := other.powered == types.VirtualMachinePowerStatePoweredOn || x.starting[ref]
		if on && other.host == host.Self && ref != vm.ref {
			memory += other.reservedMB
			mhz += other.reservedMHz
		}
	}
	if free := hw.MemorySize>>20 - memory; vm.reservedMB > free {
		return refuse(&types.InsufficientMemoryResourcesFault{Unreserved: free << 20, Requested: vm.reservedMB << 20},
			"Host %s has %d MB of unreserved memory, %s reserves %d MB", host.Name, free, vm.name, vm.reservedMB)
	}
	if free := int64(hw.CpuMhz)*int64(hw.NumCpuCores) - mhz; vm.reservedMHz > free {
		return refuse(&types.InsufficientCpuResourcesFault{Unreserved: free, Requested: vm.reservedMHz},
			"Host %s has %d MHz of unreserved CPU, %s reserves %d MHz", host.Name, free, vm.name, vm.reservedMHz)
	}
	x.starting[vm.ref] = true
	return refusal{}
}
