package main

import (
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func (e *endpoint) cloneVM(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
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
	home := "[" + datastoreOf(vm.vmx) + "]"
	if ref := call.Spec.Location.Datastore; ref != nil {
		home = "[" + e.entityName(*ref) + "]"
	}
	no := e.reachable(*host, []string{home})
	release := func() {}
	if no.fault == nil {
		release, no = e.admitCreate(call.Folder, &config, host)
	}
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
	writeResult(w, m.Name, e.startTask(m, func() (types.AnyType, types.BaseMethodFault, string) {
		defer release()
		ref, no := e.clone(call, vm)
		if no.fault != nil {
			return nil, no.fault, no.message
		}
		return ref, nil, ""
	}))
	return true
}

// clone copies what the simulator's clone leaves out too: extraConfig, annotation, hot-add settings, the disks' bytes.
func (e *endpoint) clone(call *types.CloneVM_Task, vm *vmRecord) (types.ManagedObjectReference, refusal) {
	none := types.ManagedObjectReference{}
	source := e.image(vm.ref)
	if source == nil {
		return none, refuse(&types.ManagedObjectNotFound{Obj: vm.ref}, "The virtual machine was deleted")
	}
	wanted := call.Spec
	config := types.VirtualMachineConfigSpec{}
	if wanted.Config != nil {
		config = *wanted.Config
	}
	config.ExtraConfig = merged(source.spec.ExtraConfig, config.ExtraConfig)
	if config.InstanceUuid == "" {
		config.InstanceUuid = uuid.NewString()
	}
	if config.Uuid == "" {
		config.Uuid = uuid.NewString()
	}
	wanted.Config, wanted.PowerOn = &config, false
	name, raw := apiName(call.Name), rawName(call.Name)
	if name != raw { // the simulator would take the name for a path
		raw = strings.Map(func(r rune) rune {
			if strings.ContainsRune(`%/\\`, r) {
				return '-'
			}
			return r
		}, raw) + "-" + config.InstanceUuid[:8]
	}
	client, ctx := e.client()
	task, err := object.NewVirtualMachine(client, vm.ref).Clone(ctx, object.NewFolder(client, call.Folder), raw, wanted)
	if err != nil {
		return none, refusal{faultOf(err), err.Error()}
	}
	info, err := task.WaitForResult(ctx, nil)
	if err != nil {
		return none, refusal{faultOf(err), err.Error()}
	}
	ref := info.Result.(types.ManagedObjectReference)
	made, ok := e.model.Map().Get(ref).(*simulator.VirtualMachine)
	if !ok {
		return ref, refusal{}
	}
	local := e.context()
	local.WithLock(made, func() {
		from := source.spec
		c := made.Config
		c.CpuHotAddEnabled, c.MemoryHotAddEnabled, c.CpuHotRemoveEnabled = from.CpuHotAddEnabled, from.MemoryHotAddEnabled, from.CpuHotRemoveEnabled
		note := from.Annotation
		if config.Annotation != "" {
			note = config.Annotation
		}
		local.Update(made, []types.PropertyChange{{Name: "config.annotation", Val: note}, {Name: "name", Val: name},
			{Name: "config.name", Val: name}, {Name: "summary.config.name", Val: name}})
	})
	if copied := e.index.vm(ref); copied != nil {
		for n, d := range copied.disks {
			if n < len(vm.disks) {
				if err := e.copyChain(vm.disks[n].path, d.path); err != nil {
					return ref, refuse(&types.FileFault{File: vm.disks[n].path}, "%s", hidePath(err))
				}
			}
		}
	}
	if call.Spec.PowerOn && !call.Spec.Template {
		e.forcePower(ref, types.VirtualMachinePowerStatePoweredOn)
	}
	return ref, refusal{}
}

// merged are a source's options with those of a call laid over them.
func merged(source, wanted []types.BaseOptionValue) (options []types.BaseOptionValue) {
	given := map[string]bool{}
	for _, option := range wanted {
		given[option.GetOptionValue().Key] = true
	}
	for _, option := range source {
		if !given[option.GetOptionValue().Key] {
			options = append(options, option)
		}
	}
	return append(options, wanted...)
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
