package main

import (
	"net/http"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func (e *endpoint) rename(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
	name := m.Body.(*types.Rename_Task).NewName
	if ds, ok := e.model.Map().Get(m.This).(*simulator.Datastore); ok {
		return e.renameDatastore(w, m, ds, name)
	}
	if other := e.siblingNamed(m.This, name); other != nil {
		no := refuse(&types.DuplicateName{Name: name, Object: other.Reference()}, "The name '%s' already exists.", name)
		writeResult(w, m.Name, e.failedTask(m, no.fault, no.message))
		return true
	}
	vm := e.index.vm(m.This)
	if vm == nil {
		return false
	}
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

// siblingNamed is another child of the same folder that has a name, or nil: VMs and folders share their names.
func (e *endpoint) siblingNamed(ref types.ManagedObjectReference, name string) mo.Entity {
	entity, ok := e.model.Map().Get(ref).(mo.Entity)
	if !ok || entity.Entity().Parent == nil {
		return nil
	}
	folder, ok := e.model.Map().Get(*entity.Entity().Parent).(*simulator.Folder)
	if !ok {
		return nil
	}
	if other := e.model.Map().FindByName(name, folder.ChildEntity); other != nil && other.Reference() != ref {
		return other
	}
	return nil
}

// renameDatastore changes the name in every path that is shown, as vCenter does; moid, URL and files stay.
func (e *endpoint) renameDatastore(w http.ResponseWriter, m *simulator.Method, ds *simulator.Datastore, name string) bool {
	writeResult(w, m.Name, e.startTask(m, func() (types.AnyType, types.BaseMethodFault, string) {
		old := ds.Name
		if other := e.disks.datastore(name); other != nil && other != ds {
			return nil, &types.DuplicateName{Name: name, Object: other.Self}, "The name '" + name + "' already exists."
		}
		ctx := e.context()
		e.disks.rename(old, name)
		ctx.WithLock(ds, func() {
			ds.Info.GetDatastoreInfo().Name = name
			ctx.Update(ds, []types.PropertyChange{{Name: "name", Val: name}, {Name: "summary.name", Val: name}})
		})
		for _, record := range e.index.all() {
			if vm, ok := e.model.Map().Get(record.ref).(*simulator.VirtualMachine); ok {
				ctx.WithLock(vm, func() { renamePaths(ctx, vm, old, name) })
			}
		}
		return nil, nil, ""
	}))
	return true
}

// renamePaths follows a datastore's new name in one VM; the caller has its lock.
func renamePaths(ctx *simulator.Context, vm *simulator.VirtualMachine, old, name string) {
	moved := func(path string) string {
		if rest, ok := strings.CutPrefix(path, "["+old+"]"); ok {
			return "[" + name + "]" + rest
		}
		return path
	}
	devices := []types.BaseVirtualDevice{}
	for _, device := range vm.Config.Hardware.Device {
		if disk, ok := device.(*types.VirtualDisk); ok {
			if flat, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
				changed, backing := *disk, *flat
				backing.FileName = moved(backing.FileName)
				if backing.Parent != nil {
					parent := *backing.Parent
					parent.FileName = moved(parent.FileName)
					backing.Parent = &parent
				}
				changed.Backing = &backing
				device = &changed
			}
		}
		devices = append(devices, device)
	}
	files := vm.Config.Files
	for _, path := range []*string{&files.VmPathName, &files.SnapshotDirectory, &files.SuspendDirectory, &files.LogDirectory} {
		*path = moved(*path)
	}
	for i := range vm.LayoutEx.File {
		vm.LayoutEx.File[i].Name = moved(vm.LayoutEx.File[i].Name)
	}
	for i := range vm.Layout.Disk {
		for n := range vm.Layout.Disk[i].DiskFile {
			vm.Layout.Disk[i].DiskFile[n] = moved(vm.Layout.Disk[i].DiskFile[n])
		}
	}
	ctx.Update(vm, []types.PropertyChange{{Name: "config.hardware.device", Val: devices}, {Name: "config.files", Val: files},
		{Name: "summary.config.vmPathName", Val: files.VmPathName}})
}
