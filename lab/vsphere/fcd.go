package main

import (
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// diskObject is a first-class disk of the simulator's catalogue.
type diskObject = simulator.VStorageObject

// catalogue lets work look at the first-class disks, by datastore and id. Size and consumer of each are those of its file
// and of the VM that has it at this moment. Only a vCenter has them.
func (e *endpoint) catalogue(work func(map[types.ManagedObjectReference]map[types.ID]*diskObject)) {
	if e.kind == "esxi" {
		work(nil)
		return
	}
	manager := e.model.Map().VStorageObjectManager()
	ctx := e.context()
	ctx.WithLock(manager, func() { work(manager.Catalog()) })
}

func (d diskRecord) is(o *diskObject) bool { return d.path == fileOf(o) }

func fileOf(o *diskObject) string {
	return cleanPath(o.Config.Backing.(*types.BaseConfigInfoDiskFileBackingInfo).FilePath)
}

// firstClass is the id of the first-class disk with that file, or nil.
func (e *endpoint) firstClass(file string) (id *types.ID) {
	file = cleanPath(file)
	e.catalogue(func(all map[types.ManagedObjectReference]map[types.ID]*diskObject) {
		for _, o := range all[e.storeOf(file)] {
			if fileOf(o) == file {
				found := o.Config.Id
				id = &found
			}
		}
	})
	return id
}

func (e *endpoint) storeOf(file string) (ref types.ManagedObjectReference) {
	if ds := e.disks.datastore(datastoreOf(file)); ds != nil {
		ref = ds.Self
	}
	return ref
}

// disk finds a first-class disk; every datastore is searched when none is given. The copy is of this moment.
func (e *endpoint) disk(id types.ID, datastore types.ManagedObjectReference) (found *diskObject) {
	e.catalogue(func(all map[types.ManagedObjectReference]map[types.ID]*diskObject) {
		for store, objects := range all {
			if o := objects[id]; o != nil && (datastore.Value == "" || datastore == store) {
				copied := *o
				found = &copied
			}
		}
	})
	return found
}

// consumer is the VM that has a file, or nil.
func (e *endpoint) consumer(file string) *vmRecord {
	for _, vm := range e.index.all() {
		for _, d := range vm.disks {
			if d.path == file {
				return vm
			}
		}
	}
	return nil
}

// beforeDisks brings size, consumer and metadata of the first-class disks up to date.
func (e *endpoint) beforeDisks(_ http.ResponseWriter, _ *http.Request, _ *simulator.Method) bool {
	consumers := map[string]types.ManagedObjectReference{}
	for _, vm := range e.index.all() {
		for _, d := range vm.disks {
			consumers[d.path] = vm.ref
		}
	}
	e.catalogue(func(all map[types.ManagedObjectReference]map[types.ID]*diskObject) {
		for _, objects := range all {
			for _, o := range objects {
				if size := e.diskSize(fileOf(o)); size > 0 {
					o.Config.CapacityInMB = size >> 20
				}
				o.Config.ConsumerId, o.Config.Metadata = nil, o.Metadata
				if vm, ok := e.model.Map().Get(consumers[fileOf(o)]).(*simulator.VirtualMachine); ok {
					o.Config.ConsumerId = []types.ID{{Id: vm.Config.Uuid}}
				}
			}
		}
	})
	return false
}

func diskNotFound(id types.ID) (types.AnyType, types.BaseMethodFault, string) {
	return nil, &types.NotFound{}, "The object or item referred to could not be found: disk " + id.Id
}

func (e *endpoint) createFCD(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.CreateDisk_Task)
	backing, ok := call.Spec.BackingSpec.(*types.VslmCreateSpecDiskFileBackingSpec)
	if !ok || call.Spec.CapacityInMB <= 0 || (len(call.Spec.Metadata) > 0 && !e.hasMetadata()) {
		writeFault(w, &types.InvalidArgument{InvalidProperty: "spec"}, "A size and a file backing are needed")
		return true
	}
	writeResult(w, m.Name, e.startTask(m, func() (types.AnyType, types.BaseMethodFault, string) {
		ds := e.model.Map().Get(backing.Datastore).(*simulator.Datastore)
		size, id := call.Spec.CapacityInMB<<20, types.ID{Id: uuid.NewString()}
		folder := "[" + ds.Name + "] " + strings.Trim(backing.Path, "/")
		if backing.Path == "" {
			folder += "fcd"
		}
		file, need := folder+"/"+id.Id+".vmdk", size
		if backing.ProvisioningType == "" || backing.ProvisioningType == "thin" {
			need = 0
		}
		release, full := e.disks.claim(map[string]int64{ds.Name: need})
		if full != "" {
			no := noSpace(full)
			return nil, no.fault, no.message
		}
		defer release()
		if err := os.MkdirAll(e.disks.real(folder), 0o700); err != nil {
			return fileFault(err, file)
		}
		if err := e.newDisk(file, uuid.NewString(), size); err != nil {
			return fileFault(err, file)
		}
		e.disks.set(file, need, need == 0)
		e.disks.setProfile(file, profileOf(call.Spec.Profile))
		no := false
		keep := call.Spec.KeepAfterDeleteVm != nil && *call.Spec.KeepAfterDeleteVm
		made := &diskObject{Metadata: call.Spec.Metadata}
		made.Config = types.VStorageObjectConfigInfo{
			BaseConfigInfo: types.BaseConfigInfo{Id: id, Name: call.Spec.Name, CreateTime: time.Now(), KeepAfterDeleteVm: &keep,
				RelocationDisabled: &no, NativeSnapshotSupported: &no, ChangedBlockTrackingEnabled: &no,
				Backing: &types.BaseConfigInfoDiskFileBackingInfo{
					ProvisioningType: map[bool]string{true: "thin", false: backing.ProvisioningType}[need == 0],
					BaseConfigInfoFileBackingInfo: types.BaseConfigInfoFileBackingInfo{FilePath: file, BackingObjectId: id.Id,
						BaseConfigInfoBackingInfo: types.BaseConfigInfoBackingInfo{Datastore: ds.Self}}}},
			CapacityInMB: call.Spec.CapacityInMB, ConsumptionType: []string{"disk"}}
		e.catalogue(func(all map[types.ManagedObjectReference]map[types.ID]*diskObject) {
			if all[ds.Self] == nil {
				all[ds.Self] = map[types.ID]*diskObject{}
			}
			all[ds.Self][id] = made
		})
		return made.VStorageObject, nil, ""
	}))
	return true
}

