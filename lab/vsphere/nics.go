package main

import (
	"net/http"
	"sort"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// guestReport is what a guest says of its network while it runs, as a test wants it.
type guestReport struct {
	Nics    []guestNic `json:"nics"`
	Address string     `json:"address"` // guest.ipAddress; "" is the first address of the first adapter
}

// guestNic is one interface that the guest sees: one of the VM's adapters, or one of its own such as a bridge.
type guestNic struct {
	Adapter   *int     `json:"adapter"` // 0 is the VM's first; without it the interface is the guest's own
	Addresses []string `json:"addresses"`
	Network   string   `json:"network"`
	MAC       string   `json:"mac"`
}

const noAdapter = -1 // deviceConfigId of an interface that is none of the VM's adapters

func (l *lab) putGuestNics(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		Endpoint string `json:"endpoint"`
		VM       string `json:"vm"`
		guestReport
	}
	if !decode(w, r, &wanted) {
		return
	}
	e, vm := l.subjectOf(w, wanted.Endpoint, wanted.VM)
	if vm == nil {
		return
	}
	e.guest.mu.Lock()
	e.guest.reports[vm.ref] = wanted.guestReport
	e.guest.mu.Unlock()
	if vm.powered == types.VirtualMachinePowerStatePoweredOn {
		e.guest.report(vm.ref)
	}
	reply(w, wanted)
}

// seen lists the interfaces of a guest; adapters are those of the VM, as the simulator keeps them.
func (g guestReport) seen(adapters []types.GuestNicInfo) (nics []types.GuestNicInfo, address string) {
	listed := map[int]bool{}
	for _, nic := range g.Nics {
		info := types.GuestNicInfo{Network: nic.Network, MacAddress: nic.MAC, Connected: true, DeviceConfigId: noAdapter}
		if nic.Adapter != nil && *nic.Adapter >= 0 && *nic.Adapter < len(adapters) {
			known := adapters[*nic.Adapter]
			listed[*nic.Adapter] = true
			info.Network, info.MacAddress, info.DeviceConfigId = known.Network, known.MacAddress, known.DeviceConfigId
		}
		info.IpConfig = new(types.NetIpConfigInfo)
		for _, given := range nic.Addresses {
			ip, length, _ := strings.Cut(given, "/")
			prefix, err := strconv.Atoi(length)
			if err != nil {
				prefix = 24
				if strings.Contains(ip, ":") {
					prefix = 64
				}
			}
			info.IpAddress = append(info.IpAddress, ip)
			info.IpConfig.IpAddress = append(info.IpConfig.IpAddress, types.NetIpConfigInfoIpAddress{
				IpAddress: ip, PrefixLength: int32(prefix), State: string(types.NetIpConfigInfoIpAddressStatusPreferred)})
			if address == "" {
				address = ip
			}
		}
		nics = append(nics, info)
	}
	for i, adapter := range adapters {
		if !listed[i] {
			nics = append(nics, adapter)
		}
	}
	if g.Address != "" {
		address = g.Address
	}
	return nics, address
}

// adapters are the entries of guest.net that stand for adapters of the VM, in the order in which it got them.
func adapters(net []types.GuestNicInfo) []types.GuestNicInfo {
	kept := []types.GuestNicInfo{}
	for _, nic := range net {
		if nic.DeviceConfigId != noAdapter {
			kept = append(kept, nic)
		}
	}
	sort.Slice(kept, func(i, j int) bool { return kept[i].DeviceConfigId < kept[j].DeviceConfigId })
	return kept
}
