package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"
)

// control is the port tests steer the lab with: JSON over HTTP on a loopback address.
func (l *lab) control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /rules", func(w http.ResponseWriter, _ *http.Request) { reply(w, l.rules.list()) })
	mux.HandleFunc("POST /rules", func(w http.ResponseWriter, r *http.Request) {
		added := new(rule)
		if !decode(w, r, added) {
			return
		}
		if err := added.check(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if added.Endpoint != "" && l.endpoint(added.Endpoint) == nil {
			http.Error(w, fmt.Sprintf("no endpoint %q", added.Endpoint), http.StatusNotFound)
			return
		}
		l.rules.add(added)
		reply(w, added)
	})
	mux.HandleFunc("DELETE /rules", func(w http.ResponseWriter, _ *http.Request) {
		l.rules.clear()
		reply(w, []rule{})
	})
	mux.HandleFunc("PUT /delays", l.putDelays)
	mux.HandleFunc("PUT /guests", l.putGuests)
	mux.HandleFunc("PUT /guests/nics", l.putGuestNics)
	mux.HandleFunc("PUT /endpoints", l.putEndpoint)
	mux.HandleFunc("DELETE /endpoints", l.resetEndpoints)
	mux.HandleFunc("PUT /hosts", l.putHost)
	mux.HandleFunc("PUT /drs", l.putDRS)
	mux.HandleFunc("PUT /identity", l.putIdentity)
	mux.HandleFunc("POST /joins", l.joinVCenter)
	mux.HandleFunc("POST /backups", l.postBackup)
	mux.HandleFunc("POST /restores", l.postRestore)
	mux.HandleFunc("GET /files", l.getFiles)
	mux.HandleFunc("POST /files/damage", l.damage)
	mux.HandleFunc("POST /files/vanish", l.vanish)
	mux.HandleFunc("GET /bandwidth", l.getBandwidth)
	mux.HandleFunc("PUT /bandwidth", l.putBandwidth)
	mux.HandleFunc("DELETE /bandwidth", l.resetBandwidth)
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, r *http.Request) { l.getCalls(w, r, false) })
	mux.HandleFunc("DELETE /calls", func(w http.ResponseWriter, r *http.Request) { l.getCalls(w, r, true) })
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, r *http.Request) {
		if chosen := l.chosen(w, r.URL.Query().Get("endpoint")); chosen != nil {
			states := map[string]endpointState{}
			for _, e := range chosen {
				states[e.name] = e.state()
			}
			reply(w, states)
		}
	})
	mux.HandleFunc("POST /gc", func(w http.ResponseWriter, _ *http.Request) {
		debug.FreeOSMemory()
		reply(w, struct{}{})
	})
	return mux
}

// delays are milliseconds. Calls are per endpoint and by method; tasks are for the whole process and by task name.
type delays struct {
	Endpoint string         `json:"endpoint"`
	Call     map[string]int `json:"call"`
	Task     map[string]int `json:"task"`
}

func (l *lab) putDelays(w http.ResponseWriter, r *http.Request) {
	d := new(delays)
	if !decode(w, r, d) {
		return
	}
	chosen := l.chosen(w, d.Endpoint)
	if chosen == nil {
		return
	}
	if d.Call != nil {
		for _, e := range chosen {
			e.mu.Lock()
			e.delays = d.Call
			e.mu.Unlock()
		}
	}
	if d.Task != nil {
		setTaskDelays(d.Task)
	}
	reply(w, d)
}

func (l *lab) putGuests(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		Endpoint string `json:"endpoint"`
		DelayMS  int    `json:"delay_ms"`
		Off      bool   `json:"off"`
	}
	if !decode(w, r, &wanted) {
		return
	}
	for _, e := range l.chosen(w, wanted.Endpoint) {
		e.guest.set(time.Duration(wanted.DelayMS)*time.Millisecond, wanted.Off)
	}
	reply(w, wanted)
}

func (l *lab) getCalls(w http.ResponseWriter, r *http.Request, reset bool) {
	chosen := l.chosen(w, r.URL.Query().Get("endpoint"))
	if chosen == nil {
		return
	}
	calls := map[string]map[string]int{}
	for _, e := range chosen {
		counted := map[string]int{}
		e.mu.Lock()
		for method, n := range e.calls {
			counted[method] = n
		}
		if reset {
			e.calls = map[string]int{}
		}
		e.mu.Unlock()
		calls[e.name] = counted
	}
	reply(w, calls)
}

func (l *lab) endpoint(name string) *endpoint {
	for _, e := range l.endpoints {
		if e.name == name {
			return e
		}
	}
	return nil
}

// chosen is the endpoint of that name, or all of them for "".
func (l *lab) chosen(w http.ResponseWriter, name string) []*endpoint {
	if name == "" {
		return l.endpoints
	}
	if e := l.endpoint(name); e != nil {
		return []*endpoint{e}
	}
	http.Error(w, fmt.Sprintf("no endpoint %q", name), http.StatusNotFound)
	return nil
}

func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

func reply(w http.ResponseWriter, what any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(what)
}
