package main

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vmdk"
)

// subjectOf decodes a control request about one VM and finds it by moid, instanceUuid or name.
func (l *lab) subjectOf(w http.ResponseWriter, endpoint, name string) (*endpoint, *vmRecord) {
	e := l.endpoint(endpoint)
	if e == nil {
		http.Error(w, fmt.Sprintf("no endpoint %q", endpoint), http.StatusNotFound)
		return nil, nil
	}
	for _, vm := range e.index.all() {
		if vm.ref.Value == name || strings.EqualFold(vm.uuid, name) || vm.name == apiName(name) {
			return e, vm
		}
	}
	http.Error(w, fmt.Sprintf("no virtual machine %q on %s", name, endpoint), http.StatusNotFound)
	return nil, nil
}

// putIdentity gives a VM an instanceUuid, also one that another VM has.
func (l *lab) putIdentity(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		Endpoint     string `json:"endpoint"`
		VM           string `json:"vm"`
		InstanceUUID string `json:"instance_uuid"`
	}
	if !decode(w, r, &wanted) {
		return
	}
	e, vm := l.subjectOf(w, wanted.Endpoint, wanted.VM)
	if vm == nil {
		return
	}
	ctx := e.context()
	ctx.Map.AtomicUpdate(ctx, e.model.Map().Get(vm.ref).(*simulator.VirtualMachine), []types.PropertyChange{
		{Name: "config.instanceUuid", Val: wanted.InstanceUUID}, {Name: "summary.config.instanceUuid", Val: wanted.InstanceUUID}})
	reply(w, wanted)
}

// putHost sets what a vCenter knows of the connection to one of its hosts.
func (l *lab) putHost(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		Endpoint   string `json:"endpoint"`
		Host       string `json:"host"`
		Connection string `json:"connection"` // connected, disconnected or notResponding
	}
	if !decode(w, r, &wanted) {
		return
	}
	e := l.endpoint(wanted.Endpoint)
	if e == nil || e.hostNamed(wanted.Host) == nil {
		http.Error(w, fmt.Sprintf("no host %q on %q", wanted.Host, wanted.Endpoint), http.StatusNotFound)
		return
	}
	e.setConnection(e.hostNamed(wanted.Host).Self, types.HostSystemConnectionState(wanted.Connection))
	reply(w, wanted)
}

// backup is a copy of a VM's files, apart from every datastore.
type backup struct {
	id     string
	image  *vmImage
	folder string
}

