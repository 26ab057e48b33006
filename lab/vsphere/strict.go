package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// strictMethods are the calls on which vCenter says no where the simulator says yes, or does what the simulator only
// pretends to. Each answers the call, or returns false to let the simulator do it.
var strictMethods map[string]func(*endpoint, http.ResponseWriter, *http.Request, *simulator.Method) bool

func init() { // not a plain initialiser: the methods refer back to the table's users
	strictMethods = map[string]func(*endpoint, http.ResponseWriter, *http.Request, *simulator.Method) bool{
		"CreateVM_Task":             (*endpoint).createVM,
		"ReconfigVM_Task":           (*endpoint).reconfigVM,
		"CloneVM_Task":              (*endpoint).cloneVM,
		"RelocateVM_Task":           (*endpoint).relocateVM,
		"PowerOnVM_Task":            (*endpoint).powerOn,
		"PowerOnMultiVM_Task":       (*endpoint).powerOnMany,
		"Rename_Task":               (*endpoint).rename,
		"MarkAsTemplate":            (*endpoint).newVersion,
		"MarkAsVirtualMachine":      (*endpoint).newVersion,
		"CreateSnapshot_Task":       (*endpoint).newVersionByTask,
		"Destroy_Task":              (*endpoint).destroy,
		"EnterMaintenanceMode_Task": (*endpoint).enterMaintenance,

		"ImportVApp": (*endpoint).importVApp,

		"CopyVirtualDisk_Task":     (*endpoint).copyDisk,
		"CopyDatastoreFile_Task":   (*endpoint).copyFile,
		"MoveVirtualDisk_Task":     (*endpoint).moveFile,
		"MoveDatastoreFile_Task":   (*endpoint).moveFile,
		"DeleteVirtualDisk_Task":   (*endpoint).deleteDatastoreFile,
		"DeleteDatastoreFile_Task": (*endpoint).deleteDatastoreFile,
		"CreateVirtualDisk_Task":   (*endpoint).createDisk,
		"ExtendVirtualDisk_Task":   (*endpoint).extendDisk,

		"Fetch":                (*endpoint).beforeRead,
		"RetrieveProperties":   (*endpoint).beforeRead,
		"RetrievePropertiesEx": (*endpoint).beforeRead,
		"WaitForUpdatesEx":     (*endpoint).beforeRead,
		"RefreshDatastore":     (*endpoint).refreshDatastore,
	}
}

// refusal is why a task ends in a fault; the zero value is consent.
type refusal struct {
	fault   types.BaseMethodFault
	message string
}

func refuse(fault types.BaseMethodFault, format string, args ...any) refusal {
	return refusal{fault, fmt.Sprintf(format, args...)}
}

func (e *endpoint) beforeRead(_ http.ResponseWriter, _ *http.Request, _ *simulator.Method) bool {
	e.disks.sync(e.context())
	return false
}

func (e *endpoint) refreshDatastore(w http.ResponseWriter, r *http.Request, _ *simulator.Method) bool {
	e.next.ServeHTTP(w, r) // it resets the capacity to that of the template
	e.disks.sync(e.context())
	return true
}

func (e *endpoint) createVM(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.CreateVM_Task)
	release, no := e.admitCreate(m.This, &call.Config, call.Host)
	if no.fault != nil {
		writeResult(w, m.Name, e.failedTask(m, no.fault, no.message))
		return true
	}
	e.passTask(w, r, func(bool) { release() })
	return true
}

// admitCreate checks a new VM and claims its name, its instanceUuid and its space until release is called.
func (e *endpoint) admitCreate(folder types.ManagedObjectReference, config *types.VirtualMachineConfigSpec, host *types.ManagedObjectReference) (func(), refusal) {
	if host != nil {
		if no := e.hostReady(*host); no.fault != nil {
			return nil, no
		}
	}
	home := ""
	if config.Files != nil {
		home = datastoreOf(config.Files.VmPathName)
	}
	need, no := e.checkDisks(config.DeviceChange, home, nil)
	if no.fault != nil {
		return nil, no
	}
	releaseName, duplicateName, duplicateUUID := e.index.claimName(folder, config.Name, config.InstanceUuid)
	if duplicateName {
		return nil, e.duplicateName(folder, config.Name)
	}
	if duplicateUUID {
		return nil, refuse(&types.AlreadyExists{Name: config.InstanceUuid},
			"The instanceUuid %s is another virtual machine's (vCenter would give this one a new one)", config.InstanceUuid)
	}
	releaseSpace, full := e.disks.claim(need)
	if full != "" {
		releaseName()
		return nil, noSpace(full)
	}
	return func() { releaseSpace(); releaseName() }, refusal{}
}

