package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"reflect"
	"strings"
	"sync"
	"time"

	"crypto/sha1"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vmdk"
)

const nfcPrefix = "/nfc/"

// HttpNfcLease is the lease of an import. The simulator's own drops what is uploaded and keeps the VM of an aborted one.
// Its name is the object's type on the wire.
type HttpNfcLease struct {
	mo.HttpNfcLease

	e      *endpoint
	vm     types.ManagedObjectReference
	vmName string

	mu        sync.Mutex
	disks     map[string]*leaseDisk // by the last part of the URL
	uploading int
	closed    bool
	touched   time.Time
	ended     chan struct{} // closed when nothing of an aborted import is left
}

type leaseDisk struct {
	key      string // of the device URL
	path     string // datastore path
	device   int32
	thin     bool
	capacity int64
	written  int64
	received int64
	sha1     string
}

func (e *endpoint) importVApp(w http.ResponseWriter, _ *http.Request, m *simulator.Method) bool {
	call := m.Body.(*types.ImportVApp)
	spec, ok := call.Spec.(*types.VirtualMachineImportSpec)
	if !ok {
		writeFault(w, &types.InvalidArgument{InvalidProperty: "spec"}, "Only the import of one virtual machine is modelled")
		return true
	}
	folder := call.Folder
	if folder == nil {
		dc := e.model.Map().Any("Datacenter").(*simulator.Datacenter)
		folder = &dc.VmFolder
	}
	create := &types.CreateVM_Task{This: *folder, Config: spec.ConfigSpec, Pool: m.This, Host: call.Host}
	if fault, message := e.guardCreate(create); fault != nil {
		writeFault(w, fault, message)
		return true
	}
	lease := &HttpNfcLease{e: e, vmName: spec.ConfigSpec.Name, disks: map[string]*leaseDisk{}, touched: time.Now(),
		ended: make(chan struct{})}
	lease.State = types.HttpNfcLeaseStateInitializing
	e.model.Map().Put(lease)
	e.mu.Lock()
	e.leases[lease.Self.Value] = lease
	e.mu.Unlock()
	go lease.prepare(create)
	writeResult(w, m.Name, lease.Self)
	return true
}

// prepare makes the VM and then offers the URLs of its disks.
func (l *HttpNfcLease) prepare(create *types.CreateVM_Task) {
	taskDelay("ImportVApp")
	release, no := l.e.admitCreate(create.This, &create.Config, create.Host)
	if no.fault != nil {
		l.stillborn(no.fault, no.message)
		return
	}
	defer release()
	client, ctx := l.e.client()
	var host *object.HostSystem
	if create.Host != nil {
		host = object.NewHostSystem(client, *create.Host)
	}
	task, err := object.NewFolder(client, create.This).CreateVM(ctx, create.Config, object.NewResourcePool(client, create.Pool), host)
	if err != nil {
		l.stillborn(faultOf(err), err.Error())
		return
	}
	info, err := task.WaitForResult(ctx, nil)
	if err != nil {
		l.stillborn(faultOf(err), err.Error())
		return
	}
	l.vm = info.Result.(types.ManagedObjectReference)
	l.ready()
}

func faultOf(err error) types.BaseMethodFault {
	var task interface{ Fault() types.BaseMethodFault }
	if errors.As(err, &task) {
		return task.Fault()
	}
	if soap.IsSoapFault(err) {
		if detail := soap.ToSoapFault(err).VimFault(); detail != nil { // a value; faults are pointers
			fault := reflect.New(reflect.TypeOf(detail))
			fault.Elem().Set(reflect.ValueOf(detail))
			if fault, ok := fault.Interface().(types.BaseMethodFault); ok {
				return fault
			}
		}
	}
	return &types.SystemError{Reason: err.Error()}
}

