package main

import (
	"net/http"
	"os"
	"path"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vmdk"
)

// relocateFCD moves a first-class disk that no VM has to another datastore; its id stays.
func (e *endpoint) relocateFCD(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.RelocateVStorageObject_Task)
	backing, ok := call.Spec.GetVslmMigrateSpec().BackingSpec.(*types.VslmCreateSpecDiskFileBackingSpec)
	if e.kind == "esxi" || !ok {
		writeFault(w, &types.InvalidArgument{InvalidProperty: "spec"}, "A file backing on a vCenter is needed")
		return true
	}
	writeResult(w, m.Name, e.startTask(m, func() (types.AnyType, types.BaseMethodFault, string) {
		o := e.disk(call.Id, call.Datastore)
		if o == nil {
			return diskNotFound(call.Id)
		}
		from, target := fileOf(o), e.entityName(backing.Datastore)
		if vm := e.consumer(from); vm != nil {
			return nil, &types.InvalidState{}, "Disk " + call.Id.Id + " is attached to virtual machine " + vm.name
		}
		record, _ := e.disks.get(from)
		release, full := e.disks.claim(map[string]int64{target: record.taken})
		if full != "" {
			no := noSpace(full)
			return nil, no.fault, no.message
		}
		defer release()
		to := "[" + target + "] fcd/" + path.Base(from)
		if err := os.MkdirAll(e.disks.real("["+target+"] fcd"), 0o700); err != nil {
			return fileFault(err, to)
		}
		for _, name := range [][2]string{{flatName(from), flatName(to)}, {from, to}} {
			if err := os.Rename(e.disks.real(name[0]), e.disks.real(name[1])); err != nil {
				return fileFault(err, name[0])
			}
			e.disks.move(name[0], name[1])
		}
		if err := e.describeDisk(to, func(*vmdk.Descriptor) {}); err != nil {
			return fileFault(err, to)
		}
		e.catalogue(func(all map[types.ManagedObjectReference]map[types.ID]*diskObject) {
			moved := all[call.Datastore][call.Id]
			moved.Config.Backing = &types.BaseConfigInfoDiskFileBackingInfo{ProvisioningType: "thin",
				BaseConfigInfoFileBackingInfo: types.BaseConfigInfoFileBackingInfo{FilePath: to, BackingObjectId: call.Id.Id,
					BaseConfigInfoBackingInfo: types.BaseConfigInfoBackingInfo{Datastore: backing.Datastore}}}
			delete(all[call.Datastore], call.Id)
			if all[backing.Datastore] == nil {
				all[backing.Datastore] = map[types.ID]*diskObject{}
			}
			all[backing.Datastore][call.Id] = moved
		})
		return nil, nil, ""
	}))
	return true
}
