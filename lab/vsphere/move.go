package main

import (
	"net/http"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func (e *endpoint) cloneVM(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.CloneVM_Task)
	if e.kind == "esxi" {
		writeFault(w, &types.NotSupported{}, "The operation is not supported on the object.")
		return true
	}
	vm := e.index.vm(m.This)
	if vm == nil {
		return false
	}
	config := types.VirtualMachineConfigSpec{Name: call.Name}
	if call.Spec.Config != nil {
		config.InstanceUuid = call.Spec.Config.InstanceUuid
	}
	host := call.Spec.Location.Host
	if host == nil {
		host = &vm.host
	}
	release, no := e.admitCreate(call.Folder, &config, host)
	if no.fault == nil {
		need := map[string]int64{}
		for _, d := range vm.disks {
			datastore := datastoreOf(d.path)
			if ds, ok := e.model.Map().Get(derefer(call.Spec.Location.Datastore)).(*simulator.Datastore); ok {
				datastore = ds.Name
			}
			if !d.thin {
				need[datastore] += d.capacity
			}
		}
		releaseSpace, full := e.disks.claim(need)
		if full != "" {
			release()
			no = noSpace(full)
		} else {
			releaseName := release
			release = func() { releaseSpace(); releaseName() }
		}
	}
	if no.fault == nil && e.hasSeSparse(m.This) { // the simulator's clone of such a disk ends the process
		release()
		no = refuse(&types.NotSupported{}, "A clone of a SE sparse disk is not modelled")
	}
	if no.fault != nil {
		writeResult(w, m.Name, e.failedTask(m, no.fault, no.message))
		return true
	}
	e.passTask(w, r, func(bool) { release() })
	return true
}

func (e *endpoint) hasSeSparse(ref types.ManagedObjectReference) (found bool) {
	vm, ok := e.model.Map().Get(ref).(*simulator.VirtualMachine)
	if !ok {
		return false
	}
	ctx := e.context()
	ctx.WithLock(vm, func() {
		for _, device := range vm.Config.Hardware.Device {
			if disk, ok := device.(*types.VirtualDisk); ok {
				_, flat := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
				found = found || !flat
			}
		}
	})
	return found
}

func derefer(ref *types.ManagedObjectReference) types.ManagedObjectReference {
	if ref == nil {
		return types.ManagedObjectReference{}
	}
	return *ref
}

func (e *endpoint) relocateVM(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.RelocateVM_Task)
	vm := e.index.vm(m.This)
	if vm == nil {
		return false
	}
	if no := e.admitRelocate(vm, &call.Spec); no.fault != nil {
		writeResult(w, m.Name, e.failedTask(m, no.fault, no.message))
		return true
	}
	e.passTask(w, r, func(failed bool) {
		if !failed {
			e.bumpVersion(m.This)
		}
	})
	return true
}

func (e *endpoint) admitRelocate(vm *vmRecord, spec *types.VirtualMachineRelocateSpec) refusal {
	target := vm.host
	if spec.Host != nil {
		target = *spec.Host
		if no := e.hostReady(target); no.fault != nil {
			return no
		}
	}
	host, ok := e.model.Map().Get(target).(*simulator.HostSystem)
	if !ok {
		return refuse(&types.ManagedObjectNotFound{Obj: target}, "Host %s is gone", target.Value)
	}
	if spec.Pool == nil && spec.Host != nil {
		if from, ok := e.model.Map().Get(vm.host).(*simulator.HostSystem); ok && *from.Parent != *host.Parent {
			return refuse(&types.InvalidArgument{InvalidProperty: "spec.pool"},
				"A move to another cluster or host needs the resource pool there")
		}
	}
	if spec.Pool != nil {
		inPool := false
		for _, h := range e.hostsOf(*spec.Pool) {
			inPool = inPool || h == target
		}
		if !inPool {
			return refuse(&types.InvalidArgument{InvalidProperty: "spec.pool"}, "Host %s is not behind this resource pool", host.Name)
		}
	}
	if spec.Datastore != nil && simulator.FindReference(host.Datastore, *spec.Datastore) == nil {
		return refuse(&types.InvalidDatastore{Datastore: spec.Datastore}, "The datastore is not mounted on host %s", host.Name)
	}
	if spec.Datastore == nil {
		for _, d := range vm.disks {
			if e.model.Map().FindByName(datastoreOf(d.path), host.Datastore) == nil {
				return refuse(&types.InvalidDatastorePath{DatastorePath: d.path}, "%s is not reachable from host %s", d.path, host.Name)
			}
		}
	}
	if vm.powered == types.VirtualMachinePowerStatePoweredOn && target != vm.host {
		return e.admitPower(vm, host)
	}
	return refusal{}
}
