package main

import (
	"fmt"
	"net/http"
	"os"
	"path"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vmdk"
)

// relocateVM moves a VM to another host, datastore, folder or vCenter, with its files.
func (e *endpoint) relocateVM(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.RelocateVM_Task)
	if e.kind == "esxi" {
		writeFault(w, &types.NotSupported{}, "The operation is not supported on the object.")
		return true
	}
	vm := e.index.vm(m.This)
	if vm == nil {
		return false
	}
	if other := e.lab.service(call.Spec.Service); call.Spec.Service != nil && other != e {
		return e.moveAway(w, m, vm, &call.Spec, other)
	}
	return e.startMove(w, m, vm, call.Spec)
}

// migrateVM is RelocateVM_Task for host and pool only; the simulator has none.
func (e *endpoint) migrateVM(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.MigrateVM_Task)
	vm := e.index.vm(m.This)
	if e.kind == "esxi" || vm == nil {
		writeFault(w, &types.NotSupported{}, "The operation is not supported on the object.")
		return true
	}
	if call.State != "" && call.State != vm.powered {
		no := refuse(&types.InvalidPowerState{RequestedState: call.State, ExistingState: vm.powered}, "%s is %s", vm.name, vm.powered)
		writeResult(w, m.Name, e.failedTask(m, no.fault, no.message))
		return true
	}
	return e.startMove(w, m, vm, types.VirtualMachineRelocateSpec{Host: call.Host, Pool: call.Pool})
}

func (e *endpoint) startMove(w http.ResponseWriter, m *simulator.Method, vm *vmRecord, spec types.VirtualMachineRelocateSpec) bool {
	if no := e.admitRelocate(vm, &spec); no.fault != nil {
		writeResult(w, m.Name, e.failedTask(m, no.fault, no.message))
		return true
	}
	release, full := e.disks.claim(e.spaceToMove(vm, &spec))
	if full != "" {
		e.releasePower(vm.ref)
		no := noSpace(full)
		writeResult(w, m.Name, e.failedTask(m, no.fault, no.message))
		return true
	}
	writeResult(w, m.Name, e.startTask(m, func() (types.AnyType, types.BaseMethodFault, string) {
		defer release()
		defer e.releasePower(vm.ref)
		no := e.move(vm.ref, &spec)
		return nil, no.fault, no.message
	}))
	return true
}

// spaceToMove is what the disks that a relocate moves take on their new datastores.
func (e *endpoint) spaceToMove(vm *vmRecord, spec *types.VirtualMachineRelocateSpec) map[string]int64 {
	need := map[string]int64{}
	for _, d := range vm.disks {
		target := spec.Datastore
		for i := range spec.Disk {
			if spec.Disk[i].DiskId == d.key {
				target = &spec.Disk[i].Datastore
			}
		}
		if target == nil || e.entityName(*target) == datastoreOf(d.path) {
			continue
		}
		record, _ := e.disks.get(d.path)
		need[e.entityName(*target)] += record.taken
	}
	return need
}

// move does what a relocate asks for: files first, then what the inventory says.
func (e *endpoint) move(ref types.ManagedObjectReference, spec *types.VirtualMachineRelocateSpec) refusal {
	vm, ok := e.model.Map().Get(ref).(*simulator.VirtualMachine)
	if !ok {
		return refuse(&types.ManagedObjectNotFound{Obj: ref}, "The virtual machine was deleted")
	}
	client, background := e.client()
	changes := []types.PropertyChange{}
	if spec.Datastore != nil || len(spec.Disk) > 0 {
		moved, no := e.moveFiles(ref, spec)
		if no.fault != nil {
			return no
		}
		changes = append(changes, moved...)
	}
	if spec.Host != nil {
		changes = append(changes, types.PropertyChange{Name: "runtime.host", Val: spec.Host},
			types.PropertyChange{Name: "summary.runtime.host", Val: spec.Host})
	}
	ctx := e.context()
	if spec.Pool != nil {
		e.changePool(ctx, vm, *spec.Pool)
		changes = append(changes, types.PropertyChange{Name: "resourcePool", Val: spec.Pool})
	}
	now := time.Now()
	changes = append(changes, types.PropertyChange{Name: "config.changeVersion", Val: fmt.Sprint(now.UnixNano())},
		types.PropertyChange{Name: "config.modified", Val: now})
	ctx.Map.AtomicUpdate(ctx, vm, changes)
	if spec.Datastore != nil || len(spec.Disk) > 0 {
		_, _ = methods.RefreshStorageInfo(background, client, &types.RefreshStorageInfo{This: ref})
		e.relist(vm)
	}
	if spec.Folder != nil {
		res, err := methods.MoveIntoFolder_Task(background, client, &types.MoveIntoFolder_Task{This: *spec.Folder,
			List: []types.ManagedObjectReference{ref}})
		if err != nil {
			return refusal{faultOf(err), err.Error()}
		}
		e.waitFor(res.Returnval)
	}
	if len(spec.DeviceChange) > 0 {
		res, err := methods.ReconfigVM_Task(background, client, &types.ReconfigVM_Task{This: ref,
			Spec: types.VirtualMachineConfigSpec{DeviceChange: spec.DeviceChange}})
		if err != nil {
			return refusal{faultOf(err), err.Error()}
		}
		e.waitFor(res.Returnval)
	}
	return refusal{}
}

