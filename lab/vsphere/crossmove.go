package main

import (
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vmdk"
)

// service is the endpoint a ServiceLocator names by its instance uuid, or nil.
func (l *lab) service(locator *types.ServiceLocator) *endpoint {
	if locator != nil {
		for _, e := range l.endpoints {
			if strings.EqualFold(e.model.ServiceContent.About.InstanceUuid, locator.InstanceUuid) {
				return e
			}
		}
	}
	return nil
}

// moveAway moves a VM to another vCenter: uuid, extraConfig, power state and files stay what they are.
func (e *endpoint) moveAway(w http.ResponseWriter, m *simulator.Method, vm *vmRecord, spec *types.VirtualMachineRelocateSpec, other *endpoint) bool {
	at, no := other.arrival(spec)
	if no.fault == nil && vm.powered == types.VirtualMachinePowerStatePoweredOn {
		no = e.hostReady(vm.host)
	}
	if no.fault != nil {
		writeResult(w, m.Name, e.failedTask(m, no.fault, no.message))
		return true
	}
	writeResult(w, m.Name, e.startTask(m, func() (types.AnyType, types.BaseMethodFault, string) {
		no := e.handOver(vm.ref, other, at, other.entityName(*spec.Datastore), spec.DeviceChange)
		return nil, no.fault, no.message
	}))
	return true
}

// arrival checks where on this endpoint a VM of another one is to go.
func (e *endpoint) arrival(spec *types.VirtualMachineRelocateSpec) (place, refusal) {
	if e == nil || e.kind != "vcenter" {
		return place{}, refuse(&types.HostConnectFault{}, "No vCenter has the instance uuid %s", spec.Service.InstanceUuid)
	}
	login, ok := spec.Service.Credential.(*types.ServiceLocatorNamePassword)
	if !ok || login.Username != e.spec.Username || login.Password != e.password() {
		return place{}, refuse(&types.InvalidLogin{}, "Cannot complete login due to an incorrect user name or password.")
	}
	for name, ref := range map[string]*types.ManagedObjectReference{"host": spec.Host, "pool": spec.Pool, "datastore": spec.Datastore,
		"folder": spec.Folder} {
		if ref == nil || e.model.Map().Get(*ref) == nil {
			return place{}, refuse(&types.InvalidArgument{InvalidProperty: "spec." + name},
				"A move to another vCenter needs the %s there", name)
		}
	}
	if no := e.hostReady(*spec.Host); no.fault != nil {
		return place{}, no
	}
	host := e.model.Map().Get(*spec.Host).(*simulator.HostSystem)
	if simulator.FindReference(host.Datastore, *spec.Datastore) == nil {
		return place{}, refuse(&types.InvalidDatastore{Datastore: spec.Datastore}, "The datastore is not mounted on host %s", host.Name)
	}
	return place{*spec.Folder, *spec.Pool, *spec.Host}, refusal{}
}

