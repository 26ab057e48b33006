// Copyright (c) 2026, Photon Platform contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Hello is what tests run in pods: a web server that names its pod, and a client.
//
//	hello                  serve on :8080: / answers "POD NODE CLIENT", /slow after ?ms= milliseconds
//	hello get URL          print what a URL answers; fails when the status is not 200
//	hello resolve NAME     print the addresses of a name
//	hello write FILE TEXT  append a line to a file and print the file: volumes
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	var err error
	switch words := os.Args[1:]; {
	case len(words) == 0:
		err = serve()
	case len(words) == 2 && words[0] == "get":
		err = get(words[1])
	case len(words) == 2 && words[0] == "resolve":
		err = resolve(words[1])
	case len(words) == 3 && words[0] == "write":
		err = write(words[1], words[2])
	default:
		err = fmt.Errorf("usage: hello [get URL | resolve NAME | write FILE TEXT]")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}

// serve answers until it is told to end, then for a moment more: endpoints are withdrawn a little later than pods end.
func serve() error {
	pod, _ := os.Hostname()
	http.HandleFunc("/", func(writer http.ResponseWriter, request *http.Request) {
		fmt.Fprintln(writer, pod, os.Getenv("NODE_NAME"), request.RemoteAddr)
	})
	http.HandleFunc("/slow", func(writer http.ResponseWriter, request *http.Request) {
		wait, _ := strconv.Atoi(request.URL.Query().Get("ms"))
		time.Sleep(time.Duration(wait) * time.Millisecond)
		fmt.Fprintln(writer, pod)
	})
	fmt.Println("hello from", pod)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	failed := make(chan error, 1)
	go func() { failed <- http.ListenAndServe(":8080", nil) }()
	select {
	case err := <-failed:
		return err
	case <-stop:
		linger, _ := time.ParseDuration(os.Getenv("LINGER"))
		time.Sleep(linger)
		return nil
	}
}

func get(url string) error {
	response, err := (&http.Client{Timeout: 5 * time.Second}).Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err = io.Copy(os.Stdout, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, response.Status)
	}
	return nil
}

func resolve(name string) error {
	addresses, err := net.LookupHost(name)
	if err == nil {
		fmt.Println(strings.Join(addresses, " "))
	}
	return err
}

func write(path, text string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err = fmt.Fprintln(file, text); err != nil {
		return err
	}
	all, err := os.ReadFile(path)
	fmt.Print(string(all))
	return err
}
