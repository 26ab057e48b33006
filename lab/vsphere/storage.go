package main

import (
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// storage keeps the space of an endpoint's datastores: what thick disks, uploads, imports and copies take. A thin disk
// takes what was written to it. The simulator's own free space knows none of that, so it is overwritten.
type storage struct {
	e *endpoint

	mu        sync.Mutex
	capacity  map[string]int64
	used      map[string]int64
	claimed   map[string]int64 // by work that has not ended
	files     map[string]fileRecord
	profiles  map[string]string // ids of storage policies, by datastore path
	suspects  map[string]bool   // files that may be gone
	bandwidth map[string]*lanes
	stores    map[types.ManagedObjectReference]*simulator.Datastore // a look through the inventory costs too much per call
}

// fileRecord is a file, or a disk with all of its extents, by its datastore path.
type fileRecord struct {
	taken int64
	thin  bool
}

func newStorage(e *endpoint) *storage {
	s := &storage{e: e, capacity: map[string]int64{}, used: map[string]int64{}, claimed: map[string]int64{},
		files: map[string]fileRecord{}, suspects: map[string]bool{}, profiles: map[string]string{}, bandwidth: map[string]*lanes{},
		stores: map[types.ManagedObjectReference]*simulator.Datastore{}}
	for _, entity := range e.model.Map().All("Datastore") {
		s.stores[entity.Reference()] = entity.(*simulator.Datastore)
	}
	for _, ds := range e.spec.Datastores {
		s.capacity[ds.Name] = ds.Capacity
		lanes := s.lanes(ds.Name)
		lanes.specified = ds
		lanes.read.set(ds.ReadRate)
		lanes.write.set(ds.WriteRate)
	}
	return s
}

// add makes a datastore known that came with a host.
func (s *storage) add(name string, capacity int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capacity[name] = capacity
}

// free is what is left on a datastore; work that has not ended counts as done.
func (s *storage) free(datastore string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.capacity[datastore] - s.used[datastore] - s.claimed[datastore]
}

// claim takes space on several datastores for work that is about to start, or says which datastore is too full.
func (s *storage) claim(need map[string]int64) (release func(), full string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, bytes := range need {
		if bytes > s.capacity[name]-s.used[name]-s.claimed[name] {
			return nil, name
		}
	}
	for name, bytes := range need {
		s.claimed[name] += bytes
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for name, bytes := range need {
			s.claimed[name] -= bytes
		}
	}, ""
}

// set records what a file takes; the name is a datastore path.
func (s *storage) set(name string, taken int64, thin bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(cleanPath(name), fileRecord{taken, thin})
}

func (s *storage) get(name string) (fileRecord, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	record, ok := s.files[cleanPath(name)]
	return record, ok
}

// put replaces a record; the caller has the lock.
func (s *storage) put(name string, record fileRecord) {
	datastore := datastoreOf(name)
	s.used[datastore] += record.taken - s.files[name].taken
	s.files[name] = record
	delete(s.suspects, name)
}

// remove forgets a file, or a folder with all that is in it.
func (s *storage) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = cleanPath(name)
	delete(s.suspects, name)
	for known := range s.profiles {
		if inTree(known, name) {
			delete(s.profiles, known)
		}
	}
	if record, ok := s.files[name]; ok { // a file: there is nothing below it
		s.used[datastoreOf(name)] -= record.taken
		delete(s.files, name)
		return
	}
	for known, record := range s.files {
		if inTree(known, name) {
			s.used[datastoreOf(known)] -= record.taken
			delete(s.files, known)
		}
	}
}

// move follows a file or folder to its new name.
func (s *storage) move(from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, to = cleanPath(from), cleanPath(to)
	for known, id := range s.profiles {
		if inTree(known, from) {
			delete(s.profiles, known)
			s.profiles[to+strings.TrimPrefix(known, from)] = id
		}
	}
	for known, record := range s.files {
		if inTree(known, from) {
			s.used[datastoreOf(known)] -= record.taken
			delete(s.files, known)
			s.put(to+strings.TrimPrefix(known, from), record)
		}
	}
}

// rename follows a datastore's new name.
func (s *storage) rename(from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, amounts := range []map[string]int64{s.capacity, s.used, s.claimed} {
		if amount, ok := amounts[from]; ok {
			delete(amounts, from)
			amounts[to] = amount
		}
	}
	if known := s.bandwidth[from]; known != nil {
		delete(s.bandwidth, from)
		s.bandwidth[to] = known
	}
	movePaths(s.files, from, to)
	movePaths(s.profiles, from, to)
}

func movePaths[V any](paths map[string]V, from, to string) {
	for name, value := range paths {
		if rest, ok := strings.CutPrefix(name, "["+from+"]"); ok {
			delete(paths, name)
			paths["["+to+"]"+rest] = value
		}
	}
}

// profile is the id of the storage policy that a file was given, "" without one.
func (s *storage) profile(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.profiles[cleanPath(name)]
}

func (s *storage) setProfile(name, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name = cleanPath(name); id == "" {
		delete(s.profiles, name)
	} else {
		s.profiles[name] = id
	}
}

