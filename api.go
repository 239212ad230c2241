package registry

import (
	"runtime/debug"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/coredns-registry/registry/internal/table"
)

// api is the registry as the endpoint sees it: the table, and the server blocks that
// answer DNS from it.
type api struct {
	*Registry
	blocks *blocks
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
func (a *api) Store() string { return "memory" }

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

// observeRequests returns what counts the requests to an endpoint.
func observeRequests(endpoint string) func(route string, code int, took time.Duration) {
	return func(route string, code int, took time.Duration) {
		requestsTotal.WithLabelValues(endpoint, route, strconv.Itoa(code)).Inc()
		requestDuration.WithLabelValues(endpoint, route).Observe(took.Seconds())
	}
}
