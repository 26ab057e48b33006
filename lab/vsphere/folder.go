package main

import (
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"os"
	"path"
	"strings"
)

var errFull = errors.New("the datastore is full")

// serveFolder is HTTP access to datastores: /folder/PATH?dcPath=DATACENTER&dsName=DATASTORE.
func (s *storage) serveFolder(w http.ResponseWriter, r *http.Request) {
	if !s.e.loggedIn(r) && !s.e.basicLogin(r) {
		w.Header().Set("WWW-Authenticate", `Basic realm="VMware HTTP server"`)
		http.Error(w, "log in first", http.StatusUnauthorized)
		return
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		if path.Ext(r.URL.Path) == ".vmx" {
			s.e.flushVMX("[" + r.URL.Query().Get("dsName") + "] " + strings.Trim(strings.TrimPrefix(r.URL.Path, "/folder"), "/"))
		}
		s.e.next.ServeHTTP(pacedResponse{w, s.outOf(r.URL.Query().Get("dsName"))}, r)
		return
	}
	query := r.URL.Query()
	datastore := query.Get("dsName")
	if s.datastore(datastore) == nil || strings.Contains(r.URL.Path, "..") ||
		query.Get("dcPath") != "" && strings.Trim(query.Get("dcPath"), "/") != s.e.spec.Datacenter {
		http.NotFound(w, r)
		return
	}
	name := "[" + datastore + "] " + strings.Trim(strings.TrimPrefix(r.URL.Path, "/folder"), "/")
	switch r.Method {
	case http.MethodPut, http.MethodPost:
		s.upload(w, r, name)
	case http.MethodDelete:
		s.deleteFile(w, name)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (s *storage) upload(w http.ResponseWriter, r *http.Request, name string) {
	file := s.real(name)
	_, err := os.Stat(file)
	exists := err == nil
	if exists && r.Method == http.MethodPost {
		w.WriteHeader(http.StatusConflict)
		return
	}
	if info, err := os.Stat(path.Dir(file)); err != nil || !info.IsDir() {
		http.Error(w, "no such folder: make it first", http.StatusNotFound)
		return
	}
	if _, reason := s.locked(name); exists && reason != "" {
		http.Error(w, reason, http.StatusLocked)
		return
	}
	out, err := os.Create(file)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.set(name, 0, true)
	_, err = io.Copy(pacedWriter{&metered{out, s, name, 0}, s.into(datastoreOf(name))}, r.Body)
	if closing := out.Close(); err == nil {
		err = closing
	}
	if disk, ok := strings.CutSuffix(name, "-flat.vmdk"); ok && err == nil { // a disk keeps its size
		err = lengthen(file, s.e.diskSize(disk+".vmdk"))
	}
	switch {
	case errors.Is(err, errFull):
		_ = os.Remove(file)
		s.remove(name)
		http.Error(w, err.Error(), http.StatusInsufficientStorage)
	case err != nil: // the client went away: like on a real host, what arrived stays
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case exists:
		w.WriteHeader(http.StatusOK)
	default:
		w.WriteHeader(http.StatusCreated)
	}
}

func (s *storage) deleteFile(w http.ResponseWriter, name string) {
	if _, reason := s.locked(name); reason != "" {
		http.Error(w, reason, http.StatusLocked)
		return
	}
	switch err := os.Remove(s.real(name)); {
	case os.IsNotExist(err):
		http.Error(w, "no such file", http.StatusNotFound)
	case err != nil:
		http.Error(w, "the folder is not empty", http.StatusConflict)
	default:
		s.remove(name)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (e *endpoint) basicLogin(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	return ok && subtle.ConstantTimeCompare([]byte(user), []byte(e.spec.Username)) == 1 &&
		subtle.ConstantTimeCompare([]byte(password), []byte(e.password())) == 1
}

// metered writes a file as long as the datastore has room for it.
type metered struct {
	io.Writer
	s       *storage
	name    string
	written int64
}

func (m *metered) Write(p []byte) (int, error) {
	if int64(len(p)) > m.s.free(datastoreOf(m.name)) {
		return 0, errFull
	}
	n, err := m.Writer.Write(p)
	m.written += int64(n)
	m.s.set(m.name, m.written, true)
	return n, err
}