func (e *endpoint) deleteFCD(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.DeleteVStorageObject_Task)
	writeResult(w, m.Name, e.startTask(m, func() (types.AnyType, types.BaseMethodFault, string) {
		o := e.disk(call.Id, call.Datastore)
		if o == nil {
			return diskNotFound(call.Id)
		}
		file := fileOf(o)
		if vm := e.consumer(file); vm != nil {
			return nil, &types.InvalidState{}, "Disk " + call.Id.Id + " is attached to virtual machine " + vm.name
		}
		if fault, message := e.disks.locked(file); fault != nil {
			return nil, fault, message
		}
		e.dropFCD(call.Id, call.Datastore)
		for _, name := range []string{file, flatName(file)} {
			_ = os.Remove(e.disks.real(name))
			e.disks.remove(name)
		}
		return nil, nil, ""
	}))
	return true
}

func (e *endpoint) dropFCD(id types.ID, datastore types.ManagedObjectReference) {
	e.catalogue(func(all map[types.ManagedObjectReference]map[types.ID]*diskObject) { delete(all[datastore], id) })
}

func (e *endpoint) extendFCD(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.ExtendDisk_Task)
	writeResult(w, m.Name, e.startTask(m, func() (types.AnyType, types.BaseMethodFault, string) {
		o := e.disk(call.Id, call.Datastore)
		if o == nil {
			return diskNotFound(call.Id)
		}
		file, size := fileOf(o), call.NewCapacityInMB<<20
		if now := e.diskSize(file); now == 0 {
			return fileFault(os.ErrNotExist, file)
		} else if size < now {
			return nil, &types.InvalidArgument{InvalidProperty: "newCapacityInMB"}, "A disk cannot shrink"
		}
		if no := e.admitExtend(file); no.fault != nil {
			return nil, no.fault, no.message
		}
		record, need := e.spaceToGrow(file, size)
		release, full := e.disks.claim(map[string]int64{datastoreOf(file): need})
		if full != "" {
			no := noSpace(full)
			return nil, no.fault, no.message
		}
		defer release()
		e.disks.set(file, record.taken+need, record.thin)
		e.growFile(file, size)
		e.resized(file, size)
		return nil, nil, ""
	}))
	return true
}

