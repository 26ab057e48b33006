package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path"
	"strings"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/object"
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
	return diskType(spec) == string(types.VirtualDiskTypeThin)
}

func diskType(spec types.BaseVirtualDiskSpec) string {
	if spec == nil {
		return ""
	}
	return spec.GetVirtualDiskSpec().DiskType
}

func (e *endpoint) createDisk(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.CreateVirtualDisk_Task)
	need, profile := int64(0), ""
	if spec, ok := call.Spec.(types.BaseFileBackedVirtualDiskSpec); ok {
		if !isThin(call.Spec) {
			need = spec.GetFileBackedVirtualDiskSpec().CapacityKb * 1024
		}
		profile = profileOf(spec.GetFileBackedVirtualDiskSpec().Profile)
	}
	return e.spacedTask(w, r, m, call.Name, need, func() {
		e.disks.set(call.Name, need, isThin(call.Spec))
		e.disks.setProfile(call.Name, profile)
		e.shape(diskRecord{path: call.Name, uuid: e.uuidOf(call.Datacenter, call.Name)})
	})
}

// uuidOf is the uuid of a disk; one whose descriptor has none yet gets the simulator's, which follows from its path.
func (e *endpoint) uuidOf(datacenter *types.ManagedObjectReference, name string) string {
	if uuid := e.diskUUID(name); uuid != "" {
		return uuid
	}
	if datacenter == nil {
		ref := e.model.Map().Any("Datacenter").Reference()
		datacenter = &ref
	}
	client, ctx := e.client()
	manager := object.NewVirtualDiskManager(client)
	uuid, err := manager.QueryVirtualDiskUuid(ctx, name, object.NewDatacenter(client, *datacenter))
	if err != nil {
		quietLog.Print(err)
	}
	return uuid
}

// queryUUID reads the uuid of a disk in its descriptor, so that it stays when the disk moves.
func (e *endpoint) queryUUID(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	uuid := e.diskUUID(m.Body.(*types.QueryVirtualDiskUuid).Name)
	if uuid == "" {
		return false
	}
	writeResponse(w, m.Name, &types.QueryVirtualDiskUuidResponse{Returnval: uuid})
	return true
}

func (e *endpoint) setUUID(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.SetVirtualDiskUuid)
	if e.diskSize(call.Name) == 0 {
		writeFault(w, &types.FileNotFound{FileFault: types.FileFault{File: call.Name}}, "File "+call.Name+" was not found")
		return true
	}
	if err := e.describeDisk(call.Name, func(v *vmdk.Descriptor) { v.DDB[uuidEntry] = call.Uuid }); err != nil {
		writeFault(w, &types.FileFault{File: call.Name}, err.Error())
		return true
	}
	writeResponse(w, m.Name, &types.SetVirtualDiskUuidResponse{})
	return true
}

func (e *endpoint) extendDisk(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.ExtendVirtualDisk_Task)
	if no := e.admitExtend(call.Name); no.fault != nil {
		writeResult(w, m.Name, e.failedTask(m, no.fault, no.message))
		return true
	}
	size := call.NewCapacityKb * 1024
	record, need := e.spaceToGrow(call.Name, size)
	return e.spacedTask(w, r, m, call.Name, need, func() {
		e.disks.set(call.Name, record.taken+need, record.thin)
		e.growFile(call.Name, size)
		e.resized(call.Name, size)
	})
}

// spaceToGrow is what a disk takes now, and what it takes more at its new size.
func (e *endpoint) spaceToGrow(name string, size int64) (record fileRecord, need int64) {
	record, known := e.disks.get(name)
	if known && !record.thin {
		need = max(0, size-record.taken)
	}
	return record, need
}

// admitExtend refuses to extend a disk that a VM runs on, that is a child, or that has children.
func (e *endpoint) admitExtend(name string) refusal {
	if no := e.inUse(name, types.ManagedObjectReference{}); no.fault != nil {
		return no
	}
	if e.parentOf(name) != "" {
		return refuse(&types.InvalidDeviceOperation{}, "%s is the child of another disk and cannot grow", name)
	}
	return e.parentInUse(&vmRecord{}, cleanPath(name))
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
	writeResult(w, m.Name, e.startTaskAs(m, func(task *simulator.Task) (types.AnyType, types.BaseMethodFault, string) {
		from, to := e.disks.real(call.SourceName), e.disks.real(call.DestName)
		if err := usableDisk(from); err != nil {
			return fileFault(err, call.SourceName)
		}
		if fault, message := e.target(to, call.DestName, call.Force); fault != nil {
			return nil, fault, message
		}
		parsed, err := e.readDescriptor(call.SourceName)
		if err != nil {
			return fileFault(err, call.SourceName)
		}
		files, err := e.chain(call.SourceName)
		if err != nil {
			return fileFault(err, call.SourceName)
		}
		record, _ := e.disks.get(call.SourceName)
		taken, thin := min(writtenIn(files), parsed.Capacity()), true
		if asked := diskType(call.DestSpec); asked != "" && !isThin(call.DestSpec) || asked == "" && !record.thin {
			taken, thin = parsed.Capacity(), false
		}
		release, full := e.disks.claim(map[string]int64{datastoreOf(call.DestName): taken})
		if full != "" {
			no := noSpace(full)
			return nil, no.fault, no.message
		}
		defer release()
		paced := e.disks.between(datastoreOf(call.SourceName), datastoreOf(call.DestName))
		if err := compose(files, parsed.Capacity(), flatName(to), e.reported(task, writtenIn(files), paced)); err != nil {
			_ = os.Remove(flatName(to))
			return fileFault(err, call.DestName)
		}
		if err := e.describeDisk(call.DestName, func(v *vmdk.Descriptor) {
			v.Extent[0].Size, v.DDB[uuidEntry] = parsed.Capacity()/sectorSize, uuid.NewString()
			delete(v.DDB, parentEntry)
		}); err != nil {
			return fileFault(err, call.DestName)
		}
		e.disks.set(call.DestName, taken, thin)
		e.disks.setProfile(call.DestName, profileOfSpec(call.DestSpec))
		return nil, nil, ""
	}))
	return true
}

// errCancelled ends a copy whose task was cancelled.
var errCancelled = errors.New("the task was canceled")

// reported paces a copy and writes into its task how far it is, in percent of all bytes.
func (e *endpoint) reported(task *simulator.Task, all int64, paced pacer) func(int64) error {
	done, shown := int64(0), int32(0)
	return func(bytes int64) error {
		_ = paced.piece(bytes)
		done += bytes
		percent := int32(min(99, done*100/max(all, 1)))
		if percent == shown {
			return nil
		}
		shown = percent
		ctx, running := e.context(), true
		ctx.WithLock(task, func() {
			if running = task.Info.State == types.TaskInfoStateRunning; running {
				ctx.Update(task, []types.PropertyChange{{Name: "info.progress", Val: percent}})
			}
		})
		if !running {
			return errCancelled
		}
		return nil
	}
}

func (e *endpoint) copyFile(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.CopyDatastoreFile_Task)
	writeResult(w, m.Name, e.startTaskAs(m, func(task *simulator.Task) (types.AnyType, types.BaseMethodFault, string) {
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
		paced := e.disks.between(datastoreOf(call.SourceName), datastoreOf(call.DestinationName))
		if err := compose([]string{from}, info.Size(), to, e.reported(task, blocks(info), paced)); err != nil {
			_ = os.Remove(to)
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
				if err := e.describeDisk(to, func(*vmdk.Descriptor) {}); err != nil { // the extent has another name now
					quietLog.Print(err)
				}
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
