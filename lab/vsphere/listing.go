package main

import (
	"os"
	"path"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// listed completes what a search of a datastore found: a disk's file has the size that its extent takes, and its
// capacity. The simulator shows the size of the descriptor.
func (e *endpoint) listed(result types.AnyType) types.AnyType {
	switch found := result.(type) {
	case types.HostDatastoreBrowserSearchResults:
		e.listDisks(found)
	case types.ArrayOfHostDatastoreBrowserSearchResults:
		for _, folder := range found.HostDatastoreBrowserSearchResults {
			e.listDisks(folder)
		}
	}
	return result
}

func (e *endpoint) listDisks(folder types.HostDatastoreBrowserSearchResults) {
	for _, file := range folder.File {
		disk, ok := file.(*types.VmDiskFileInfo)
		if !ok || strings.HasSuffix(disk.Path, "-flat.vmdk") {
			continue
		}
		name := cleanPath(folder.FolderPath + "/" + disk.Path)
		if strings.HasSuffix(folder.FolderPath, "]") {
			name = folder.FolderPath + " " + disk.Path
		}
		size := e.diskSize(name)
		if size == 0 {
			continue
		}
		record, _ := e.disks.get(name)
		info, err := os.Stat(flatName(path.Clean(e.disks.real(name))))
		if err != nil { // a descriptor whose extent is gone
			continue
		}
		thin := record.thin
		disk.FileSize, disk.CapacityKb, disk.Thin = info.Size(), size/1024, &thin
		if thin {
			disk.FileSize = blocks(info)
		}
	}
}