// postBackup copies the files of a VM.
func (l *lab) postBackup(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		Endpoint string `json:"endpoint"`
		VM       string `json:"vm"`
	}
	if !decode(w, r, &wanted) {
		return
	}
	e, vm := l.subjectOf(w, wanted.Endpoint, wanted.VM)
	if vm == nil {
		return
	}
	b := &backup{id: uuid.NewString(), image: e.image(vm.ref)}
	b.folder = filepath.Join(filepath.Dir(e.directory), "backups", b.id)
	err := os.MkdirAll(b.folder, 0o700)
	for _, d := range vm.disks { // a linked clone becomes a full disk
		files, missing := e.chain(d.path)
		if err == nil && missing == nil {
			err = compose(files, d.capacity, filepath.Join(b.folder, path.Base(flatName(d.path))), pacer{}.piece)
		}
		if err == nil && missing == nil {
			err = copySparse(e.disks.real(d.path), filepath.Join(b.folder, path.Base(d.path)))
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	e.mu.Lock()
	e.backups[b.id] = b
	e.mu.Unlock()
	reply(w, map[string]string{"backup": b.id})
}

// postRestore puts the files of a backup into a new folder and registers them: another moid, another instanceUuid
// unless the old one is asked for, and the same extraConfig.
func (l *lab) postRestore(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		Endpoint  string `json:"endpoint"`
		Backup    string `json:"backup"`
		Name      string `json:"name"` // "" is the old one
		Host      string `json:"host"`
		Datastore string `json:"datastore"`
		SameUUID  bool   `json:"same_uuid"`
	}
	if !decode(w, r, &wanted) {
		return
	}
	e := l.endpoint(wanted.Endpoint)
	var b *backup
	for _, each := range l.endpoints {
		each.mu.Lock()
		if found := each.backups[wanted.Backup]; found != nil {
			b = found
		}
		each.mu.Unlock()
	}
	if e == nil || b == nil || e.hostNamed(wanted.Host) == nil || e.disks.datastore(wanted.Datastore) == nil {
		http.Error(w, "no such endpoint, backup, host or datastore", http.StatusNotFound)
		return
	}
	host := e.hostNamed(wanted.Host)
	i := *b.image
	i.spec, _ = decodeSpec(encodeSpec(&b.image.spec))
	i.power = types.VirtualMachinePowerStatePoweredOff
	if wanted.Name != "" {
		i.spec.Name = apiName(wanted.Name)
	}
	if !wanted.SameUUID {
		i.spec.InstanceUuid, i.spec.Uuid = uuid.NewString(), uuid.NewString()
	}
	if err := e.putBack(&i, b.folder, wanted.Datastore); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	at := place{i.folder, e.poolOf(host), host.Self}
	if e.model.Map().Get(at.folder) == nil {
		at.folder = e.model.Map().Any("Datacenter").(*simulator.Datacenter).VmFolder
	}
	ref, no := e.adopt(&i, at)
	if no.fault != nil {
		http.Error(w, faultName(no.fault)+": "+no.message, http.StatusConflict)
		return
	}
	reply(w, map[string]string{"vm": ref.Value, "instance_uuid": e.index.vm(ref).uuid})
}

// putBack writes the files of a backup into a free folder of a datastore.
func (e *endpoint) putBack(i *vmImage, from, datastore string) error {
	folder := e.freeFolder(datastore, i.spec.Name)
	if err := os.Mkdir(e.disks.real(folder), 0o700); err != nil {
		return hidePath(err)
	}
	for _, change := range i.spec.DeviceChange {
		device := change.GetVirtualDeviceConfigSpec().Device.GetVirtualDevice()
		if b, ok := device.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
			to := folder + "/" + path.Base(b.FileName)
			for _, name := range []string{path.Base(b.FileName), flatName(path.Base(b.FileName))} {
				if err := copySparse(filepath.Join(from, name), e.disks.real(folder+"/"+name)); err != nil && !os.IsNotExist(err) {
					return err
				}
			}
			if err := e.describeDisk(to, func(v *vmdk.Descriptor) { delete(v.DDB, parentEntry) }); err != nil {
				return err
			}
			b.FileName, b.Datastore, b.Parent = to, nil, nil
		}
		if b, ok := device.Backing.(*types.VirtualEthernetCardNetworkBackingInfo); ok {
			b.Network = nil
		}
	}
	i.spec.Files.VmPathName = folder + "/" + i.spec.Name + ".vmx"
	return os.WriteFile(e.disks.real(i.spec.Files.VmPathName), []byte(i.vmx()), 0o600)
}

// getFiles lists the files of all datastores by datastore path, with their sizes: what a test compares before and after.
func (l *lab) getFiles(w http.ResponseWriter, r *http.Request) {
	chosen := l.chosen(w, r.URL.Query().Get("endpoint"))
	if chosen == nil {
		return
	}
	answer := map[string]map[string]int64{}
	for _, e := range chosen {
		files := map[string]int64{}
		for _, ds := range e.disks.all() {
			_ = filepath.WalkDir(ds.Summary.Url, func(name string, entry fs.DirEntry, err error) error {
				if err != nil || entry.IsDir() {
					return nil // a file that goes while it is listed is not there
				}
				if info, err := entry.Info(); err == nil {
					relative, _ := filepath.Rel(ds.Summary.Url, name)
					files["["+ds.Name+"] "+relative] = info.Size()
				}
				return nil
			})
		}
		answer[e.name] = files
	}
	reply(w, answer)
}
