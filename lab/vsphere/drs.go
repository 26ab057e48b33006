package main

import (
	"fmt"
	"net/http"
	"sort"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

type clusterState struct {
	MoID  string      `json:"moid"`
	Name  string      `json:"name"`
	DRS   bool        `json:"drs"`
	Rules []ruleState `json:"rules"`
}

// ruleState is one DRS rule; vms are moids, none for a rule between VMs and hosts.
type ruleState struct {
	Name      string   `json:"name"`
	Kind      string   `json:"kind"` // affinity, anti-affinity or other
	Enabled   bool     `json:"enabled"`
	Mandatory bool     `json:"mandatory"`
	VMs       []string `json:"vms"`
}

// reconfigureCluster refuses rules that vCenter refuses. All of them are looked at before any is stored.
func (e *endpoint) reconfigureCluster(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	cluster, ok := e.model.Map().Get(m.This).(*simulator.ClusterComputeResource)
	if !ok {
		return false
	}
	spec, ok := m.Body.(*types.ReconfigureComputeResource_Task).Spec.(*types.ClusterConfigSpecEx)
	if !ok {
		return false
	}
	no := refusal{}
	ctx := e.context()
	ctx.WithLock(cluster, func() { no = e.admitRules(cluster, spec.RulesSpec) })
	if no.fault == nil {
		return false
	}
	writeResult(w, m.Name, e.failedTask(m, no.fault, no.message))
	return true
}

func (e *endpoint) admitRules(cluster *simulator.ClusterComputeResource, specs []types.ClusterRuleSpec) refusal {
	invalid := func(i int, property, format string, args ...any) refusal {
		return refuse(&types.InvalidArgument{InvalidProperty: fmt.Sprintf("spec.rulesSpec[%d].%s", i, property)}, format, args...)
	}
	names := map[int32]string{}
	for _, rule := range clusterConfig(cluster).Rule {
		names[rule.GetClusterRuleInfo().Key] = rule.GetClusterRuleInfo().Name
	}
	for i, spec := range specs {
		if spec.Operation == types.ArrayUpdateOperationRemove {
			key, ok := spec.RemoveKey.(int32)
			if _, there := names[key]; !ok || !there {
				return invalid(i, "removeKey", "No rule has the key %v", spec.RemoveKey)
			}
			delete(names, key)
			continue
		}
		if spec.Info == nil {
			return invalid(i, "info", "A rule to %s without its description", spec.Operation)
		}
		info := spec.Info.GetClusterRuleInfo()
		if spec.Operation == types.ArrayUpdateOperationEdit && names[info.Key] != info.Name {
			return invalid(i, "info.key", "No rule has the key %d and the name %s", info.Key, info.Name)
		}
		kind, vms := ruleVMs(spec.Info)
		if kind == "other" {
			continue
		}
		if len(vms) < 2 {
			return invalid(i, "info.vm", "Rule %s is between fewer than two virtual machines", info.Name)
		}
		for _, ref := range vms {
			vm := e.index.vm(ref)
			if vm == nil || simulator.FindReference(cluster.Host, vm.host) == nil {
				return invalid(i, "info.vm", "Virtual machine %s is not in cluster %s", ref.Value, cluster.Name)
			}
		}
	}
	return refusal{}
}

// leaveRules takes a VM out of the rules of all clusters but the one its host is in; a VM that is gone has no host.
func (e *endpoint) leaveRules(ctx *simulator.Context, vm, host types.ManagedObjectReference) {
	for _, entity := range e.model.Map().All("ClusterComputeResource") {
		cluster := entity.(*simulator.ClusterComputeResource)
		ctx.WithLock(cluster, func() {
			if simulator.FindReference(cluster.Host, host) != nil {
				return
			}
			for _, rule := range clusterConfig(cluster).Rule {
				switch r := rule.(type) {
				case *types.ClusterAffinityRuleSpec:
					r.Vm = without(r.Vm, vm)
				case *types.ClusterAntiAffinityRuleSpec:
					r.Vm = without(r.Vm, vm)
				}
			}
		})
	}
}

// without copies: the simulator may be writing the old list into an answer.
func without(refs []types.ManagedObjectReference, gone types.ManagedObjectReference) []types.ManagedObjectReference {
	kept := make([]types.ManagedObjectReference, 0, len(refs))
	for _, ref := range refs {
		if ref != gone {
			kept = append(kept, ref)
		}
	}
	return kept
}

func ruleVMs(rule types.BaseClusterRuleInfo) (kind string, vms []types.ManagedObjectReference) {
	switch r := rule.(type) {
	case *types.ClusterAffinityRuleSpec:
		return "affinity", r.Vm
	case *types.ClusterAntiAffinityRuleSpec:
		return "anti-affinity", r.Vm
	}
	return "other", nil
}

func clusterConfig(cluster *simulator.ClusterComputeResource) *types.ClusterConfigInfoEx {
	return cluster.ConfigurationEx.(*types.ClusterConfigInfoEx)
}

func (e *endpoint) clusterStates(ctx *simulator.Context) []clusterState {
	states := []clusterState{}
	for _, entity := range e.model.Map().All("ClusterComputeResource") {
		cluster := entity.(*simulator.ClusterComputeResource)
		ctx.WithLock(cluster, func() {
			config := clusterConfig(cluster)
			s := clusterState{MoID: cluster.Self.Value, Name: cluster.Name, Rules: []ruleState{},
				DRS: config.DrsConfig.Enabled != nil && *config.DrsConfig.Enabled}
			for _, rule := range config.Rule {
				info := rule.GetClusterRuleInfo()
				kind, vms := ruleVMs(rule)
				r := ruleState{Name: info.Name, Kind: kind, VMs: []string{},
					Enabled:   info.Enabled != nil && *info.Enabled,
					Mandatory: info.Mandatory != nil && *info.Mandatory}
				for _, ref := range vms {
					r.VMs = append(r.VMs, ref.Value)
				}
				sort.Strings(r.VMs)
				s.Rules = append(s.Rules, r)
			}
			states = append(states, s)
		})
	}
	sort.Slice(states, func(i, j int) bool { return states[i].Name < states[j].Name })
	return states
}
