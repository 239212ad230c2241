package registry

import (
	"io"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns-registry/registry/internal/engine"
	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/prometheus/client_golang/prometheus"
)

// api is the registry as the endpoint sees it: the table, and the server blocks that
// answer DNS from it.
type api struct {
	*engine.Engine
	blocks *blocks
	kept   store.Store // nil where the table is in memory
}

// blocks are the server blocks that answer from one table, in the order of the Corefile.
// They may be replaced while they are read.
type blocks struct{ handlers atomic.Pointer[[]*Handler] }

func (b *blocks) set(handlers []*Handler) { b.handlers.Store(&handlers) }

func (b *blocks) all() []*Handler {
	if p := b.handlers.Load(); p != nil {
		return *p
	}
	return nil
}

// Names returns the DNS names that lead to an instance of the service now, in every zone
// that is served.
func (a *api) Names(view *table.View, i *table.Instance) []string {
	var names []string
	for _, h := range a.blocks.all() {
		for _, z := range h.zones {
			names = append(names, z.Names(view, i)...)
		}
	}
	if len(a.blocks.all()) > 1 { // two blocks may serve one zone
		slices.Sort(names)
		names = slices.Compact(names)
	}
	return names
}

// Store names where the table survives.
func (a *api) Store() string {
	if a.kept != nil {
		return "disk"
	}
	return "memory"
}

// Snapshot writes a copy of the store.
func (a *api) Snapshot(w io.Writer) error {
	switch {
	case a.kept == nil:
		return service.ErrNoSnapshot
	case a.State() == nil: // a store is not asked for anything before it is loaded
		return service.ErrNotLoaded
	}
	return a.kept.Snapshot(w)
}

// Version is the version of the module that the binary was built with.
func (a *api) Version() string { return version() }

const modulePath = "github.com/coredns-registry/registry"

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == modulePath && m.Version != "" {
			return m.Version
		}
	}
	return "(devel)"
}

// observeRequests returns what counts the requests to an endpoint. There are few routes and
// codes: what counts each of them is looked up once.
func observeRequests(endpoint string) func(route string, code int, took time.Duration) {
	type outcome struct {
		route string
		code  int
	}
	type counted struct {
		total    prometheus.Counter
		duration prometheus.Observer
	}
	var mu sync.RWMutex
	known := make(map[outcome]counted) // guarded by mu
	return func(route string, code int, took time.Duration) {
		mu.RLock()
		c, ok := known[outcome{route, code}]
		mu.RUnlock()
		if !ok {
			c = counted{requestsTotal.WithLabelValues(endpoint, route, strconv.Itoa(code)), requestDuration.WithLabelValues(endpoint, route)}
			mu.Lock()
			known[outcome{route, code}] = c
			mu.Unlock()
		}
		c.total.Inc()
		c.duration.Observe(took.Seconds())
	}
}
