package main

import (
	"context"
	"net/http"
	"os"
	"path"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vmdk"
)

// client speaks to the simulator inside this process, past the checks.
func (e *endpoint) client() (*vim25.Client, context.Context) {
	ctx := context.Background()
	client, err := vim25.NewClient(ctx, e.model.Service)
	if err != nil {
		panic(err) // the simulator answers without a network: this cannot fail
	}
	return client, ctx
}

func isThin(spec types.BaseVirtualDiskSpec) bool {
	return spec != nil && spec.GetVirtualDiskSpec().DiskType == string(types.VirtualDiskTypeThin)
}

func (e *endpoint) createDisk(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.CreateVirtualDisk_Task)
	need := int64(0)
	if spec, ok := call.Spec.(types.BaseFileBackedVirtualDiskSpec); ok && !isThin(call.Spec) {
		need = spec.GetFileBackedVirtualDiskSpec().CapacityKb * 1024
	}
	return e.spacedTask(w, r, m, call.Name, need, func() { e.disks.set(call.Name, need, isThin(call.Spec)) })
}

func (e *endpoint) extendDisk(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.ExtendVirtualDisk_Task)
	if other := e.runsOn(call.Name, types.ManagedObjectReference{}); other != nil {
		fault := &types.FileLocked{FileFault: types.FileFault{File: call.Name}}
		writeResult(w, m.Name, e.failedTask(m, fault, "Failed to lock the file "+call.Name+": virtual machine "+other.name+" runs on it"))
		return true
	}
	record, known := e.disks.get(call.Name)
	need := int64(0)
	if known && !record.thin {
		need = max(0, call.NewCapacityKb*1024-record.taken)
	}
	return e.spacedTask(w, r, m, call.Name, need, func() {
		e.disks.set(call.Name, record.taken+need, record.thin)
		e.growFile(call.Name, call.NewCapacityKb*1024)
	})
}

// spacedTask lets the simulator do work that takes space on one datastore.
func (e *endpoint) spacedTask(w http.ResponseWriter, r *http.Request, m *simulator.Method, name string, need int64, record func()) bool {
	release, full := e.disks.claim(map[string]int64{datastoreOf(name): need})
	if full != "" {
		no := noSpace(full)
		writeResult(w, m.Name, e.failedTask(m, no.fault, no.message))
		return true
	}
	e.passTask(w, r, func(failed bool) {
		release()
		if !failed {
			record()
		}
	})
	return true
}

func (e *endpoint) copyDisk(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.CopyVirtualDisk_Task)
	writeResult(w, m.Name, e.startTask(m, func() (types.AnyType, types.BaseMethodFault, string) {
		from, to := e.disks.real(call.SourceName), e.disks.real(call.DestName)
		if err := usableDisk(from); err != nil {
			return fileFault(err, call.SourceName)
		}
		if fault, message := e.target(to, call.DestName, call.Force); fault != nil {
			return nil, fault, message
		}
		descriptor, err := os.Open(from)
		if err != nil {
			return fileFault(err, call.SourceName)
		}
		parsed, err := vmdk.ParseDescriptor(descriptor)
		_ = descriptor.Close()
		if err != nil {
			return fileFault(err, call.SourceName)
		}
		record, _ := e.disks.get(call.SourceName)
		taken, thin := record.taken, record.thin
		if call.DestSpec != nil && !isThin(call.DestSpec) && call.DestSpec.GetVirtualDiskSpec().DiskType != "" {
			taken, thin = parsed.Capacity(), false
		} else if isThin(call.DestSpec) {
			taken, thin = min(taken, e.written(flatName(from))), true
		}
		release, full := e.disks.claim(map[string]int64{datastoreOf(call.DestName): taken})
		if full != "" {
			no := noSpace(full)
			return nil, no.fault, no.message
		}
		defer release()
		if err := copySparse(flatName(from), flatName(to)); err != nil {
			return fileFault(err, call.DestName)
		}
		if err := writeDescriptor(to, parsed.Capacity()); err != nil {
			return fileFault(err, call.DestName)
		}
		e.disks.set(call.DestName, taken, thin)
		return nil, nil, ""
	}))
	return true
}

