package main

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// unguarded methods carry references that may be stale, or are asked too often to look through.
var unguarded = map[string]bool{
	"RetrieveProperties": true, "RetrievePropertiesEx": true, "ContinueRetrievePropertiesEx": true, "CreateFilter": true,
	"Fetch": true, "RetrieveServiceContent": true, "WaitForUpdatesEx": true, "CreateContainerView": true,
	"DestroyView": true, "CreatePropertyCollector": true, "DestroyPropertyCollector": true, "DestroyPropertyFilter": true,
	"CancelWaitForUpdates": true, "SessionIsActive": true, "CurrentTime": true,
}

// inventoryTypes are the references whose absence makes the simulator panic; the rest may live in a session.
var inventoryTypes = map[string]bool{
	"HostSystem": true, "ResourcePool": true, "VirtualApp": true, "Datastore": true, "Folder": true, "VirtualMachine": true,
	"VirtualMachineSnapshot": true, "Network": true, "DistributedVirtualPortgroup": true, "OpaqueNetwork": true,
	"ClusterComputeResource": true, "ComputeResource": true, "Datacenter": true, "StoragePod": true,
	"VmwareDistributedVirtualSwitch": true, "DistributedVirtualSwitch": true,
}

// guard refuses what would make the simulator panic: references that are gone, datastores and networks that are not
// there, devices without what the simulator reads of them.
func (e *endpoint) guard(m *simulator.Method) (types.BaseMethodFault, string) {
	if unguarded[m.Name] {
		return nil, ""
	}
	g := &guardWalk{e: e}
	if call, ok := m.Body.(*types.RelocateVM_Task); ok && call.Spec.Service != nil {
		g.walk(reflect.ValueOf(m.This)) // the rest is of another vCenter
	} else {
		g.walk(reflect.ValueOf(m.Body))
	}
	if g.fault != nil {
		return g.fault, g.message
	}
	switch call := m.Body.(type) {
	case *types.CreateVM_Task:
		return e.guardCreate(call)
	case *types.PlaceVm:
		if len(call.PlacementSpec.Hosts) > 0 {
			return &types.NotSupported{}, "PlaceVm with a list of hosts is not modelled"
		}
	}
	return nil, ""
}

// guardCreate checks that some host can reach the datastore of a new VM and of its disks.
func (e *endpoint) guardCreate(call *types.CreateVM_Task) (types.BaseMethodFault, string) {
	if call.Config.Files == nil || call.Config.Files.VmPathName == "" {
		return nil, "" // the task says InvalidVmConfig
	}
	hosts := []types.ManagedObjectReference{}
	if call.Host != nil {
		hosts = append(hosts, *call.Host)
	} else {
		hosts = e.hostsOf(call.Pool)
	}
	names := []string{call.Config.Files.VmPathName}
	for _, change := range call.Config.DeviceChange {
		if disk, ok := change.GetVirtualDeviceConfigSpec().Device.(*types.VirtualDisk); ok {
			d := readDisk(disk)
			names = append(names, d.path, d.parent)
		}
	}
	for _, name := range names {
		datastore := datastoreOf(name)
		if datastore == "" {
			continue
		}
		reachable := false
		for _, ref := range hosts {
			if host, ok := e.model.Map().Get(ref).(*simulator.HostSystem); ok {
				reachable = reachable || e.model.Map().FindByName(datastore, host.Datastore) != nil
			}
		}
		if !reachable {
			return &types.InvalidDatastorePath{InvalidDatastore: types.InvalidDatastore{Name: datastore}, DatastorePath: name},
				fmt.Sprintf("Datastore %s is not mounted on the host", datastore)
		}
	}
	return nil, ""
}

// hostsOf are the hosts behind a resource pool.
func (e *endpoint) hostsOf(pool types.ManagedObjectReference) []types.ManagedObjectReference {
	var owner types.ManagedObjectReference
	switch p := e.model.Map().Get(pool).(type) {
	case *simulator.ResourcePool:
		owner = p.Owner
	case *simulator.VirtualApp:
		owner = p.Owner
	}
	switch c := e.model.Map().Get(owner).(type) {
	case *simulator.ClusterComputeResource:
		return c.Host
	case *mo.ComputeResource:
		return c.Host
	}
	return nil
}

