package main

import (
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vmdk"
)

// Entries of a descriptor's disk database: the disk's uuid, and the disk that a child holds the differences from.
const (
	uuidEntry   = "uuid"
	parentEntry = "parentFileNameHint"
	volumes     = "/vmfs/volumes/"
)

// readDescriptor is the text file that describes a disk, by its datastore path.
func (e *endpoint) readDescriptor(name string) (*vmdk.Descriptor, error) {
	f, err := os.Open(e.disks.real(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return vmdk.ParseDescriptor(f)
}

// describeDisk changes a disk's descriptor, or writes a first one. Its extent is the flat file in the same folder.
func (e *endpoint) describeDisk(name string, change func(*vmdk.Descriptor)) error {
	parsed, err := e.readDescriptor(name)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if err != nil || len(parsed.Extent) == 0 {
		parsed = vmdk.NewDescriptor(vmdk.Extent{})
	}
	parsed.Extent[0].Info = path.Base(flatName(e.disks.real(name)))
	change(parsed)
	out, err := os.Create(e.disks.real(name))
	if err != nil {
		return err
	}
	if err := parsed.Write(out); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}

// shape gives a new disk what the simulator leaves out: an extent of the disk's full size, all holes, its uuid, and the
// parent of a child.
func (e *endpoint) shape(d diskRecord) {
	parsed, err := e.readDescriptor(d.path)
	if err != nil || len(parsed.Extent) != 1 {
		return // not a disk of ours
	}
	hint := e.hint(d.parent)
	if d.uuid != "" && parsed.DDB[uuidEntry] != d.uuid || parsed.DDB[parentEntry] != hint {
		err = e.describeDisk(d.path, func(v *vmdk.Descriptor) {
			if d.uuid != "" {
				v.DDB[uuidEntry] = d.uuid
			}
			if hint != "" {
				v.DDB[parentEntry] = hint
			}
		})
	}
	if err == nil {
		err = lengthen(flatName(e.disks.real(d.path)), parsed.Capacity())
	}
	if err != nil {
		quietLog.Print(err)
	}
}

// lengthen makes a file as long as asked, the rest a hole, and never shorter.
func lengthen(file string, size int64) error {
	info, err := os.Stat(file)
	if err != nil || info.Size() >= size {
		return err
	}
	return os.Truncate(file, size)
}

// newDisk writes the files of a disk of that size, all holes.
func (e *endpoint) newDisk(name, uuid string, size int64) error {
	err := e.describeDisk(name, func(v *vmdk.Descriptor) {
		v.Extent[0].Size, v.DDB[uuidEntry] = size/sectorSize, uuid
	})
	if err != nil {
		return err
	}
	flat, err := os.Create(flatName(e.disks.real(name)))
	if err != nil {
		return err
	}
	defer flat.Close()
	return flat.Truncate(size)
}

// diskSize is the virtual size of a disk by its descriptor; 0 where there is none.
func (e *endpoint) diskSize(name string) int64 {
	parsed, err := e.readDescriptor(name)
	if err != nil {
		return 0
	}
	return parsed.Capacity()
}

func (e *endpoint) diskUUID(name string) string {
	parsed, err := e.readDescriptor(name)
	if err != nil {
		return ""
	}
	return parsed.DDB[uuidEntry]
}

// growFile follows a disk's growth in its files; what was written stays.
func (e *endpoint) growFile(name string, size int64) {
	if was := e.diskSize(name); was == 0 || was > size {
		return
	}
	err := e.describeDisk(name, func(v *vmdk.Descriptor) { v.Extent[0].Size = size / sectorSize })
	if err == nil {
		err = lengthen(flatName(e.disks.real(name)), size)
	}
	if err != nil {
		quietLog.Print(err)
	}
}

// hint is how a descriptor names a parent: by the volume, which a datastore's new name does not change.
func (e *endpoint) hint(parent string) string {
	if parent == "" {
		return ""
	}
	var p object.DatastorePath
	p.FromString(parent)
	return volumes + path.Base(e.disks.root(p.Datastore)) + path.Join("/", p.Path)
}

// parentOf is the datastore path of the disk that a disk is a child of, by its descriptor.
func (e *endpoint) parentOf(name string) string {
	parsed, err := e.readDescriptor(name)
	if err != nil {
		return ""
	}
	volume, file, found := strings.Cut(strings.TrimPrefix(parsed.DDB[parentEntry], volumes), "/")
	if !found {
		return ""
	}
	for _, ds := range e.disks.all() {
		if path.Base(ds.Summary.Url) == volume {
			return "[" + ds.Name + "] " + file
		}
	}
	return ""
}

// chain are the extents that make up a disk: that of its oldest ancestor first, its own last.
func (e *endpoint) chain(name string) (files []string, err error) {
	for seen := map[string]bool{}; name != ""; name = e.parentOf(name) {
		if seen[name] {
			return nil, fmt.Errorf("%s is its own ancestor", name)
		}
		seen[name] = true
		file := flatName(e.disks.real(name))
		if _, err := os.Stat(file); err != nil {
			return nil, err
		}
		files = append([]string{file}, files...)
	}
	return files, nil
}

// writtenIn is what the extents hold: their blocks, which leave out the holes.
func writtenIn(files []string) (total int64) {
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			total += blocks(info)
		}
	}
	return total
}

// compose writes extents over each other into one file, as a guest sees the last disk of a chain. Holes stay holes; paced
// hears of every piece before it is written and may stop the work.
func compose(files []string, size int64, to string, paced func(bytes int64) error) error {
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	for _, file := range files {
		if err := overlay(file, out, paced); err != nil {
			return err
		}
	}
	return out.Truncate(size)
}

