package registry

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/coredns-registry/registry/internal/access"
	"github.com/coredns-registry/registry/internal/door"
	"github.com/coredns-registry/registry/internal/tuning"

	"github.com/coredns/caddy"
)

// open are the registries of this process. It is the only mutable state of the package.
var open = &registries{byListen: make(map[string]*sharedRegistry)}

// registries are those that are open, by address. Server blocks that name the same address share
// one, and so do the two generations of a reload, which overlap.
type registries struct {
	mu          sync.Mutex // guards what follows
	byListen    map[string]*sharedRegistry
	connections *door.Connections // of all registries, which share the files of the process; nil before the first
	untune      func()            // undoes what is tuned while there is a registry; nil while there is none
}

// sharedRegistry is a registry and who uses it, in the order in which they came.
type sharedRegistry struct {
	*Registry
	users []*user // guarded by registries.mu
}

// user is a server block that uses a registry.
type user struct {
	generation *generation
	handler    *Handler
	config     *Config
}

// acquire gives a server block its registry, and opens that for the first.
func (rs *registries) acquire(g *generation, h *Handler, config *Config) error {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.byListen[config.Listen]
	if r == nil {
		if err := rs.checkOpen(g, config); err != nil {
			return err
		}
	} else if err := r.checkReload(g, config); err != nil {
		return err
	}
	guard, err := g.guard(config.Listen)
	if err != nil {
		return err
	}
	if r == nil {
		if rs.connections == nil {
			rs.connections = door.ConnectionsWithinFiles(log.Warningf)
		}
		opened, err := openRegistry(config.Listen, config.Dir, guard, rs.connections, len(rs.byListen) > 0)
		if err != nil {
			closeGuard(guard)
			return err
		}
		r = &sharedRegistry{Registry: opened}
		rs.byListen[config.Listen] = r
		rs.tune()
	}
	h.engine.Store(r.engine)
	r.users = append(r.users, &user{g, h, config})
	r.settle()
	return nil
}

// checkOpen refuses what a reload cannot do. A registry on another address would begin with
// an empty table, and one that takes over a store would have to wait for it.
func (rs *registries) checkOpen(g *generation, config *Config) error {
	for _, r := range rs.byListen {
		if config.Dir != "" && r.dir == config.Dir {
			return fmt.Errorf("store disk %s is in use by the endpoint on %s: restart to move it to %s", config.Dir, r.listen, config.Listen)
		}
		if !slices.ContainsFunc(g.configs, func(c *Config) bool { return c.Listen == r.listen }) {
			return fmt.Errorf("listen cannot change from %s to %s while it runs, what is registered would be lost: restart", r.listen, config.Listen)
		}
	}
	return nil
}

// checkReload refuses what a reload cannot change of a registry.
func (r *sharedRegistry) checkReload(g *generation, config *Config) error {
	if r.dir != config.Dir {
		return fmt.Errorf("the store of %s cannot change while it runs: restart to go from %s to %s", r.listen, storeName(r.dir), storeName(config.Dir))
	}
	if r.guard.Load().Encrypts() != (g.shared[r.listen].TLS != nil) {
		return fmt.Errorf("tls of %s cannot be switched on or off while it runs: restart", r.listen)
	}
	return nil
}

func storeName(dir string) string {
	if dir == "" {
		return "memory"
	}
	return "disk " + dir
}

// release ends a server block's use of its registry, which closes after the last.
func (rs *registries) release(g *generation, h *Handler) error {
	return rs.remove(func(u *user) bool { return u.generation == g && u.handler == h })
}

// keepOnly ends all use by other generations: after a reload that failed, by the one that failed.
// Only one reload is under way at a time.
func (rs *registries) keepOnly(g *generation) error {
	return rs.remove(func(u *user) bool { return u.generation != g })
}

