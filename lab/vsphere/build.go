package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// apiVersion is announced unless the topology says otherwise; pyvmomi hides whatever is newer than what a server announces.
const apiVersion = "8.0.3.0"

// builder makes the inventory of one endpoint before that endpoint listens.
type builder struct {
	spec   *endpointSpec
	model  *simulator.Model
	client *vim25.Client
	ctx    context.Context
	hosts  map[string]*simulator.HostSystem
	root   string // folder that holds one folder per datastore
}

// buildModel makes the simulator's model and, in it, everything the endpoint's specification names.
func buildModel(spec *endpointSpec, directory string) (*simulator.Model, error) {
	model := simulator.VPX()
	if spec.Kind == "esxi" {
		model = simulator.ESX()
	}
	model.Datacenter, model.Cluster, model.Host, model.Machine, model.Datastore, model.Portgroup = 0, 0, 0, 0, 0, 0
	about := &model.ServiceContent.About
	about.ApiVersion, about.Version, about.InstanceUuid = spec.APIVersion, "8.0.3", nameUUID("about", spec.Name)
	if spec.Kind == "esxi" {
		about.InstanceUuid = "" // vCenters alone have one
		model.ServiceContent.VStorageObjectManager = nil
	}
	about.FullName = about.Name + " 8.0.3 (simulated)"
	if err := model.Create(); err != nil {
		return nil, err
	}
	client, err := vim25.NewClient(context.Background(), model.Service)
	if err != nil {
		return nil, err
	}
	b := &builder{spec: spec, model: model, client: client, ctx: context.Background(),
		hosts: map[string]*simulator.HostSystem{}, root: filepath.Join(directory, spec.Name)}
	steps := []func() error{b.vcenterHosts, b.datastores, b.portGroups}
	if spec.Kind == "esxi" {
		steps[0] = b.esxiHost
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, fmt.Errorf("endpoint %s: %w", spec.Name, err)
		}
	}
	return model, nil
}

func (b *builder) vcenterHosts() error {
	dc, err := object.NewRootFolder(b.client).CreateDatacenter(b.ctx, b.spec.Datacenter)
	if err != nil {
		return err
	}
	folders, err := dc.Folders(b.ctx)
	if err != nil {
		return err
	}
	for _, c := range b.spec.Clusters {
		cluster, err := folders.HostFolder.CreateCluster(b.ctx, c.Name, types.ClusterConfigSpecEx{})
		if err != nil {
			return err
		}
		// In a call, a false would be lost on its way: the simulator copies arguments and leaves zeros out.
		made := b.model.Map().Get(cluster.Reference()).(*simulator.ClusterComputeResource)
		made.ConfigurationEx.(*types.ClusterConfigInfoEx).DrsConfig = types.ClusterDrsConfigInfo{
			Enabled: &c.DRS, DefaultVmBehavior: types.DrsBehaviorFullyAutomated}
		for _, h := range c.Hosts {
			task, err := cluster.AddHost(b.ctx, types.HostConnectSpec{HostName: h.Name}, true, nil, nil)
			if err := b.size(h, task, err); err != nil {
				return err
			}
		}
		total(b.model.Map(), cluster.Reference())
	}
	for _, h := range b.spec.Hosts {
		task, err := folders.HostFolder.AddStandaloneHost(b.ctx, types.HostConnectSpec{HostName: h.Name}, true, nil, nil)
		if err := b.size(h, task, err); err != nil {
			return err
		}
		b.hosts[h.Name].Runtime.ConnectionState = types.HostSystemConnectionStateConnected
		total(b.model.Map(), *b.hosts[h.Name].Parent)
	}
	return b.racks()
}

