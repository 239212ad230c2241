package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
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
		var ends [2]error
		for n := range ends {
			w := s.watch(t, "", n == 1)
			storm.Go(func() {
				for ends[n] == nil {
					_, ends[n] = w.next()
				}
			})
		}
		<-time.After(300 * time.Millisecond)
		stopping.Store(true)
		s.stop(t) // holds it to the time, and the code it ends with
		storm.Wait()
		cutShort := s.wasCutShort(t)
		for _, err := range ends {
			if err != io.EOF && !cutShort {
				t.Errorf("a watcher's stream ended with %v, want it to end as a whole", err)
			}
		}
		s = start(t, kept(""), dir)
		if granted, _ := s.compare(t, clients, s.began); granted > 0 && !cutShort {
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
	s.terminate(t)
	heard := s.hearsSIGTERM(t)
	<-time.After(300 * time.Millisecond)
	if _, err := io.WriteString(conn, body[10:]); err != nil {
		t.Fatal(err)
	}
	isNotTooLate(t, heard)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	s.stop(t)
	if s.wasCutShort(t) {
		t.Skip("this machine is too slow")
	}
	if err != nil || response.StatusCode != http.StatusCreated {
		t.Errorf("got %v, %v, want 201", response, err)
	}
	s = start(t, kept(""), dir)
	s.must(t, http.StatusOK, http.MethodGet, instancePath("web", "web-1"), "")
}

// So is one that waits for the disk.
func TestWriteThatWaitsForTheDiskIsAnsweredOnSIGTERM(t *testing.T) {
	t.Parallel()
	dir := freezable(t)
	s := start(t, kept(""), "DIR="+dir)
	thaw := freeze(t, dir)
	defer thaw()
	var conns []net.Conn
	for n := range 8 {
		conn, err := net.Dial("tcp", s.endpoint.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		const body = `{"addresses":["192.0.2.7"],"leaseSeconds":0}`
		if _, err := fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", instancePath("web", fmt.Sprintf("web-%d", n)), len(body), body); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	s.must(t, http.StatusOK, http.MethodGet, "/v1/status", "") // those connections were accepted before this one
	<-time.After(200 * slowness * time.Millisecond)            // and the requests are read
	s.terminate(t)
	heard := s.hearsSIGTERM(t) // though the disk hangs
	<-time.After(time.Second)
	thaw()
	isNotTooLate(t, heard)
	var faults []string
	for n, conn := range conns {
		if response, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || response.StatusCode != http.StatusCreated {
			faults = append(faults, fmt.Sprintf("write %d: got %v, %v, want 201", n, response, err))
		}
	}
	s.stop(t)
	if s.wasCutShort(t) {
		t.Skip("this machine is too slow")
	}
	for _, fault := range faults {
		t.Error(fault)
	}
	s = start(t, kept(""), "DIR="+dir)
	if is, _ := s.served(t); len(is) != 8 {
		t.Errorf("%d of 8 instances are there", len(is))
	}
}

// hearsSIGTERM waits until the server tells that it was told to stop, and returns when that was.
func (s *server) hearsSIGTERM(t *testing.T) (heard time.Time) {
	t.Helper()
	s.log.wait(t, 0, "SIGTERM")
	heard = time.Now()
	if took, allowed := heard.Sub(s.terminated), stopWithin+time.Duration(s.slack.Load()); took > allowed {
		t.Errorf("CoreDNS heard SIGTERM after %s, want it to stop within %s", took, allowed)
	}
	return heard
}

// isNotTooLate skips a test that has kept a server waiting, which cuts its clients off three
// seconds after it was told to stop.
func isNotTooLate(t *testing.T, heard time.Time) {
	t.Helper()
	if late := time.Since(heard); late > 2*time.Second {
		t.Skipf("this machine is too slow: this test went on only %s after SIGTERM", late)
	}
}