// duplicateName names the VM that has the name, or the folder while that VM is still being made.
func (e *endpoint) duplicateName(folder types.ManagedObjectReference, name string) refusal {
	other, made := e.index.named(folder, name)
	if !made {
		other = folder
	}
	return refuse(&types.DuplicateName{Name: name, Object: other}, "The name '%s' already exists.", name)
}

func noSpace(datastore string) refusal {
	return refuse(&types.NoDiskSpace{FileFault: types.FileFault{File: "[" + datastore + "]"}, Datastore: datastore},
		"Insufficient disk space on datastore '%s'.", datastore)
}

// checkDisks looks at the disks of a create or reconfigure: files that cannot be disks, and the space thick ones need.
func (e *endpoint) checkDisks(changes []types.BaseVirtualDeviceConfigSpec, home string, vm *vmRecord) (map[string]int64, refusal) {
	need := map[string]int64{}
	for i, change := range changes {
		spec := change.GetVirtualDeviceConfigSpec()
		disk, ok := spec.Device.(*types.VirtualDisk)
		if !ok {
			continue
		}
		invalid := func(property, name string, err error) refusal {
			return refuse(&types.InvalidDeviceSpec{DeviceIndex: int32(i), InvalidVmConfig: types.InvalidVmConfig{Property: property}},
				"Invalid configuration for device '%d': %s: %s", i, name, err)
		}
		d := readDisk(disk)
		datastore := datastoreOf(d.path)
		if datastore == "" {
			datastore = home
		}
		if d.parent != "" {
			if err := usableDisk(e.disks.real(d.parent)); err != nil {
				return nil, invalid("virtualDeviceSpec.device.backing.parent.fileName", d.parent, hidePath(err))
			}
		}
		switch {
		case spec.Operation == types.VirtualDeviceConfigSpecOperationAdd && spec.FileOperation == "" && strings.HasSuffix(d.path, ".vmdk"):
			if err := usableDisk(e.disks.real(d.path)); err != nil && !os.IsNotExist(err) {
				return nil, invalid("virtualDeviceSpec.device.backing", d.path, hidePath(err))
			}
		case spec.Operation == types.VirtualDeviceConfigSpecOperationAdd && spec.FileOperation != "":
			if !d.thin {
				need[datastore] += d.capacity
			}
		case spec.Operation == types.VirtualDeviceConfigSpecOperationEdit && vm != nil:
			for _, old := range vm.disks {
				if old.key == d.key && !old.thin && d.capacity > old.capacity {
					need[datastoreOf(old.path)] += d.capacity - old.capacity
				}
			}
		}
	}
	return need, refusal{}
}

// hidePath keeps the lab's own folders out of messages.
func hidePath(err error) error {
	if os.IsNotExist(err) {
		return fmt.Errorf("no such file")
	}
	return err
}

// hostReady refuses work for a host that is disconnected or in maintenance.
func (e *endpoint) hostReady(ref types.ManagedObjectReference) refusal {
	host, ok := e.model.Map().Get(ref).(*simulator.HostSystem)
	if !ok {
		return refuse(&types.ManagedObjectNotFound{Obj: ref}, "Host %s is gone", ref.Value)
	}
	if state := host.Runtime.ConnectionState; state != types.HostSystemConnectionStateConnected {
		return refuse(&types.HostNotConnected{}, "Host %s is %s", host.Name, state)
	}
	if host.Runtime.InMaintenanceMode {
		return refuse(&types.InvalidState{}, "Host %s is in maintenance mode", host.Name)
	}
	return refusal{}
}

func (e *endpoint) reconfigVM(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.ReconfigVM_Task)
	vm := e.index.vm(m.This)
	if vm == nil {
		return false
	}
	releases := []func(){}
	no := e.admitReconfig(vm, &call.Spec, &releases)
	done := func(bool) {
		for _, release := range releases {
			release()
		}
	}
	if no.fault != nil {
		done(true)
		writeResult(w, m.Name, e.failedTask(m, no.fault, no.message))
		return true
	}
	e.passTask(w, r, done)
	return true
}