func (l *HttpNfcLease) ready() {
	base := fmt.Sprintf("https://127.0.0.1:%d", l.e.port)
	if l.e.kind == "esxi" { // the client puts in the address it knows, as with a real host
		base = "https://*"
	}
	var urls []types.HttpNfcLeaseDeviceUrl
	if record := l.e.index.vm(l.vm); record != nil {
		for i, d := range record.disks {
			name := path.Base(strings.SplitN(d.path, "] ", 2)[1])
			key := fmt.Sprintf("/%s/VirtualLsiLogicController0:%d", l.vm.Value, i)
			l.disks[name] = &leaseDisk{key: key, path: d.path, device: d.key, thin: d.thin, capacity: d.capacity}
			disk := true
			urls = append(urls, types.HttpNfcLeaseDeviceUrl{Key: key, TargetId: name, Disk: &disk,
				ImportKey: fmt.Sprintf("/%s/disk:%d", l.vmName, i), Url: base + nfcPrefix + path.Join(l.Self.Value, name)})
		}
	}
	info := &types.HttpNfcLeaseInfo{Lease: l.Self, Entity: l.vm, DeviceUrl: urls, LeaseTimeout: int32(l.e.spec.LeaseSeconds)}
	l.update([]types.PropertyChange{{Name: "info", Val: info}, {Name: "state", Val: types.HttpNfcLeaseStateReady}})
	go l.expire()
}

// expire aborts a lease nobody has touched for its timeout, as vCenter does when the importer died.
func (l *HttpNfcLease) expire() {
	for {
		time.Sleep(time.Second)
		l.mu.Lock()
		closed, idle := l.closed, l.uploading == 0 && time.Since(l.touched) > time.Duration(l.e.spec.LeaseSeconds)*time.Second
		l.mu.Unlock()
		if closed {
			return
		}
		if idle {
			l.end(true)
			return
		}
	}
}

func (l *HttpNfcLease) update(changes []types.PropertyChange) {
	ctx := l.e.context()
	ctx.Map.AtomicUpdate(ctx, l, changes)
}

func (l *HttpNfcLease) fail(fault types.BaseMethodFault, message string) {
	l.update([]types.PropertyChange{
		{Name: "error", Val: &types.LocalizedMethodFault{Fault: fault, LocalizedMessage: message}},
		{Name: "state", Val: types.HttpNfcLeaseStateError}})
}

// stillborn is a lease without a VM: its error can be read, but nothing can be uploaded.
func (l *HttpNfcLease) stillborn(fault types.BaseMethodFault, message string) {
	l.e.mu.Lock()
	delete(l.e.leases, l.Self.Value)
	l.e.mu.Unlock()
	l.fail(fault, message)
}

// end closes the lease; an aborted one takes its VM with it. It returns when the VM's files are gone, whoever aborted first.
func (l *HttpNfcLease) end(abort bool) {
	l.mu.Lock()
	already := l.closed
	l.closed = true
	l.mu.Unlock()
	if already {
		<-l.ended
		return
	}
	defer close(l.ended)
	l.e.mu.Lock()
	delete(l.e.leases, l.Self.Value)
	l.e.mu.Unlock()
	l.e.model.Map().Remove(l.e.context(), l.Self)
	if abort && l.vm.Value != "" {
		if err := l.e.destroyAndWait(l.vm); err != nil {
			quietLog.Print(err)
		}
	}
}

// HttpNfcLeaseComplete keeps the VM and what was uploaded.
func (l *HttpNfcLease) HttpNfcLeaseComplete(_ *simulator.Context, _ *types.HttpNfcLeaseComplete) soap.HasFault {
	body := &methods.HttpNfcLeaseCompleteBody{}
	if l.State != types.HttpNfcLeaseStateReady {
		body.Fault_ = simulator.Fault("The lease is not ready", &types.InvalidState{})
		return body
	}
	l.State = types.HttpNfcLeaseStateDone
	l.end(false)
	body.Res = new(types.HttpNfcLeaseCompleteResponse)
	return body
}

// HttpNfcLeaseAbort removes the VM.
func (l *HttpNfcLease) HttpNfcLeaseAbort(_ *simulator.Context, _ *types.HttpNfcLeaseAbort) soap.HasFault {
	l.end(true)
	return &methods.HttpNfcLeaseAbortBody{Res: new(types.HttpNfcLeaseAbortResponse)}
}

