package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

var quietLog = log.New(io.Discard, "", 0)

const (
	envelopeHead = `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/"` +
		` xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema"` +
		` xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>`
	envelopeTail = `</soapenv:Body></soapenv:Envelope>`
)

var lookupType = types.TypeFunc()

// vimType finds a type by its name on the wire, with or without a namespace prefix.
func vimType(name string) (reflect.Type, bool) {
	if t, ok := lookupType(name); ok {
		return t, ok
	}
	if _, local, ok := strings.Cut(name, ":"); ok {
		return lookupType(local)
	}
	return nil, false
}

// newFault makes a fault by its vSphere name, e.g. NoDiskSpace.
func newFault(name string) (types.BaseMethodFault, bool) {
	for _, candidate := range []string{name, name + "Fault"} {
		if t, ok := lookupType(candidate); ok {
			value := reflect.New(t)
			if fault, ok := value.Interface().(types.BaseMethodFault); ok {
				complete(value.Elem())
				return fault, true
			}
		}
	}
	return nil, false
}

// referenceKinds are the types clients expect of references in faults, by field.
var referenceKinds = map[string]string{"Task": "Task", "Host": "HostSystem", "Vm": "VirtualMachine", "Entity": "VirtualMachine",
	"Datastore": "Datastore", "Cluster": "ClusterComputeResource", "Snapshot": "VirtualMachineSnapshot",
	"FailedHost": "HostSystem", "SecondaryVm": "VirtualMachine", "AlreadyLockedVm": "VirtualMachine",
	"ComputeResource": "ComputeResource", "Cs": "ComputeResource", "ExpectedDatacenter": "Datacenter"}

// complete fills required references and enumerations in: clients cannot read a fault in which they are empty.
func complete(v reflect.Value) {
	for i := 0; i < v.NumField(); i++ {
		field, info := v.Field(i), v.Type().Field(i)
		if info.Anonymous && field.Kind() == reflect.Struct {
			complete(field)
			continue
		}
		if strings.Contains(info.Tag.Get("xml"), "omitempty") || !field.CanSet() {
			continue
		}
		if nested, ok := field.Addr().Interface().(*types.LocalizedMethodFault); ok {
			nested.Fault = &types.MethodFault{}
		} else if ref, ok := field.Addr().Interface().(*types.ManagedObjectReference); ok {
			kind, known := referenceKinds[info.Name]
			if !known {
				kind = "Folder"
			}
			*ref = types.ManagedObjectReference{Type: kind, Value: "lab-1"}
		} else if values := field.MethodByName("Strings"); field.Kind() == reflect.String && values.IsValid() {
			if known, ok := values.Call(nil)[0].Interface().([]string); ok && len(known) > 0 {
				field.SetString(known[0])
			}
		} else if info.Name == "FaultName" { // a type's name, which cannot be empty
			field.SetString("MethodFault")
		}
	}
}

func faultName(fault types.BaseMethodFault) string {
	return reflect.TypeOf(fault).Elem().Name()
}

// onWire gives a fault the type that it has on the wire. Go has a second one for most, with the suffix Fault, which
// clients do not know.
func onWire(fault types.BaseMethodFault) types.BaseMethodFault {
	if fault == nil {
		return nil
	}
	if cause := fault.GetMethodFault().FaultCause; cause != nil && cause.Fault != nil {
		cause.Fault = onWire(cause.Fault)
	}
	value := reflect.ValueOf(fault)
	short, isLong := strings.CutSuffix(faultName(fault), "Fault")
	known, ok := lookupType(short)
	if !isLong || !ok || !value.Type().Elem().ConvertibleTo(known) {
		return fault
	}
	converted := reflect.New(known)
	converted.Elem().Set(value.Elem().Convert(known))
	if same, ok := converted.Interface().(types.BaseMethodFault); ok {
		return same
	}
	return fault
}