// attached follows a VM's disks: new ones take their space, those taken off may be gone.
func (s *storage) attached(before, after []diskRecord) {
	for _, d := range s.follow(before, after) {
		s.e.shape(d)
	}
}

// follow records the disks of a VM and answers with the new ones.
func (s *storage) follow(before, after []diskRecord) (fresh []diskRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept, had := map[string]bool{}, map[string]bool{}
	for _, d := range before {
		had[cleanPath(d.path)] = true
	}
	for _, d := range after {
		name := cleanPath(d.path)
		kept[name] = true
		if !had[name] {
			fresh = append(fresh, d)
		}
		record, known := s.files[name]
		switch {
		case !known && d.thin:
			s.put(name, fileRecord{thin: true})
		case !known || !record.thin && record.taken < d.capacity:
			s.put(name, fileRecord{taken: d.capacity})
		}
	}
	for _, d := range before {
		if name := cleanPath(d.path); !kept[name] {
			s.maybeGone(name)
		}
	}
	return fresh
}

// suspect marks the disks of a VM that left the inventory: its files may be deleted at any moment now.
func (s *storage) suspect(disks []diskRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range disks {
		s.maybeGone(cleanPath(d.path))
	}
}

// maybeGone marks a disk, and its extent where that was uploaded and so has a record of its own; the caller has the lock.
func (s *storage) maybeGone(name string) {
	s.suspects[name] = true
	if _, known := s.files[flatName(name)]; known {
		s.suspects[flatName(name)] = true
	}
}

// sync writes capacity and free space into the inventory, on behalf of the caller's locks.
func (s *storage) sync(ctx *simulator.Context) {
	s.mu.Lock()
	names := slices.Collect(maps.Keys(s.suspects))
	s.mu.Unlock()
	for _, name := range names {
		if _, err := os.Stat(s.real(name)); os.IsNotExist(err) {
			s.remove(name)
		}
	}
	for _, ds := range s.all() {
		ctx.WithLock(ds, func() {
			s.mu.Lock()
			capacity, known := s.capacity[ds.Name]
			free := capacity - s.used[ds.Name]
			s.mu.Unlock()
			if !known {
				return
			}
			ds.Summary.Capacity, ds.Summary.FreeSpace = capacity, free
			info := ds.Info.GetDatastoreInfo()
			info.FreeSpace, info.MaxFileSize = free, capacity
		})
	}
}

// real is the file behind a datastore path.
func (s *storage) real(name string) string {
	var p object.DatastorePath
	p.FromString(name)
	return path.Join(s.root(p.Datastore), path.Join("/", p.Path))
}

func (s *storage) root(datastore string) string {
	ds := s.datastore(datastore)
	if ds == nil {
		return "/nonexistent"
	}
	return ds.Summary.Url
}

func (s *storage) datastore(name string) *simulator.Datastore {
	for _, ds := range s.all() {
		if ds.Name == name {
			return ds
		}
	}
	return nil
}

func (s *storage) all() []*simulator.Datastore {
	s.mu.Lock()
	defer s.mu.Unlock()
	stores := make([]*simulator.Datastore, 0, len(s.stores))
	for _, ds := range s.stores {
		stores = append(stores, ds)
	}
	return stores
}

// mounted follows datastores that come and go; nil is a gone one.
func (s *storage) mounted(ref types.ManagedObjectReference, ds *simulator.Datastore) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ds == nil {
		delete(s.stores, ref)
	} else {
		s.stores[ref] = ds
	}
}

// locked says why a file or folder must not go: a disk in it is some other disk's parent, or a running VM has it.
func (s *storage) locked(name string) (types.BaseMethodFault, string) {
	name = cleanPath(name)
	x := s.e.index
	x.mu.Lock()
	defer x.mu.Unlock()
	busy := func(file string) bool {
		file = cleanPath(file)
		return inTree(file, name) || inTree(strings.TrimSuffix(file, ".vmdk")+"-flat.vmdk", name)
	}
	for parent := range x.children {
		if busy(parent) {
			return &types.FileLocked{FileFault: types.FileFault{File: parent}},
				"Failed to lock the file " + parent + ": other disks have it as their parent"
		}
	}
	for _, vm := range x.vms {
		for _, d := range vm.disks {
			if vm.powered != types.VirtualMachinePowerStatePoweredOff && busy(d.path) {
				return &types.FileLocked{FileFault: types.FileFault{File: d.path}},
					"Failed to lock the file " + d.path + ": virtual machine " + vm.name + " runs on it"
			}
		}
	}
	return nil, ""
}

// cleanPath is the one spelling of a datastore path that records are kept under.
func cleanPath(name string) string {
	var p object.DatastorePath
	if !p.FromString(name) {
		return name
	}
	return "[" + p.Datastore + "] " + strings.TrimPrefix(path.Join("/", p.Path), "/")
}

func datastoreOf(name string) string {
	var p object.DatastorePath
	p.FromString(name)
	return p.Datastore
}

func inTree(name, root string) bool {
	return name == root || strings.HasPrefix(name, strings.TrimSuffix(root, "/")+"/") || strings.HasSuffix(root, "] ") && strings.HasPrefix(name, root)
}