// HttpNfcLeaseProgress keeps the lease from timing out.
func (l *HttpNfcLease) HttpNfcLeaseProgress(_ *simulator.Context, req *types.HttpNfcLeaseProgress) soap.HasFault {
	l.TransferProgress = req.Percent
	l.mu.Lock()
	l.touched = time.Now()
	l.mu.Unlock()
	return &methods.HttpNfcLeaseProgressBody{Res: new(types.HttpNfcLeaseProgressResponse)}
}

// HttpNfcLeaseGetManifest says what arrived.
func (l *HttpNfcLease) HttpNfcLeaseGetManifest(_ *simulator.Context, _ *types.HttpNfcLeaseGetManifest) soap.HasFault {
	l.mu.Lock()
	defer l.mu.Unlock()
	entries := []types.HttpNfcLeaseManifestEntry{}
	for _, d := range l.disks {
		if d.sha1 != "" {
			entries = append(entries, types.HttpNfcLeaseManifestEntry{Key: d.key, Sha1: d.sha1, Size: d.received})
		}
	}
	return &methods.HttpNfcLeaseGetManifestBody{Res: &types.HttpNfcLeaseGetManifestResponse{Returnval: entries}}
}

// serveNFC takes the upload of one disk: PUT or POST /nfc/LEASE/DISK. The lease's name is the permission.
func (e *endpoint) serveNFC(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, nfcPrefix), "/")
	e.mu.Lock()
	lease := e.leases[parts[0]]
	e.mu.Unlock()
	if lease == nil || len(parts) != 2 {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodPut && r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	lease.mu.Lock()
	disk := lease.disks[parts[1]]
	if disk != nil {
		lease.uploading++
	}
	lease.mu.Unlock()
	if disk == nil {
		http.NotFound(w, r)
		return
	}
	err := lease.receive(disk, r.Body)
	lease.mu.Lock()
	lease.uploading--
	lease.touched = time.Now()
	lease.mu.Unlock()
	switch {
	case err == nil:
		w.WriteHeader(http.StatusCreated)
	case errors.Is(err, errFull):
		no := noSpace(datastoreOf(disk.path))
		lease.fail(no.fault, no.message)
		http.Error(w, no.message, http.StatusInternalServerError)
	default:
		lease.fail(&types.InvalidState{}, "The upload of "+disk.path+" failed: "+err.Error())
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// receive unpacks an upload into the disk's extent. The disk then has the size the upload says.
func (l *HttpNfcLease) receive(disk *leaseDisk, body io.Reader) error {
	flat, err := os.Create(flatName(l.e.disks.real(disk.path)))
	if err != nil {
		return err
	}
	defer flat.Close()
	sum := sha1.New()
	counted := &counter{r: io.TeeReader(body, sum), disk: disk, mu: &l.mu}
	written := int64(0)
	paced := l.e.disks.into(datastoreOf(disk.path))
	size, err := decodeStream(counted, flat, func(bytes int64) error {
		_ = paced.piece(bytes)
		if disk.thin {
			if bytes > l.e.disks.free(datastoreOf(disk.path)) {
				return errFull
			}
			written += bytes
			l.e.disks.set(disk.path, written, true)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, counted); err != nil { // whatever follows the end marker
		return err
	}
	if err := flat.Truncate(size); err != nil {
		return err
	}
	if err := l.e.describeDisk(disk.path, func(v *vmdk.Descriptor) { v.Extent[0].Size = size / sectorSize }); err != nil {
		return err
	}
	l.mu.Lock()
	disk.written, disk.sha1 = written, hex.EncodeToString(sum.Sum(nil))
	l.mu.Unlock()
	if size != disk.capacity {
		l.e.resizeDevice(l.vm, disk.device, size)
	}
	return nil
}

type counter struct {
	r    io.Reader
	disk *leaseDisk
	mu   *sync.Mutex
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.mu.Lock()
	c.disk.received += int64(n)
	c.mu.Unlock()
	return n, err
}
