package main

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func (e *endpoint) newVersion(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
	e.next.ServeHTTP(w, r)
	e.bumpVersion(m.This)
	return true
}

func (e *endpoint) newVersionByTask(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
	e.passTask(w, r, func(failed bool) {
		if !failed {
			e.bumpVersion(m.This)
		}
	})
	return true
}

// bumpVersion moves config.changeVersion where the simulator forgets to. It runs apart: its caller may hold locks.
func (e *endpoint) bumpVersion(ref types.ManagedObjectReference) {
	go func() {
		if vm, ok := e.model.Map().Get(ref).(*simulator.VirtualMachine); ok {
			ctx := e.context()
			now := time.Now()
			ctx.Map.AtomicUpdate(ctx, vm, []types.PropertyChange{
				{Name: "config.name", Val: vm.Name}, {Name: "summary.config.name", Val: vm.Name},
				{Name: "config.changeVersion", Val: fmt.Sprint(now.UnixNano())}, {Name: "config.modified", Val: now}})
		}
	}()
}

func (e *endpoint) destroy(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
	if folder, ok := e.model.Map().Get(m.This).(*simulator.Folder); ok {
		return e.destroyFolder(w, r, m, folder)
	}
	if m.This.Type == "HostSystem" || m.This.Type == "ComputeResource" {
		return e.removeHost(w, m)
	}
	vm := e.index.vm(m.This)
	if vm == nil {
		return false
	}
	for _, d := range vm.disks {
		no := e.parentInUse(vm, d.path)
		if other := e.runsOn(d.path, vm.ref); no.fault == nil && other != nil {
			no = refuse(&types.FileLocked{FileFault: types.FileFault{File: d.path}},
				"Failed to lock the file %s: virtual machine %s runs on it", d.path, other.name)
		}
		if no.fault != nil {
			writeResult(w, m.Name, e.failedTask(m, no.fault, no.message))
			return true
		}
	}
	if vm.powered == types.VirtualMachinePowerStatePoweredOn || !e.hasMoreThanItsOwn(vm) {
		return false
	}
	writeResult(w, m.Name, e.startTask(m, func() (types.AnyType, types.BaseMethodFault, string) {
		no := e.destroyKeeping(vm)
		return nil, no.fault, no.message
	}))
	return true
}

// runsOn is another VM that runs on a disk.
func (e *endpoint) runsOn(file string, but types.ManagedObjectReference) *vmRecord {
	if !e.index.shared(file, but) {
		return nil // the usual case, and all VMs need not be looked at
	}
	for _, vm := range e.index.all() {
		if vm.ref == but || vm.powered == types.VirtualMachinePowerStatePoweredOff {
			continue
		}
		for _, d := range vm.disks {
			if d.path == file {
				return vm
			}
		}
	}
	return nil
}

// destroyFolder takes the VMs in a folder down with it, as vCenter does; the simulator would leave them behind.
func (e *endpoint) destroyFolder(w http.ResponseWriter, _ *http.Request, m *simulator.Method, folder *simulator.Folder) bool {
	vms := e.vmsBelow(folder.Self)
	if len(vms) == 0 {
		return false
	}
	writeResult(w, m.Name, e.startTask(m, func() (types.AnyType, types.BaseMethodFault, string) {
		for _, vm := range vms {
			if vm.powered != types.VirtualMachinePowerStatePoweredOff {
				return nil, &types.InvalidPowerState{ExistingState: vm.powered, RequestedState: types.VirtualMachinePowerStatePoweredOff},
					vm.name + " is not powered off"
			}
			for _, d := range vm.disks {
				if no := e.parentInUse(vm, d.path); no.fault != nil {
					return nil, no.fault, no.message
				}
			}
		}
		for _, vm := range vms {
			if err := e.destroyAndWait(vm.ref); err != nil {
				return nil, &types.SystemError{Reason: err.Error()}, err.Error()
			}
		}
		client, ctx := e.client()
		task, err := object.NewFolder(client, folder.Self).Destroy(ctx)
		if err == nil {
			err = task.Wait(ctx)
		}
		if err != nil {
			return nil, &types.SystemError{Reason: err.Error()}, err.Error()
		}
		return nil, nil, ""
	}))
	return true
}

func (e *endpoint) destroyAndWait(ref types.ManagedObjectReference) error {
	if vm := e.index.vm(ref); vm != nil && e.hasMoreThanItsOwn(vm) {
		if no := e.destroyKeeping(vm); no.fault != nil {
			return errors.New(no.message)
		}
		return nil
	}
	client, ctx := e.client()
	task, err := object.NewVirtualMachine(client, ref).Destroy(ctx)
	if err != nil {
		return err
	}
	return task.Wait(ctx)
}

func (e *endpoint) vmsBelow(folder types.ManagedObjectReference) (found []*vmRecord) {
	for _, vm := range e.index.all() {
		for at := vm.folder; at.Type == "Folder"; {
			if at == folder {
				found = append(found, vm)
				break
			}
			parent, ok := e.model.Map().Get(at).(mo.Entity)
			if !ok || parent.Entity().Parent == nil {
				break
			}
			at = *parent.Entity().Parent
		}
	}
	return found
}
