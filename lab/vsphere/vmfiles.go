package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path"
	"regexp"
	"strings"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// vmImage is a VM apart from its inventory: what its .vmx says, and how it was when that was written.
type vmImage struct {
	spec     types.VirtualMachineConfigSpec
	power    types.VirtualMachinePowerState
	template bool
	folder   types.ManagedObjectReference
}

// place is where in an inventory a VM goes.
type place struct {
	folder, pool, host types.ManagedObjectReference
}

// image describes a VM of the inventory, or answers nil when it is gone.
func (e *endpoint) image(ref types.ManagedObjectReference) *vmImage {
	vm, ok := e.model.Map().Get(ref).(*simulator.VirtualMachine)
	if !ok {
		return nil
	}
	var described vmImage
	ctx := e.context()
	ctx.WithLock(vm, func() { described = describe(&vm.VirtualMachine) })
	return &described
}

// describe reads a VM; the caller has its lock.
func describe(vm *mo.VirtualMachine) vmImage {
	c := vm.Config
	spec := types.VirtualMachineConfigSpec{
		Name: vm.Name, Uuid: c.Uuid, InstanceUuid: c.InstanceUuid, GuestId: c.GuestId, Annotation: c.Annotation,
		Firmware: c.Firmware, Version: c.Version, NumCPUs: c.Hardware.NumCPU, MemoryMB: int64(c.Hardware.MemoryMB),
		NumCoresPerSocket: c.Hardware.NumCoresPerSocket, CpuHotAddEnabled: c.CpuHotAddEnabled,
		CpuHotRemoveEnabled: c.CpuHotRemoveEnabled, MemoryHotAddEnabled: c.MemoryHotAddEnabled,
		CpuAllocation: c.CpuAllocation, MemoryAllocation: c.MemoryAllocation, ManagedBy: c.ManagedBy,
		MemoryReservationLockedToMax: c.MemoryReservationLockedToMax,
		Files:                        &types.VirtualMachineFileInfo{VmPathName: c.Files.VmPathName},
	}
	for _, option := range c.ExtraConfig {
		if option != nil && option.GetOptionValue() != nil && option.GetOptionValue().Key != "govcsim" {
			spec.ExtraConfig = append(spec.ExtraConfig, option)
		}
	}
	for _, device := range c.Hardware.Device {
		switch device.(type) {
		case *types.VirtualDisk, *types.VirtualCdrom, types.BaseVirtualEthernetCard, types.BaseVirtualSCSIController,
			*types.VirtualNVMEController, types.BaseVirtualSATAController:
			spec.DeviceChange = append(spec.DeviceChange, &types.VirtualDeviceConfigSpec{
				Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: device})
		}
	}
	described := vmImage{power: vm.Runtime.PowerState, template: c.Template}
	if vm.Parent != nil {
		described.folder = *vm.Parent
	}
	described.spec, _ = decodeSpec(encodeSpec(&spec)) // a copy that shares nothing with the inventory
	return described
}

func encodeSpec(spec *types.VirtualMachineConfigSpec) string {
	var out bytes.Buffer
	if err := types.NewJSONEncoder(&out).Encode(spec); err != nil {
		quietLog.Print(err)
	}
	return base64.StdEncoding.EncodeToString(out.Bytes())
}

func decodeSpec(text string) (spec types.VirtualMachineConfigSpec, err error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err == nil {
		err = types.NewJSONDecoder(bytes.NewReader(raw)).Decode(&spec)
	}
	return spec, err
}

// vmx is the text of a VM's configuration file: the lines that people know, and one that holds everything.
func (i *vmImage) vmx() string {
	var out strings.Builder
	line := func(key, value string) {
		fmt.Fprintf(&out, "%s = \"%s\"\n", key, strings.ReplaceAll(value, `"`, "|22"))
	}
	line("displayName", rawName(i.spec.Name))
	line("vc.uuid", i.spec.InstanceUuid)
	line("uuid.bios", i.spec.Uuid)
	for _, option := range i.spec.ExtraConfig {
		o := option.GetOptionValue()
		line(o.Key, fmt.Sprint(o.Value))
	}
	line("lab.spec", encodeSpec(&i.spec))
	return out.String()
}

var specLine = regexp.MustCompile(`(?m)^lab\.spec = "([^"]*)"$`)

// readVMX is the VM that a .vmx describes, its files under the name and folder that the .vmx has now.
func (e *endpoint) readVMX(name string) (*vmImage, error) {
	text, err := os.ReadFile(e.disks.real(name))
	if err != nil {
		return nil, err
	}
	found := specLine.FindSubmatch(text)
	if found == nil {
		return nil, fmt.Errorf("%s is not the configuration of a virtual machine", name)
	}
	spec, err := decodeSpec(string(found[1]))
	if err != nil {
		return nil, err
	}
	rebase(&spec, cleanPath(name))
	return &vmImage{spec: spec, power: types.VirtualMachinePowerStatePoweredOff}, nil
}

// rebase follows a VM's files to where its .vmx is now: a .vmx names the files in its folder without that folder.
func rebase(spec *types.VirtualMachineConfigSpec, vmx string) {
	was := cleanPath(spec.Files.VmPathName)
	spec.Files = &types.VirtualMachineFileInfo{VmPathName: vmx}
	follow := func(name *string) {
		if strings.HasPrefix(cleanPath(*name), path.Dir(was)+"/") {
			*name = path.Dir(vmx) + strings.TrimPrefix(cleanPath(*name), path.Dir(was))
		} else if datastoreOf(*name) == datastoreOf(was) {
			*name = strings.Replace(*name, "["+datastoreOf(was)+"]", "["+datastoreOf(vmx)+"]", 1)
		}
	}
	for _, change := range spec.DeviceChange {
		device := change.GetVirtualDeviceConfigSpec().Device.GetVirtualDevice()
		switch b := device.Backing.(type) {
		case *types.VirtualDiskFlatVer2BackingInfo:
			follow(&b.FileName)
			b.Datastore = nil
			if b.Parent != nil {
				follow(&b.Parent.FileName)
				b.Parent.Datastore = nil
			}
		case *types.VirtualEthernetCardNetworkBackingInfo:
			b.Network = nil
		}
	}
}

