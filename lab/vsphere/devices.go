package main

import (
	"sort"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	firstController = 1000 // keys of SCSI controllers, by bus
	firstDisk       = 2000 // keys of disks on SCSI controllers, 16 to a bus
	ownUnit         = 7    // of a SCSI bus: the controller itself
	lastUnit        = 63   // of a paravirtual controller; the others end at 15
)

// bus is a SCSI controller: the one of a VM, or one that the same call adds.
type bus struct {
	number int32
	last   int32
	used   map[int32]bool
}

// numberDisks gives the disks that a call adds their units and keys as vCenter does: the first free unit but 7, and a
// key that follows from bus and unit. So a disk that comes back at another unit has another key.
func numberDisks(changes []types.BaseVirtualDeviceConfigSpec, present []types.BaseVirtualDevice) (changed bool, no refusal) {
	changed = numberControllers(changes, present)
	buses, keys := map[int32]*bus{}, map[int32]bool{}
	known := func(device types.BaseVirtualDevice) {
		keys[device.GetVirtualDevice().Key] = true
		if c, ok := device.(types.BaseVirtualSCSIController); ok {
			last := int32(15)
			if _, para := device.(*types.ParaVirtualSCSIController); para {
				last = lastUnit
			}
			buses[device.GetVirtualDevice().Key] = &bus{c.GetVirtualSCSIController().BusNumber, last, map[int32]bool{ownUnit: true}}
		}
	}
	there := map[int32]bool{200: true, 201: true, 300: true, 400: true} // those that every VM has
	for _, device := range present {
		there[device.GetVirtualDevice().Key] = true
	}
	for _, change := range changes {
		there[change.GetVirtualDeviceConfigSpec().Device.GetVirtualDevice().Key] = true
	}
	removed := map[int32]bool{}
	for _, change := range changes {
		if s := change.GetVirtualDeviceConfigSpec(); s.Operation == types.VirtualDeviceConfigSpecOperationRemove {
			removed[s.Device.GetVirtualDevice().Key] = true
		}
	}
	for _, device := range present {
		if !removed[device.GetVirtualDevice().Key] {
			known(device)
		}
	}
	for _, change := range changes {
		if s := change.GetVirtualDeviceConfigSpec(); s.Operation == types.VirtualDeviceConfigSpecOperationAdd {
			if _, ok := s.Device.(types.BaseVirtualSCSIController); ok {
				known(s.Device)
			}
		}
	}
	take := func(device types.BaseVirtualDevice) {
		d := device.GetVirtualDevice()
		if b := buses[d.ControllerKey]; b != nil && d.UnitNumber != nil {
			b.used[*d.UnitNumber] = true
		}
	}
	for _, device := range present {
		if !removed[device.GetVirtualDevice().Key] {
			take(device)
		}
	}
	for i, change := range changes {
		s := change.GetVirtualDeviceConfigSpec()
		disk, ok := s.Device.(*types.VirtualDisk)
		b := buses[s.Device.GetVirtualDevice().ControllerKey]
		if ok && s.Operation == types.VirtualDeviceConfigSpecOperationAdd && disk.ControllerKey > 0 && !there[disk.ControllerKey] {
			return changed, refuse(&types.MissingController{InvalidDeviceSpec: types.InvalidDeviceSpec{DeviceIndex: int32(i),
				InvalidVmConfig: types.InvalidVmConfig{Property: "virtualDeviceSpec.device.controllerKey"}}},
				"Device '%d' is of a controller that the virtual machine does not have: %d", i, disk.ControllerKey)
		}
		if !ok || b == nil || s.Operation != types.VirtualDeviceConfigSpecOperationAdd {
			continue
		}
		if disk.UnitNumber == nil || *disk.UnitNumber < 0 {
			disk.UnitNumber, changed = new(int32), true
			for b.used[*disk.UnitNumber] {
				*disk.UnitNumber++
			}
		}
		unit := *disk.UnitNumber
		if unit > b.last || b.used[unit] {
			return changed, refuse(&types.InvalidDeviceSpec{DeviceIndex: int32(i),
				InvalidVmConfig: types.InvalidVmConfig{Property: "virtualDeviceSpec.device.unitNumber"}},
				"Invalid configuration for device '%d': unit %d is taken, reserved or beyond the controller's last", i, unit)
		}
		b.used[unit] = true
		if key := firstDisk + 16*b.number + unit; unit < 16 && !keys[key] && disk.Key != key {
			disk.Key, changed = key, true
		}
		keys[disk.Key] = true
	}
	return changed, refusal{}
}

