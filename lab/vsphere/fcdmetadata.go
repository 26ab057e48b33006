package main

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// metadataSince is the first API version whose first-class disks have metadata.
const metadataSince = "7.0.2"

// atLeast compares versions of the API number by number.
func atLeast(version, wanted string) bool {
	var a, b [3]int
	_, _ = fmt.Sscanf(version, "%d.%d.%d", &a[0], &a[1], &a[2])
	_, _ = fmt.Sscanf(wanted, "%d.%d.%d", &b[0], &b[1], &b[2])
	return slices.Compare(a[:], b[:]) >= 0
}

func (e *endpoint) hasMetadata() bool {
	return atLeast(e.model.ServiceContent.About.ApiVersion, metadataSince)
}

// updateFCDMetadata sets and deletes keys. The simulator's own keeps the old value of a key that it has.
func (e *endpoint) updateFCDMetadata(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.VCenterUpdateVStorageObjectMetadataEx_Task)
	if e.kind == "esxi" || !e.hasMetadata() {
		writeFault(w, &types.MethodNotFound{Receiver: m.This, Method: m.Name}, m.Name+" is not implemented")
		return true
	}
	writeResult(w, m.Name, e.startTask(m, func() (types.AnyType, types.BaseMethodFault, string) {
		found := false
		e.catalogue(func(all map[types.ManagedObjectReference]map[types.ID]*diskObject) {
			o := all[call.Datastore][call.Id]
			if found = o != nil; found {
				o.Metadata = withKeys(o.Metadata, call.Metadata, call.DeleteKeys)
			}
		})
		if !found {
			return diskNotFound(call.Id)
		}
		return nil, nil, ""
	}))
	return true
}

// withKeys is a new list: what there was, without the keys that are deleted or set, and then what is set.
func withKeys(old, set []types.KeyValue, deleted []string) (now []types.KeyValue) {
	for _, each := range set {
		deleted = append(deleted, each.Key)
	}
	for _, each := range old {
		if !slices.Contains(deleted, each.Key) {
			now = append(now, each)
		}
	}
	return append(now, set...)
}
