package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// strictMethods are the calls on which vCenter says no where the simulator says yes, or does what the simulator only
// pretends to. Each answers the call, or returns false to let the simulator do it.
var strictMethods map[string]func(*endpoint, http.ResponseWriter, *http.Request, *simulator.Method) bool

func init() { // not a plain initialiser: the methods refer back to the table's users
	strictMethods = map[string]func(*endpoint, http.ResponseWriter, *http.Request, *simulator.Method) bool{
		"CreateVM_Task":             (*endpoint).createVM,
		"RegisterVM_Task":           (*endpoint).registerVM,
		"ReconfigVM_Task":           (*endpoint).reconfigVM,
		"CloneVM_Task":              (*endpoint).cloneVM,
		"RelocateVM_Task":           (*endpoint).relocateVM,
		"MigrateVM_Task":            (*endpoint).migrateVM,
		"UnregisterVM":              (*endpoint).unregister,
		"PowerOnVM_Task":            (*endpoint).powerOn,
		"PowerOnMultiVM_Task":       (*endpoint).powerOnMany,
		"Rename_Task":               (*endpoint).rename,
		"MarkAsTemplate":            (*endpoint).onlyVCenter,
		"MarkAsVirtualMachine":      (*endpoint).onlyVCenter,
		"CreateSnapshot_Task":       (*endpoint).newVersionByTask,
		"Destroy_Task":              (*endpoint).destroy,
		"EnterMaintenanceMode_Task": (*endpoint).enterMaintenance,
		"ExitMaintenanceMode_Task":  (*endpoint).exitMaintenance,
		"DisconnectHost_Task":       (*endpoint).disconnectHost,
		"ReconnectHost_Task":        (*endpoint).reconnectHost,
		"AddHost_Task":              (*endpoint).addHost,
		"AddStandaloneHost_Task":    (*endpoint).addHost,
		"RemoveSnapshot_Task":       (*endpoint).removeSnapshot,
		"ShutdownGuest":             (*endpoint).needsTools,
		"RebootGuest":               (*endpoint).needsTools,
		"StandbyGuest":              (*endpoint).needsTools,

		"ReconfigureComputeResource_Task": (*endpoint).reconfigureCluster,

		"ImportVApp": (*endpoint).importVApp,

		"CopyVirtualDisk_Task":     (*endpoint).copyDisk,
		"CopyDatastoreFile_Task":   (*endpoint).copyFile,
		"MoveVirtualDisk_Task":     (*endpoint).moveFile,
		"MoveDatastoreFile_Task":   (*endpoint).moveFile,
		"DeleteVirtualDisk_Task":   (*endpoint).deleteDatastoreFile,
		"DeleteDatastoreFile_Task": (*endpoint).deleteDatastoreFile,
		"CreateVirtualDisk_Task":   (*endpoint).createDisk,
		"ExtendVirtualDisk_Task":   (*endpoint).extendDisk,

		"QueryVirtualDiskUuid": (*endpoint).queryUUID,
		"SetVirtualDiskUuid":   (*endpoint).setUUID,

		"AttachDisk_Task":                 (*endpoint).attachFCD,
		"DetachDisk_Task":                 (*endpoint).detachFCD,
		"CreateDisk_Task":                 (*endpoint).createFCD,
		"DeleteVStorageObject_Task":       (*endpoint).deleteFCD,
		"ExtendDisk_Task":                 (*endpoint).extendFCD,
		"UpdateVStorageObjectPolicy_Task": (*endpoint).updateFCDPolicy,
		"RelocateVStorageObject_Task":     (*endpoint).relocateFCD,

		"VCenterUpdateVStorageObjectMetadataEx_Task": (*endpoint).updateFCDMetadata,

		"RetrieveVStorageObject": (*endpoint).beforeDisks,

		"Fetch":                (*endpoint).fetch,
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
	changed, no := numberDisks(call.Config.DeviceChange, nil)
	changed = e.sizeExisting(call.Config.DeviceChange) || changed
	var release func()
	if no.fault == nil {
		no = e.admitAttach(call.Config.DeviceChange, types.ManagedObjectReference{})
	}
	if no.fault == nil {
		release, no = e.admitCreate(m.This, &call.Config, call.Host)
	}
	if no.fault != nil {
		writeResult(w, m.Name, e.failedTask(m, no.fault, no.message))
		return true
	}
	if changed {
		encodeAgain(r, m)
	}
	wanted := wantedPolicies(&call.Config)
	e.passTask(w, r, func(failed bool) {
		release()
		if ref, ok := e.index.named(m.This, apiName(call.Config.Name)); ok && !failed && len(wanted) > 0 {
			e.keepPolicies(e.index.vm(ref), wanted)
		}
	})
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
	if no := wholeMemory(config); no.fault != nil {
		return nil, no
	}
	if config.Files != nil {
		home = datastoreOf(config.Files.VmPathName)
		if no := e.vmxTaken(config.Files.VmPathName); no.fault != nil {
			return nil, no
		}
	}
	need, no := e.checkDisks(config.DeviceChange, home, nil)
	if no.fault != nil {
		return nil, no
	}
	releaseName, duplicateName, duplicateUUID := e.index.claimName(folder, apiName(config.Name), config.InstanceUuid)
	if duplicateName {
		return nil, e.duplicateName(folder, apiName(config.Name))
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
	changed, no := numberDisks(call.Spec.DeviceChange, e.devicesOf(m.This))
	changed = e.sizeExisting(call.Spec.DeviceChange) || changed
	if no.fault == nil {
		no = e.admitReconfig(vm, &call.Spec, &releases)
	}
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
	if changed {
		encodeAgain(r, m)
	}
	grown, wanted := growths(vm, call.Spec.DeviceChange), wantedPolicies(&call.Spec)
	e.passTask(w, r, func(failed bool) {
		done(failed)
		if !failed {
			e.keepPolicies(e.index.vm(vm.ref), wanted)
		}
		for name, size := range grown {
			if !failed {
				e.growFile(name, size)
			}
		}
	})
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
	if no := e.admitHardware(vm, spec); no.fault != nil {
		return no
	}
	if no := e.admitDiskGrowth(vm, spec); no.fault != nil {
		return no
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
	if no := e.admitAttach(spec.DeviceChange, vm.ref); no.fault != nil {
		return no
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
