package main

import (
	"net/http"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// enterMaintenance waits until no VM hinders any more, for as long as the caller's timeout says; 0 is for ever.
func (e *endpoint) enterMaintenance(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.EnterMaintenanceMode_Task)
	everything := e.kind == "vcenter" && yes(call.EvacuatePoweredOffVms)
	if len(e.index.onHost(m.This)) == 0 || e.inMaintenance(m.This) {
		return false
	}
	task := e.newTask(m.This, m.Name)
	writeResult(w, m.Name, task.Self)
	e.setEntering(m.This, true)
	go func() {
		defer e.setEntering(m.This, false)
		started := time.Now()
		for e.taskState(task.Self) == types.TaskInfoStateRunning {
			e.evacuate(m.This, everything)
			if len(e.hindering(m.This, everything)) == 0 {
				if host, ok := e.model.Map().Get(m.This).(*simulator.HostSystem); ok {
					ctx := e.context()
					ctx.Map.AtomicUpdate(ctx, host, []types.PropertyChange{{Name: "runtime.inMaintenanceMode", Val: true}})
				}
				e.endTask(task, nil, nil, "")
				return
			}
			if limit := time.Duration(call.Timeout) * time.Second; limit > 0 && time.Since(started) > limit {
				e.endTask(task, nil, &types.Timedout{}, "Operation timed out: virtual machines still run on the host")
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return true
}

// exitMaintenance starts vCenter's own VMs again.
func (e *endpoint) exitMaintenance(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
	e.passTask(w, r, func(failed bool) {
		if failed {
			return
		}
		for _, vm := range e.index.onHost(m.This) {
			if vm.agent && vm.powered == types.VirtualMachinePowerStatePoweredOff {
				go e.forcePower(vm.ref, types.VirtualMachinePowerStatePoweredOn)
			}
		}
	})
	return true
}

func (e *endpoint) inMaintenance(ref types.ManagedObjectReference) bool {
	host, ok := e.model.Map().Get(ref).(*simulator.HostSystem)
	return ok && host.Runtime.InMaintenanceMode
}

func (e *endpoint) setEntering(host types.ManagedObjectReference, is bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if is {
		e.enteringHosts[host]++
	} else if e.enteringHosts[host]--; e.enteringHosts[host] == 0 {
		delete(e.enteringHosts, host)
	}
}

// entering says whether a host is on its way into maintenance: DRS places nothing on it.
func (e *endpoint) entering(host types.ManagedObjectReference) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.enteringHosts[host] > 0
}

// hindering are the VMs that keep a host out of maintenance: those that run, and the powered-off ones if they are to leave.
func (e *endpoint) hindering(host types.ManagedObjectReference, everything bool) (found []*vmRecord) {
	for _, vm := range e.index.onHost(host) {
		on := vm.powered == types.VirtualMachinePowerStatePoweredOn
		if on || everything && !vm.agent {
			found = append(found, vm)
		}
	}
	return found
}

// evacuate moves what vCenter itself moves: its own VMs, and with DRS all others that hinder.
func (e *endpoint) evacuate(ref types.ManagedObjectReference, everything bool) {
	host, ok := e.model.Map().Get(ref).(*simulator.HostSystem)
	if !ok {
		return
	}
	cluster, clustered := e.model.Map().Get(*host.Parent).(*simulator.ClusterComputeResource)
	for _, vm := range e.hindering(ref, everything) {
		if !clustered || !vm.agent && e.drsCluster(ref) == nil {
			continue
		}
		if to := e.otherHost(cluster, vm); to.Value != "" {
			_ = e.move(vm.ref, &types.VirtualMachineRelocateSpec{Host: &to})
			e.releasePower(vm.ref)
		} else if vm.agent {
			e.powerOffAgent(vm.ref)
		}
	}
}

func (e *endpoint) powerOffAgent(ref types.ManagedObjectReference) {
	client, ctx := e.client()
	task, err := object.NewVirtualMachine(client, ref).PowerOff(ctx)
	if err == nil {
		err = task.Wait(ctx)
	}
	if err != nil {
		quietLog.Print(err)
	}
}
