package registry

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/coredns-registry/registry/internal/access"
	"github.com/coredns-registry/registry/internal/tuning"

	"github.com/coredns/caddy"
)

// open holds the endpoints of this process with their tables, by address. It is the only
// mutable state of the package: server blocks that name the same address share one, and so
// do the two generations of a reload, which overlap.
var open = &endpoints{byListen: make(map[string]*endpoint)}

type endpoints struct {
	mu             sync.Mutex // guards what follows
	byListen       map[string]*endpoint
	connections    *access.Connections // of all endpoints, which share the files of the process; nil before the first
	collectUsually func()              // undoes what was set while there is an endpoint; nil while there is none
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
	} else if err := e.mayChange(g, config); err != nil {
		return err
	}
	guard, err := g.guard(config.Listen)
	if err != nil {
		return err
	}
	if e == nil {
		if o.connections == nil {
			o.connections = newConnections()
		}
		if e, err = openEndpoint(config, guard, o.connections, len(o.byListen) > 0); err != nil {
			closeGuard(guard)
			return err
		}
		o.byListen[config.Listen] = e
		o.paceCollector()
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

// mayChange refuses what a reload cannot change of an endpoint.
func (e *endpoint) mayChange(g *generation, config *Config) error {
	if e.dir != config.Dir {
		return fmt.Errorf("the store of %s cannot change while it runs: restart to go from %s to %s", e.listen, storeName(e.dir), storeName(config.Dir))
	}
	if e.guard.Load().Encrypts() != (g.shared[e.listen].TLS != nil) {
		return fmt.Errorf("tls of %s cannot be switched on or off while it runs: restart", e.listen)
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
	var gone []*access.Guard
	for _, e := range o.byListen {
		before := slices.Clone(e.holders)
		e.holders = slices.DeleteFunc(e.holders, match)
		switch {
		case len(e.holders) == len(before):
		case len(e.holders) == 0:
			delete(o.byListen, e.listen)
			closing = append(closing, e)
		default:
			e.settle()
		}
		gone = append(gone, e.unheld(before)...)
	}
	o.mu.Unlock()
	var errs error
	for _, e := range closing {
		errs = errors.Join(errs, e.close())
	}
	for _, guard := range gone {
		closeGuard(guard)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.paceCollector()
	return errs
}

// paceCollector has garbage collected less often while an endpoint is open. The caller holds mu.
func (o *endpoints) paceCollector() {
	switch {
	case len(o.byListen) > 0 && o.collectUsually == nil:
		o.collectUsually = tuning.WhileOpen()
	case len(o.byListen) == 0 && o.collectUsually != nil:
		o.collectUsually()
		o.collectUsually = nil
	}
}

// unheld returns the guards of generations that held the endpoint before and do not now.
func (e *endpoint) unheld(before []*holder) (guards []*access.Guard) {
	for _, held := range before {
		guard := held.generation.guards[e.listen]
		stays := slices.ContainsFunc(e.holders, func(h *holder) bool { return h.generation == held.generation })
		if !stays && !slices.Contains(guards, guard) {
			guards = append(guards, guard)
		}
	}
	return guards
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

// settle makes the rules those of the blocks that hold the endpoint: of the generation that
// came first, since a later one may yet fail to start. The TTL is the longest of all.
func (e *endpoint) settle() {
	first := e.holders[0].generation
	rules := first.shared[e.listen].rules()
	var handlers []*Handler
	for _, held := range e.holders {
		rules.TTL = max(rules.TTL, held.config.TTL)
		handlers = append(handlers, held.handler)
	}
	e.registry.SetRules(rules)
	e.guard.Store(first.guards[e.listen])
	e.blocks.set(handlers)
}

// generation is one Corefile being run: CoreDNS has one, and two during a reload.
type generation struct {
	configs []*Config
	shared  map[string]*Shared       // by endpoint: what all its blocks say together
	guards  map[string]*access.Guard // likewise, of those that were started
}

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

// guard returns who decides, by the settings of this generation, what may be done at an
// endpoint.
func (g *generation) guard(listen string) (*access.Guard, error) {
	if guard := g.guards[listen]; guard != nil {
		return guard, nil
	}
	guard, err := openGuard(listen, g.shared[listen])
	if err != nil {
		return nil, err
	}
	if g.guards == nil {
		g.guards = make(map[string]*access.Guard)
	}
	g.guards[listen] = guard
	return guard, nil
}

// add takes a server block into the generation, unless it disagrees with another one
// about the table that both would share.
func (g *generation) add(config *Config) error {
	for _, other := range g.configs {
		if other.Listen != config.Listen && config.Dir != "" && other.Dir == config.Dir {
			return fmt.Errorf("store disk %s is that of two tables, on %s and on %s: each needs a directory of its own", config.Dir, other.Listen, config.Listen)
		}
	}
	shared := g.shared[config.Listen]
	if shared == nil {
		shared = &Shared{}
		if g.shared == nil {
			g.shared = make(map[string]*Shared)
		}
		g.shared[config.Listen] = shared
	}
	if err := g.agree(config, shared); err != nil {
		return fmt.Errorf("%w between two server blocks that listen on %s: they share one table, write the same in both", err, config.Listen)
	}
	g.configs = append(g.configs, config)
	return nil
}

// agree joins what a block says to what the others of its endpoint do.
func (g *generation) agree(config *Config, shared *Shared) error {
	for _, other := range g.configs {
		if other.Listen == config.Listen && other.Dir != config.Dir {
			return differs("store")
		}
	}
	return shared.join(&config.Shared)
}
