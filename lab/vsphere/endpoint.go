package main

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// lab is every endpoint of the process and the faults that tests asked for.
type lab struct {
	endpoints []*endpoint
	rules     ruleBook
}

// endpoint is one vCenter or ESXi host: the simulator's model behind a handler that counts, injects and checks.
type endpoint struct {
	lab  *lab
	name string
	kind string
	port int
	spec *endpointSpec

	model *simulator.Model
	next  http.Handler
	index *index
	disks *storage
	guest *guests

	policies *policies // of a vCenter

	mu       sync.Mutex
	sessions map[string]bool // SOAP sessions that are logged in
	calls    map[string]int
	delays   map[string]int // milliseconds before a call; "*" is every call
	pending  map[types.ManagedObjectReference]func(failed bool)
	leases   map[string]*HttpNfcLease
	networks map[string]types.ManagedObjectReference // found by name before
	mode     mode
	secret   string // the password in force
	drsMoves map[string]bool
	absent   map[string]*absentHost // hosts that were taken out of the inventory, by name
	backups  map[string]*backup
	managed  map[types.ManagedObjectReference]*endpoint // ESXi endpoints that are hosts of this vCenter

	enteringHosts map[types.ManagedObjectReference]int // tasks that bring a host into maintenance

	directory string // with one folder per datastore
	manager   atomic.Pointer[endpoint]
	mirroring sync.Mutex
}

func startLab(t *topology) (*lab, error) {
	l := &lab{}
	for i := range t.Endpoints {
		e, err := startEndpoint(l, &t.Endpoints[i], t.Directory, i)
		if err != nil {
			return nil, err
		}
		l.endpoints = append(l.endpoints, e)
	}
	return l, nil
}

func startEndpoint(l *lab, spec *endpointSpec, directory string, number int) (*endpoint, error) {
	model, err := buildModel(spec, filepath.Join(directory, "datastores"))
	if err != nil {
		return nil, err
	}
	e := &endpoint{
		lab: l, name: spec.Name, kind: spec.Kind, spec: spec, model: model,
		sessions: map[string]bool{}, calls: map[string]int{}, delays: map[string]int{},
		pending: map[types.ManagedObjectReference]func(bool){}, leases: map[string]*HttpNfcLease{},
		networks: map[string]types.ManagedObjectReference{}, secret: spec.Password, drsMoves: map[string]bool{},
		absent: map[string]*absentHost{}, backups: map[string]*backup{}, managed: map[types.ManagedObjectReference]*endpoint{},
		enteringHosts: map[types.ManagedObjectReference]int{}, directory: filepath.Join(directory, "datastores"),
	}
	e.index, e.disks, e.guest = newIndex(), newStorage(e), newGuests(e, number)
	e.disks.sync(e.context())
	model.Map().AddHandler(observer{e})

	model.Map().SessionManager().ValidLogin = e.validLogin
	if err := e.startAgents(); err != nil {
		return nil, fmt.Errorf("endpoint %s: %w", spec.Name, err)
	}
	user := &url.URL{Host: spec.Listen, User: url.UserPassword(spec.Username, spec.Password)}
	model.Service.Listen, model.Service.RegisterEndpoints = user, true
	certificate, err := tls.LoadX509KeyPair(spec.Certificate, spec.Key)
	if err != nil {
		return nil, fmt.Errorf("endpoint %s: %w", spec.Name, err)
	}
	model.Service.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12,
		GetConfigForClient: e.beforeHandshake}
	// The simulator binds the port itself and panics when it is taken: say it plainly before that.
	if probe, err := net.Listen("tcp", spec.Listen); err != nil {
		return nil, fmt.Errorf("endpoint %s: %w", spec.Name, err)
	} else {
		_ = probe.Close()
	}
	server := model.Service.NewServer()
	e.startPolicies()
	e.next = server.Config.Handler
	server.Config.Handler = e
	server.Config.ErrorLog = quietLog
	e.port, _ = strconv.Atoi(server.URL.Port())
	return e, nil
}