// written is what a flat extent holds: its blocks, which leave out the holes.
func (e *endpoint) written(file string) int64 {
	info, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return blocks(info)
}

func (e *endpoint) copyFile(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.CopyDatastoreFile_Task)
	writeResult(w, m.Name, e.startTask(m, func() (types.AnyType, types.BaseMethodFault, string) {
		from, to := e.disks.real(call.SourceName), e.disks.real(call.DestinationName)
		e.flushVMX(call.SourceName)
		info, err := os.Stat(from)
		if err != nil {
			return fileFault(err, call.SourceName)
		}
		if info.IsDir() {
			return nil, &types.FileFault{File: call.SourceName}, "Folders are not copied: copy their files"
		}
		if fault, message := e.target(to, call.DestinationName, call.Force); fault != nil {
			return nil, fault, message
		}
		release, full := e.disks.claim(map[string]int64{datastoreOf(call.DestinationName): blocks(info)})
		if full != "" {
			no := noSpace(full)
			return nil, no.fault, no.message
		}
		defer release()
		if err := copySparse(from, to); err != nil {
			return fileFault(err, call.DestinationName)
		}
		e.disks.set(call.DestinationName, blocks(info), true)
		return nil, nil, ""
	}))
	return true
}

// target checks where a copy goes: the folder is there, the file is not or may be replaced.
func (e *endpoint) target(file, name string, force *bool) (types.BaseMethodFault, string) {
	if info, err := os.Stat(path.Dir(file)); err != nil || !info.IsDir() {
		return &types.FileNotFound{FileFault: types.FileFault{File: path.Dir(name)}}, "Folder " + path.Dir(name) + " was not found"
	}
	if _, err := os.Stat(file); err == nil {
		if force == nil || !*force {
			return &types.FileAlreadyExists{FileFault: types.FileFault{File: name}}, "File " + name + " already exists"
		}
		return e.disks.locked(name)
	}
	return nil, ""
}

func fileFault(err error, name string) (types.AnyType, types.BaseMethodFault, string) {
	if os.IsNotExist(err) {
		return nil, &types.FileNotFound{FileFault: types.FileFault{File: name}}, "File " + name + " was not found"
	}
	return nil, &types.FileFault{File: name}, "File " + name + ": " + err.Error()
}

func (e *endpoint) moveFile(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
	var from, to string
	switch call := m.Body.(type) {
	case *types.MoveVirtualDisk_Task:
		from, to = call.SourceName, call.DestName
	case *types.MoveDatastoreFile_Task:
		from, to = call.SourceName, call.DestinationName
	}
	for _, name := range []string{from, to} {
		if fault, message := e.disks.locked(name); fault != nil {
			writeResult(w, m.Name, e.failedTask(m, fault, message))
			return true
		}
	}
	e.passTask(w, r, func(failed bool) {
		if !failed {
			e.disks.move(from, to)
			if m.Name == "MoveVirtualDisk_Task" {
				e.disks.move(flatName(from), flatName(to))
			}
		}
	})
	return true
}

func (e *endpoint) deleteDatastoreFile(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
	var name string
	switch call := m.Body.(type) {
	case *types.DeleteVirtualDisk_Task:
		name = call.Name
	case *types.DeleteDatastoreFile_Task:
		name = call.Name
	}
	if strings.TrimSpace(strings.TrimPrefix(name, "["+datastoreOf(name)+"]")) == "" {
		writeResult(w, m.Name, e.failedTask(m, &types.InvalidDatastorePath{DatastorePath: name}, "The root of a datastore is not deleted"))
		return true
	}
	if fault, message := e.disks.locked(name); fault != nil {
		writeResult(w, m.Name, e.failedTask(m, fault, message))
		return true
	}
	e.passTask(w, r, func(failed bool) {
		if !failed {
			e.disks.remove(name)
			if m.Name == "DeleteVirtualDisk_Task" {
				e.disks.remove(flatName(name))
			}
		}
	})
	return true
}
