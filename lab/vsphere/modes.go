package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

// mode is how an endpoint as a whole goes wrong; "" is not at all.
type mode struct {
	Mode string `json:"mode"` // hang, status or unreachable
	Code int    `json:"code"` // for status
}

var modes = []string{"", "hang", "status", "unreachable"}

// putEndpoint is the control verb: an endpoint that hangs, answers with a status, is unreachable, or has a new password.
func (l *lab) putEndpoint(w http.ResponseWriter, r *http.Request) {
	var wanted struct {
		Endpoint string `json:"endpoint"`
		mode
		Password string `json:"password"` // "" leaves it
	}
	if !decode(w, r, &wanted) {
		return
	}
	if !slices.Contains(modes, wanted.Mode) || wanted.Mode == "status" && (wanted.Code < 100 || wanted.Code > 599) {
		http.Error(w, fmt.Sprintf("mode %q with code %d: one of hang, status (with code), unreachable", wanted.Mode, wanted.Code),
			http.StatusBadRequest)
		return
	}
	for _, e := range l.chosen(w, wanted.Endpoint) {
		e.mu.Lock()
		e.mode = wanted.mode
		if wanted.Password != "" {
			e.secret = wanted.Password
		}
		e.mu.Unlock()
	}
	reply(w, wanted)
}

// resetEndpoints makes all endpoints behave again, with the passwords and the DRS they started with.
func (l *lab) resetEndpoints(w http.ResponseWriter, _ *http.Request) {
	for _, e := range l.endpoints {
		e.mu.Lock()
		e.mode, e.secret, e.drsMoves = mode{}, e.spec.Password, map[string]bool{}
		e.mu.Unlock()
	}
	reply(w, struct{}{})
}

func (e *endpoint) currentMode() mode {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mode
}

// misbehaves does what the endpoint's mode says and tells whether the request was dealt with.
func (e *endpoint) misbehaves(w http.ResponseWriter, r *http.Request) bool {
	switch now := e.currentMode(); now.Mode {
	case "status":
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(now.Code)
		return true
	case "unreachable":
		drop(w)
		return true
	case "hang":
		body, _ := io.ReadAll(r.Body) // only then the server notices a client that goes away
		r.Body = io.NopCloser(bytes.NewReader(body))
		for e.currentMode().Mode == "hang" {
			select {
			case <-r.Context().Done():
				return true
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	return false
}

// beforeHandshake closes new connections to an endpoint that is unreachable.
func (e *endpoint) beforeHandshake(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if e.currentMode().Mode == "unreachable" {
		_ = hello.Conn.Close()
		return nil, errors.New("unreachable")
	}
	return nil, nil
}

func (e *endpoint) password() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.secret
}

func (e *endpoint) validLogin(login *types.Login) bool {
	return login.UserName == e.spec.Username && login.Password == e.password()
}
