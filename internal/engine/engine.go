// Package engine is the only door through which the table changes: it judges changes by the
// rules, has the store commit them, publishes them, and removes instances whose lease has
// expired. At the start it fills the table from the store.
// The package knows nothing of DNS messages, HTTP or CoreDNS.
package engine

import (
	"io"
	"sync/atomic"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

// Engine is the only door through which the table changes. Readers do not pass it: they take
// the state that is published, and wait for nobody.
//
// Its methods may be called from any goroutine.
type Engine struct {
	now     func() time.Time
	clock   *lease.Clock
	table   table.Table
	rules   atomic.Pointer[rules]
	metrics *metrics
	log     Logger
	store   store.Store // nil where the table is in memory only

	waiting queue   // requests that nobody commits yet
	expired expired // leases of instances that are still in the table

	// writer is held by whoever changes the table, also while the store commits the change.
	// All requests that wait meanwhile are committed together by the next holder.
	writer    semaphore
	persister persister // guarded by writer

	evictions evictions
	shadows   shadows
	stopped   atomic.Bool // a load is to end
}

// Logger is where the engine tells the operator what no caller can be told. It is an interface
// so that the engine needs nothing of CoreDNS, whose log.P is one, and so that tests read what
// was logged.
type Logger interface {
	Infof(format string, v ...any)
	Warningf(format string, v ...any)
	Errorf(format string, v ...any)
}

// New returns an engine on a store, or where that is nil, one whose table is in memory only. It
// answers nothing before Load. Its metrics have the name as their label endpoint. now is the
// clock of everything in it, and must be monotonic as time.Now is.
func New(name string, now func() time.Time, in store.Store, log Logger) *Engine {
	e := &Engine{
		now:     now,
		clock:   lease.NewClock(now),
		writer:  make(semaphore, 1),
		metrics: newMetrics(name),
		log:     log,
		store:   in,
	}
	e.persister = persister{store: in, now: now, log: log, failures: e.metrics.storeFailures}
	e.SetRules(DefaultRules)
	return e
}

// State returns the published table, nil until it is loaded.
func (e *Engine) State() *table.State { return e.table.Load() }

// Now returns the time on the clock of leases.
func (e *Engine) Now() lease.Time { return e.clock.Now() }

// StoreFailing reports whether the last commit failed.
func (e *Engine) StoreFailing() bool { return e.persister.failing.Load() }

// Apply makes all the changes, as one transaction with one revision, or none of them
// and returns an error: *service.Invalid names every fault; after service.ErrNotLoaded and
// service.ErrNotKept the caller may try again. When it returns, the changes are in the store,
// and the published state has them. Callers are served in turn, however many changes each wants.
//
// arrived is when the changes came in. The results stand in the order of the changes;
// revision is that of the table with them.
func (e *Engine) Apply(by service.Caller, changes []service.Change, arrived time.Time) (results []table.Result, revision uint64, err error) {
	state := e.table.Load()
	if t := e.renewOnly(state, by, changes); t != nil {
		e.metrics.applied(t, e.now().Sub(arrived))
		return t.results, state.Revision, nil
	}
	q := &request{by: by, changes: changes, done: make(chan struct{})}
	e.waiting.add(q)
	e.await(q)
	if q.err != nil {
		return nil, 0, q.err
	}
	e.metrics.applied(q.transaction, e.now().Sub(arrived))
	return q.results, q.revision(), nil
}

// Check returns everything that is wrong with a change whatever the table holds.
func (e *Engine) Check(c *service.Change) []service.Fault {
	return (&transaction{rules: e.rules.Load()}).check(c)
}

// Differs reports whether a Register or Define would change its object as it is in the snapshot.
func (e *Engine) Differs(by service.Caller, c *service.Change, s *table.Snapshot) bool {
	if c.Op == service.Define {
		view := s.Service(c.ID.Name)
		return view == nil || view.Definition == nil || !view.Definition.Equal(c.Definition)
	}
	prev := s.Instance(c.ID)
	next := (&transaction{by: by, rules: e.rules.Load()}).resolve(c, prev)
	return prev == nil || !prev.Says(&next)
}

// Renew gives an instance's lease its full length. It changes a deadline and nothing
// else, so it waits for no writer and no store. It returns service.ErrNotFound,
// service.ErrNotOwner, service.ErrPrecondition or service.ErrNotLoaded.
func (e *Engine) Renew(by service.Caller, id service.ID, unless service.Precondition) error {
	state := e.table.Load()
	if state == nil {
		return service.ErrNotLoaded
	}
	i, ok := state.LeaseInfo(id)
	if !ok {
		return service.ErrNotFound
	}
	if !by.Owns(i.Owner) {
		return service.ErrNotOwner
	}
	if !unless.Met(i.Revision, true) {
		return service.ErrPrecondition
	}
	if !state.Leases().Renew(i.Lease, e.clock.Now()) {
		return service.ErrNotFound
	}
	e.metrics.renewals.Inc()
	return nil
}

// ExpiresAt returns when a lease expires unless it is renewed; the zero time for a nil
// lease, which never does.
func (e *Engine) ExpiresAt(l *lease.Lease) time.Time {
	t, ok := l.Deadline()
	switch {
	case !ok:
		return time.Time{}
	case l.Ended(): // since the instance was read
		return e.now()
	}
	return e.clock.Wall(t)
}

// Flush commits what the store does not have as the table does. It must be called about every
// lease.TickEvery, by another goroutine than Expire: it takes as long as the store does.
func (e *Engine) Flush() {
	if !e.writer.tryAcquire() {
		return // the holder's commit flushes too, or the next call does
	}
	defer e.writer.release()
	if e.persister.isDirty() && !e.persister.isPausing() {
		e.commit(e.waiting.take())
	}
}

// Snapshot writes a copy of the store: service.ErrNoSnapshot where the table is in memory only,
// service.ErrNotLoaded. An error before the first byte has written nothing.
func (e *Engine) Snapshot(w io.Writer) error {
	switch {
	case e.store == nil:
		return service.ErrNoSnapshot
	case e.State() == nil: // a store is not asked for anything before it is loaded
		return service.ErrNotLoaded
	}
	return e.store.Snapshot(w)
}

// Close waits for the commit that is under way, flushes and closes the store. Nothing changes the
// table afterwards.
func (e *Engine) Close() error {
	e.writer.acquire()
	defer e.writer.release()
	e.persister.failed = time.Time{} // there is no later to try again
	e.commit(e.waiting.take())
	return e.persister.close()
}