// attachFCD adds the disk to the VM as a device. The simulator notes the consumer only.
func (e *endpoint) attachFCD(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.AttachDisk_Task)
	if e.kind == "esxi" {
		writeFault(w, &types.NotSupported{}, "The operation is not supported on the object.")
		return true
	}
	writeResult(w, m.Name, e.startTask(m, func() (types.AnyType, types.BaseMethodFault, string) {
		o := e.disk(call.DiskId, call.Datastore)
		if o == nil {
			return diskNotFound(call.DiskId)
		}
		if vm := e.consumer(fileOf(o)); vm != nil {
			return nil, &types.ResourceInUse{Name: call.DiskId.Id},
				"The resource '" + call.DiskId.Id + "' is in use: it is attached to virtual machine " + vm.name
		}
		disk := &types.VirtualDisk{VDiskId: &call.DiskId, VirtualDevice: types.VirtualDevice{Key: -1, UnitNumber: call.UnitNumber,
			ControllerKey: call.ControllerKey, Backing: &types.VirtualDiskFlatVer2BackingInfo{DiskMode: "persistent",
				VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{FileName: fileOf(o)}}}}
		if disk.ControllerKey == 0 {
			for _, device := range e.devicesOf(m.This) {
				if _, ok := device.(types.BaseVirtualSCSIController); ok && disk.ControllerKey == 0 {
					disk.ControllerKey = device.GetVirtualDevice().Key
				}
			}
		}
		changes := []types.BaseVirtualDeviceConfigSpec{&types.VirtualDeviceConfigSpec{
			Operation: types.VirtualDeviceConfigSpecOperationAdd, Device: disk}}
		present := false
		for _, device := range e.devicesOf(m.This) {
			present = present || device.GetVirtualDevice().Key == disk.ControllerKey
		}
		if !present {
			return nil, &types.MissingController{}, "The virtual machine has no such controller"
		}
		if record, _ := e.disks.get(fileOf(o)); record.thin {
			yes := true
			disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo).ThinProvisioned = &yes
		}
		e.sizeExisting(changes)
		if _, no := numberDisks(changes, e.devicesOf(m.This)); no.fault != nil {
			return nil, no.fault, no.message
		}
		no := e.reconfigure(m.This, changes)
		return nil, no.fault, no.message
	}))
	return true
}

// detachFCD takes the device off and leaves the file.
func (e *endpoint) detachFCD(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.DetachDisk_Task)
	if e.kind == "esxi" {
		writeFault(w, &types.NotSupported{}, "The operation is not supported on the object.")
		return true
	}
	writeResult(w, m.Name, e.startTask(m, func() (types.AnyType, types.BaseMethodFault, string) {
		o := e.disk(call.DiskId, types.ManagedObjectReference{})
		if o == nil {
			return diskNotFound(call.DiskId)
		}
		found, no := e.takeOff(m.This, func(d diskRecord) bool { return d.is(o) })
		if no.fault == nil && found == 0 {
			return diskNotFound(call.DiskId)
		}
		return nil, no.fault, no.message
	}))
	return true
}

// takeOff detaches the disks of a VM that match and says how many those were.
func (e *endpoint) takeOff(ref types.ManagedObjectReference, match func(diskRecord) bool) (int, refusal) {
	vm, changes := e.index.vm(ref), []types.BaseVirtualDeviceConfigSpec{}
	if vm == nil {
		return 0, refusal{}
	}
	for _, device := range e.devicesOf(ref) {
		if disk, ok := device.(*types.VirtualDisk); ok && match(readDisk(disk)) {
			changes = append(changes, &types.VirtualDeviceConfigSpec{
				Operation: types.VirtualDeviceConfigSpecOperationRemove, Device: disk})
		}
	}
	if len(changes) == 0 {
		return 0, refusal{}
	}
	return len(changes), e.reconfigure(ref, changes)
}