// writeVMX writes the configuration file of a VM; the simulator leaves it empty.
func (e *endpoint) writeVMX(ref types.ManagedObjectReference) {
	if i := e.image(ref); i != nil {
		if err := os.WriteFile(e.disks.real(i.spec.Files.VmPathName), []byte(i.vmx()), 0o600); err != nil {
			quietLog.Print(err)
		}
	}
}

// flushVMX writes a .vmx that is about to be read, if it is that of a VM in the inventory.
func (e *endpoint) flushVMX(name string) {
	if vm := e.index.withVMX(name); vm != nil {
		e.writeVMX(vm.ref)
	}
}

// adopt puts a VM whose files are there into the inventory, as RegisterVM_Task does.
func (e *endpoint) adopt(i *vmImage, at place) (types.ManagedObjectReference, refusal) {
	spec, none := i.spec, types.ManagedObjectReference{}
	name := apiName(spec.Name)
	files := []string{spec.Files.VmPathName}
	for _, change := range spec.DeviceChange {
		if disk, ok := change.GetVirtualDeviceConfigSpec().Device.(*types.VirtualDisk); ok {
			files = append(files, readDisk(disk).path)
		}
	}
	if no := e.reachable(at.host, files); no.fault != nil {
		return none, no
	}
	if e.index.hasUUID(spec.InstanceUuid) { // as vCenter does: of a copied .vmx the second VM gets a new one
		spec.InstanceUuid = uuid.NewString()
	}
	release, duplicate, _ := e.index.claimName(at.folder, name, "")
	if duplicate {
		return none, e.duplicateName(at.folder, name)
	}
	defer release()
	// The simulator registers an empty VM only: it is created, and the files it would create are put aside.
	vmx := e.disks.real(spec.Files.VmPathName)
	if err := os.Rename(vmx, vmx+"~"); err != nil {
		return none, refuse(&types.NotFound{}, "File %s was not found", spec.Files.VmPathName)
	}
	_ = os.Remove(path.Join(path.Dir(vmx), "vmware.log"))
	defer func() { _ = os.Rename(vmx+"~", vmx) }()
	spec.Name = rawName(spec.Name)
	client, ctx := e.client()
	task, err := object.NewFolder(client, at.folder).CreateVM(ctx, spec, object.NewResourcePool(client, at.pool),
		object.NewHostSystem(client, at.host))
	if err != nil {
		return none, refusal{faultOf(err), err.Error()}
	}
	info, err := task.WaitForResult(ctx, nil)
	if err != nil {
		return none, refusal{faultOf(err), err.Error()}
	}
	ref := info.Result.(types.ManagedObjectReference)
	e.forcePower(ref, i.power)
	if i.template {
		_, _ = methods.MarkAsTemplate(ctx, client, &types.MarkAsTemplate{This: ref})
	}
	return ref, refusal{}
}

// reachable refuses files on datastores that a host does not have; the simulator would panic, with half a VM made.
func (e *endpoint) reachable(ref types.ManagedObjectReference, files []string) refusal {
	host, ok := e.model.Map().Get(ref).(*simulator.HostSystem)
	if !ok {
		return refuse(&types.ManagedObjectNotFound{Obj: ref}, "Host %s is gone", ref.Value)
	}
	for _, file := range files {
		if e.model.Map().FindByName(datastoreOf(file), host.Datastore) == nil {
			return refuse(&types.InvalidDatastorePath{InvalidDatastore: types.InvalidDatastore{Name: datastoreOf(file)}, DatastorePath: file},
				"%s is not reachable from host %s", file, host.Name)
		}
	}
	return refusal{}
}

// forcePower brings a VM into the power state it has on its host, without asking whether that is allowed.
func (e *endpoint) forcePower(ref types.ManagedObjectReference, state types.VirtualMachinePowerState) {
	client, ctx := e.client()
	vm := object.NewVirtualMachine(client, ref)
	steps := []func() (*object.Task, error){}
	if state != types.VirtualMachinePowerStatePoweredOff {
		steps = append(steps, func() (*object.Task, error) { return vm.PowerOn(ctx) })
	}
	if state == types.VirtualMachinePowerStateSuspended {
		steps = append(steps, func() (*object.Task, error) { return vm.Suspend(ctx) })
	}
	for _, step := range steps {
		task, err := step()
		if err == nil {
			err = task.Wait(ctx)
		}
		if err != nil {
			quietLog.Print(err)
		}
	}
}

// forget takes a VM out of the inventory, whatever its power state, and leaves its files.
func (e *endpoint) forget(ref types.ManagedObjectReference) {
	vm, ok := e.model.Map().Get(ref).(*simulator.VirtualMachine)
	if !ok {
		return
	}
	ctx := e.context()
	ctx.WithLock(vm, func() { vm.Runtime.PowerState = types.VirtualMachinePowerStatePoweredOff })
	client, background := e.client()
	if _, err := methods.UnregisterVM(background, client, &types.UnregisterVM{This: ref}); err != nil {
		quietLog.Print(err)
	}
}