// ServeHTTP is every request to the endpoint.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if e.misbehaves(w, r) {
		return
	}
	switch {
	case r.URL.Path == "/sdk" && r.Method == http.MethodPost:
		e.serveSOAP(w, r)
	case strings.HasPrefix(r.URL.Path, "/folder"):
		e.inject(w, r, "Datastore"+title(r.Method), r.URL.Path, func(w http.ResponseWriter) { e.disks.serveFolder(w, r) })
	case strings.HasPrefix(r.URL.Path, nfcPrefix):
		e.inject(w, r, "Nfc"+title(r.Method), r.URL.Path, func(w http.ResponseWriter) { e.serveNFC(w, r) })
	default:
		e.inject(w, r, "REST "+r.Method+" "+r.URL.Path, r.URL.Path, func(w http.ResponseWriter) { e.next.ServeHTTP(w, r) })
	}
}

// inject applies rules and delays to requests that are not SOAP; they have no faults or tasks.
func (e *endpoint) inject(w http.ResponseWriter, r *http.Request, method, name string, handle func(http.ResponseWriter)) {
	e.count(method)
	rule := e.lab.rules.match(e.name, method, name)
	if rule == nil {
		handle(w)
		return
	}
	switch rule.Where {
	case "drop_before":
		drop(w)
	case "drop_after":
		handle(httptest.NewRecorder())
		drop(w)
	default:
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(rule.Code)
	}
}

func (e *endpoint) serveSOAP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	method, err := simulator.UnmarshalBody(vimType, body)
	if err != nil {
		e.count("(unknown)")
		e.next.ServeHTTP(w, r)
		return
	}
	e.count(method.Name)
	rule := e.lab.rules.match(e.name, method.Name, e.subject(method))
	if rule == nil {
		e.answer(w, r, method)
		return
	}
	switch rule.Where {
	case "drop_before":
		drop(w)
	case "drop_after":
		e.answer(httptest.NewRecorder(), r, method)
		drop(w)
	case "status":
		w.WriteHeader(rule.Code)
	case "task":
		writeResult(w, method.Name, e.failedTask(method, rule.fault(method.This, r), rule.Message))
	default:
		writeFault(w, rule.fault(method.This, r), rule.Message)
	}
}

// answer is the call itself: refused where the simulator would crash or be too kind, done here, or passed on.
func (e *endpoint) answer(w http.ResponseWriter, r *http.Request, method *simulator.Method) {
	switch method.Name {
	case "Login", "LoginByToken", "LoginExtensionByCertificate", "CloneSession", "Logout", "TerminateSession":
		e.serveSession(w, r, method)
		return
	}
	if !e.loggedIn(r) { // the simulator knows what may be asked before a login
		e.next.ServeHTTP(w, r)
		return
	}
	if normalise(method) {
		encodeAgain(r, method)
	}
	for _, refuses := range []func(*simulator.Method) (types.BaseMethodFault, string){e.guard, e.ofAgent, e.leftToManager} {
		if fault, message := refuses(method); fault != nil {
			writeFault(w, fault, message)
			return
		}
	}
	if no := e.hostAway(method); no.fault != nil {
		writeResult(w, method.Name, e.failedTask(method, no.fault, no.message))
		return
	}
	if strict, ok := strictMethods[method.Name]; ok && strict(e, w, r, method) {
		return
	}
	e.next.ServeHTTP(w, r)
}

// serveSession passes a login or logout on and remembers which sessions are open.
func (e *endpoint) serveSession(w http.ResponseWriter, r *http.Request, method *simulator.Method) {
	recorder := httptest.NewRecorder()
	e.next.ServeHTTP(recorder, r)
	key := sessionKey(r)
	if recorder.Code == http.StatusOK {
		e.mu.Lock()
		switch call := method.Body.(type) {
		case *types.Logout:
			delete(e.sessions, key)
		case *types.TerminateSession:
			for _, id := range call.SessionId {
				delete(e.sessions, id)
			}
		default:
			for _, cookie := range recorder.Result().Cookies() {
				if cookie.Name == soapCookie {
					e.sessions[strings.Trim(cookie.Value, `"`)] = true
				}
			}
			if key != "" { // a login on an open session keeps that session's cookie
				e.sessions[key] = true
			}
		}
		e.mu.Unlock()
	}
	replay(w, recorder)
}

