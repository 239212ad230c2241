package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns-registry/registry/internal/access"
	"github.com/coredns-registry/registry/internal/door"
	"github.com/coredns-registry/registry/internal/engine"
	"github.com/coredns-registry/registry/internal/httpapi"
	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/store/disk"
	"github.com/coredns-registry/registry/internal/tuning"
)

// Registry is one running registry: an engine with its table, the store that the table survives
// in, and the door through which services register. There is one for each address that a
// Corefile says to listen on, for as long as a server block uses it: see [registries].
//
// How a change goes: the door (internal/httpapi) reads a request, asks the guard
// (internal/access) whether the caller may make it, and hands it to [engine.Engine.Apply]. That
// judges it by the rules, drafts the next state of the table, has the store commit it together
// with all that wait, and publishes it. Then watchers are told, and the request is answered.
//
// How a query goes: CoreDNS calls [Handler.ServeDNS], one Handler for each server block. It parses
// the name, looks it up in the state that is published (internal/answer, internal/table), and
// sends the answer. It waits for nobody: neither for a change that is under way, nor for the store.
//
// Beside that, leases expire, the store is given what it has missed, files of credentials are
// looked at for changes, and names that hide public ones are warned of.
type Registry struct {
	listen string
	dir    string // of the store; empty where the table is in memory
	engine *engine.Engine
	server *httpapi.Server
	guard  atomic.Pointer[access.Guard] // who decides who may do what; of the oldest generation

	blocks   *serverBlocks
	watchers atomic.Int64 // clients that follow the table

	cancel  func()         // ends what run has started
	running sync.WaitGroup // goroutines of the registry
}

func newRegistry(listen, dir string, in store.Store, guard *access.Guard, connections *door.Connections) *Registry {
	e := engine.New(listen, time.Now, in, log)
	r := &Registry{listen: listen, dir: dir, engine: e, blocks: &serverBlocks{engine: e}}
	r.guard.Store(guard)
	r.server = httpapi.New(&api{e, r.blocks, dir}, httpapi.Options{
		Options:  door.Options{TLS: r.tls(), Guard: r.guard.Load, Connections: connections},
		Observe:  observeRequests(listen),
		Watching: func(delta int) { r.watchers.Add(int64(delta)) },
	})
	return r
}

// configure replaces the rules, the guard and the server blocks.
func (r *Registry) configure(rules engine.Rules, guard *access.Guard, handlers []*Handler) {
	r.engine.SetRules(rules)
	r.guard.Store(guard)
	r.blocks.set(handlers)
}

// openRegistry listens and serves. The socket is not opened for reuse of its port, as
// CoreDNS opens its own: a second process on the same address would take a share of the
// registrations, unseen. A reload keeps the socket, so it needs no second one.
func openRegistry(listen, dir string, guard *access.Guard, connections *door.Connections, reload bool) (*Registry, error) {
	var in store.Store
	if dir != "" {
		opened, err := disk.Open(dir)
		if err != nil {
			return nil, err
		}
		in = opened
	}
	r := newRegistry(listen, dir, in, guard, connections)
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the registration endpoint: %w", err), r.engine.Close())
	}
	r.run()
	if err := r.load(reload); err != nil {
		return nil, errors.Join(err, listener.Close(), r.stop())
	}
	r.running.Go(func() {
		if err := r.server.Serve(listener); err != nil {
			log.Errorf("Serving the registration endpoint on %s: %v", listener.Addr(), err)
		}
	})
	scheme := "http"
	if guard.Encrypts() {
		scheme = "https"
	}
	log.Infof("Registration endpoint on %s://%s", scheme, listener.Addr())
	return r, nil
}

// tls returns how connections are secured: by the guard at the time when each begins. It returns
// nil where they are not.
func (r *Registry) tls() *tls.Config {
	if !r.guard.Load().Encrypts() {
		return nil
	}
	return &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return r.guard.Load().TLS(), nil
	}}
}

// warnEvery is how often names are looked at that hide public ones.
const warnEvery = 5 * time.Second

// run starts what goes on beside the server until stop.
func (r *Registry) run() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.running.Go(func() { every(ctx, lease.TickEvery, r.engine.Expire) })
	r.running.Go(func() { every(ctx, lease.TickEvery, r.engine.Flush) }) // may wait for the store
	r.running.Go(func() { every(ctx, access.PollEvery, r.pollFiles) })
	r.running.Go(func() { every(ctx, access.PollEvery, r.server.FlushLog) })
	r.running.Go(func() { tuning.HoldStack(ctx) })
	r.running.Go(func() { every(ctx, warnEvery, r.engine.WarnOfShadows) })
}

// pollFiles puts files in force that have changed.
func (r *Registry) pollFiles() {
	for _, event := range r.guard.Load().Poll(time.Now()) {
		if event.Err != nil {
			log.Errorf("%s", event)
		} else {
			log.Infof("%s", event)
		}
	}
}

// every calls a function again and again, until the context ends.
func every(ctx context.Context, d time.Duration, do func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do()
		}
	}
}

// startTimeout is how long a start waits for the table to be loaded.
const startTimeout = 2 * time.Second

// load has the table loaded. Until it is there, queries get SERVFAIL. A load that takes no longer
// than startTimeout is waited for, so that a store that cannot be read is an ordinary refusal to
// start; one that fails later ends the process, since there is nothing that it could answer. A
// reload waits for all of it: meanwhile the old generation answers.
func (r *Registry) load(reload bool) error {
	loaded := make(chan error, 1)
	r.running.Go(func() { loaded <- r.engine.Load() })
	if reload {
		return <-loaded
	}
	select {
	case err := <-loaded:
		return err
	case <-time.After(startTimeout):
	}
	go func() {
		if err := <-loaded; err != nil && !errors.Is(err, engine.ErrStopped) {
			log.Fatal(err)
		}
	}()
	return nil
}

// closeTimeout is how long requests may take to end when the registry closes, and storeTimeout
// how long the store may take after that to commit the last changes.
const (
	closeTimeout = 3 * time.Second
	storeTimeout = 800 * time.Millisecond
)

// close lets requests end. That some client is not done in time is no failure of ours.
func (r *Registry) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := r.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		log.Warningf("Closing the registration endpoint on %s: cut off clients that were not done in %s", r.listen, closeTimeout)
		err = nil
	}
	return errors.Join(err, r.stop())
}

// stop ends what run has started and closes the store. A store that hangs is left as it
// is: what was not acknowledged may be lost.
func (r *Registry) stop() error {
	r.cancel()
	r.engine.StopLoading()
	stopped := make(chan error, 1)
	go func() {
		r.running.Wait()
		stopped <- r.engine.Close()
	}()
	select {
	case err := <-stopped:
		return err
	case <-time.After(storeTimeout):
		return fmt.Errorf("close store %s: no response in %s, giving up", r.listen, storeTimeout)
	}
}

// api is the registry as its door sees it: the engine, and what DNS says of its table.
type api struct {
	*engine.Engine
	*serverBlocks
	dir string // of the store; empty where the table is in memory
}

// Store names the kind of store that the table survives in.
func (a *api) Store() string {
	if a.dir != "" {
		return "disk"
	}
	return "memory"
}

// Version is the version of the module that the binary was built with.
func (a *api) Version() string {
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

const modulePath = "github.com/coredns-registry/registry"
