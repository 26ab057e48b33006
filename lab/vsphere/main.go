// Command vsphere is the lab's data centre: one vCenter and any number of standalone ESXi hosts in one process,
// built from a topology in JSON on the simulator package of govmomi and made as strict as vCenter where that is lenient.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/vmware/govmomi/simulator"

	_ "github.com/vmware/govmomi/lookup/simulator"
	_ "github.com/vmware/govmomi/pbm/simulator"
	_ "github.com/vmware/govmomi/sts/simulator"
	_ "github.com/vmware/govmomi/vapi/simulator"
	_ "github.com/vmware/govmomi/vslm/simulator"
)

// ready is the one line written to standard output when every endpoint answers.
type ready struct {
	Control   string          `json:"control"`
	Endpoints []readyEndpoint `json:"endpoints"`
}

type readyEndpoint struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	Port int    `json:"port"`
}

func main() {
	topologyFile := flag.String("topology", "-", "file with the topology in JSON; - is standard input")
	watch := flag.Bool("watch-stdin", false, "end when standard input closes, as it does when the parent process dies")
	flag.Parse()
	log.SetFlags(log.Ltime | log.Lmicroseconds)

	topology, err := readTopology(*topologyFile)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.MkdirAll(topology.Directory, 0o700); err != nil {
		log.Fatal(err)
	}
	// The simulator keeps datastores under TMPDIR.
	os.Setenv("TMPDIR", topology.Directory)
	debug.SetGCPercent(400)
	// Held during a delay, the entity's lock would stall every reader of that entity.
	simulator.TaskDelay.MethodDelay = map[string]int{"LockHandoff": 0}

	lab, err := startLab(topology)
	if err != nil {
		_ = os.RemoveAll(topology.Directory)
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", topology.Control)
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.Serve(listener, lab.control())) }()

	report := ready{Control: listener.Addr().String()}
	for _, e := range lab.endpoints {
		report.Endpoints = append(report.Endpoints, readyEndpoint{Name: e.name, Kind: e.kind, Port: e.port})
	}
	line, _ := json.Marshal(report)
	fmt.Println(string(line))

	stop := make(chan os.Signal, 2)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	closed := make(chan struct{})
	if *watch {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			close(closed)
		}()
	}
	select {
	case <-stop:
	case <-closed:
	}
	// A client in the middle of a call must not hold up the end.
	time.AfterFunc(2*time.Second, func() { os.Exit(0) })
	if err := os.RemoveAll(topology.Directory); err != nil {
		log.Print(err)
	}
}

func readTopology(name string) (*topology, error) {
	source := os.Stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		source = file
	}
	decoder := json.NewDecoder(source)
	decoder.DisallowUnknownFields()
	t := new(topology)
	if err := decoder.Decode(t); err != nil {
		return nil, fmt.Errorf("topology %s: %w", name, err)
	}
	return t, t.check()
}
