package test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A server that is stopped in a storm answers all that it does: afterwards nothing is there
// that nobody was told of.
func TestStoppedInAStormAnswersWhatItKeeps(t *testing.T) {
	t.Parallel()
	dir := "DIR=" + t.TempDir()
	clients := make([]*client, 12)
	for n := range clients {
		clients[n] = newClient(n, 0, 600)
	}
	for range roundsOf(3) {
		s := start(t, kept(""), dir)
		s.compare(t, clients, s.began)
		var stopping atomic.Bool
		var storm sync.WaitGroup
		for _, c := range clients {
			storm.Go(func() {
				if err := c.run(t.Context()); err != nil && !stopping.Load() {
					t.Error(err)
				}
			})
		}
		for _, events := range []bool{false, true} {
			w := s.watch(t, "", events)
			storm.Go(func() {
				var err error
				for err == nil {
					_, err = w.next()
				}
				if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("a watcher's stream ended with %v, want it to end as a whole", err)
				}
			})
		}
		<-time.After(300 * time.Millisecond)
		stopping.Store(true)
		s.stop(t) // holds it to the time, and the code it ends with
		storm.Wait()
		s = start(t, kept(""), dir)
		if granted, _ := s.compare(t, clients, s.began); granted > 0 {
			t.Errorf("%d writes are there and were not answered", granted)
		}
		s.stop(t)
		if t.Failed() {
			return
		}
	}
}

// A write that has begun is answered, though its end comes after the signal.
func TestWriteInFlightIsAnsweredOnSIGTERM(t *testing.T) {
	t.Parallel()
	dir := "DIR=" + t.TempDir()
	s := start(t, kept(""), dir)
	conn, err := net.Dial("tcp", s.endpoint.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const body = `{"addresses":["192.0.2.7"],"leaseSeconds":0}`
	if _, err := fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", instancePath("web", "web-1"), len(body), body[:10]); err != nil {
		t.Fatal(err)
	}
	s.must(t, http.StatusOK, http.MethodGet, "/v1/status", "") // that connection was accepted before this one
	<-time.After(100 * slowness * time.Millisecond)            // and its header is read
	s.signal(t, syscall.SIGTERM)
	s.log.wait(t, 0, "SIGTERM")
	<-time.After(300 * time.Millisecond)
	if _, err := io.WriteString(conn, body[10:]); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || response.StatusCode != http.StatusCreated {
		t.Errorf("got %v, %v, want 201", response, err)
	}
	s.stop(t)
	s = start(t, kept(""), dir)
	s.must(t, http.StatusOK, http.MethodGet, instancePath("web", "web-1"), "")
}

// So is one that waits for the disk.
func TestWriteThatWaitsForTheDiskIsAnsweredOnSIGTERM(t *testing.T) {
	t.Parallel()
	dir := freezable(t)
	s := start(t, kept(""), "DIR="+dir)
	run(t, "fsfreeze", "--freeze", dir)
	var writing sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var begun sync.WaitGroup
	for n := range 8 {
		begun.Add(1)
		writing.Go(func() {
			begun.Done()
			if _, err := s.wants(http.StatusCreated, http.MethodPut, instancePath("web", fmt.Sprintf("web-%d", n)), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	begun.Wait()
	<-time.After(200 * slowness * time.Millisecond) // they have been sent
	s.signal(t, syscall.SIGTERM)
	s.log.wait(t, 0, "SIGTERM")
	<-time.After(time.Second)
	run(t, "fsfreeze", "--unfreeze", dir)
	writing.Wait()
	s.stop(t)
	s = start(t, kept(""), "DIR="+dir)
	if is, _ := s.served(t); len(is) != 8 {
		t.Errorf("%d of 8 instances are there", len(is))
	}
}
