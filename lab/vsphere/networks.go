package main

import (
	"fmt"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func (b *builder) portGroups() error {
	var distributed []portGroupSpec
	for _, spec := range b.spec.PortGroups {
		if spec.Kind == "distributed" {
			distributed = append(distributed, spec)
		} else if err := b.standardPortGroup(spec); err != nil {
			return fmt.Errorf("port group %s: %w", spec.Name, err)
		}
	}
	if len(distributed) == 0 {
		return nil
	}
	return b.distributedSwitch(distributed)
}

// standardPortGroup makes the network once and then shows it on every host: the simulator refuses the same name twice.
func (b *builder) standardPortGroup(spec portGroupSpec) error {
	var network *types.ManagedObjectReference
	for _, e := range b.model.Map().All("Network") {
		if n, ok := e.(*mo.Network); ok && n.Name == apiName(spec.Name) {
			network = &n.Self
		}
	}
	for _, name := range spec.Hosts {
		host, ok := b.hosts[name]
		if !ok {
			return fmt.Errorf("no host %s", name)
		}
		if network == nil {
			system, err := object.NewHostSystem(b.client, host.Self).ConfigManager().NetworkSystem(b.ctx)
			if err == nil {
				err = system.AddPortGroup(b.ctx, types.HostPortGroupSpec{
					Name: apiName(spec.Name), VlanId: spec.VLAN, VswitchName: "vSwitch0"})
			}
			if err != nil {
				return err
			}
			for _, e := range b.model.Map().All("Network") {
				if n := e.(*mo.Network); n.Name == apiName(spec.Name) {
					n.Summary = &types.NetworkSummary{Network: &n.Self, Name: n.Name, Accessible: true}
					network = &n.Self
				}
			}
		}
		b.attach(host, *network)
	}
	return nil
}

// attach lists a network at the host and at the compute resource around it, each with a slice of its own.
func (b *builder) attach(host *simulator.HostSystem, network types.ManagedObjectReference) {
	add := func(list []types.ManagedObjectReference) []types.ManagedObjectReference {
		if simulator.FindReference(list, network) != nil {
			return list
		}
		return append(append([]types.ManagedObjectReference(nil), list...), network)
	}
	host.Network = add(host.Network)
	switch r := b.model.Map().Get(*host.Parent).(type) {
	case *simulator.ClusterComputeResource:
		r.Network = add(r.Network)
	case *mo.ComputeResource:
		r.Network = add(r.Network)
	}
	if n, ok := b.model.Map().Get(network).(*mo.Network); ok && simulator.FindReference(n.Host, host.Self) == nil {
		n.Host = append(n.Host, host.Self)
	}
}

func (b *builder) distributedSwitch(groups []portGroupSpec) error {
	dc := object.NewDatacenter(b.client, b.model.Map().Any("Datacenter").Reference())
	folders, err := dc.Folders(b.ctx)
	if err != nil {
		return err
	}
	task, err := folders.NetworkFolder.CreateDVS(b.ctx, types.DVSCreateSpec{
		ConfigSpec: &types.VMwareDVSConfigSpec{DVSConfigSpec: types.DVSConfigSpec{Name: "dvs-" + b.spec.Datacenter}}})
	if err != nil {
		return err
	}
	info, err := task.WaitForResult(b.ctx, nil)
	if err != nil {
		return err
	}
	dvs := object.NewDistributedVirtualSwitch(b.client, info.Result.(types.ManagedObjectReference))
	config := &types.DVSConfigSpec{}
	for _, h := range b.spec.allHosts() {
		config.Host = append(config.Host, types.DistributedVirtualSwitchHostMemberConfigSpec{
			Operation: string(types.ConfigSpecOperationAdd), Host: b.hosts[h.Name].Self})
	}
	if task, err = dvs.Reconfigure(b.ctx, config); err == nil {
		_, err = task.WaitForResult(b.ctx, nil)
	}
	for i, spec := range groups {
		if err != nil {
			return err
		}
		// The simulator refuses the name of a standard port group, vCenter does not: the name is given afterwards.
		made := fmt.Sprintf("lab-%d", i)
		task, err = dvs.AddPortgroup(b.ctx, []types.DVPortgroupConfigSpec{{
			Name: made, NumPorts: 128, Type: string(types.DistributedVirtualPortgroupPortgroupTypeEarlyBinding),
			DefaultPortConfig: &types.VMwareDVSPortSetting{
				Vlan: &types.VmwareDistributedVirtualSwitchVlanIdSpec{VlanId: spec.VLAN}}}})
		if err == nil {
			_, err = task.WaitForResult(b.ctx, nil)
		}
		for _, entity := range b.model.Map().All("DistributedVirtualPortgroup") {
			if group := entity.(*simulator.DistributedVirtualPortgroup); group.Name == made {
				name := apiName(spec.Name)
				group.Name, group.Config.Name = name, name
				group.Network.Name, group.Entity().Name = name, name
				group.Summary.GetNetworkSummary().Name = name
			}
		}
	}
	return err
}

// joinSwitches makes a new host a member of the distributed switches.
func (b *builder) joinSwitches(host *simulator.HostSystem) error {
	for _, entity := range b.model.Map().All("VmwareDistributedVirtualSwitch") {
		dvs := object.NewDistributedVirtualSwitch(b.client, entity.Reference())
		task, err := dvs.Reconfigure(b.ctx, &types.DVSConfigSpec{Host: []types.DistributedVirtualSwitchHostMemberConfigSpec{
			{Operation: string(types.ConfigSpecOperationAdd), Host: host.Self}}})
		if err == nil {
			_, err = task.WaitForResult(b.ctx, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