// writeFault answers a call with a SOAP fault.
func writeFault(w http.ResponseWriter, fault types.BaseMethodFault, message string) {
	fault = onWire(fault)
	kind := faultName(fault)
	if message == "" {
		message = kind
	}
	var out bytes.Buffer
	out.WriteString(envelopeHead + `<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>`)
	_ = xml.EscapeText(&out, []byte(message))
	out.WriteString(`</faultstring><detail>`)
	encoder := xml.NewEncoder(&out)
	err := encoder.EncodeElement(fault, xml.StartElement{Name: xml.Name{Local: kind + "Fault"}, Attr: []xml.Attr{
		{Name: xml.Name{Local: "xmlns"}, Value: "urn:vim25"}, {Name: xml.Name{Local: "xsi:type"}, Value: kind}}})
	if err != nil {
		log.Printf("encode fault %s: %s", kind, err)
	}
	_ = encoder.Flush()
	out.WriteString(`</detail></soapenv:Fault>` + envelopeTail)
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(http.StatusInternalServerError)
	_, _ = w.Write(out.Bytes())
}

// writeResult answers a call whose result is one object, such as a task or a lease.
func writeResult(w http.ResponseWriter, method string, ref types.ManagedObjectReference) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	fmt.Fprintf(w, `%s<%sResponse xmlns="urn:vim25"><returnval type="%s">%s</returnval></%sResponse>%s`,
		envelopeHead, method, ref.Type, ref.Value, method, envelopeTail)
}

// writeResponse answers a call with its result.
func writeResponse(w http.ResponseWriter, method string, response any) {
	var out bytes.Buffer
	out.WriteString(envelopeHead)
	encoder := xml.NewEncoder(&out)
	err := encoder.EncodeElement(response, xml.StartElement{Name: xml.Name{Local: method + "Response"},
		Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: "urn:vim25"}}})
	if err != nil {
		log.Printf("encode answer to %s: %s", method, err)
	}
	_ = encoder.Flush()
	out.WriteString(envelopeTail)
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	_, _ = w.Write(out.Bytes())
}

// fetch is pyvmomi's way to read one property. The simulator hides managers from it in the service's content.
func (e *endpoint) fetch(w http.ResponseWriter, r *http.Request, m *simulator.Method) bool {
	if m.This.Type != "ServiceInstance" || reflect.ValueOf(m.Body).Elem().FieldByName("Prop").String() != "content" {
		return e.beforeRead(w, r, m)
	}
	writeResponse(w, m.Name, &struct {
		Returnval types.AnyType `xml:"returnval,typeattr"`
	}{e.model.ServiceContent})
	return true
}

var taskInAnswer = regexp.MustCompile(`<returnval [^>]*type="Task"[^>]*>([^<]+)</returnval>`)

// passTask lets the simulator answer and calls done when the task it returned has ended.
func (e *endpoint) passTask(w http.ResponseWriter, r *http.Request, done func(failed bool)) {
	recorder := httptest.NewRecorder()
	e.next.ServeHTTP(recorder, r)
	if found := taskInAnswer.FindSubmatch(recorder.Body.Bytes()); found != nil && recorder.Code == http.StatusOK {
		e.whenDone(types.ManagedObjectReference{Type: "Task", Value: string(found[1])}, done)
	} else {
		done(recorder.Code != http.StatusOK)
	}
	replay(w, recorder)
}

// whenDone calls done once, when the task has ended or at once if it already has.
func (e *endpoint) whenDone(ref types.ManagedObjectReference, done func(failed bool)) {
	e.mu.Lock()
	e.pending[ref] = done
	e.mu.Unlock()
	if state := e.taskState(ref); state == types.TaskInfoStateSuccess || state == types.TaskInfoStateError {
		e.taskEnded(ref, state == types.TaskInfoStateError)
	}
}

func (e *endpoint) taskEnded(ref types.ManagedObjectReference, failed bool) {
	e.mu.Lock()
	done := e.pending[ref]
	delete(e.pending, ref)
	e.mu.Unlock()
	if done != nil {
		done(failed)
	}
}

