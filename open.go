package registry

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/coredns/caddy"
)

// open holds the endpoints of this process with their tables, by address. It is the only
// mutable state of the package: server blocks that name the same address share one, and so
// do the two generations of a reload, which overlap.
var open = &endpoints{byListen: make(map[string]*endpoint)}

type endpoints struct {
	mu       sync.Mutex
	byListen map[string]*endpoint
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
		if err := o.mayOpen(g, config); err != nil {
			return err
		}
		var err error
		if e, err = openEndpoint(config, len(o.byListen) > 0); err != nil {
			return err
		}
		o.byListen[config.Listen] = e
	}
	if e.dir != config.Dir {
		return fmt.Errorf("the store of %s cannot change while it runs: restart to go from %s to %s", e.listen, storeName(e.dir), storeName(config.Dir))
	}
	h.registry.Store(e.registry)
	e.holders = append(e.holders, &holder{g, h, config})
	e.settle()
	return nil
}

// mayOpen refuses what a reload cannot do. An endpoint that is renamed would begin with
// an empty table, and one that takes over a store would have to wait for it.
func (o *endpoints) mayOpen(g *generation, config *Config) error {
	for _, e := range o.byListen {
		if config.Dir != "" && e.dir == config.Dir {
			return fmt.Errorf("store disk %s is in use by the endpoint on %s: restart to move it to %s", config.Dir, e.listen, config.Listen)
		}
		if !slices.ContainsFunc(g.configs, func(c *Config) bool { return c.Listen == e.listen }) {
			return fmt.Errorf("listen cannot change from %s to %s while it runs, what is registered would be lost: restart", e.listen, config.Listen)
		}
	}
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
	leases, eviction, ttl := defaultLeases, defaultEviction, time.Duration(0)
	var handlers []*Handler
	for _, held := range e.holders {
		if held.config.Leases != nil {
			leases = *held.config.Leases
		}
		if held.config.Eviction != nil {
			eviction = *held.config.Eviction
		}
		ttl = max(ttl, held.config.TTL)
		handlers = append(handlers, held.handler)
	}
	e.registry.setRules(leases, eviction, ttl)
	e.blocks.set(handlers)
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
		if other.Listen != config.Listen {
			if config.Dir != "" && other.Dir == config.Dir {
				return fmt.Errorf("store disk %s is that of two tables, on %s and on %s: each needs a directory of its own", config.Dir, other.Listen, config.Listen)
			}
			continue
		}
		var differs string
		switch {
		case other.Dir != config.Dir:
			differs = "store"
		case other.Leases != nil && config.Leases != nil && *other.Leases != *config.Leases:
			differs = "lease"
		case other.Eviction != nil && config.Eviction != nil && *other.Eviction != *config.Eviction:
			differs = "eviction"
		default:
			continue
		}
		return fmt.Errorf("%s differs between two server blocks that listen on %s: they share one table, write the same in both", differs, config.Listen)
	}
	g.configs = append(g.configs, config)
	return nil
}
