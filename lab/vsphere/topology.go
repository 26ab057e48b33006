package main

import "fmt"

// topology is what the Python side hands over: names expanded, sizes in base units, references by name.
type topology struct {
	Directory   string         `json:"directory"`
	Control     string         `json:"control"`
	Certificate string         `json:"certificate"`
	Key         string         `json:"key"`
	Endpoints   []endpointSpec `json:"endpoints"`
}

type endpointSpec struct {
	Name         string          `json:"name"`
	Kind         string          `json:"kind"` // vcenter | esxi
	Listen       string          `json:"listen"`
	Username     string          `json:"username"`
	Password     string          `json:"password"`
	Certificate  string          `json:"certificate"` // default: the lab's
	Key          string          `json:"key"`
	Datacenter   string          `json:"datacenter"`
	GuestDelayMS int             `json:"guest_delay_ms"`
	LeaseSeconds int             `json:"lease_seconds"`
	APIVersion   string          `json:"api_version"`
	Clusters     []clusterSpec   `json:"clusters"`
	Hosts        []hostSpec      `json:"hosts"` // outside any cluster; exactly one for kind esxi
	Datastores   []datastoreSpec `json:"datastores"`
	PortGroups   []portGroupSpec `json:"port_groups"`
	Policies     []policySpec    `json:"storage_policies"` // vcenter only
}

type clusterSpec struct {
	Name  string     `json:"name"`
	DRS   bool       `json:"drs"`
	VCLS  int        `json:"vcls"` // VMs of vCenter's own
	Hosts []hostSpec `json:"hosts"`
}

type hostSpec struct {
	Name    string `json:"name"`
	Cores   int    `json:"cores"`
	Threads int    `json:"threads"`
	MHz     int    `json:"mhz"`
	Memory  int64  `json:"memory"` // bytes
	Rack    string `json:"rack"`
	UUID    string `json:"uuid"`
}

type datastoreSpec struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"` // VMFS | NFS | NFS41 | vsan
	Capacity int64    `json:"capacity"`
	Hosts    []string `json:"hosts"`

	ReadRate  int64 `json:"read_rate"` // bytes per second; 0 is no limit
	WriteRate int64 `json:"write_rate"`
}

// policySpec is a storage policy and the datastores that can hold what has it.
type policySpec struct {
	Name       string   `json:"name"`
	Datastores []string `json:"datastores"`
}

type portGroupSpec struct {
	Name  string   `json:"name"`
	Kind  string   `json:"kind"` // standard | distributed
	VLAN  int32    `json:"vlan"`
	Hosts []string `json:"hosts"` // standard only
}

func (t *topology) check() error {
	if t.Directory == "" || len(t.Endpoints) == 0 {
		return fmt.Errorf("topology: a directory and at least one endpoint are needed")
	}
	if t.Control == "" {
		t.Control = "127.0.0.1:0"
	}
	names := map[string]bool{}
	for i := range t.Endpoints {
		e := &t.Endpoints[i]
		if names[e.Name] || e.Name == "" {
			return fmt.Errorf("topology: endpoint %q: the name must be given and unique", e.Name)
		}
		names[e.Name] = true
		switch {
		case e.Kind == "esxi" && (len(e.Hosts) != 1 || len(e.Clusters) != 0):
			return fmt.Errorf("topology: endpoint %q: kind esxi has exactly one host and no cluster", e.Name)
		case e.Kind != "esxi" && e.Kind != "vcenter":
			return fmt.Errorf("topology: endpoint %q: kind %q is neither vcenter nor esxi", e.Name, e.Kind)
		}
		if e.Listen == "" {
			e.Listen = "127.0.0.1:0"
		}
		if e.Certificate == "" {
			e.Certificate, e.Key = t.Certificate, t.Key
		}
		if e.LeaseSeconds == 0 {
			e.LeaseSeconds = 300
		}
		if e.APIVersion == "" {
			e.APIVersion = apiVersion
		}
	}
	return nil
}
