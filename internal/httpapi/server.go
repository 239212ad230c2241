// Package httpapi is the HTTP contract, version 1, and nothing else: it reads requests,
// hands what they ask for to a [Registry], and writes answers and streams of changes.
//
// Nothing that a client sends makes it panic, or answer a 5xx other than 503. What it
// refuses it explains, every fault of a body at once. Any number of requests may be
// served at the same time.
package httpapi

import (
	"cmp"
	"net/http"
	"time"

	"github.com/coredns-registry/registry/internal/door"
)

// Options are what a server may be given besides its registry. What is left zero is as
// its comment says.
type Options struct {
	door.Options

	After func(time.Duration) <-chan time.Time // time.After; for the keep-alives of watchers

	// StreamWriteTimeout is how long one write to a watcher, or of a download, may take; ten
	// seconds.
	StreamWriteTimeout time.Duration

	// Observe is called once for each request: with the label of its route, of which
	// there are few, the status, and how long it took until the answer was written, or
	// the stream of a watcher begun.
	Observe func(route string, code int, took time.Duration)

	// Watching is called with 1 when a watcher's stream begins and with -1 when it ends.
	Watching func(delta int)
}

// Server serves the HTTP contract on as many listeners as it is given. Its methods may
// be called from any goroutine.
type Server struct {
	*door.Server
	registry Registry
	options  Options

	watchWriteTimeout time.Duration // for one write to a watcher, or of a download
	largeStreams      chan struct{} // a place for each that may collect more than a page

	imports *imports
}

// New returns a server of that registry. It serves nothing yet.
func New(r Registry, o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.After == nil {
		o.After = time.After
	}
	if o.Observe == nil {
		o.Observe = func(string, int, time.Duration) {}
	}
	if o.Watching == nil {
		o.Watching = func(int) {}
	}
	s := &Server{
		registry:          r,
		options:           o,
		watchWriteTimeout: cmp.Or(o.StreamWriteTimeout, watchWriteTimeout),
		imports:           newImports(maxImport),
		largeStreams:      make(chan struct{}, maxLarge),
	}
	s.Server = door.NewServer(http.HandlerFunc(s.serve), o.Options)
	return s
}
