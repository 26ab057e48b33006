package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// guests plays VMware Tools: a running VM with a network card reports its name and an address after a while and loses
// them with its power. The addresses are data only, out of 198.18.0.0/15; nothing answers there.
type guests struct {
	e      *endpoint
	prefix int // each endpoint has 8,192 addresses of its own

	mu        sync.Mutex
	delay     time.Duration
	off       bool
	last      int
	addresses map[types.ManagedObjectReference]string
	used      map[string]bool
	reports   map[types.ManagedObjectReference]guestReport // by VM, where a test wants a certain one
}

const guestBlock = 8192

func newGuests(e *endpoint, number int) *guests {
	return &guests{e: e, prefix: number % 16 * guestBlock, addresses: map[types.ManagedObjectReference]string{}, used: map[string]bool{},
		reports: map[types.ManagedObjectReference]guestReport{},
		delay:   time.Duration(e.spec.GuestDelayMS) * time.Millisecond}
}

func (g *guests) set(delay time.Duration, off bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.delay, g.off = delay, off
}

func (g *guests) forget(vm types.ManagedObjectReference) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.used, g.addresses[vm])
	delete(g.addresses, vm)
	delete(g.reports, vm)
}

// powered follows a change of power; it is called under the VM's lock and so works later.
func (g *guests) powered(vm types.ManagedObjectReference, state types.VirtualMachinePowerState) {
	g.mu.Lock()
	delay, off := g.delay, g.off
	g.mu.Unlock()
	if state != types.VirtualMachinePowerStatePoweredOn {
		delay = 0
	} else if off {
		return
	}
	time.AfterFunc(delay, func() { g.report(vm) })
}

// report writes what the guest says now, whatever it was when this was ordered.
func (g *guests) report(ref types.ManagedObjectReference) {
	vm, ok := g.e.model.Map().Get(ref).(*simulator.VirtualMachine)
	if !ok {
		return
	}
	ctx := g.e.context()
	ctx.WithLock(vm, func() {
		on := vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn
		if on && len(vm.Guest.Net) == 0 {
			return // without a network card there is no address to report
		}
		g.mu.Lock()
		wanted, reported := g.reports[ref]
		g.mu.Unlock()
		net := adapters(vm.Guest.Net)
		address, name := "", ""
		status, running, state := types.VirtualMachineToolsStatusToolsNotRunning,
			types.VirtualMachineToolsRunningStatusGuestToolsNotRunning, types.VirtualMachineGuestStateNotRunning
		if on {
			address, name = g.address(ref), vm.Name
			status, running, state = types.VirtualMachineToolsStatusToolsOk,
				types.VirtualMachineToolsRunningStatusGuestToolsRunning, types.VirtualMachineGuestStateRunning
		}
		for i := range net {
			net[i].IpAddress, net[i].IpConfig, net[i].Connected = nil, nil, on
		}
		if on && reported {
			net, address = wanted.seen(net)
		} else if on {
			net[0].IpAddress = []string{address}
		}
		changes := []types.PropertyChange{
			{Name: "guest.ipAddress", Val: address}, {Name: "summary.guest.ipAddress", Val: address},
			{Name: "guest.hostName", Val: name}, {Name: "summary.guest.hostName", Val: name},
			{Name: "guest.toolsStatus", Val: status}, {Name: "summary.guest.toolsStatus", Val: status},
			{Name: "guest.toolsRunningStatus", Val: string(running)}, {Name: "summary.guest.toolsRunningStatus", Val: string(running)},
			{Name: "guest.guestState", Val: string(state)},
		}
		if len(net) > 0 || len(vm.Guest.Net) > 0 {
			changes = append(changes, types.PropertyChange{Name: "guest.net", Val: net})
		}
		ctx.Update(vm, changes)
	})
}

func (g *guests) address(vm types.ManagedObjectReference) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if known, ok := g.addresses[vm]; ok {
		return known
	}
	address := ""
	for range guestBlock {
		g.last = g.last%(guestBlock-2) + 1
		n := g.prefix + g.last
		if address = fmt.Sprintf("198.%d.%d.%d", 18+n>>16, n>>8&255, n&255); !g.used[address] {
			break
		}
	}
	g.addresses[vm], g.used[address] = address, true
	return address
}