func (e *endpoint) taskState(ref types.ManagedObjectReference) (state types.TaskInfoState) {
	task, ok := e.model.Map().Get(ref).(*simulator.Task)
	if !ok {
		return types.TaskInfoStateError
	}
	ctx := e.context()
	ctx.WithLock(task, func() { state = task.Info.State })
	return state
}

// newTask puts a running task into the inventory. Unlike the simulator's own it holds no lock while it runs.
func (e *endpoint) newTask(entity types.ManagedObjectReference, method string) *simulator.Task {
	name := strings.TrimSuffix(method, "_Task")
	task := simulator.CreateTask(taskEntity{entity}, name, nil)
	task.Info.Name = method
	task.Info.EntityName = e.entityName(entity)
	e.model.Map().Put(task)
	ctx := e.context()
	ctx.Map.AtomicUpdate(ctx, task, []types.PropertyChange{
		{Name: "info", Val: func() types.TaskInfo {
			info := task.Info
			info.Key, info.Task, info.State = task.Self.Value, task.Self, types.TaskInfoStateRunning
			now := time.Now()
			info.StartTime = &now
			return info
		}()},
	})
	return task
}

// endTask finishes a task of newTask unless somebody cancelled it meanwhile.
func (e *endpoint) endTask(task *simulator.Task, result types.AnyType, fault types.BaseMethodFault, message string) {
	ctx := e.context()
	ctx.WithLock(task, func() {
		if task.Info.State != types.TaskInfoStateRunning {
			return
		}
		changes := []types.PropertyChange{{Name: "info.completeTime", Val: time.Now()}}
		if fault != nil {
			if message == "" {
				message = faultName(fault)
			}
			changes = append(changes,
				types.PropertyChange{Name: "info.state", Val: types.TaskInfoStateError},
				types.PropertyChange{Name: "info.error", Val: types.LocalizedMethodFault{Fault: onWire(fault), LocalizedMessage: message}})
		} else {
			changes = append(changes,
				types.PropertyChange{Name: "info.state", Val: types.TaskInfoStateSuccess},
				types.PropertyChange{Name: "info.result", Val: result})
		}
		ctx.Update(task, changes)
	})
}

// failedTask is a task that has already ended in the given fault: vCenter accepts the call and refuses the work.
func (e *endpoint) failedTask(m *simulator.Method, fault types.BaseMethodFault, message string) types.ManagedObjectReference {
	task := e.newTask(m.This, m.Name)
	e.endTask(task, nil, fault, message)
	return task.Self
}

// startTask runs work in a task of our own, after the delay asked for that task's name.
func (e *endpoint) startTask(m *simulator.Method, work func() (types.AnyType, types.BaseMethodFault, string)) types.ManagedObjectReference {
	return e.startTaskAs(m, func(*simulator.Task) (types.AnyType, types.BaseMethodFault, string) { return work() })
}

// startTaskAs is startTask for work that reports its progress.
func (e *endpoint) startTaskAs(m *simulator.Method, work func(*simulator.Task) (types.AnyType, types.BaseMethodFault, string)) types.ManagedObjectReference {
	task := e.newTask(m.This, m.Name)
	go func() {
		defer func() { // as for the simulator's own tasks: a failure must not end the process
			if cause := recover(); cause != nil {
				log.Printf("task %s: %v\n%s", m.Name, cause, debug.Stack())
				e.endTask(task, nil, &types.SystemError{Reason: fmt.Sprint(cause)}, fmt.Sprintf("the lab failed in %s: %v", m.Name, cause))
			}
		}()
		taskDelay(m.Name)
		result, fault, message := work(task)
		e.endTask(task, result, fault, message)
	}()
	return task.Self
}

type taskEntity struct{ self types.ManagedObjectReference }

func (t taskEntity) Reference() types.ManagedObjectReference { return t.self }

var _ mo.Reference = taskEntity{}
