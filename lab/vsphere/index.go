package main

import (
	"strings"
	"sync"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// index is what the checks need to know of the VMs, kept next to the inventory so that no check walks it or waits for
// one of its locks.
type index struct {
	mu       sync.Mutex
	vms      map[types.ManagedObjectReference]*vmRecord
	names    map[types.ManagedObjectReference]map[string]int // folder -> VM name -> VMs and unfinished creates
	uuids    map[string]int                                  // instanceUuid -> VMs and unfinished creates
	children map[string]int                                  // datastore path of a disk -> disks that have it as parent
	attached map[string]int                                  // datastore path of a disk -> VMs that have it
	starting map[types.ManagedObjectReference]bool           // power-ons that were let through and have not ended
}

// vmRecord is one VM as of its last change. Records are replaced, never changed.
type vmRecord struct {
	ref           types.ManagedObjectReference
	name          string
	folder        types.ManagedObjectReference
	uuid          string
	host          types.ManagedObjectReference
	powered       types.VirtualMachinePowerState
	cpus          int32
	memoryMB      int64
	reservedMB    int64
	reservedMHz   int64
	disks         []diskRecord
	changeVersion string
	vmx           string // datastore path of its configuration file
	agent         bool   // one of vCenter's own, such as vCLS
	template      bool
}

type diskRecord struct {
	key      int32
	path     string // [datastore] folder/name.vmdk
	parent   string
	thin     bool
	capacity int64
	uuid     string
}

func newIndex() *index {
	return &index{
		vms:      map[types.ManagedObjectReference]*vmRecord{},
		names:    map[types.ManagedObjectReference]map[string]int{},
		uuids:    map[string]int{},
		children: map[string]int{},
		attached: map[string]int{},
		starting: map[types.ManagedObjectReference]bool{},
	}
}

func (x *index) vm(ref types.ManagedObjectReference) *vmRecord {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.vms[ref]
}

func (x *index) all() []*vmRecord {
	x.mu.Lock()
	defer x.mu.Unlock()
	records := make([]*vmRecord, 0, len(x.vms))
	for _, r := range x.vms {
		records = append(records, r)
	}
	return records
}

// runningOn counts the VMs that are powered on at a host, vCenter's own left out.
func (x *index) runningOn(host types.ManagedObjectReference) int {
	n := 0
	for _, r := range x.all() {
		if r.host == host && r.powered == types.VirtualMachinePowerStatePoweredOn && !r.agent {
			n++
		}
	}
	return n
}

// put replaces the record of a VM and answers with the one before it.
func (x *index) put(r *vmRecord) *vmRecord {
	x.mu.Lock()
	defer x.mu.Unlock()
	old := x.vms[r.ref]
	if old != nil {
		x.account(old, -1)
	}
	x.vms[r.ref] = r
	x.account(r, 1)
	return old
}

func (x *index) remove(ref types.ManagedObjectReference) *vmRecord {
	x.mu.Lock()
	defer x.mu.Unlock()
	old := x.vms[ref]
	if old != nil {
		x.account(old, -1)
		delete(x.vms, ref)
	}
	delete(x.starting, ref)
	return old
}

func (x *index) account(r *vmRecord, n int) {
	x.hold(r.folder, r.name, r.uuid, n)
	for _, d := range r.disks {
		add(x.attached, d.path, n)
		add(x.children, d.parent, n)
	}
}

// hold counts a name and an instanceUuid up or down; the caller has the lock.
func (x *index) hold(folder types.ManagedObjectReference, name, uuid string, n int) {
	if x.names[folder] == nil {
		x.names[folder] = map[string]int{}
	}
	add(x.names[folder], name, n)
	add(x.uuids, strings.ToLower(uuid), n)
}

func add(counts map[string]int, key string, n int) {
	if key == "" {
		return
	}
	if counts[key] += n; counts[key] == 0 {
		delete(counts, key)
	}
}

// claimName takes a name in a folder and an instanceUuid for a create that has not ended; release gives both back.
func (x *index) claimName(folder types.ManagedObjectReference, name, uuid string) (release func(), duplicateName, duplicateUUID bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.names[folder][name] > 0 {
		return nil, true, false
	}
	if uuid != "" && x.uuids[strings.ToLower(uuid)] > 0 {
		return nil, false, true
	}
	x.hold(folder, name, uuid, 1)
	return func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.hold(folder, name, uuid, -1)
	}, false, false
}

