package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coredns-registry/registry/internal/door"
	"github.com/coredns-registry/registry/service"
)

// crowd registers so many instances, all at once.
func crowd(t *testing.T, w *world, n int) {
	t.Helper()
	var changes []service.Change
	for i := range n {
		changes = append(changes, service.Change{Op: service.Register,
			ID:       service.ID{Name: service.Name{Namespace: "default", Service: "web"}, ID: fmt.Sprintf("%04d", i)},
			Instance: &service.Instance{Addresses: []addr{one}}})
	}
	if _, _, err := w.memory.Apply(anyone, changes, time.Now()); err != nil {
		t.Fatal(err)
	}
}

func TestStreamsHaveALimit(t *testing.T) {
	const each = 4 // an eighth of 32 connections
	d := newGate(t, callers...)
	inBubble(t, func(w *world) {
		crowd(t, w, 1)
		w.memory.writes(1, 1, nil)
		for range each {
			w.watch("", as("root")...)
		}
		for _, path := range []string{"/v1/watch", "/v1/watch?since=101", "/v1/export", "/v1/snapshot"} {
			got := w.must(http.StatusTooManyRequests, "GET", path, "", as("root")...)
			if got.fields(t); !strings.Contains(got.body, "this credential has 4 ") || got.header.Get("Retry-After") != "10" {
				t.Errorf("%s: got %v %s", path, got.header, got.body)
			}
		}
		// What is over at once is none, and others have theirs.
		w.must(http.StatusOK, "GET", "/v1/services", "", as("root")...)
		w.must(http.StatusOK, "HEAD", "/v1/watch", "", as("root")...)
		for range each {
			w.watch("", as("reader")...)
		}
		w.must(http.StatusTooManyRequests, "GET", "/v1/export", "", as("reader")...)
		for range 3 { // one that has ended is not counted any more
			w.must(http.StatusOK, "GET", "/v1/export", "", as("writer")...)
			w.must(http.StatusForbidden, "GET", "/v1/snapshot", "", as("writer")...)
		}
	}, d.guards, func(o *Options) { o.Connections = door.NewConnections(8*each, time.Now) })
}

// Half of the connections are never streams: whoever wants to send a heartbeat has them.
func TestStreamsLeaveConnectionsToOthers(t *testing.T) {
	d := newGate(t, callers...)
	inBubble(t, func(w *world) {
		var watching []*listener
		for _, who := range []string{"root", "reader", "writer", "other"} {
			for range 2 {
				watching = append(watching, w.watch("", as(who)...))
			}
		}
		got := w.must(http.StatusServiceUnavailable, "GET", "/v1/watch", "", as("outreader")...)
		if got.fields(t); !strings.Contains(got.body, "8 watches, downloads and long polls are open") || got.header.Get("Retry-After") != "10" {
			t.Errorf("got %v %s", got.header, got.body)
		}
		watching[0].leave()
		synctest.Wait()
		w.watch("", as("outreader")...)
	}, d.guards, func(o *Options) { o.Connections = door.NewConnections(16, time.Now) })
}
