package main

import (
	"fmt"
	"math/rand"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// rule makes matching requests go wrong.
type rule struct {
	ID       int     `json:"id"`
	Endpoint string  `json:"endpoint"` // "" is any
	Method   string  `json:"method"`   // glob on the method, e.g. CreateVM_Task, DatastorePut, NfcPost, "REST POST *"
	Name     string  `json:"name"`     // glob on the VM, file or object concerned; "" is any
	Where    string  `json:"where"`    // call | task | drop_before | drop_after | status
	Fault    string  `json:"fault"`    // for call and task
	Message  string  `json:"message"`
	Rate     float64 `json:"rate"`  // share of matching requests; 0 is all
	Seed     int64   `json:"seed"`  // of the rate
	Count    int     `json:"count"` // how often at most; 0 is always
	Skip     int     `json:"skip"`  // how many matching requests pass first
	Code     int     `json:"code"`  // for status
	Hits     int     `json:"hits"`

	// Fields of the fault, by their names in the API; a reference is written as "VirtualMachine:vm-12".
	Fields map[string]string `json:"fields"`

	random *rand.Rand
}

var wheres = []string{"call", "task", "drop_before", "drop_after", "status"}

func (r *rule) check() error {
	if r.Where == "" {
		r.Where = "call"
	}
	if !slices.Contains(wheres, r.Where) {
		return fmt.Errorf("where %q is none of %v", r.Where, wheres)
	}
	if r.Where == "call" || r.Where == "task" {
		fault, ok := newFault(r.Fault)
		if !ok {
			return fmt.Errorf("fault %q is not a fault of the vSphere API", r.Fault)
		}
		for name, value := range r.Fields {
			if !setField(reflect.ValueOf(fault).Elem(), name, value) {
				return fmt.Errorf("fault %s has no field %s that takes %q", r.Fault, name, value)
			}
		}
	}
	if r.Where == "status" && (r.Code < 100 || r.Code > 599) {
		return fmt.Errorf("code %d is not an HTTP status", r.Code)
	}
	r.random = rand.New(rand.NewSource(r.Seed))
	return nil
}

// fault is the rule's fault about the object that was called. NoPermission says on which, and which privilege it lacks;
// clients of version 6 do not get the list that came with 7.0, as they cannot read it.
func (r *rule) fault(called types.ManagedObjectReference, client *http.Request) types.BaseMethodFault {
	fault, _ := newFault(r.Fault)
	if no, ok := fault.(*types.NoPermission); ok {
		no.Object = &called
	}
	for name, value := range r.Fields {
		setField(reflect.ValueOf(fault).Elem(), name, value)
	}
	old := strings.Contains(client.Header.Get("SOAPAction"), "vim25/6.")
	if no, ok := fault.(*types.NoPermission); ok && no.PrivilegeId != "" && !old {
		no.MissingPrivileges = []types.NoPermissionEntityPrivileges{{Entity: *no.Object, PrivilegeIds: []string{no.PrivilegeId}}}
	}
	return fault
}

// setField sets a field by its name on the wire: text, numbers, truth values and references.
func setField(v reflect.Value, name, value string) bool {
	for i := 0; i < v.NumField(); i++ {
		field, info := v.Field(i), v.Type().Field(i)
		if info.Anonymous && field.Kind() == reflect.Struct {
			if setField(field, name, value) {
				return true
			}
			continue
		}
		if wire, _, _ := strings.Cut(info.Tag.Get("xml"), ","); wire != name {
			continue
		}
		if field.Kind() == reflect.Pointer {
			field.Set(reflect.New(field.Type().Elem()))
			field = field.Elem()
		}
		if ref, ok := field.Addr().Interface().(*types.ManagedObjectReference); ok {
			kind, id, both := strings.Cut(value, ":")
			*ref = types.ManagedObjectReference{Type: kind, Value: id}
			return both
		}
		switch field.Kind() {
		case reflect.String:
			field.SetString(value)
			return true
		case reflect.Bool:
			field.SetBool(value == "true")
			return value == "true" || value == "false"
		case reflect.Int32, reflect.Int64:
			n, err := strconv.ParseInt(value, 10, 64)
			field.SetInt(n)
			return err == nil
		}
		return false
	}
	return false
}

type ruleBook struct {
	mu    sync.Mutex
	last  int
	rules []*rule
}

func (b *ruleBook) add(r *rule) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	r.ID, r.Hits = b.last, 0
	b.rules = append(b.rules, r)
}

func (b *ruleBook) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rules = nil
}

func (b *ruleBook) list() []rule {
	b.mu.Lock()
	defer b.mu.Unlock()
	rules := []rule{}
	for _, r := range b.rules {
		rules = append(rules, *r)
	}
	return rules
}

// match is the first rule that applies to this request and is due, or nil.
func (b *ruleBook) match(endpoint, method, name string) *rule {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.rules {
		if r.Endpoint != "" && r.Endpoint != endpoint {
			continue
		}
		if !glob(r.Method, method) || r.Name != "" && !glob(r.Name, name) {
			continue
		}
		if r.Where == "task" && !isTaskMethod(method) {
			continue
		}
		if r.Count > 0 && r.Hits >= r.Count {
			continue
		}
		if r.Rate > 0 && r.random.Float64() >= r.Rate {
			continue
		}
		if r.Skip > 0 {
			r.Skip--
			continue
		}
		r.Hits++
		copied := *r
		return &copied
	}
	return nil
}

// glob knows * and ? only: brackets and slashes are ordinary characters, as datastore paths are full of them.
func glob(pattern, s string) bool {
	if pattern == "" {
		return s == ""
	}
	if pattern[0] == '*' {
		return glob(pattern[1:], s) || s != "" && glob(pattern, s[1:])
	}
	return s != "" && (pattern[0] == '?' || pattern[0] == s[0]) && glob(pattern[1:], s[1:])
}

func isTaskMethod(method string) bool {
	return len(method) > 5 && method[len(method)-5:] == "_Task"
}

var taskDelayMu sync.Mutex

// setTaskDelays replaces the delays of tasks, by the task's name (CreateVm, PowerOn ...). The simulator reads the map
// without a lock: it is replaced, never written to.
func setTaskDelays(delays map[string]int) {
	taskDelayMu.Lock()
	defer taskDelayMu.Unlock()
	replaced := map[string]int{}
	for name, ms := range delays {
		replaced[name] = ms
		if name != "*" {
			replaced[taskMethod(name)] = ms
		}
	}
	replaced["LockHandoff"] = 0
	simulator.TaskDelay.Delay = replaced["*"]
	simulator.TaskDelay.MethodDelay = replaced
}

func taskDelay(name string) {
	taskDelayMu.Lock()
	ms := simulator.TaskDelay.Delay + simulator.TaskDelay.MethodDelay[name]
	taskDelayMu.Unlock()
	if ms > 0 {
		time.Sleep(time.Duration(ms) * time.Millisecond)
	}
}
