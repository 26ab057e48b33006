package main

import (
	"fmt"
	"log"
	"net/http"
	"reflect"
	"runtime/debug"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// esxi is the endpoint that is the ESXi host of that name, or nil.
func (l *lab) esxi(host string) *endpoint {
	for _, e := range l.endpoints {
		if e.kind == "esxi" && e.spec.Hosts[0].Name == host {
			return e
		}
	}
	return nil
}

// asAbsent describes an ESXi endpoint as a host that is about to be added to a vCenter.
func (e *endpoint) asAbsent() *absentHost {
	away := &absentHost{spec: e.spec.Hosts[0]}
	ctx := e.context()
	for _, ds := range e.disks.all() {
		ctx.WithLock(ds, func() {
			away.stores = append(away.stores, mount{ds.Name, ds.Summary.Url, ds.Summary.Type, ds.Summary.Capacity, false})
		})
	}
	for _, vm := range e.index.all() {
		if i := e.image(vm.ref); i != nil {
			e.writeVMX(vm.ref)
			i.folder = types.ManagedObjectReference{}
			away.vms = append(away.vms, i)
		}
	}
	return away
}

// renameStores replaces datastore names in a VM's paths.
func renameStores(spec *types.VirtualMachineConfigSpec, names map[string]string) {
	follow := func(path *string) {
		if name, ok := names[datastoreOf(*path)]; ok {
			*path = strings.Replace(*path, "["+datastoreOf(*path)+"]", "["+name+"]", 1)
		}
	}
	follow(&spec.Files.VmPathName)
	for _, change := range spec.DeviceChange {
		device := change.GetVirtualDeviceConfigSpec().Device.GetVirtualDevice()
		switch b := device.Backing.(type) {
		case *types.VirtualDiskFlatVer2BackingInfo:
			follow(&b.FileName)
			b.Datastore = nil
			if b.Parent != nil {
				follow(&b.Parent.FileName)
				b.Parent.Datastore = nil
			}
		case *types.VirtualEthernetCardNetworkBackingInfo:
			b.Network = nil
		}
	}
}

// manage makes this vCenter the manager of an ESXi endpoint, which from now on shows what vCenter does to its VMs.
func (e *endpoint) manage(host types.ManagedObjectReference, esx *endpoint) {
	e.mu.Lock()
	e.managed[host] = esx
	e.mu.Unlock()
	esx.setManager(e)
	e.mirror(host)
}

func (e *endpoint) setManager(manager *endpoint) {
	address := ""
	if manager != nil {
		address = "127.0.0.1"
	}
	e.manager.Store(manager)
	host := e.model.Map().Any("HostSystem").(*simulator.HostSystem)
	ctx := e.context()
	ctx.Map.AtomicUpdate(ctx, host, []types.PropertyChange{{Name: "summary.managementServerIp", Val: address}})
}

// managedMethods are the calls that an ESXi host leaves to its vCenter in this lab.
var managedMethods = map[string]bool{"CreateVM_Task": true, "RegisterVM_Task": true, "UnregisterVM": true, "ImportVApp": true}

// leftToManager refuses changes of VMs on an ESXi host that a vCenter manages.
func (e *endpoint) leftToManager(m *simulator.Method) (types.BaseMethodFault, string) {
	if e.manager.Load() == nil || !managedMethods[m.Name] && !(m.This.Type == "VirtualMachine" && isTaskMethod(m.Name)) {
		return nil, ""
	}
	return &types.HostAccessRestrictedToManagementServer{ManagementServer: "127.0.0.1"},
		"The operation is not allowed: the host is managed by the vCenter at 127.0.0.1"
}

// mirrorSoon brings the ESXi endpoint behind a host up to date; the caller may hold locks.
func (e *endpoint) mirrorSoon(host types.ManagedObjectReference) {
	e.mu.Lock()
	esx := e.managed[host]
	e.mu.Unlock()
	if esx != nil {
		go func() {
			defer func() {
				if cause := recover(); cause != nil {
					log.Printf("mirror: %v\n%s", cause, debug.Stack())
				}
			}()
			e.mirror(host)
		}()
	}
}

// mirror makes the VMs of an ESXi endpoint those its vCenter shows on that host.
func (e *endpoint) mirror(host types.ManagedObjectReference) {
	e.mirroring.Lock()
	defer e.mirroring.Unlock()
	e.mu.Lock()
	esx := e.managed[host]
	e.mu.Unlock()
	if esx == nil {
		return
	}
	names := map[string]string{}
	for _, here := range e.disks.all() {
		for _, there := range esx.disks.all() {
			if here.Summary.Url == there.Summary.Url {
				names[here.Name] = there.Name
			}
		}
	}
	wanted := map[string]*vmImage{}
	for _, vm := range e.index.onHost(host) {
		if i := e.image(vm.ref); i != nil {
			renameStores(&i.spec, names)
			wanted[i.spec.InstanceUuid] = i
		}
	}
	for _, vm := range esx.index.all() {
		if i := wanted[vm.uuid]; i == nil {
			esx.forget(vm.ref)
		} else {
			esx.become(vm.ref, i)
			delete(wanted, vm.uuid)
		}
	}
	dc := esx.model.Map().Any("Datacenter").(*simulator.Datacenter)
	target := esx.model.Map().Any("HostSystem").(*simulator.HostSystem)
	for _, i := range wanted {
		if _, no := esx.adopt(i, place{dc.VmFolder, esx.poolOf(target), target.Self}); no.fault != nil {
			quietLog.Print(no.message)
		}
	}
}

// become gives a VM what its twin under vCenter has.
func (e *endpoint) become(ref types.ManagedObjectReference, i *vmImage) {
	mine := e.image(ref)
	vm, ok := e.model.Map().Get(ref).(*simulator.VirtualMachine)
	if !ok || mine == nil || mine.power == i.power && encodeSpec(&mine.spec) == encodeSpec(&i.spec) {
		return
	}
	ctx := e.context()
	ctx.WithLock(vm, func() {
		kept := []types.BaseVirtualDevice{}
		theirs := map[reflect.Type]bool{}
		for _, change := range i.spec.DeviceChange {
			theirs[reflect.TypeOf(change.GetVirtualDeviceConfigSpec().Device)] = true
		}
		for _, device := range vm.Config.Hardware.Device {
			if device.GetVirtualDevice().ControllerKey == 0 && !theirs[reflect.TypeOf(device)] || device.GetVirtualDevice().Key >= 12000 {
				kept = append(kept, device)
			}
		}
		for _, change := range i.spec.DeviceChange {
			device := change.GetVirtualDeviceConfigSpec().Device
			if b, ok := device.GetVirtualDevice().Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
				if ds := e.disks.datastore(datastoreOf(b.FileName)); ds != nil {
					b.Datastore = &ds.Self
				}
			}
			kept = append(kept, device)
		}
		ctx.Update(vm, []types.PropertyChange{
			{Name: "name", Val: i.spec.Name}, {Name: "config.name", Val: i.spec.Name}, {Name: "summary.config.name", Val: i.spec.Name},
			{Name: "config.annotation", Val: i.spec.Annotation},
			{Name: "config.hardware.numCPU", Val: i.spec.NumCPUs}, {Name: "summary.config.numCpu", Val: i.spec.NumCPUs},
			{Name: "config.hardware.memoryMB", Val: int32(i.spec.MemoryMB)}, {Name: "summary.config.memorySizeMB", Val: int32(i.spec.MemoryMB)},
			{Name: "config.extraConfig", Val: i.spec.ExtraConfig}, {Name: "config.hardware.device", Val: kept},
			{Name: "config.changeVersion", Val: fmt.Sprint(len(i.spec.ExtraConfig)) + "-" + vm.Config.ChangeVersion},
			{Name: "runtime.powerState", Val: i.power}, {Name: "summary.runtime.powerState", Val: i.power}})
	})
}