type guardWalk struct {
	e       *endpoint
	fault   types.BaseMethodFault
	message string
}

func (g *guardWalk) refuse(fault types.BaseMethodFault, format string, args ...any) {
	g.fault, g.message = fault, fmt.Sprintf(format, args...)
}

func (g *guardWalk) walk(v reflect.Value) {
	if g.fault != nil || !v.IsValid() {
		return
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			g.walk(v.Elem())
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := 0; i < v.Len(); i++ {
			g.walk(v.Index(i))
		}
	case reflect.String:
		g.path(v.String())
	case reflect.Struct:
		if !g.leaf(v) {
			for i := 0; i < v.NumField(); i++ {
				if v.Type().Field(i).IsExported() {
					g.walk(v.Field(i))
				}
			}
		}
	}
}

// leaf checks the structures that are looked at as a whole and says whether to go no deeper.
func (g *guardWalk) leaf(v reflect.Value) bool {
	switch x := v.Interface().(type) {
	case types.ManagedObjectReference:
		if inventoryTypes[x.Type] && g.e.model.Map().Get(x) == nil {
			g.refuse(&types.ManagedObjectNotFound{Obj: x}, "The object '%s' has already been deleted or has not been completely created", x)
		}
		return true
	case types.VirtualDeviceConfigSpec:
		if x.Device == nil {
			g.refuse(&types.InvalidDeviceSpec{InvalidVmConfig: types.InvalidVmConfig{Property: "deviceChange.device"}},
				"A device specification without a device")
		}
		return false
	case types.VirtualMachineDefinedProfileSpec:
		if !g.e.knownPolicy(x.ProfileId) {
			g.refuse(&types.InvalidArgument{InvalidProperty: "profileId"}, "There is no storage policy %q", x.ProfileId)
		}
		return true
	case types.VirtualEthernetCardNetworkBackingInfo:
		if g.e.network(x.DeviceName) == nil {
			g.refuse(&types.InvalidDeviceSpec{InvalidVmConfig: types.InvalidVmConfig{Property: "virtualDeviceSpec.device.backing"}},
				"Network %q is not there", x.DeviceName)
		}
		return true
	case types.DistributedVirtualSwitchPortConnection:
		ref := types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: x.PortgroupKey}
		if x.PortgroupKey != "" && g.e.model.Map().Get(ref) == nil {
			g.refuse(&types.InvalidDeviceSpec{InvalidVmConfig: types.InvalidVmConfig{Property: "virtualDeviceSpec.device.backing.port"}},
				"Distributed port group %q is not there", x.PortgroupKey)
		}
		return true
	}
	return false
}

// path checks strings that look like datastore paths.
func (g *guardWalk) path(s string) {
	if !strings.HasPrefix(s, "[") {
		return
	}
	var p object.DatastorePath
	if !p.FromString(s) || strings.ContainsAny(p.Datastore, `{}",`) { // JSON and the like
		return
	}
	if g.e.disks.datastore(p.Datastore) == nil {
		g.refuse(&types.InvalidDatastorePath{InvalidDatastore: types.InvalidDatastore{Name: p.Datastore}, DatastorePath: s},
			"Invalid datastore path '%s'", s)
	}
}

// network finds a network by its name. What was found before is looked at first: a search goes through everything.
func (e *endpoint) network(name string) mo.Entity {
	e.mu.Lock()
	ref, known := e.networks[name]
	e.mu.Unlock()
	if known {
		if entity, ok := e.model.Map().Get(ref).(mo.Entity); ok && e.entityName(ref) == name {
			return entity
		}
	}
	for _, kind := range []string{"Network", "DistributedVirtualPortgroup", "OpaqueNetwork"} {
		for _, entity := range e.model.Map().All(kind) {
			if e.entityName(entity.Reference()) == name {
				e.mu.Lock()
				e.networks[name] = entity.Reference()
				e.mu.Unlock()
				return entity
			}
		}
	}
	return nil
}