// handOver copies the files, makes the VM on the other endpoint and then removes it here.
func (e *endpoint) handOver(ref types.ManagedObjectReference, other *endpoint, at place, datastore string, changes []types.BaseVirtualDeviceConfigSpec) refusal {
	i := e.image(ref)
	if i == nil {
		return refuse(&types.ManagedObjectNotFound{Obj: ref}, "The virtual machine was deleted")
	}
	replaced := map[int32]types.BaseVirtualDevice{}
	for _, change := range changes {
		device := change.GetVirtualDeviceConfigSpec().Device
		replaced[device.GetVirtualDevice().Key] = device
	}
	folder := other.freeFolder(datastore, i.spec.Name)
	if err := os.Mkdir(other.disks.real(folder), 0o700); err != nil {
		return refuse(&types.FileFault{File: folder}, "%s", hidePath(err))
	}
	old := []string{i.spec.Files.VmPathName}
	for _, change := range i.spec.DeviceChange {
		spec := change.GetVirtualDeviceConfigSpec()
		device := spec.Device.GetVirtualDevice()
		switch b := device.Backing.(type) {
		case *types.VirtualDiskFlatVer2BackingInfo:
			old = append(old, b.FileName, flatName(b.FileName))
			b.FileName = e.copyDiskTo(b.FileName, other, folder)
			b.Parent, b.Datastore = nil, nil
		case *types.VirtualEthernetCardNetworkBackingInfo, *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
			if given := replaced[device.Key]; given != nil {
				device.Backing = given.GetVirtualDevice().Backing
			} else if device.Backing = e.sameNetwork(device.Backing, other); device.Backing == nil {
				_ = os.RemoveAll(other.disks.real(folder))
				return refuse(&types.CannotAccessNetwork{}, "A network of %s is not at the destination", i.spec.Name)
			}
		}
	}
	i.spec.Files.VmPathName = folder + "/" + i.spec.Name + ".vmx"
	if err := os.WriteFile(other.disks.real(i.spec.Files.VmPathName), []byte(i.vmx()), 0o600); err != nil {
		return refuse(&types.FileFault{File: folder}, "%s", hidePath(err))
	}
	if _, no := other.adopt(i, at); no.fault != nil {
		_ = os.RemoveAll(other.disks.real(folder))
		return no
	}
	e.forget(ref)
	for _, name := range old {
		_ = os.Remove(e.disks.real(name))
		e.disks.remove(name)
	}
	home := e.disks.real(path.Dir(cleanPath(old[0])))
	for _, pattern := range []string{"vmware.log", "*.nvram"} { // a rename keeps the name of the .nvram
		found, _ := filepath.Glob(path.Join(home, pattern))
		for _, file := range found {
			_ = os.Remove(file)
		}
	}
	_ = os.Remove(home) // only when nothing is left in it
	return refusal{}
}

// copyDiskTo writes a disk, with what its ancestors hold, into a folder of another endpoint.
func (e *endpoint) copyDiskTo(from string, other *endpoint, folder string) string {
	to := folder + "/" + path.Base(cleanPath(from))
	size, uuid := e.diskSize(from), e.diskUUID(from)
	files, err := e.chain(from)
	if err == nil {
		err = compose(files, size, flatName(other.disks.real(to)), pacer{&e.disks.lanes(datastoreOf(from)).read, &other.disks.lanes(datastoreOf(to)).write}.piece)
	}
	if err == nil {
		err = other.describeDisk(to, func(v *vmdk.Descriptor) { v.Extent[0].Size, v.DDB[uuidEntry] = size/sectorSize, uuid })
	}
	if err != nil {
		quietLog.Print(err)
	}
	record, _ := e.disks.get(from)
	other.disks.set(to, record.taken, record.thin)
	return to
}

// sameNetwork is a card's backing on another endpoint: the network of the same name, standard or distributed.
func (e *endpoint) sameNetwork(backing types.BaseVirtualDeviceBackingInfo, other *endpoint) types.BaseVirtualDeviceBackingInfo {
	name := ""
	switch b := backing.(type) {
	case *types.VirtualEthernetCardNetworkBackingInfo:
		name = b.DeviceName
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		name = e.entityName(types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: b.Port.PortgroupKey})
	}
	switch n := other.network(name).(type) {
	case nil:
		return nil
	case *simulator.DistributedVirtualPortgroup:
		dvs, ok := other.model.Map().Get(*n.Config.DistributedVirtualSwitch).(*simulator.DistributedVirtualSwitch)
		if !ok {
			return nil
		}
		return &types.VirtualEthernetCardDistributedVirtualPortBackingInfo{
			Port: types.DistributedVirtualSwitchPortConnection{PortgroupKey: n.Key, SwitchUuid: dvs.Uuid}}
	default:
		return &types.VirtualEthernetCardNetworkBackingInfo{
			VirtualDeviceDeviceBackingInfo: types.VirtualDeviceDeviceBackingInfo{DeviceName: name}}
	}
}
