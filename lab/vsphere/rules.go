package main

import (
	"fmt"
	"math/rand"
	"slices"
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
		if _, ok := newFault(r.Fault); !ok {
			return fmt.Errorf("fault %q is not a fault of the vSphere API", r.Fault)
		}
	}
	if r.Where == "status" && (r.Code < 100 || r.Code > 599) {
		return fmt.Errorf("code %d is not an HTTP status", r.Code)
	}
	r.random = rand.New(rand.NewSource(r.Seed))
	return nil
}

func (r *rule) fault() types.BaseMethodFault {
	fault, _ := newFault(r.Fault)
	return fault
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
