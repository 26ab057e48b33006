package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
)

// damageSpec names a file by its datastore path; of a disk it is the extent that is meant.
type damageSpec struct {
	Endpoint string `json:"endpoint"` // may be left out where one endpoint alone has the file
	File     string `json:"file"`
	Offset   int64  `json:"offset"`
	Length   int64  `json:"length"`
}

// holder finds the endpoint that has the file of a request.
func (l *lab) holder(w http.ResponseWriter, wanted *damageSpec) *endpoint {
	var found []*endpoint
	seen := map[string]bool{} // a joined host and its vCenter show the same file
	for _, e := range l.chosen(w, wanted.Endpoint) {
		file := e.disks.real(wanted.File)
		if _, err := os.Stat(file); err == nil && !seen[file] {
			seen[file], found = true, append(found, e)
		}
	}
	switch len(found) {
	case 1:
		return found[0]
	case 0:
		http.Error(w, fmt.Sprintf("no file %q", wanted.File), http.StatusNotFound)
	default:
		http.Error(w, fmt.Sprintf("several endpoints have a file %q: name one", wanted.File), http.StatusConflict)
	}
	return nil
}

// damage changes bytes of a file as a broken array does: neither its size nor its time says so.
func (l *lab) damage(w http.ResponseWriter, r *http.Request) {
	wanted := new(damageSpec)
	if !decode(w, r, wanted) {
		return
	}
	e := l.holder(w, wanted)
	if e == nil {
		return
	}
	file := e.disks.real(wanted.File)
	if flat := flatName(file); e.diskSize(wanted.File) > 0 && !strings.HasSuffix(file, "-flat.vmdk") {
		file = flat
	}
	if err := flip(file, wanted.Offset, wanted.Length); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	reply(w, wanted)
}

// flip inverts a range of bytes, so that every one of them is another.
func flip(file string, offset, length int64) error {
	info, err := os.Stat(file)
	if err != nil {
		return hidePath(err)
	}
	if offset < 0 || length <= 0 || offset+length > info.Size() {
		return fmt.Errorf("bytes %d to %d are not all in a file of %d bytes", offset, offset+length, info.Size())
	}
	out, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer out.Close()
	piece := make([]byte, pieceBytes)
	for at := offset; at < offset+length; at += int64(len(piece)) {
		piece = piece[:min(int64(len(piece)), offset+length-at)]
		if _, err := out.ReadAt(piece, at); err != nil {
			return err
		}
		for i := range piece {
			piece[i] ^= 0xff
		}
		if _, err := out.WriteAt(piece, at); err != nil {
			return err
		}
	}
	return os.Chtimes(file, info.ModTime(), info.ModTime())
}

// vanish removes a file, or a disk with its extent, without asking who uses it; the inventory keeps it.
func (l *lab) vanish(w http.ResponseWriter, r *http.Request) {
	wanted := new(damageSpec)
	if !decode(w, r, wanted) {
		return
	}
	e := l.holder(w, wanted)
	if e == nil {
		return
	}
	names := []string{wanted.File}
	if e.diskSize(wanted.File) > 0 {
		names = append(names, flatName(wanted.File))
	}
	for _, name := range names {
		if err := os.RemoveAll(e.disks.real(name)); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		e.disks.remove(name)
	}
	reply(w, wanted)
}