const soapCookie = "vmware_soap_session"

func sessionKey(r *http.Request) string {
	cookie, err := r.Cookie(soapCookie)
	if err != nil {
		return ""
	}
	return strings.Trim(cookie.Value, `"`)
}

func (e *endpoint) loggedIn(r *http.Request) bool {
	key := sessionKey(r)
	e.mu.Lock()
	defer e.mu.Unlock()
	return key != "" && e.sessions[key]
}

func (e *endpoint) count(method string) {
	e.mu.Lock()
	e.calls[method]++
	wait := e.delays["*"] + e.delays[method]
	e.mu.Unlock()
	if wait > 0 {
		time.Sleep(time.Duration(wait) * time.Millisecond)
	}
}

// context is a fresh caller of the simulator: locks are shared per context, so every piece of work takes its own.
func (e *endpoint) context() *simulator.Context {
	return &simulator.Context{Context: context.Background(), Map: e.model.Map(),
		Session: e.model.Service.Context.Session}
}

// subject is the name a rule's glob is matched with: the new VM's, the file's, or that of the object called.
func (e *endpoint) subject(m *simulator.Method) string {
	switch b := m.Body.(type) {
	case *types.CreateVM_Task:
		return b.Config.Name
	case *types.CloneVM_Task:
		return b.Name
	case *types.ImportVApp:
		if spec, ok := b.Spec.(*types.VirtualMachineImportSpec); ok {
			return spec.ConfigSpec.Name
		}
	case *types.CopyVirtualDisk_Task:
		return b.DestName
	case *types.CopyDatastoreFile_Task:
		return b.DestinationName
	case *types.MakeDirectory:
		return b.Name
	case *types.DeleteDatastoreFile_Task:
		return b.Name
	case *types.DeleteVirtualDisk_Task:
		return b.Name
	case *types.CreateFolder:
		return b.Name
	}
	if vm := e.index.vm(m.This); vm != nil {
		return vm.name
	}
	if m.This.Type == "HttpNfcLease" {
		if lease, ok := e.model.Map().Get(m.This).(*HttpNfcLease); ok {
			return lease.vmName
		}
		return ""
	}
	return e.entityName(m.This)
}

func (e *endpoint) entityName(ref types.ManagedObjectReference) string {
	object := e.model.Map().Get(ref)
	if object == nil {
		return ""
	}
	v := reflect.Indirect(reflect.ValueOf(object))
	if v.Kind() == reflect.Struct {
		if f := v.FieldByName("Name"); f.IsValid() && f.Kind() == reflect.String {
			return f.String()
		}
	}
	return ""
}

func drop(w http.ResponseWriter) {
	if hijacker, ok := w.(http.Hijacker); ok {
		if connection, _, err := hijacker.Hijack(); err == nil {
			_ = connection.Close()
		}
	}
}

func replay(w http.ResponseWriter, recorder *httptest.ResponseRecorder) {
	for key, values := range recorder.Header() {
		w.Header()[key] = values
	}
	w.WriteHeader(recorder.Code)
	_, _ = w.Write(recorder.Body.Bytes())
}

func title(method string) string {
	return method[:1] + strings.ToLower(method[1:])
}

// nameUUID is a stable UUID for a name, so that the same topology gives the same identities each time.
func nameUUID(parts ...string) string {
	s := sha1.Sum([]byte(strings.Join(parts, "\x00")))
	s[6], s[8] = s[6]&0x0f|0x50, s[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", s[0:4], s[4:6], s[6:8], s[8:10], s[10:16])
}
