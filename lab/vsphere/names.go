package main

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

var escaper = strings.NewReplacer("%", "%25", "/", "%2f", `\`, "%5c")

// apiName is a name as vCenter's API shows it: %, / and \ are escaped. A name that is given escaped stays as it is.
func apiName(name string) string { return escaper.Replace(rawName(name)) }

// rawName is a name with its escape sequences replaced. A % that starts none stands for itself.
func rawName(name string) string {
	var out strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] == '%' && i+2 < len(name) {
			if code, err := strconv.ParseUint(name[i+1:i+3], 16, 8); err == nil {
				out.WriteByte(byte(code))
				i += 2
				continue
			}
		}
		out.WriteByte(name[i])
	}
	return out.String()
}

// normalise gives the names in a call the spelling that the simulator needs to end up with vCenter's. It says whether
// anything changed: the request must then be sent on encoded again.
func normalise(m *simulator.Method) (changed bool) {
	set := func(name *string, to string) {
		if *name != to {
			*name, changed = to, true
		}
	}
	devices := func(specs []types.BaseVirtualDeviceConfigSpec) {
		for _, spec := range specs {
			if device := spec.GetVirtualDeviceConfigSpec().Device; device != nil {
				if b, ok := device.GetVirtualDevice().Backing.(*types.VirtualEthernetCardNetworkBackingInfo); ok {
					set(&b.DeviceName, apiName(b.DeviceName))
				}
			}
		}
	}
	switch call := m.Body.(type) {
	case *types.CreateFolder: // the simulator escapes this one, and that of a new VM
		set(&call.Name, rawName(call.Name))
	case *types.CreateVM_Task:
		set(&call.Config.Name, rawName(call.Config.Name))
		devices(call.Config.DeviceChange)
	case *types.ReconfigVM_Task:
		set(&call.Spec.Name, apiName(call.Spec.Name))
		devices(call.Spec.DeviceChange)
	case *types.RegisterVM_Task:
		set(&call.Name, apiName(call.Name))
	case *types.Rename_Task:
		set(&call.NewName, apiName(call.NewName))
	case *types.AddDVPortgroup_Task:
		for i := range call.Spec {
			set(&call.Spec[i].Name, apiName(call.Spec[i].Name))
		}
	case *types.AddPortGroup:
		set(&call.Portgrp.Name, apiName(call.Portgrp.Name))
	}
	return changed
}

// encodeAgain puts a changed call back into its request.
func encodeAgain(r *http.Request, m *simulator.Method) {
	var out bytes.Buffer
	out.WriteString(envelopeHead)
	encoder := xml.NewEncoder(&out)
	err := encoder.EncodeElement(m.Body, xml.StartElement{Name: xml.Name{Local: m.Name},
		Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: "urn:vim25"}}})
	if err != nil {
		quietLog.Printf("encode %s: %s", m.Name, err)
		return
	}
	_ = encoder.Flush()
	out.WriteString(envelopeTail)
	r.Body, r.ContentLength = io.NopCloser(&out), int64(out.Len())
}
