package main

import (
	"net/http"
	"os"
	"path"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// registerVM makes a VM of its files. The simulator's own knows neither their instanceUuid nor their disks.
func (e *endpoint) registerVM(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.RegisterVM_Task)
	at, ok := e.registerPlace(call)
	if !ok || call.Path == "" {
		return false // the simulator knows the right fault
	}
	writeResult(w, m.Name, e.startTask(m, func() (types.AnyType, types.BaseMethodFault, string) {
		if e.index.withVMX(call.Path) != nil {
			return nil, &types.AlreadyExists{Name: call.Path}, "The virtual machine of " + call.Path + " is registered already"
		}
		if no := e.hostReady(at.host); no.fault != nil {
			return nil, no.fault, no.message
		}
		if no := e.reachable(at.host, []string{call.Path}); no.fault != nil {
			return nil, no.fault, no.message
		}
		i, err := e.readVMX(call.Path)
		if os.IsNotExist(err) {
			return nil, &types.NotFound{}, "File " + call.Path + " was not found"
		} else if err != nil {
			return nil, &types.InvalidVmConfig{Property: "path"}, err.Error()
		}
		if call.Name != "" {
			i.spec.Name = call.Name
		}
		i.template = call.AsTemplate
		ref, no := e.adopt(i, at)
		if no.fault != nil {
			return nil, no.fault, no.message
		}
		return ref, nil, ""
	}))
	return true
}

// registerPlace finds host and pool of a registration; without a host any that reaches the file.
func (e *endpoint) registerPlace(call *types.RegisterVM_Task) (at place, ok bool) {
	at.folder = call.This
	if call.Host != nil {
		at.host = *call.Host
	}
	if call.Pool != nil {
		at.pool = *call.Pool
		for _, ref := range e.hostsOf(at.pool) {
			host, there := e.model.Map().Get(ref).(*simulator.HostSystem)
			if at.host.Value == "" && there && e.model.Map().FindByName(datastoreOf(call.Path), host.Datastore) != nil &&
				e.hostReady(ref).fault == nil {
				at.host = ref
			}
		}
	} else if call.AsTemplate && call.Host != nil {
		if host, there := e.model.Map().Get(at.host).(*simulator.HostSystem); there {
			at.pool = e.poolOf(host)
		}
	}
	return at, at.host.Value != "" && at.pool.Value != ""
}

// poolOf is the root resource pool of the compute resource that a host is in.
func (e *endpoint) poolOf(host *simulator.HostSystem) types.ManagedObjectReference {
	switch c := e.model.Map().Get(*host.Parent).(type) {
	case *simulator.ClusterComputeResource:
		return *c.ResourcePool
	case *mo.ComputeResource:
		return *c.ResourcePool
	}
	return types.ManagedObjectReference{}
}

// unregister leaves a VM's files with a .vmx that describes it.
func (e *endpoint) unregister(_ http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	e.writeVMX(m.This)
	return false
}

// vmxTaken refuses a create whose configuration file is there already.
func (e *endpoint) vmxTaken(name string) refusal {
	if path.Ext(name) != ".vmx" {
		return refusal{}
	}
	if _, err := os.Stat(e.disks.real(name)); err != nil {
		return refusal{}
	}
	return refuse(&types.FileAlreadyExists{FileFault: types.FileFault{File: name}},
		"Cannot complete the operation because the file or folder %s already exists", name)
}