// copyChain writes what a guest sees of a disk into the extent of another, whose descriptor is there.
func (e *endpoint) copyChain(from, to string) error {
	files, err := e.chain(from)
	if err != nil {
		return err
	}
	return compose(files, e.diskSize(from), flatName(e.disks.real(to)), e.disks.between(datastoreOf(from), datastoreOf(to)).piece)
}

// copySparse copies a file and leaves its holes out; an ordinary copy would fill memory with zeros.
func copySparse(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	return compose([]string{from}, info.Size(), to, func(int64) error { return nil })
}

// pieceBytes is how much is copied at once: small enough for concurrent work to share a datastore's bandwidth evenly.
const pieceBytes = 1 << 18

func overlay(from string, out *os.File, paced func(bytes int64) error) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	const seekData, seekHole = 3, 4
	for at := int64(0); at < info.Size(); {
		data, err := syscall.Seek(int(in.Fd()), at, seekData)
		if err == syscall.ENXIO { // nothing but a hole up to the end
			return nil
		} else if err != nil {
			return err
		}
		hole, err := syscall.Seek(int(in.Fd()), data, seekHole)
		if err != nil {
			return err
		}
		for ; data < hole; data += pieceBytes {
			piece := min(pieceBytes, hole-data)
			if err := paced(piece); err != nil {
				return err
			}
			if _, err := io.Copy(io.NewOffsetWriter(out, data), io.NewSectionReader(in, data, piece)); err != nil {
				return err
			}
		}
		at = hole
	}
	return nil
}

// sizeExisting gives disks that are attached what their files say, whatever the call says: size, uuid, parent, and the
// first-class disk they are.
func (e *endpoint) sizeExisting(changes []types.BaseVirtualDeviceConfigSpec) (changed bool) {
	for _, change := range changes {
		s := change.GetVirtualDeviceConfigSpec()
		disk, ok := s.Device.(*types.VirtualDisk)
		if !ok || s.Operation != types.VirtualDeviceConfigSpecOperationAdd || s.FileOperation != "" {
			continue
		}
		d := readDisk(disk)
		size := e.diskSize(d.path)
		if !strings.HasSuffix(d.path, ".vmdk") || size == 0 {
			continue
		}
		if d.parent == "" && size != d.capacity {
			disk.CapacityInBytes, disk.CapacityInKB, changed = size, size/1024, true
		}
		if b, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
			if uuid := e.diskUUID(d.path); uuid != "" && b.Uuid != uuid {
				b.Uuid, changed = uuid, true
			}
			if parent := e.parentOf(d.path); parent != "" && b.Parent == nil {
				b.Parent, changed = &types.VirtualDiskFlatVer2BackingInfo{DiskMode: b.DiskMode,
					VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{FileName: parent}}, true
			}
		}
		if id := e.firstClass(d.path); id != nil && disk.VDiskId == nil {
			disk.VDiskId, changed = id, true
		}
	}
	return changed
}

// admitAttach refuses to attach a disk that another VM runs on.
func (e *endpoint) admitAttach(changes []types.BaseVirtualDeviceConfigSpec, to types.ManagedObjectReference) refusal {
	for _, change := range changes {
		s := change.GetVirtualDeviceConfigSpec()
		disk, ok := s.Device.(*types.VirtualDisk)
		if !ok || s.Operation != types.VirtualDeviceConfigSpecOperationAdd || s.FileOperation != "" {
			continue
		}
		if no := e.inUse(readDisk(disk).path, to); no.fault != nil {
			return no
		}
	}
	return refusal{}
}

// inUse refuses work on a disk that another VM runs on.
func (e *endpoint) inUse(name string, but types.ManagedObjectReference) refusal {
	name = cleanPath(name)
	if other := e.runsOn(name, but); other != nil {
		return refuse(&types.FileLocked{FileFault: types.FileFault{File: name}},
			"Failed to lock the file %s: virtual machine %s runs on it", name, other.name)
	}
	return refusal{}
}

// growths are the new sizes of disks that a reconfigure edits, by path.
func growths(vm *vmRecord, changes []types.BaseVirtualDeviceConfigSpec) map[string]int64 {
	sizes := map[string]int64{}
	for _, change := range changes {
		s := change.GetVirtualDeviceConfigSpec()
		disk, ok := s.Device.(*types.VirtualDisk)
		if !ok || s.Operation != types.VirtualDeviceConfigSpecOperationEdit {
			continue
		}
		for _, old := range vm.disks {
			if size := readDisk(disk).capacity; old.key == disk.Key && size > old.capacity {
				sizes[old.path] = size
			}
		}
	}
	return sizes
}

// resized tells every VM that has a disk of its new size.
func (e *endpoint) resized(name string, size int64) {
	for _, vm := range e.index.all() {
		for _, d := range vm.disks {
			if d.path == cleanPath(name) {
				e.resizeDevice(vm.ref, d.key, size)
			}
		}
	}
}

func (e *endpoint) resizeDevice(ref types.ManagedObjectReference, key int32, size int64) {
	vm, ok := e.model.Map().Get(ref).(*simulator.VirtualMachine)
	if !ok {
		return
	}
	ctx := e.context()
	ctx.WithLock(vm, func() {
		devices := append([]types.BaseVirtualDevice(nil), vm.Config.Hardware.Device...)
		for i, device := range devices {
			if old, ok := device.(*types.VirtualDisk); ok && old.Key == key {
				changed := *old
				changed.CapacityInBytes, changed.CapacityInKB = size, size/1024
				devices[i] = &changed
			}
		}
		ctx.Update(vm, []types.PropertyChange{{Name: "config.hardware.device", Val: devices}})
	})
}
