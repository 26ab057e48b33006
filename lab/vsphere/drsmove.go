package main

import (
	"net/http"
	"slices"
	"sort"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func (e *endpoint) cluster(name string) *simulator.ClusterComputeResource {
	for _, entity := range e.model.Map().All("ClusterComputeResource") {
		if c := entity.(*simulator.ClusterComputeResource); c.Name == name {
			return c
		}
	}
	return nil
}

// putDRS is the control verb: whether DRS of a cluster moves VMs.
func (l *lab) putDRS(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		Endpoint string `json:"endpoint"`
		Cluster  string `json:"cluster"`
		Moves    bool   `json:"moves"`
	}
	if !decode(w, r, &wanted) {
		return
	}
	e := l.endpoint(wanted.Endpoint)
	if e == nil || e.cluster(wanted.Cluster) == nil {
		http.Error(w, "no such cluster", http.StatusNotFound)
		return
	}
	e.mu.Lock()
	e.drsMoves[wanted.Cluster] = wanted.Moves
	e.mu.Unlock()
	reply(w, wanted)
}

// drsCluster is the cluster of a host if its DRS is fully automated and is set to move VMs.
func (e *endpoint) drsCluster(ref types.ManagedObjectReference) *simulator.ClusterComputeResource {
	host, ok := e.model.Map().Get(ref).(*simulator.HostSystem)
	if !ok {
		return nil
	}
	cluster, ok := e.model.Map().Get(*host.Parent).(*simulator.ClusterComputeResource)
	if !ok {
		return nil
	}
	drs := clusterConfig(cluster).DrsConfig
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.drsMoves[cluster.Name] || !yes(drs.Enabled) || drs.DefaultVmBehavior != types.DrsBehaviorFullyAutomated {
		return nil
	}
	return cluster
}

// otherHost is the host of a cluster that DRS moves a VM to: one that is ready, reaches all of the VM's datastores and
// keeps the rules; of those the one with the fewest running VMs. It answers the zero reference when there is none.
func (e *endpoint) otherHost(cluster *simulator.ClusterComputeResource, vm *vmRecord) types.ManagedObjectReference {
	candidates := []*simulator.HostSystem{}
	for _, ref := range cluster.Host {
		host, ok := e.model.Map().Get(ref).(*simulator.HostSystem)
		if !ok || ref == vm.host || e.hostReady(ref).fault != nil || e.entering(ref) || !e.reaches(host, vm) || !e.keepsRules(cluster, vm, ref) {
			continue
		}
		candidates = append(candidates, host)
	}
	sort.Slice(candidates, func(i, j int) bool {
		a, b := e.index.runningOn(candidates[i].Self), e.index.runningOn(candidates[j].Self)
		return a < b || a == b && candidates[i].Name < candidates[j].Name
	})
	for _, host := range candidates {
		if e.admitPower(vm, host).fault == nil {
			return host.Self
		}
	}
	return types.ManagedObjectReference{}
}

func (e *endpoint) reaches(host *simulator.HostSystem, vm *vmRecord) bool {
	for _, path := range append([]string{vm.vmx}, diskPaths(vm)...) {
		if e.model.Map().FindByName(datastoreOf(path), host.Datastore) == nil {
			return false
		}
	}
	return true
}

func diskPaths(vm *vmRecord) (paths []string) {
	for _, d := range vm.disks {
		paths = append(paths, d.path)
	}
	return paths
}

// keepsRules says whether a VM on that host breaks no rule between VMs.
func (e *endpoint) keepsRules(cluster *simulator.ClusterComputeResource, vm *vmRecord, host types.ManagedObjectReference) bool {
	keeps := true
	ctx := e.context()
	ctx.WithLock(cluster, func() {
		for _, rule := range clusterConfig(cluster).Rule {
			kind, vms := ruleVMs(rule)
			if !yes(rule.GetClusterRuleInfo().Enabled) || !slices.Contains(vms, vm.ref) {
				continue
			}
			for _, ref := range vms {
				other := e.index.vm(ref)
				if ref == vm.ref || other == nil || other.powered != types.VirtualMachinePowerStatePoweredOn {
					continue
				}
				if together := other.host == host; kind == "affinity" && !together || kind == "anti-affinity" && together {
					keeps = false
				}
			}
		}
	})
	return keeps
}

// drsPlaces moves a VM to another host before it is powered on, where DRS of its cluster is set to move VMs.
func (e *endpoint) drsPlaces(ref types.ManagedObjectReference) {
	vm := e.index.vm(ref)
	if vm == nil || vm.agent || vm.template || vm.powered != types.VirtualMachinePowerStatePoweredOff {
		return
	}
	if cluster := e.drsCluster(vm.host); cluster != nil {
		if host := e.otherHost(cluster, vm); host.Value != "" {
			e.releasePower(ref)
			_ = e.move(ref, &types.VirtualMachineRelocateSpec{Host: &host})
		}
	}
}