func (e *endpoint) changePool(ctx *simulator.Context, vm *simulator.VirtualMachine, to types.ManagedObjectReference) {
	for _, entity := range e.model.Map().All("ResourcePool") {
		pool, ok := entity.(*simulator.ResourcePool)
		if !ok {
			continue
		}
		ctx.WithLock(pool, func() {
			if pool.Self != to {
				pool.Vm = without(pool.Vm, vm.Self)
			} else if simulator.FindReference(pool.Vm, vm.Self) == nil {
				pool.Vm = append(without(pool.Vm, vm.Self), vm.Self)
			}
		})
	}
}

// moveFiles gives home and disks of a VM their new places and answers with the properties that follow from it.
// As with vCenter the files are then named after the VM, and a linked clone becomes a full disk.
func (e *endpoint) moveFiles(ref types.ManagedObjectReference, spec *types.VirtualMachineRelocateSpec) ([]types.PropertyChange, refusal) {
	i := e.image(ref)
	if i == nil {
		return nil, refuse(&types.ManagedObjectNotFound{Obj: ref}, "The virtual machine was deleted")
	}
	home, target := cleanPath(i.spec.Files.VmPathName), ""
	if spec.Datastore != nil {
		target = e.entityName(*spec.Datastore)
	}
	to := path.Dir(home)
	vmx := home
	if target != "" && target != datastoreOf(home) {
		to = e.freeFolder(target, i.spec.Name)
		vmx = to + "/" + i.spec.Name + ".vmx"
		if err := os.Mkdir(e.disks.real(to), 0o700); err != nil {
			return nil, refuse(&types.FileFault{File: to}, "%s", hidePath(err))
		}
	}
	keep := spec.DiskMoveType == string(types.VirtualMachineRelocateDiskMoveOptionsMoveChildMostDiskBacking)
	devices := []types.BaseVirtualDevice{}
	devices = append(devices, e.devicesOf(ref)...)
	stores := map[string]bool{datastoreOf(vmx): true}
	for n, device := range devices {
		disk, ok := device.(*types.VirtualDisk)
		if !ok {
			continue
		}
		backing, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
		if !ok {
			continue
		}
		wanted := target
		for _, locator := range spec.Disk {
			if locator.DiskId == disk.Key {
				wanted = e.entityName(locator.Datastore)
			}
		}
		changed, b := *disk, *backing
		if wanted != "" && wanted != datastoreOf(b.FileName) {
			folder := to
			if wanted != datastoreOf(to) {
				folder = e.freeFolder(wanted, i.spec.Name)
				_ = os.Mkdir(e.disks.real(folder), 0o700)
			}
			flatten := b.Parent != nil && !keep
			to, err := e.moveDisk(b.FileName, folder, i.spec.Name, flatten)
			if err != nil {
				return nil, refuse(&types.FileFault{File: b.FileName}, "%s", hidePath(err))
			}
			b.FileName = to
			if flatten {
				thin := true
				b.Parent, b.ThinProvisioned = nil, &thin
			}
			store := e.disks.datastore(wanted).Self
			b.Datastore = &store
		}
		stores[datastoreOf(b.FileName)] = true
		changed.Backing = &b
		devices[n] = &changed
	}
	if vmx != home {
		e.moveHome(home, vmx)
	}
	references := []types.ManagedObjectReference{}
	for name := range stores {
		if ds := e.disks.datastore(name); ds != nil {
			references = append(references, ds.Self)
		}
	}
	dir := path.Dir(vmx)
	return []types.PropertyChange{{Name: "config.hardware.device", Val: devices}, {Name: "datastore", Val: references},
		{Name: "config.files", Val: types.VirtualMachineFileInfo{VmPathName: vmx, SnapshotDirectory: dir, SuspendDirectory: dir, LogDirectory: dir}},
		{Name: "summary.config.vmPathName", Val: vmx}}, refusal{}
}

