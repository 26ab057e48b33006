package main

import (
	"io/fs"
	"path/filepath"
	"sort"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// endpointState is everything a test compares a product's records with.
type endpointState struct {
	VMs        []vmState        `json:"vms"`
	Hosts      []hostState      `json:"hosts"`
	Clusters   []clusterState   `json:"clusters"`
	Datastores []datastoreState `json:"datastores"`
	Leases     []leaseState     `json:"leases"`
	Sessions   int              `json:"sessions"`
}

type vmState struct {
	MoID          string            `json:"moid"`
	Name          string            `json:"name"`
	Folder        string            `json:"folder"` // path below the datacenter, e.g. vm/acme/web
	InstanceUUID  string            `json:"instance_uuid"`
	PowerState    string            `json:"power_state"`
	Host          string            `json:"host"`
	Datastores    []string          `json:"datastores"`
	CPUs          int32             `json:"cpus"`
	MemoryMB      int32             `json:"memory_mb"`
	Template      bool              `json:"template"`
	Annotation    string            `json:"annotation"`
	Address       string            `json:"address"`
	Networks      []string          `json:"networks"`
	Disks         []diskState       `json:"disks"`
	ExtraConfig   map[string]string `json:"extra_config"`
	ChangeVersion string            `json:"change_version"`
}

type diskState struct {
	Key      int32  `json:"key"`
	File     string `json:"file"`
	Parent   string `json:"parent"`
	Capacity int64  `json:"capacity"`
	Thin     bool   `json:"thin"`
}

type hostState struct {
	MoID        string `json:"moid"`
	Name        string `json:"name"`
	Cores       int16  `json:"cores"`
	Memory      int64  `json:"memory"`
	Connection  string `json:"connection"`
	Maintenance bool   `json:"maintenance"`
	VMs         int    `json:"vms"`
}

type datastoreState struct {
	MoID     string   `json:"moid"`
	Name     string   `json:"name"`
	Capacity int64    `json:"capacity"`
	Free     int64    `json:"free"`
	Files    []string `json:"files"` // folders end with a slash
}

type leaseState struct {
	VM        string           `json:"vm"`
	State     string           `json:"state"`
	Uploading int              `json:"uploading"`
	Received  map[string]int64 `json:"received"`
}

func (e *endpoint) state() endpointState {
	ctx := e.context()
	e.disks.sync(ctx)
	s := endpointState{VMs: []vmState{}, Hosts: []hostState{}, Datastores: []datastoreState{}, Leases: []leaseState{}}
	for _, entity := range e.model.Map().All("VirtualMachine") {
		if vm, ok := entity.(*simulator.VirtualMachine); ok {
			ctx.WithLock(vm, func() { s.VMs = append(s.VMs, e.vmState(&vm.VirtualMachine)) })
		}
	}
	for _, entity := range e.model.Map().All("HostSystem") {
		host := entity.(*simulator.HostSystem)
		ctx.WithLock(host, func() {
			s.Hosts = append(s.Hosts, hostState{MoID: host.Self.Value, Name: host.Name, Cores: host.Summary.Hardware.NumCpuCores,
				Memory: host.Summary.Hardware.MemorySize, Connection: string(host.Runtime.ConnectionState),
				Maintenance: host.Runtime.InMaintenanceMode, VMs: len(host.Vm)})
		})
	}
	for _, entity := range e.model.Map().All("Datastore") {
		ds := entity.(*simulator.Datastore)
		ctx.WithLock(ds, func() {
			s.Datastores = append(s.Datastores, datastoreState{MoID: ds.Self.Value, Name: ds.Name, Capacity: ds.Summary.Capacity,
				Free: ds.Summary.FreeSpace, Files: filesBelow(ds.Summary.Url)})
		})
	}
	s.Clusters = e.clusterStates(ctx)
	e.mu.Lock()
	s.Sessions = len(e.sessions)
	leases := []*HttpNfcLease{}
	for _, lease := range e.leases {
		leases = append(leases, lease)
	}
	e.mu.Unlock()
	for _, lease := range leases {
		s.Leases = append(s.Leases, lease.report())
	}
	sort.Slice(s.VMs, func(i, j int) bool { return s.VMs[i].MoID < s.VMs[j].MoID })
	sort.Slice(s.Hosts, func(i, j int) bool { return s.Hosts[i].Name < s.Hosts[j].Name })
	sort.Slice(s.Datastores, func(i, j int) bool { return s.Datastores[i].Name < s.Datastores[j].Name })
	return s
}

func (l *HttpNfcLease) report() leaseState {
	ctx := l.e.context()
	state := ""
	ctx.WithLock(l, func() { state = string(l.State) })
	l.mu.Lock()
	defer l.mu.Unlock()
	r := leaseState{VM: l.vmName, State: state, Uploading: l.uploading, Received: map[string]int64{}}
	for name, d := range l.disks {
		r.Received[name] = d.received
	}
	return r
}

func (e *endpoint) vmState(vm *mo.VirtualMachine) vmState {
	s := vmState{MoID: vm.Self.Value, Name: vm.Name, PowerState: string(vm.Runtime.PowerState), Datastores: []string{},
		Networks: []string{}, Disks: []diskState{}, ExtraConfig: map[string]string{}}
	if vm.Parent != nil {
		s.Folder = e.folderPath(*vm.Parent)
	}
	if vm.Runtime.Host != nil {
		s.Host = e.entityName(*vm.Runtime.Host)
	}
	for _, ref := range vm.Datastore {
		s.Datastores = append(s.Datastores, e.entityName(ref))
	}
	for _, ref := range vm.Network {
		s.Networks = append(s.Networks, e.entityName(ref))
	}
	if vm.Guest != nil {
		s.Address = vm.Guest.IpAddress
	}
	if vm.Config == nil {
		return s
	}
	s.InstanceUUID, s.ChangeVersion = vm.Config.InstanceUuid, vm.Config.ChangeVersion
	s.CPUs, s.MemoryMB = vm.Config.Hardware.NumCPU, vm.Config.Hardware.MemoryMB
	s.Template, s.Annotation = vm.Config.Template, vm.Config.Annotation
	for _, d := range record(vm).disks {
		s.Disks = append(s.Disks, diskState{Key: d.key, File: d.path, Parent: d.parent, Capacity: d.capacity, Thin: d.thin})
	}
	for _, option := range vm.Config.ExtraConfig {
		if option == nil {
			continue
		}
		if o := option.GetOptionValue(); o != nil {
			value, _ := o.Value.(string)
			s.ExtraConfig[o.Key] = value
		}
	}
	return s
}

// folderPath is the path below the datacenter.
func (e *endpoint) folderPath(ref types.ManagedObjectReference) string {
	names := []string{}
	for ref.Type == "Folder" {
		entity, ok := e.model.Map().Get(ref).(mo.Entity)
		if !ok {
			break
		}
		names = append([]string{entity.Entity().Name}, names...)
		if entity.Entity().Parent == nil {
			break
		}
		ref = *entity.Entity().Parent
	}
	return strings.Join(names, "/")
}

func filesBelow(root string) []string {
	files := []string{}
	_ = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == root {
			return nil // a file that goes while it is listed is not there
		}
		relative, _ := filepath.Rel(root, name)
		if entry.IsDir() {
			relative += "/"
		}
		files = append(files, relative)
		return nil
	})
	return files
}
