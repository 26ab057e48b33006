package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"
)

// lane is one direction of a datastore: bytes pass one after another, whoever they belong to, so that concurrent work
// shares the bandwidth. A rate of 0 has no limit.
type lane struct {
	mu     sync.Mutex
	rate   int64 // bytes per second
	free   time.Time
	passed int64 // bytes
}

func (l *lane) set(rate int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate, l.free = rate, time.Time{}
}

func (l *lane) look() (rate, passed int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rate, l.passed
}

// forget starts the count of bytes at zero.
func (l *lane) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passed = 0
}

// take is when these bytes have passed; the zero time is now.
func (l *lane) take(bytes int64) (passed time.Time) {
	if l == nil {
		return passed
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passed += bytes
	if l.rate == 0 {
		return passed
	}
	if now := time.Now(); l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(float64(bytes) / float64(l.rate) * float64(time.Second)))
	return l.free
}

// lanes are the two directions of a datastore, and their rates in the topology.
type lanes struct {
	read, write lane
	specified   datastoreSpec
}

func (s *storage) lanes(datastore string) *lanes {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.capacity[datastore]; !known {
		return &lanes{}
	}
	if s.bandwidth[datastore] == nil {
		s.bandwidth[datastore] = &lanes{}
	}
	return s.bandwidth[datastore]
}

// pacer holds up a stream of bytes that is read from one datastore, written to another, or both.
type pacer struct{ read, write *lane }

func (p pacer) piece(bytes int64) error {
	until := p.read.take(bytes)
	if written := p.write.take(bytes); written.After(until) {
		until = written
	}
	time.Sleep(time.Until(until))
	return nil
}

// all holds up so many bytes that move in one step.
func (p pacer) all(bytes int64) {
	for ; bytes > 0; bytes -= pieceBytes {
		_ = p.piece(min(bytes, pieceBytes))
	}
}

// between paces a copy from one datastore to another.
func (s *storage) between(from, to string) pacer {
	return pacer{&s.lanes(from).read, &s.lanes(to).write}
}

// into paces what arrives from outside.
func (s *storage) into(datastore string) pacer { return pacer{nil, &s.lanes(datastore).write} }

// outOf paces what leaves to the outside.
func (s *storage) outOf(datastore string) pacer { return pacer{&s.lanes(datastore).read, nil} }

// pacedWriter passes what is written on as fast as its datastore allows.
type pacedWriter struct {
	io.Writer
	pacer
}

func (w pacedWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		piece := p[:min(len(p), pieceBytes)]
		_ = w.piece(int64(len(piece)))
		var wrote int
		wrote, err = w.Writer.Write(piece)
		n, p = n+wrote, p[len(piece):]
	}
	return n, err
}

// pacedResponse is an answer that reads a datastore.
type pacedResponse struct {
	http.ResponseWriter
	pacer
}

func (w pacedResponse) Write(p []byte) (int, error) {
	return pacedWriter{w.ResponseWriter, w.pacer}.Write(p)
}

// putBandwidth limits how fast a datastore reads and writes; 0 is no limit, what is left out stays.
func (l *lab) putBandwidth(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		Endpoint  string `json:"endpoint"`
		Datastore string `json:"datastore"`
		Read      *int64 `json:"read"`
		Write     *int64 `json:"write"`
	}
	if !decode(w, r, &wanted) {
		return
	}
	e := l.endpoint(wanted.Endpoint)
	if e == nil || e.disks.datastore(wanted.Datastore) == nil {
		http.Error(w, fmt.Sprintf("no datastore %q on %q", wanted.Datastore, wanted.Endpoint), http.StatusNotFound)
		return
	}
	lanes := e.disks.lanes(wanted.Datastore)
	if wanted.Read != nil {
		lanes.read.set(*wanted.Read)
	}
	if wanted.Write != nil {
		lanes.write.set(*wanted.Write)
	}
	reply(w, wanted)
}

// traffic is what a datastore may move per second, and what it moved.
type traffic struct {
	ReadRate  int64 `json:"read_rate"`
	WriteRate int64 `json:"write_rate"`
	Read      int64 `json:"read"`
	Written   int64 `json:"written"`
}

// eachLanes calls with every datastore that has moved a byte or has a rate.
func (s *storage) eachLanes(call func(string, *lanes)) {
	s.mu.Lock()
	all := maps.Clone(s.bandwidth)
	s.mu.Unlock()
	for name, each := range all {
		call(name, each)
	}
}

func (l *lab) getBandwidth(w http.ResponseWriter, r *http.Request) {
	answer := map[string]map[string]traffic{}
	for _, e := range l.chosen(w, r.URL.Query().Get("endpoint")) {
		answer[e.name] = map[string]traffic{}
		e.disks.eachLanes(func(name string, each *lanes) {
			var t traffic
			t.ReadRate, t.Read = each.read.look()
			t.WriteRate, t.Written = each.write.look()
			answer[e.name][name] = t
		})
	}
	if len(answer) > 0 {
		reply(w, answer)
	}
}

// resetBandwidth gives every datastore the bandwidth of its specification and starts the counts at zero.
func (l *lab) resetBandwidth(w http.ResponseWriter, _ *http.Request) {
	for _, e := range l.endpoints {
		e.disks.eachLanes(func(_ string, each *lanes) {
			each.read.set(each.specified.ReadRate)
			each.write.set(each.specified.WriteRate)
			each.read.forget()
			each.write.forget()
		})
	}
	reply(w, struct{}{})
}