// numberControllers gives the SCSI controllers that a call adds the keys that vCenter gives them, by their bus; the disks
// that the call adds to them follow.
func numberControllers(changes []types.BaseVirtualDeviceConfigSpec, present []types.BaseVirtualDevice) (changed bool) {
	taken, renamed := map[int32]bool{}, map[int32]int32{}
	for _, device := range present {
		taken[device.GetVirtualDevice().Key] = true
	}
	for _, change := range changes {
		s := change.GetVirtualDeviceConfigSpec()
		c, ok := s.Device.(types.BaseVirtualSCSIController)
		if !ok || s.Operation != types.VirtualDeviceConfigSpecOperationAdd {
			continue
		}
		device := s.Device.GetVirtualDevice()
		if key := firstController + c.GetVirtualSCSIController().BusNumber; device.Key != key && !taken[key] {
			renamed[device.Key], device.Key, changed = key, key, true
		}
		taken[device.Key] = true
	}
	for _, change := range changes {
		s := change.GetVirtualDeviceConfigSpec()
		disk, ok := s.Device.(*types.VirtualDisk)
		if !ok || s.Operation != types.VirtualDeviceConfigSpecOperationAdd {
			continue
		}
		if key, ok := renamed[disk.ControllerKey]; ok {
			disk.ControllerKey = key
		}
	}
	return changed
}

// sortDisks brings the disks of a VM into the order of their keys: the simulator puts what was edited or added last.
// The caller has the VM's lock.
func sortDisks(vm *mo.VirtualMachine) {
	devices := vm.Config.Hardware.Device
	at, disks := []int{}, []types.BaseVirtualDevice{}
	for i, device := range devices {
		if _, ok := device.(*types.VirtualDisk); ok {
			at, disks = append(at, i), append(disks, device)
		}
	}
	byKey := func(i, j int) bool { return disks[i].GetVirtualDevice().Key < disks[j].GetVirtualDevice().Key }
	if sort.SliceIsSorted(disks, byKey) {
		return
	}
	sort.SliceStable(disks, byKey)
	sorted := append([]types.BaseVirtualDevice(nil), devices...)
	for i, n := range at {
		sorted[n] = disks[i]
	}
	vm.Config.Hardware.Device = sorted
}

func (e *endpoint) devicesOf(ref types.ManagedObjectReference) (devices []types.BaseVirtualDevice) {
	vm, ok := e.model.Map().Get(ref).(*simulator.VirtualMachine)
	if !ok {
		return nil
	}
	ctx := e.context()
	ctx.WithLock(vm, func() { devices = append(devices, vm.Config.Hardware.Device...) })
	return devices
}