func (rs *registries) remove(match func(*user) bool) error {
	rs.mu.Lock()
	var closing []*sharedRegistry
	var unused []*access.Guard
	for _, r := range rs.byListen {
		before := slices.Clone(r.users)
		r.users = slices.DeleteFunc(r.users, match)
		switch {
		case len(r.users) == len(before):
		case len(r.users) == 0:
			delete(rs.byListen, r.listen)
			closing = append(closing, r)
		default:
			r.settle()
		}
		unused = append(unused, r.unusedGuards(before)...)
	}
	rs.mu.Unlock()
	var errs error
	for _, r := range closing {
		errs = errors.Join(errs, r.close())
	}
	for _, guard := range unused {
		closeGuard(guard)
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.tune()
	return errs
}

// tune has garbage collected less often while a registry is open. The caller holds mu.
func (rs *registries) tune() {
	switch {
	case len(rs.byListen) > 0 && rs.untune == nil:
		rs.untune = tuning.WhileOpen()
	case len(rs.byListen) == 0 && rs.untune != nil:
		rs.untune()
		rs.untune = nil
	}
}

// unusedGuards returns the guards of generations that used the registry before and do not now.
func (r *sharedRegistry) unusedGuards(before []*user) (guards []*access.Guard) {
	for _, u := range before {
		guard := u.generation.guards[r.listen]
		used := slices.ContainsFunc(r.users, func(v *user) bool { return v.generation == u.generation })
		if !used && !slices.Contains(guards, guard) {
			guards = append(guards, guard)
		}
	}
	return guards
}

// all returns the registries that are open, in order of address.
func (rs *registries) all() []*Registry {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	var all []*Registry
	for _, r := range rs.byListen {
		all = append(all, r.Registry)
	}
	slices.SortFunc(all, func(a, b *Registry) int { return cmp.Compare(a.listen, b.listen) })
	return all
}

// settle puts the settings of the blocks in force that use the registry: those of the generation
// that came first, since a later one may yet fail to start. The TTL is the longest of all.
func (r *sharedRegistry) settle() {
	first := r.users[0].generation
	rules := first.shared[r.listen].rules()
	var handlers []*Handler
	for _, u := range r.users {
		rules.TTL = max(rules.TTL, u.config.TTL)
		handlers = append(handlers, u.handler)
	}
	r.configure(rules, first.guards[r.listen], handlers)
}

// generation is one Corefile being run: CoreDNS has one, and two during a reload.
type generation struct {
	configs []*Config
	shared  map[string]*Shared       // by address: what all its blocks say together
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

// guard returns the guard of an address by the settings of this generation.
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

// add takes a server block into the generation, unless it contradicts another one about the
// registry that both would share.
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

// agree joins what a block says to what the others of its address do.
func (g *generation) agree(config *Config, shared *Shared) error {
	for _, other := range g.configs {
		if other.Listen == config.Listen && other.Dir != config.Dir {
			return differs("store")
		}
	}
	return shared.join(&config.Shared)
}

// join adds what another block sets. It goes by the fields, so that a new one is not forgotten:
// a value that only one block sets holds for both, two values must be equal, and of two maps that
// is so for each key.
func (s *Shared) join(other *Shared) error {
	ours, theirs := reflect.ValueOf(s).Elem(), reflect.ValueOf(other).Elem()
	for n := range ours.NumField() {
		directive := ours.Type().Field(n).Tag.Get("directive")
		our, their := ours.Field(n), theirs.Field(n)
		switch {
		case their.IsZero():
		case our.Kind() == reflect.Map:
			joined := reflect.MakeMap(our.Type())
			for _, m := range []reflect.Value{our, their} {
				for kind, value := range m.Seq2() {
					if set := joined.MapIndex(kind); set.IsValid() && !set.Equal(value) {
						return differs(directive + " " + kind.String())
					}
					joined.SetMapIndex(kind, value)
				}
			}
			our.Set(joined)
		case our.IsZero():
			our.Set(their)
		case !reflect.DeepEqual(our.Interface(), their.Interface()):
			return differs(directive)
		}
	}
	return nil
}

func differs(directive string) error { return fmt.Errorf("%s differs", directive) }