// joinVCenter is the control verb: an ESXi endpoint becomes a host of a vCenter.
func (l *lab) joinVCenter(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		ESXi    string `json:"esxi"`
		VCenter string `json:"vcenter"`
		Cluster string `json:"cluster"` // "" is a host of its own
	}
	if !decode(w, r, &wanted) {
		return
	}
	esx, vc := l.endpoint(wanted.ESXi), l.endpoint(wanted.VCenter)
	if esx == nil || vc == nil || esx.kind != "esxi" || vc.kind != "vcenter" {
		http.Error(w, "an ESXi host of the lab joins a vCenter of the lab", http.StatusNotFound)
		return
	}
	where := vc.model.Map().Any("Datacenter").(*simulator.Datacenter).HostFolder
	if wanted.Cluster != "" {
		cluster := vc.cluster(wanted.Cluster)
		if cluster == nil {
			http.Error(w, fmt.Sprintf("no cluster %q", wanted.Cluster), http.StatusNotFound)
			return
		}
		where = cluster.Self
	}
	if esx.manager.Load() != nil {
		http.Error(w, wanted.ESXi+" is managed by a vCenter already", http.StatusConflict)
		return
	}
	host, err := vc.bringIn(where, esx.asAbsent())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	vc.manage(host, esx)
	reply(w, map[string]string{"host": host.Value})
}