// racks writes the rack of each host into a custom attribute, the usual place for it in a vCenter.
func (b *builder) racks() error {
	fields, err := object.GetCustomFieldsManager(b.client)
	if err != nil {
		return err
	}
	def, err := fields.Add(b.ctx, "rack", "HostSystem", nil, nil)
	if err != nil {
		return err
	}
	for _, h := range b.spec.allHosts() {
		if h.Rack != "" {
			if err := fields.Set(b.ctx, b.hosts[h.Name].Self, def.Key, h.Rack); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *builder) esxiHost() error {
	spec := b.spec.Hosts[0]
	host := b.model.Map().Any("HostSystem").(*simulator.HostSystem)
	b.hosts[spec.Name] = host
	host.Name, host.Summary.Config.Name = spec.Name, spec.Name
	host.Network = append([]types.ManagedObjectReference(nil), host.Network...)
	resource := b.model.Map().Any("ComputeResource").(*mo.ComputeResource)
	resource.Name = spec.Name
	resource.Network = host.Network
	setHardware(host, spec)
	total(b.model.Map(), resource.Self)
	return nil
}

// size waits for the host to be added and gives it the hardware of its specification.
func (b *builder) size(spec hostSpec, task *object.Task, err error) error {
	if err != nil {
		return err
	}
	info, err := task.WaitForResult(b.ctx, nil)
	if err != nil {
		return fmt.Errorf("host %s: %w", spec.Name, err)
	}
	ref := info.Result.(types.ManagedObjectReference)
	if ref.Type != "HostSystem" { // a host outside clusters answers with its compute resource
		ref = b.model.Map().Get(ref).(*mo.ComputeResource).Host[0]
	}
	host := b.model.Map().Get(ref).(*simulator.HostSystem)
	b.hosts[spec.Name] = host
	setHardware(host, spec)
	return nil
}

// setHardware replaces the shared template by the host's own copy: every simulated host starts as the same machine.
func setHardware(host *simulator.HostSystem, spec hostSpec) {
	summary := *host.Summary.Hardware
	summary.Uuid, summary.CpuMhz, summary.MemorySize = spec.UUID, int32(spec.MHz), spec.Memory
	summary.NumCpuPkgs, summary.NumCpuCores, summary.NumCpuThreads = 2, int16(spec.Cores), int16(spec.Threads)
	host.Summary.Hardware = &summary
	info := *host.Hardware
	info.SystemInfo.Uuid, info.MemorySize = spec.UUID, spec.Memory
	info.CpuInfo.NumCpuPackages, info.CpuInfo.Hz = 2, int64(spec.MHz)*1_000_000
	info.CpuInfo.NumCpuCores, info.CpuInfo.NumCpuThreads = int16(spec.Cores), int16(spec.Threads)
	host.Hardware = &info
	host.Summary.QuickStats.OverallCpuUsage, host.Summary.QuickStats.OverallMemoryUsage = 0, 0
}

func (b *builder) datastores() error {
	for _, spec := range b.spec.Datastores {
		dir := filepath.Join(b.root, spec.Name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		for _, name := range spec.Hosts {
			host, ok := b.hosts[name]
			if !ok {
				return fmt.Errorf("datastore %s: no host %s", spec.Name, name)
			}
			system, err := object.NewHostSystem(b.client, host.Self).ConfigManager().DatastoreSystem(b.ctx)
			if err == nil {
				_, err = system.CreateLocalDatastore(b.ctx, spec.Name, dir)
			}
			if err != nil {
				return fmt.Errorf("datastore %s on %s: %w", spec.Name, name, err)
			}
		}
	}
	for _, entity := range b.model.Map().All("Datastore") {
		ds := entity.(*simulator.Datastore)
		for _, spec := range b.spec.Datastores {
			if spec.Name == ds.Name {
				ds.Summary.Type = spec.Type
				shared := len(spec.Hosts) > 1
				ds.Summary.MultipleHostAccess = &shared
			}
		}
	}
	return nil
}

func (s *endpointSpec) allHosts() []hostSpec {
	var hosts []hostSpec
	for _, c := range s.Clusters {
		hosts = append(hosts, c.Hosts...)
	}
	return append(hosts, s.Hosts...)
}

// total recomputes a compute resource's summary: the simulator added the template's size for each host.
func total(registry *simulator.Registry, ref types.ManagedObjectReference) {
	var resource *mo.ComputeResource
	switch r := registry.Get(ref).(type) {
	case *simulator.ClusterComputeResource:
		resource = &r.ComputeResource
	case *mo.ComputeResource:
		resource = r
	}
	s := resource.Summary.GetComputeResourceSummary()
	s.TotalCpu, s.TotalMemory, s.NumCpuCores, s.NumCpuThreads, s.EffectiveCpu, s.EffectiveMemory = 0, 0, 0, 0, 0, 0
	for _, h := range resource.Host {
		hw := registry.Get(h).(*simulator.HostSystem).Summary.Hardware
		s.TotalCpu += hw.CpuMhz * int32(hw.NumCpuCores)
		s.TotalMemory += hw.MemorySize
		s.NumCpuCores += hw.NumCpuCores
		s.NumCpuThreads += hw.NumCpuThreads
	}
	s.EffectiveCpu, s.EffectiveMemory = s.TotalCpu, s.TotalMemory>>20
	s.NumHosts, s.NumEffectiveHosts = int32(len(resource.Host)), int32(len(resource.Host))
}