// freeFolder is a folder's datastore path that is not taken: the VM's name, or that with a number.
func (e *endpoint) freeFolder(datastore, name string) string {
	for n := 0; ; n++ {
		folder := "[" + datastore + "] " + name
		if n > 0 {
			folder = fmt.Sprintf("%s_%d", folder, n)
		}
		if _, err := os.Stat(e.disks.real(folder)); err != nil {
			return folder
		}
	}
}

// moveDisk moves a disk with its extent and answers with its new path. One that is flattened holds its ancestors' bytes
// as well then.
func (e *endpoint) moveDisk(from, folder, name string, flatten bool) (string, error) {
	to := folder + "/" + name + ".vmdk"
	for n := 1; ; n++ {
		if _, err := os.Stat(e.disks.real(to)); err != nil {
			break
		}
		to = fmt.Sprintf("%s/%s_%d.vmdk", folder, name, n)
	}
	source, target := e.disks.real(from), e.disks.real(to)
	files, err := e.chain(from)
	if err != nil {
		return "", err
	}
	paced := e.disks.between(datastoreOf(from), datastoreOf(to))
	if flatten {
		err = compose(files, e.diskSize(from), flatName(target), paced.piece)
		_ = os.Remove(flatName(source))
	} else { // one file system holds all datastores: the bytes need not move
		paced.all(writtenIn(files[len(files)-1:]))
		err = os.Rename(flatName(source), flatName(target))
	}
	if err == nil {
		err = os.Rename(source, target)
	}
	if err != nil {
		return "", err
	}
	e.disks.move(from, to)
	return to, e.describeDisk(to, func(v *vmdk.Descriptor) {
		if flatten {
			delete(v.DDB, parentEntry)
		}
	})
}

// moveHome moves the files in a VM's folder that are not disks or folders.
func (e *endpoint) moveHome(home, vmx string) {
	from, to := path.Dir(e.disks.real(home)), path.Dir(e.disks.real(vmx))
	entries, _ := os.ReadDir(from)
	for _, entry := range entries {
		name := entry.Name()
		if path.Ext(name) == ".vmdk" || entry.IsDir() {
			continue
		}
		if name == path.Base(home) {
			name = path.Base(vmx)
		}
		_ = os.Rename(path.Join(from, entry.Name()), path.Join(to, name))
	}
	_ = os.Remove(from) // only when nothing is left in it
}

// relist puts a VM into the lists of its datastores and out of those of all others.
func (e *endpoint) relist(vm *simulator.VirtualMachine) {
	ctx := e.context()
	var mine []types.ManagedObjectReference
	ctx.WithLock(vm, func() { mine = append(mine, vm.Datastore...) })
	for _, ds := range e.disks.all() {
		ctx.WithLock(ds, func() {
			ds.Vm = without(ds.Vm, vm.Self)
			if simulator.FindReference(mine, ds.Self) != nil {
				ds.Vm = append(ds.Vm, vm.Self)
			}
		})
	}
}

// waitFor waits until a task of the simulator has ended.
func (e *endpoint) waitFor(task types.ManagedObjectReference) types.TaskInfoState {
	for {
		if state := e.taskState(task); state == types.TaskInfoStateSuccess || state == types.TaskInfoStateError {
			return state
		}
		time.Sleep(2 * time.Millisecond)
	}
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
	if spec.Datastore != nil || len(spec.Disk) > 0 {
		for _, d := range vm.disks {
			if no := e.parentInUse(vm, d.path); no.fault != nil {
				return no
			}
		}
	}
	if vm.powered == types.VirtualMachinePowerStatePoweredOn && target != vm.host {
		return e.admitPower(vm, host)
	}
	return refusal{}
}
