package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns-registry/registry/internal/access"
	"github.com/coredns-registry/registry/internal/engine"
	"github.com/coredns-registry/registry/internal/httpapi"
	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/store/disk"
	"github.com/coredns-registry/registry/internal/tuning"
)

// endpoint is a table with the server that feeds it. It lives as long as a server block
// holds it.
type endpoint struct {
	listen   string
	dir      string // of its store; empty where the table is in memory
	registry *engine.Engine
	server   *httpapi.Server
	cancel   func()         // ends what is running
	running  sync.WaitGroup // goroutines of the endpoint

	watchers atomic.Int64 // clients that follow the table

	guard atomic.Pointer[access.Guard] // who decides what may be done; of the generation that came first

	holders []*holder // in the order in which they came; guarded by endpoints.mu
	blocks  blocks
}

// openEndpoint listens and serves. The socket is not opened for reuse of its port, as
// CoreDNS opens its own: a second process on the same address would take a share of the
// registrations, unseen. A reload keeps the socket, so it needs no second one.
//
// A table that is kept in a store is loaded beside: until it is there, queries get
// SERVFAIL. What takes no longer than patience is waited for, so that a store that cannot
// be read is an ordinary refusal to start; in a reload all of it is, since there is a
// server that goes on.
func openEndpoint(config *Config, guard *access.Guard, connections *access.Connections, reload bool) (*endpoint, error) {
	var in store.Store
	if config.Dir != "" {
		kept, err := disk.Open(config.Dir)
		if err != nil {
			return nil, err
		}
		in = kept
	}
	listener, err := net.Listen("tcp", config.Listen)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the registration endpoint: %w", err), closeStore(in))
	}
	e := &endpoint{listen: config.Listen, dir: config.Dir, registry: engine.New(config.Listen, time.Now, in, log)}
	e.guard.Store(guard)
	e.server = httpapi.New(&api{e.registry, &e.blocks, in}, httpapi.Options{
		TLS:         e.tls(),
		Guard:       e.guard.Load,
		Connections: connections,
		Observe:     observeRequests(config.Listen),
		Watching:    func(delta int) { e.watchers.Add(int64(delta)) },
	})
	e.run()
	if err := e.load(reload); err != nil {
		return nil, errors.Join(err, listener.Close(), e.stop())
	}
	e.running.Go(func() {
		if err := e.server.Serve(listener); err != nil {
			log.Errorf("Serving the registration endpoint on %s: %v", listener.Addr(), err)
		}
	})
	scheme := "http"
	if guard.Encrypts() {
		scheme = "https"
	}
	log.Infof("Registration endpoint on %s://%s", scheme, listener.Addr())
	return e, nil
}

// tls returns how connections are secured, by whoever decides that when they begin; nil
// where they are not.
func (e *endpoint) tls() *tls.Config {
	if !e.guard.Load().Encrypts() {
		return nil
	}
	return &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return e.guard.Load().TLS(), nil
	}}
}

// run starts what goes on beside the server until stop.
func (e *endpoint) run() {
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	e.running.Go(func() { every(ctx, lease.TickEvery, e.registry.Expire) })
	e.running.Go(func() { every(ctx, lease.TickEvery, e.registry.Flush) }) // may wait for the store
	e.running.Go(func() { every(ctx, access.LookEvery, e.look) })
	e.running.Go(func() { every(ctx, access.LookEvery, e.server.FlushLog) })
	e.running.Go(func() { tuning.HoldStack(ctx) })
	e.running.Go(func() {
		var s shadows
		every(ctx, warnEvery, func() { s.look(e.registry.State()) })
	})
}

// storeWithin is how long the store may take to keep the last changes when the endpoint
// closes.
const storeWithin = 800 * time.Millisecond

// stop ends what run has started and lets go of the store. A store that hangs is left as it
// is: what was not acknowledged may be lost.
func (e *endpoint) stop() error {
	e.cancel()
	e.registry.StopLoading()
	stopped := make(chan error, 1)
	go func() {
		e.running.Wait()
		stopped <- e.registry.Close()
	}()
	select {
	case err := <-stopped:
		return err
	case <-time.After(storeWithin):
		return fmt.Errorf("close the store of %s: it has not answered for %s, and is left as it is", e.listen, storeWithin)
	}
}

// patience is how long a start waits for the table to be loaded.
const patience = 2 * time.Second

// load has the table loaded, and waits for it for a while, or in a reload until it is
// there. A table that turns out unreadable after that ends the process: there is nothing
// it could answer.
func (e *endpoint) load(reload bool) error {
	loaded := make(chan error, 1)
	e.running.Go(func() { loaded <- e.registry.Load() })
	if reload {
		return <-loaded
	}
	select {
	case err := <-loaded:
		return err
	case <-time.After(patience):
	}
	go func() {
		if err := <-loaded; err != nil && !errors.Is(err, engine.ErrStopped) {
			log.Fatal(err)
		}
	}()
	return nil
}

func closeStore(s store.Store) error {
	if s == nil {
		return nil
	}
	return s.Close()
}

func storeName(dir string) string {
	if dir == "" {
		return "memory"
	}
	return "disk " + dir
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

// closeWithin is how long requests may take to end when the endpoint closes.
const closeWithin = 3 * time.Second

// close lets requests end. That some client is not done in time is no failure of ours.
func (e *endpoint) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
	defer cancel()
	err := e.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		log.Warningf("Closing the registration endpoint on %s: cut off clients that were not done in %s", e.listen, closeWithin)
		err = nil
	}
	return errors.Join(err, e.stop())
}
