package main

import (
	"fmt"
	"log"
	"runtime/debug"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// observer hears of every change of the inventory. It repairs what the simulator leaves wrong, keeps the index, and
// puts a net under every task: a panic in one would end the process.
type observer struct{ e *endpoint }

// Reference makes the observer known to the registry.
func (o observer) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "Lab", Value: "observer"}
}

// PutObject hears of a new object, or of one that moved to another folder.
func (o observer) PutObject(_ *simulator.Context, object mo.Reference) {
	switch x := object.(type) {
	case *simulator.Task:
		x.Info.Name = taskMethod(x.Info.Name)
		if x.Execute != nil {
			x.Execute = o.guarded(x)
		}
		// A task's entity is a managed entity; pyvmomi cannot read info with a manager in that place.
		if _, ok := o.e.model.Map().Get(*x.Info.Entity).(mo.Entity); !ok {
			*x.Info.Entity = o.e.model.ServiceContent.RootFolder
		}
	case *simulator.Datastore:
		o.e.disks.mounted(x.Self, x)
	case *simulator.VirtualMachine:
		// Unset enumerations go out empty, and pyvmomi then cannot read runtime or summary as a whole.
		for _, r := range []*types.VirtualMachineRuntimeInfo{&x.Runtime, &x.Summary.Runtime} {
			r.FaultToleranceState = types.VirtualMachineFaultToleranceStateNotConfigured
			r.RecordReplayState = types.VirtualMachineRecordReplayStateInactive
		}
		now := record(&x.VirtualMachine)
		o.e.index.put(now)
		o.e.mirrorSoon(now.host)
	}
}

// UpdateObject hears of changed properties; the caller holds the object's lock.
func (o observer) UpdateObject(ctx *simulator.Context, object mo.Reference, changes []types.PropertyChange) {
	switch x := object.(type) {
	case *mo.Task:
		if x.Info.State == types.TaskInfoStateSuccess || x.Info.State == types.TaskInfoStateError {
			o.e.taskEnded(x.Self, x.Info.State == types.TaskInfoStateError)
		}
	case *mo.VirtualMachine:
		o.vmChanged(ctx, x, changes)
	}
}

// RemoveObject hears of an object that leaves the inventory.
func (o observer) RemoveObject(ctx *simulator.Context, ref types.ManagedObjectReference) {
	switch ref.Type {
	case "VirtualMachine":
		if old := o.e.index.remove(ref); old != nil {
			o.e.disks.suspect(old.disks)
			o.e.guest.forget(ref)
			o.e.leaveRules(ctx, ref, types.ManagedObjectReference{})
			o.e.mirrorSoon(old.host)
		}
	case "Datastore":
		o.e.disks.mounted(ref, nil)
	case "HostSystem": // a destroyed host stays in cluster.host, and the next create without a host dies on it
		for _, e := range o.e.model.Map().All("ClusterComputeResource") {
			simulator.RemoveReference(&e.(*simulator.ClusterComputeResource).Host, ref)
		}
		for _, e := range o.e.model.Map().AllReference("EnvironmentBrowser") { // and so does the next host that is added
			browser := e.(*simulator.EnvironmentBrowser)
			ctx.WithLock(browser, func() {
				for i := range browser.QueryConfigOptionDescriptorResponse.Returnval {
					option := &browser.QueryConfigOptionDescriptorResponse.Returnval[i]
					option.Host = without(option.Host, ref)
				}
			})
		}
	}
}

func (o observer) vmChanged(ctx *simulator.Context, vm *mo.VirtualMachine, changes []types.PropertyChange) {
	old := o.e.index.vm(vm.Self)
	if old == nil { // on its way out: the devices of a destroyed VM are taken off after it left the inventory
		return
	}
	var devices, power, host bool
	for _, c := range changes {
		switch c.Name {
		case "config.hardware.device":
			devices = true
		case "runtime.powerState":
			power = true
		case "runtime.host":
			host = true
		}
	}
	if devices {
		sortDisks(vm)
	}
	now := record(vm)
	o.e.index.put(now)
	o.e.mirrorSoon(now.host)
	if devices {
		o.e.disks.attached(old.disks, now.disks)
		o.e.disks.sync(ctx)
	}
	if power {
		o.e.guest.powered(vm.Self, now.powered)
	}
	if host && now.host != old.host { // RelocateVM_Task leaves host.vm of both as it was
		o.moved(ctx, vm.Self, now.host)
		o.e.mirrorSoon(old.host)
	}
}

func (o observer) moved(ctx *simulator.Context, vm, to types.ManagedObjectReference) {
	o.e.leaveRules(ctx, vm, to)
	for _, e := range o.e.model.Map().All("HostSystem") {
		host := e.(*simulator.HostSystem)
		ctx.WithLock(host, func() {
			if host.Self != to {
				simulator.RemoveReference(&host.Vm, vm)
			} else if simulator.FindReference(host.Vm, vm) == nil {
				host.Vm = append(host.Vm, vm)
			}
		})
	}
}

// guarded turns a panic of a task into that task's error.
func (o observer) guarded(task *simulator.Task) func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
	execute, name := task.Execute, task.Info.Name
	return func(t *simulator.Task) (result types.AnyType, fault types.BaseMethodFault) {
		defer func() {
			if cause := recover(); cause != nil {
				log.Printf("task %s: %v\n%s", name, cause, debug.Stack())
				result, fault = nil, &types.SystemError{Reason: fmt.Sprintf("the simulator failed in %s: %v", name, cause)}
			}
		}()
		result, fault = execute(t)
		return o.e.listed(result), onWire(fault)
	}
}