// withVMX is the VM whose configuration file that is.
func (x *index) withVMX(name string) *vmRecord {
	name = cleanPath(name)
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range x.vms {
		if r.vmx == name {
			return r
		}
	}
	return nil
}

func (x *index) hasUUID(uuid string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return uuid != "" && x.uuids[strings.ToLower(uuid)] > 0
}

// shared says whether other VMs than that one have a disk.
func (x *index) shared(file string, but types.ManagedObjectReference) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	others := x.attached[file]
	if vm := x.vms[but]; vm != nil {
		for _, d := range vm.disks {
			if d.path == file {
				others--
			}
		}
	}
	return others > 0
}

// onHost are the VMs of a host, vCenter's own among them.
func (x *index) onHost(host types.ManagedObjectReference) (found []*vmRecord) {
	for _, r := range x.all() {
		if r.host == host {
			found = append(found, r)
		}
	}
	return found
}

func (x *index) named(folder types.ManagedObjectReference, name string) (types.ManagedObjectReference, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for ref, r := range x.vms {
		if r.folder == folder && r.name == name {
			return ref, true
		}
	}
	return types.ManagedObjectReference{}, false
}

// record reads a VM; the caller has its lock.
func record(vm *mo.VirtualMachine) *vmRecord {
	r := &vmRecord{ref: vm.Self, name: vm.Name, powered: vm.Runtime.PowerState}
	if vm.Parent != nil {
		r.folder = *vm.Parent
	}
	if vm.Runtime.Host != nil {
		r.host = *vm.Runtime.Host
	}
	c := vm.Config
	if c == nil {
		return r
	}
	r.uuid, r.changeVersion, r.template = c.InstanceUuid, c.ChangeVersion, c.Template
	r.vmx = cleanPath(c.Files.VmPathName)
	r.agent = c.ManagedBy != nil && c.ManagedBy.ExtensionKey == agentManager
	r.cpus, r.memoryMB = c.Hardware.NumCPU, int64(c.Hardware.MemoryMB)
	if a := c.MemoryAllocation; a != nil && a.Reservation != nil {
		r.reservedMB = *a.Reservation
	}
	if c.MemoryReservationLockedToMax != nil && *c.MemoryReservationLockedToMax {
		r.reservedMB = r.memoryMB
	}
	if a := c.CpuAllocation; a != nil && a.Reservation != nil {
		r.reservedMHz = *a.Reservation
	}
	for _, device := range c.Hardware.Device {
		if disk, ok := device.(*types.VirtualDisk); ok {
			r.disks = append(r.disks, readDisk(disk))
		}
	}
	return r
}

func readDisk(disk *types.VirtualDisk) diskRecord {
	d := diskRecord{key: disk.Key, capacity: disk.CapacityInBytes}
	if d.capacity == 0 {
		d.capacity = disk.CapacityInKB * 1024
	}
	if b, ok := disk.Backing.(types.BaseVirtualDeviceFileBackingInfo); ok {
		d.path = b.GetVirtualDeviceFileBackingInfo().FileName
	}
	switch b := disk.Backing.(type) {
	case *types.VirtualDiskFlatVer2BackingInfo:
		d.uuid = b.Uuid
		d.thin = b.ThinProvisioned != nil && *b.ThinProvisioned
		if b.Parent != nil {
			d.parent, d.thin = b.Parent.FileName, true
		}
	case *types.VirtualDiskSeSparseBackingInfo:
		d.thin = true
		if b.Parent != nil {
			d.parent = b.Parent.FileName
		}
	}
	return d
}