// admitHardware refuses what vCenter refuses of CPU and memory: odd sizes, and changes of a running VM that its hot-add
// settings do not allow.
func (e *endpoint) admitHardware(vm *vmRecord, spec *types.VirtualMachineConfigSpec) refusal {
	if no := wholeMemory(spec); no.fault != nil {
		return no
	}
	if vm.powered == types.VirtualMachinePowerStatePoweredOff {
		return refusal{}
	}
	machine, ok := e.model.Map().Get(vm.ref).(*simulator.VirtualMachine)
	if !ok {
		return refusal{}
	}
	var hotCPU, hotMemory, hotRemove bool
	var perSocket *int32
	ctx := e.context()
	ctx.WithLock(machine, func() {
		c := machine.Config
		hotCPU, hotMemory, hotRemove = yes(c.CpuHotAddEnabled), yes(c.MemoryHotAddEnabled), yes(c.CpuHotRemoveEnabled)
		perSocket = c.Hardware.NumCoresPerSocket
	})
	running := func(what string) refusal {
		return refuse(&types.InvalidPowerState{ExistingState: vm.powered, RequestedState: types.VirtualMachinePowerStatePoweredOff},
			"The attempted operation cannot be performed in the current state (%s): %s", vm.powered, what)
	}
	on := vm.powered == types.VirtualMachinePowerStatePoweredOn
	for what, flag := range map[string]struct {
		is     bool
		wanted *bool
	}{"cpuHotAddEnabled": {hotCPU, spec.CpuHotAddEnabled}, "memoryHotAddEnabled": {hotMemory, spec.MemoryHotAddEnabled},
		"cpuHotRemoveEnabled": {hotRemove, spec.CpuHotRemoveEnabled}} {
		if flag.wanted != nil && *flag.wanted != flag.is {
			return running(what)
		}
	}
	if n := spec.NumCoresPerSocket; n != nil && *n != 0 && (perSocket == nil || *perSocket != *n) {
		return running("numCoresPerSocket")
	}
	if n := spec.NumCPUs; n != 0 && n != vm.cpus {
		switch {
		case !on:
			return running("numCPUs")
		case n > vm.cpus && !hotCPU, n < vm.cpus && !hotRemove:
			return refuse(&types.CpuHotPlugNotSupported{}, "CPU hot plug is not supported for this virtual machine.")
		}
	}
	if n := spec.MemoryMB; n != 0 && n != vm.memoryMB {
		switch {
		case !on || n < vm.memoryMB:
			return running("memoryMB")
		case !hotMemory:
			return refuse(&types.MemoryHotPlugNotSupported{}, "Memory hot plug is not supported for this virtual machine.")
		}
	}
	return refusal{}
}

// wholeMemory refuses memory that is not a multiple of 4 MB.
func wholeMemory(spec *types.VirtualMachineConfigSpec) refusal {
	if spec.MemoryMB%4 != 0 {
		return refuse(&types.InvalidArgument{InvalidProperty: "configSpec.memoryMB"},
			"The memory size of %d MB must be a multiple of 4 MB", spec.MemoryMB)
	}
	return refusal{}
}

func yes(flag *bool) bool { return flag != nil && *flag }

// admitDiskGrowth refuses to shrink a disk, and to grow one under a snapshot, that is a child, or that has children.
func (e *endpoint) admitDiskGrowth(vm *vmRecord, spec *types.VirtualMachineConfigSpec) refusal {
	for _, change := range spec.DeviceChange { // vCenter leaves everything as it was when one device is refused
		s := change.GetVirtualDeviceConfigSpec()
		disk, ok := s.Device.(*types.VirtualDisk)
		if !ok || s.Operation != types.VirtualDeviceConfigSpecOperationEdit {
			continue
		}
		for _, old := range vm.disks {
			capacity := readDisk(disk).capacity
			switch {
			case old.key != disk.Key || capacity == old.capacity:
			case capacity < old.capacity:
				return refuse(&types.InvalidDeviceOperation{}, "A disk of %s cannot shrink", vm.name)
			case e.hasSnapshot(vm.ref):
				return refuse(&types.InvalidDeviceOperation{}, "A disk of %s cannot grow while the virtual machine has snapshots", vm.name)
			case old.parent != "":
				return refuse(&types.InvalidDeviceOperation{}, "A disk of %s is the child of another disk and cannot grow", vm.name)
			default:
				if no := e.parentInUse(vm, old.path); no.fault != nil {
					return no
				}
			}
		}
	}
	return refusal{}
}
