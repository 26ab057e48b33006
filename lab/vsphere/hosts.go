package main

import (
	"fmt"
	"net/http"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// absentHost is a host that was taken out of the inventory: its VMs and files are where they were.
type absentHost struct {
	spec     hostSpec
	stores   []mount
	networks []types.ManagedObjectReference
	vms      []*vmImage
}

type mount struct {
	name, url, kind string
	capacity        int64
	shared          bool
}

// setConnection is what vCenter knows of a host that it reaches or not; its VMs are connected as it is.
func (e *endpoint) setConnection(ref types.ManagedObjectReference, state types.HostSystemConnectionState) bool {
	host, ok := e.model.Map().Get(ref).(*simulator.HostSystem)
	if !ok {
		return false
	}
	ctx := e.context()
	ctx.Map.AtomicUpdate(ctx, host, []types.PropertyChange{{Name: "runtime.connectionState", Val: state},
		{Name: "summary.runtime.connectionState", Val: state}})
	vms := types.VirtualMachineConnectionStateConnected
	if state != types.HostSystemConnectionStateConnected {
		vms = types.VirtualMachineConnectionStateDisconnected
	}
	for _, record := range e.index.onHost(ref) {
		if vm, ok := e.model.Map().Get(record.ref).(*simulator.VirtualMachine); ok {
			ctx.Map.AtomicUpdate(ctx, vm, []types.PropertyChange{{Name: "runtime.connectionState", Val: vms},
				{Name: "summary.runtime.connectionState", Val: vms}})
		}
	}
	return true
}

func (e *endpoint) disconnectHost(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	return e.connectionTask(w, m, types.HostSystemConnectionStateDisconnected)
}

func (e *endpoint) reconnectHost(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	return e.connectionTask(w, m, types.HostSystemConnectionStateConnected)
}

func (e *endpoint) connectionTask(w http.ResponseWriter, m *simulator.Method, state types.HostSystemConnectionState) bool {
	if e.kind == "esxi" {
		writeFault(w, &types.NotSupported{}, "The operation is not supported on the object.")
		return true
	}
	writeResult(w, m.Name, e.startTask(m, func() (types.AnyType, types.BaseMethodFault, string) {
		e.setConnection(m.This, state)
		return nil, nil, ""
	}))
	return true
}

// hostAway refuses tasks of VMs whose host vCenter does not reach.
func (e *endpoint) hostAway(m *simulator.Method) refusal {
	vm := e.index.vm(m.This)
	if vm == nil || !isTaskMethod(m.Name) {
		return refusal{}
	}
	host, ok := e.model.Map().Get(vm.host).(*simulator.HostSystem)
	if !ok || host.Runtime.ConnectionState == types.HostSystemConnectionStateConnected {
		return refusal{}
	}
	return refuse(&types.HostNotConnected{}, "Unable to communicate with the remote host %s: it is %s",
		host.Name, host.Runtime.ConnectionState)
}

// removeHost takes a host out of the inventory: one of a cluster in maintenance or disconnected, a standalone one always.
// Its VMs leave with it, and run on.
func (e *endpoint) removeHost(w http.ResponseWriter, m *simulator.Method) bool {
	ref := m.This
	if resource, ok := e.model.Map().Get(ref).(*mo.ComputeResource); ok && len(resource.Host) == 1 {
		ref = resource.Host[0]
	}
	host, ok := e.model.Map().Get(ref).(*simulator.HostSystem)
	if !ok || e.kind == "esxi" {
		writeFault(w, &types.NotSupported{}, "The operation is not supported on the object.")
		return true
	}
	if connected := host.Runtime.ConnectionState == types.HostSystemConnectionStateConnected; connected &&
		!host.Runtime.InMaintenanceMode && host.Parent.Type == "ClusterComputeResource" {
		no := refuse(&types.InvalidState{}, "Host %s must be in maintenance mode before it leaves its cluster", host.Name)
		writeResult(w, m.Name, e.failedTask(m, no.fault, no.message))
		return true
	}
	writeResult(w, m.Name, e.startTask(m, func() (types.AnyType, types.BaseMethodFault, string) {
		e.takeOut(host)
		return nil, nil, ""
	}))
	return true
}

func (e *endpoint) takeOut(host *simulator.HostSystem) {
	e.mirroring.Lock() // a mirror that runs must not see the VMs go
	e.mu.Lock()
	if esx := e.managed[host.Self]; esx != nil {
		delete(e.managed, host.Self)
		esx.setManager(nil)
	}
	e.mu.Unlock()
	e.mirroring.Unlock()
	away := &absentHost{spec: hostSpec{Name: host.Name, Cores: int(host.Summary.Hardware.NumCpuCores),
		Threads: int(host.Summary.Hardware.NumCpuThreads), MHz: int(host.Summary.Hardware.CpuMhz),
		Memory: host.Summary.Hardware.MemorySize, UUID: host.Summary.Hardware.Uuid},
		networks: append([]types.ManagedObjectReference(nil), host.Network...)}
	for _, vm := range e.index.onHost(host.Self) {
		if i := e.image(vm.ref); i != nil {
			away.vms = append(away.vms, i)
			e.writeVMX(vm.ref)
			e.forget(vm.ref)
		}
	}
	ctx := e.context()
	for _, ds := range e.disks.all() {
		if simulator.FindReference(host.Datastore, ds.Self) == nil {
			continue
		}
		left := 0
		ctx.WithLock(ds, func() {
			away.stores = append(away.stores, mount{ds.Name, ds.Summary.Url, ds.Summary.Type, ds.Summary.Capacity,
				ds.Summary.MultipleHostAccess != nil && *ds.Summary.MultipleHostAccess})
			kept := []types.DatastoreHostMount{}
			for _, each := range ds.Host {
				if each.Key != host.Self {
					kept = append(kept, each)
				}
			}
			ds.Host, left = kept, len(kept)
		})
		if left == 0 {
			e.destroyStore(ds)
		}
	}
	parent := *host.Parent
	for _, entity := range e.model.Map().All("VmwareDistributedVirtualSwitch") {
		if dvs, ok := entity.(*simulator.DistributedVirtualSwitch); ok {
			ctx.WithLock(dvs, func() { dvs.Summary.HostMember = without(dvs.Summary.HostMember, host.Self) })
		}
	}
	for _, kind := range []string{"Network", "DistributedVirtualPortgroup"} {
		for _, entity := range e.model.Map().All(kind) {
			switch n := entity.(type) {
			case *mo.Network:
				ctx.WithLock(n, func() { n.Host = without(n.Host, host.Self) })
			case *simulator.DistributedVirtualPortgroup:
				ctx.WithLock(n, func() { n.Host = without(n.Host, host.Self) })
			}
		}
	}
	e.mu.Lock()
	e.absent[host.Name] = away
	e.mu.Unlock()
	e.model.Map().Remove(ctx, host.Self)
	if resource, ok := e.model.Map().Get(parent).(*mo.ComputeResource); ok {
		if folder, ok := e.model.Map().Get(*resource.Parent).(*simulator.Folder); ok {
			ctx.WithLock(folder, func() { folder.ChildEntity = without(folder.ChildEntity, resource.Self) })
		}
		e.model.Map().Remove(ctx, *resource.ResourcePool)
		e.model.Map().Remove(ctx, resource.Self)
		return
	}
	total(e.model.Map(), parent)
}

// destroyStore drops a datastore that no host has any more; its files stay.
func (e *endpoint) destroyStore(ds *simulator.Datastore) {
	client, ctx := e.client()
	task, err := object.NewDatastore(client, ds.Self).Destroy(ctx)
	if err == nil {
		err = task.Wait(ctx)
	}
	if err != nil {
		quietLog.Print(err)
	}
}

// addHost brings a host that left back, or puts an ESXi endpoint of the lab under this vCenter. Others are made up.
func (e *endpoint) addHost(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	var spec types.HostConnectSpec
	switch call := m.Body.(type) {
	case *types.AddHost_Task:
		spec = call.Spec
	case *types.AddStandaloneHost_Task:
		spec = call.Spec
	}
	e.mu.Lock()
	away := e.absent[spec.HostName]
	e.mu.Unlock()
	esx := e.lab.esxi(spec.HostName)
	if away == nil && esx == nil {
		return false
	}
	if e.hostNamed(spec.HostName) != nil {
		no := refuse(&types.DuplicateName{Name: spec.HostName, Object: m.This}, "Host %s is in the inventory already", spec.HostName)
		writeResult(w, m.Name, e.failedTask(m, no.fault, no.message))
		return true
	}
	if esx != nil && (spec.UserName != esx.spec.Username || spec.Password != esx.password()) {
		no := refuse(&types.InvalidLogin{}, "Cannot complete login due to an incorrect user name or password.")
		writeResult(w, m.Name, e.failedTask(m, no.fault, no.message))
		return true
	}
	writeResult(w, m.Name, e.startTask(m, func() (types.AnyType, types.BaseMethodFault, string) {
		if esx != nil {
			away = esx.asAbsent()
		}
		ref, err := e.bringIn(m.This, away)
		if err != nil {
			return nil, &types.SystemError{Reason: err.Error()}, err.Error()
		}
		if esx != nil {
			e.manage(ref, esx)
		}
		return ref, nil, ""
	}))
	return true
}

func (e *endpoint) hostNamed(name string) *simulator.HostSystem {
	for _, entity := range e.model.Map().All("HostSystem") {
		if host := entity.(*simulator.HostSystem); host.Name == name {
			return host
		}
	}
	return nil
}

// bringIn adds a host to a cluster or host folder with all that it has.
func (e *endpoint) bringIn(where types.ManagedObjectReference, away *absentHost) (types.ManagedObjectReference, error) {
	client, ctx := e.client()
	b := &builder{spec: e.spec, model: e.model, client: client, ctx: ctx, hosts: map[string]*simulator.HostSystem{}}
	var task *object.Task
	var err error
	connect := types.HostConnectSpec{HostName: away.spec.Name}
	if where.Type == "ClusterComputeResource" {
		task, err = object.NewClusterComputeResource(client, where).AddHost(ctx, connect, true, nil, nil)
	} else {
		task, err = object.NewFolder(client, where).AddStandaloneHost(ctx, connect, true, nil, nil)
	}
	if err := b.size(away.spec, task, err); err != nil {
		return where, err
	}
	host := b.hosts[away.spec.Name]
	host.Runtime.ConnectionState = types.HostSystemConnectionStateConnected
	total(e.model.Map(), *host.Parent)
	names := map[string]string{}
	for _, each := range away.stores {
		if names[each.name], err = e.mountStore(b, host, each); err != nil {
			return host.Self, err
		}
	}
	host.Network = nil
	for _, network := range away.networks {
		if e.model.Map().Get(network) != nil {
			b.attach(host, network)
		}
	}
	if err := b.joinSwitches(host); err != nil {
		return host.Self, err
	}
	e.mu.Lock()
	delete(e.absent, away.spec.Name)
	e.mu.Unlock()
	for _, i := range away.vms {
		e.discover(i, names, host)
	}
	return host.Self, nil
}

// mountStore mounts a datastore on a host: the one the inventory has with that URL, else a new one with a free name.
func (e *endpoint) mountStore(b *builder, host *simulator.HostSystem, each mount) (string, error) {
	name := each.name
	known := false
	for _, ds := range e.disks.all() {
		if ds.Summary.Url == each.url {
			name, known = ds.Name, true
		}
	}
	for n := 1; !known && e.disks.datastore(name) != nil; n++ {
		name = fmt.Sprintf("%s (%d)", each.name, n)
	}
	if !known {
		e.disks.add(name, each.capacity)
	}
	system, err := object.NewHostSystem(b.client, host.Self).ConfigManager().DatastoreSystem(b.ctx)
	if err == nil {
		_, err = system.CreateLocalDatastore(b.ctx, name, each.url)
	}
	if err != nil {
		return name, fmt.Errorf("datastore %s: %w", name, err)
	}
	ds := e.disks.datastore(name)
	ds.Summary.Type, ds.Summary.MultipleHostAccess = each.kind, &each.shared
	e.disks.sync(e.context())
	return name, nil
}

// discover registers a VM that a host brings along, unless it was registered elsewhere by now.
func (e *endpoint) discover(i *vmImage, names map[string]string, host *simulator.HostSystem) {
	renameStores(&i.spec, names)
	if e.index.withVMX(i.spec.Files.VmPathName) != nil {
		return
	}
	at := place{i.folder, e.poolOf(host), host.Self}
	if e.model.Map().Get(at.folder) == nil {
		at.folder = e.discovered()
	}
	if _, no := e.adopt(i, at); no.fault != nil {
		quietLog.Print(no.message)
	}
}

// discovered is the folder vCenter puts the VMs of a new host into.
func (e *endpoint) discovered() types.ManagedObjectReference {
	const name = "Discovered virtual machine"
	dc := e.model.Map().Any("Datacenter").(*simulator.Datacenter)
	root := e.model.Map().Get(dc.VmFolder).(*simulator.Folder)
	if found := e.model.Map().FindByName(name, root.ChildEntity); found != nil {
		return found.Reference()
	}
	client, ctx := e.client()
	folder, err := object.NewFolder(client, dc.VmFolder).CreateFolder(ctx, name)
	if err != nil {
		return dc.VmFolder
	}
	return folder.Reference()
}