func (e *endpoint) admitReconfig(vm *vmRecord, spec *types.VirtualMachineConfigSpec, releases *[]func()) refusal {
	if spec.ChangeVersion != "" && spec.ChangeVersion != vm.changeVersion {
		return refuse(&types.ConcurrentAccess{}, "%s was changed by somebody else meanwhile", vm.name)
	}
	home := ""
	if len(vm.disks) > 0 {
		home = datastoreOf(vm.disks[0].path)
	}
	for _, change := range spec.DeviceChange { // vCenter leaves everything as it was when one device is refused
		s := change.GetVirtualDeviceConfigSpec()
		disk, ok := s.Device.(*types.VirtualDisk)
		if !ok || s.Operation != types.VirtualDeviceConfigSpecOperationEdit {
			continue
		}
		for _, old := range vm.disks {
			if old.key == disk.Key && readDisk(disk).capacity < old.capacity {
				return refuse(&types.InvalidDeviceOperation{}, "A disk of %s cannot shrink", vm.name)
			}
		}
	}
	for _, change := range spec.DeviceChange {
		s := change.GetVirtualDeviceConfigSpec()
		disk, ok := s.Device.(*types.VirtualDisk)
		if ok && s.Operation == types.VirtualDeviceConfigSpecOperationRemove &&
			s.FileOperation == types.VirtualDeviceConfigSpecFileOperationDestroy {
			if no := e.parentInUse(vm, readDisk(disk).path); no.fault != nil {
				return no
			}
		}
	}
	need, no := e.checkDisks(spec.DeviceChange, home, vm)
	if no.fault != nil {
		return no
	}
	name, uuid := vm.name, ""
	if spec.Name != "" {
		name = spec.Name
	}
	if !strings.EqualFold(spec.InstanceUuid, vm.uuid) {
		uuid = spec.InstanceUuid
	}
	if name != vm.name || uuid != "" {
		folder := vm.folder
		if name == vm.name {
			folder = types.ManagedObjectReference{Type: "Lab", Value: "any"}
		}
		release, duplicateName, duplicateUUID := e.index.claimName(folder, name, uuid)
		if duplicateName {
			return e.duplicateName(folder, name)
		}
		if duplicateUUID {
			return refuse(&types.AlreadyExists{Name: uuid}, "The instanceUuid %s is another virtual machine's", uuid)
		}
		*releases = append(*releases, release)
	}
	release, full := e.disks.claim(need)
	if full != "" {
		return noSpace(full)
	}
	*releases = append(*releases, release)
	return refusal{}
}

// parentInUse refuses to delete a disk other VMs' disks are children of.
func (e *endpoint) parentInUse(vm *vmRecord, file string) refusal {
	own := 0
	for _, d := range vm.disks {
		if d.parent == file {
			own++
		}
	}
	e.index.mu.Lock()
	children := e.index.children[file]
	e.index.mu.Unlock()
	if file != "" && children > own {
		return refuse(&types.FileLocked{FileFault: types.FileFault{File: file}},
			"Failed to lock the file %s: %d other disks have it as their parent", file, children-own)
	}
	return refusal{}
}

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

func (e *endpoint) powerOn(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
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

func (e *endpoint) rename(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
	vm := e.index.vm(m.This)
	if vm == nil {
		return false
	}
	name := m.Body.(*types.Rename_Task).NewName
	release, duplicate, _ := e.index.claimName(vm.folder, name, "")
	if duplicate {
		no := e.duplicateName(vm.folder, name)
		writeResult(w, m.Name, e.failedTask(m, no.fault, no.message))
		return true
	}
	e.passTask(w, r, func(failed bool) {
		release()
		if !failed {
			e.bumpVersion(m.This)
		}
	})
	return true
}

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
	vm := e.index.vm(m.This)
	if vm == nil {
		return false
	}
	for _, d := range vm.disks {
		if no := e.parentInUse(vm, d.path); no.fault != nil {
			writeResult(w, m.Name, e.failedTask(m, no.fault, no.message))
			return true
		}
	}
	return false
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
				return nil, &types.SystemErrorFault{Reason: err.Error()}, err.Error()
			}
		}
		client, ctx := e.client()
		task, err := object.NewFolder(client, folder.Self).Destroy(ctx)
		if err == nil {
			err = task.Wait(ctx)
		}
		if err != nil {
			return nil, &types.SystemErrorFault{Reason: err.Error()}, err.Error()
		}
		return nil, nil, ""
	}))
	return true
}

func (e *endpoint) destroyAndWait(ref types.ManagedObjectReference) error {
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

// enterMaintenance waits for running VMs to leave, for as long as the caller's timeout says; 0 is for ever.
func (e *endpoint) enterMaintenance(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	if e.index.runningOn(m.This) == 0 {
		return false
	}
	call := m.Body.(*types.EnterMaintenanceMode_Task)
	task := e.newTask(m.This, m.Name)
	writeResult(w, m.Name, task.Self)
	go func() {
		started := time.Now()
		for e.taskState(task.Self) == types.TaskInfoStateRunning {
			if e.index.runningOn(m.This) == 0 {
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