// reconfigure changes devices past the checks and waits for it.
func (e *endpoint) reconfigure(ref types.ManagedObjectReference, changes []types.BaseVirtualDeviceConfigSpec) refusal {
	client, ctx := e.client()
	task, err := object.NewVirtualMachine(client, ref).Reconfigure(ctx, types.VirtualMachineConfigSpec{DeviceChange: changes})
	if err == nil {
		_, err = task.WaitForResult(ctx, nil)
	}
	if err != nil {
		return refusal{faultOf(err), err.Error()}
	}
	return refusal{}
}

func (e *endpoint) updateFCDPolicy(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.UpdateVStorageObjectPolicy_Task)
	writeResult(w, m.Name, e.startTask(m, func() (types.AnyType, types.BaseMethodFault, string) {
		o := e.disk(call.Id, call.Datastore)
		if o == nil {
			return diskNotFound(call.Id)
		}
		e.disks.setProfile(fileOf(o), profileOf(call.Profile))
		return nil, nil, ""
	}))
	return true
}

// firstClassOf are the first-class disks that a VM has, by file.
func (e *endpoint) firstClassOf(vm *vmRecord) map[string]diskObject {
	found := map[string]diskObject{}
	e.catalogue(func(all map[types.ManagedObjectReference]map[types.ID]*diskObject) {
		for _, objects := range all {
			for _, o := range objects {
				for _, d := range vm.disks {
					if d.is(o) {
						found[d.path] = *o
					}
				}
			}
		}
	})
	return found
}

// foreignIn are the disks in a VM's folder that it does not have.
func (e *endpoint) foreignIn(vm *vmRecord) (found []string) {
	own := map[string]bool{}
	for _, d := range vm.disks {
		own[d.path] = true
	}
	home := path.Dir(vm.vmx)
	entries, _ := os.ReadDir(e.disks.real(home))
	for _, entry := range entries {
		name := home + "/" + entry.Name()
		if path.Ext(name) == ".vmdk" && !strings.HasSuffix(name, "-flat.vmdk") && !own[name] {
			found = append(found, name)
		}
	}
	return found
}

// hasMoreThanItsOwn says whether a VM cannot be left to the simulator, which takes every disk and the whole folder.
func (e *endpoint) hasMoreThanItsOwn(vm *vmRecord) bool {
	return len(e.firstClassOf(vm)) > 0 || len(e.foreignIn(vm)) > 0
}

// destroyKeeping destroys a VM with its disks, and with the ids of the first-class ones, but for those that were made to
// be kept and for disks in its folder that it does not have.
func (e *endpoint) destroyKeeping(vm *vmRecord) refusal {
	stay, gone := e.foreignIn(vm), []diskObject{}
	kept := map[string]bool{}
	for file, o := range e.firstClassOf(vm) {
		if yes(o.Config.KeepAfterDeleteVm) {
			stay, kept[file] = append(stay, file), true
		} else {
			gone = append(gone, o)
		}
	}
	if _, no := e.takeOff(vm.ref, func(d diskRecord) bool { return kept[d.path] }); no.fault != nil {
		return no
	}
	aside, err := os.MkdirTemp(e.directory, ".aside-")
	if err != nil {
		return refuse(&types.SystemError{Reason: err.Error()}, "%s", err)
	}
	defer os.RemoveAll(aside)
	moved := []string{}
	for _, name := range stay {
		for _, file := range []string{e.disks.real(name), flatName(e.disks.real(name))} {
			if path.Dir(name) == path.Dir(vm.vmx) && os.Rename(file, path.Join(aside, path.Base(file))) == nil {
				moved = append(moved, file)
			}
		}
	}
	client, ctx := e.client()
	task, err := object.NewVirtualMachine(client, vm.ref).Destroy(ctx)
	if err == nil {
		err = task.Wait(ctx)
	}
	for end := time.Now().Add(5 * time.Second); err == nil && len(moved) > 0 && time.Now().Before(end); {
		if _, gone := os.Stat(e.disks.real(path.Dir(vm.vmx))); gone != nil {
			break // the folder is deleted by a task of its own
		}
		time.Sleep(2 * time.Millisecond)
	}
	for _, file := range moved {
		_ = os.MkdirAll(path.Dir(file), 0o700)
		_ = os.Rename(path.Join(aside, path.Base(file)), file)
	}
	if err != nil {
		return refusal{faultOf(err), err.Error()}
	}
	for _, o := range gone {
		e.dropFCD(o.Config.Id, e.storeOf(fileOf(&o)))
	}
	return refusal{}
}
