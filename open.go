package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns-registry/registry/internal/httpapi"
	"github.com/coredns-registry/registry/internal/lease"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/plugin/transfer"
)

// open holds the endpoints of this process with their tables, by address. It is the only
// mutable state of the package: server blocks that name the same address share one, and so
// do the two generations of a reload, which overlap.
var open = &endpoints{byListen: make(map[string]*endpoint)}

type endpoints struct {
	mu       sync.Mutex
	byListen map[string]*endpoint
}

// endpoint is a table with the server that feeds it. It lives as long as a server block
// holds it.
type endpoint struct {
	listen   string
	registry *Registry
	server   *httpapi.Server
	stop     func() // ends what runs beside the server

	watchers atomic.Int64 // clients that follow the table

	holders []*holder // in the order in which they came; guarded by endpoints.mu
	blocks  blocks
}

// holder is a server block that uses an endpoint.
type holder struct {
	generation *generation
	handler    *Handler
	config     *Config
}

// acquire gives a server block its registry, and opens the endpoint for the first.
func (o *endpoints) acquire(g *generation, h *Handler, config *Config) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	e := o.byListen[config.Listen]
	if e == nil {
		var err error
		if e, err = openEndpoint(config.Listen); err != nil {
			return err
		}
		o.byListen[config.Listen] = e
	}
	h.registry.Store(e.registry)
	e.holders = append(e.holders, &holder{g, h, config})
	e.settle()
	return nil
}

// release takes a server block's hold away. The endpoint closes with the last.
func (o *endpoints) release(g *generation, h *Handler) error {
	return o.drop(func(held *holder) bool { return held.generation == g && held.handler == h })
}

// keepOnly takes away what a generation that failed to start still holds. Only one
// reload is under way at a time, so it is every generation but the one that goes on.
func (o *endpoints) keepOnly(g *generation) error {
	return o.drop(func(held *holder) bool { return held.generation != g })
}

func (o *endpoints) drop(match func(*holder) bool) error {
	o.mu.Lock()
	var closing []*endpoint
	for _, e := range o.byListen {
		before := len(e.holders)
		e.holders = slices.DeleteFunc(e.holders, match)
		switch {
		case len(e.holders) == before:
		case len(e.holders) == 0:
			delete(o.byListen, e.listen)
			closing = append(closing, e)
		default:
			e.settle()
		}
	}
	o.mu.Unlock()
	var errs error
	for _, e := range closing {
		errs = errors.Join(errs, e.close())
	}
	return errs
}

// all returns the endpoints that are open, in order of address.
func (o *endpoints) all() []*endpoint {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []*endpoint
	for _, e := range o.byListen {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *endpoint) int { return cmp.Compare(a.listen, b.listen) })
	return all
}

// settle makes the rules those of the blocks that hold the endpoint: the lease of the
// last that names one, and the longest of their TTLs.
func (e *endpoint) settle() {
	leases, ttl := defaultLeases, time.Duration(0)
	var handlers []*Handler
	for _, held := range e.holders {
		if held.config.Leases != nil {
			leases = *held.config.Leases
		}
		ttl = max(ttl, held.config.TTL)
		handlers = append(handlers, held.handler)
	}
	e.registry.setRules(leases, ttl)
	e.blocks.set(handlers)
}

// openEndpoint listens and serves. The socket is not opened for reuse of its port, as
// CoreDNS opens its own: a second process on the same address would take a share of the
// registrations, unseen. A reload keeps the socket, so it needs no second one.
func openEndpoint(listen string) (*endpoint, error) {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("open the registration endpoint: %w", err)
	}
	e := &endpoint{listen: listen, registry: newRegistry(listen, time.Now)}
	e.server = httpapi.New(&api{e.registry, &e.blocks}, httpapi.Options{
		Observe:  observeRequests(listen),
		Watching: func(delta int) { e.watchers.Add(int64(delta)) },
	})

	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { e.expire(ctx) })
	running.Go(func() {
		if err := e.server.Serve(listener); err != nil {
			log.Errorf("Serving the registration endpoint on %s: %v", listener.Addr(), err)
		}
	})
	e.stop = func() {
		cancel()
		running.Wait()
	}
	log.Infof("Registration endpoint on http://%s", listener.Addr())
	return e, nil
}

// expire drops instances as their leases end, until the context does.
func (e *endpoint) expire(ctx context.Context) {
	tick := time.NewTicker(lease.TickEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			e.registry.Expire()
		}
	}
}

// closeWithin is how long requests may take to end when the endpoint closes.
const closeWithin = 4 * time.Second

// close lets requests end. That some client is not done in time is no failure of ours.
func (e *endpoint) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	err := e.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		log.Warningf("Closing the registration endpoint on %s: cut off clients that were not done in %s", e.listen, closeWithin)
		err = nil
	}
	e.stop()
	return err
}

// startNotify tells secondaries of changes until the function that it returns is called.
func (h *Handler) startNotify(t *transfer.Transfer) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	go h.notify(ctx, t)
	return cancel
}

// generation is one Corefile being run: CoreDNS has one, and two during a reload.
type generation struct{ configs []*Config }

type generationKey struct{}

// generationOf returns the generation that a server block belongs to.
func generationOf(c *caddy.Controller) *generation {
	if g, ok := c.Get(generationKey{}).(*generation); ok {
		return g
	}
	g := &generation{}
	c.Set(generationKey{}, g)
	return g
}

// add takes a server block into the generation, unless it disagrees with another one
// about the table that both would share.
func (g *generation) add(config *Config) error {
	for _, other := range g.configs {
		if other.Listen == config.Listen && other.Leases != nil && config.Leases != nil && *other.Leases != *config.Leases {
			return fmt.Errorf("lease differs between two server blocks that listen on %s: they share one table, write the same lease in both, or in one", config.Listen)
		}
	}
	g.configs = append(g.configs, config)
	return nil
}
