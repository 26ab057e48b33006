package main

import (
	"os"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vmdk"
)

// sizeExisting gives disks that are attached the size their file has, whatever the call says.
func (e *endpoint) sizeExisting(changes []types.BaseVirtualDeviceConfigSpec) (changed bool) {
	for _, change := range changes {
		s := change.GetVirtualDeviceConfigSpec()
		disk, ok := s.Device.(*types.VirtualDisk)
		if !ok || s.Operation != types.VirtualDeviceConfigSpecOperationAdd || s.FileOperation != "" {
			continue
		}
		d := readDisk(disk)
		if size := e.diskSize(d.path); strings.HasSuffix(d.path, ".vmdk") && d.parent == "" && size > 0 && size != d.capacity {
			disk.CapacityInBytes, disk.CapacityInKB, changed = size, size/1024, true
		}
	}
	return changed
}

// diskSize is the virtual size of a disk by its descriptor; 0 where there is none.
func (e *endpoint) diskSize(name string) int64 {
	f, err := os.Open(e.disks.real(name))
	if err != nil {
		return 0
	}
	defer f.Close()
	parsed, err := vmdk.ParseDescriptor(f)
	if err != nil {
		return 0
	}
	return parsed.Capacity()
}

// growFile follows a disk's growth in its files, which the simulator leaves as they were.
func (e *endpoint) growFile(name string, size int64) {
	if was := e.diskSize(name); was == 0 || was >= size {
		return
	}
	file := e.disks.real(name)
	if err := writeDescriptor(file, size); err != nil {
		quietLog.Print(err)
		return
	}
	if info, err := os.Stat(flatName(file)); err == nil && info.Size() > 0 {
		_ = os.Truncate(flatName(file), size)
	}
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
			if size := readDisk(disk).capacity; old.key == disk.Key && old.parent == "" && size > old.capacity {
				sizes[old.path] = size
			}
		}
	}
	return sizes
}
