// Package engine is the only door through which the table changes: it judges changes by the
// rules, has the store keep them, publishes them, and takes instances out whose lease has
// ended. It fills the table from the store when it starts.
// The package knows nothing of DNS messages, HTTP or CoreDNS.
package engine

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

// Engine is the only door through which the table changes. Reading goes past it: a
// reader takes what is published and asks nobody.
//
// Its methods may be called from any goroutine.
type Engine struct {
	now     func() time.Time
	clock   *lease.Clock
	table   table.Table
	metrics *metrics
	log     Logger
	rules   atomic.Pointer[rules]

	waiting queue // for the lane
	ended   ended // leases that have, of instances that are still in the table

	// lane is where whoever changes the table is, also while the store keeps the change.
	// All that wait meanwhile go together.
	lane  lane
	store keeper // guarded by lane

	evictions evictions
	stopped   atomic.Bool // a load is to end
}

// LeaseRange is the lease of a registration that names none, and the range of those
// that do. All are whole seconds.
type LeaseRange struct{ Default, Min, Max time.Duration }

// Rules are what changes of the table are judged by.
type Rules struct {
	Leases   LeaseRange
	Eviction Eviction
	Limits   Limits
	Networks []netip.Prefix // that instances must lie in; empty for all
	TTL      time.Duration  // the longest that an answer may be kept
}

// DefaultRules are those where the operator says nothing.
var DefaultRules = Rules{
	Leases:   LeaseRange{Default: 30 * time.Second, Min: 2 * time.Second, Max: 24 * time.Hour},
	Eviction: Eviction{Percent: 20, Floor: 10},
	Limits:   defaultLimits,
}

// rules are those in force. They may be replaced while the registry runs.
type rules struct {
	Rules

	// cachedUntil is when the last answer goes out of date that was given while the TTL
	// was longer.
	cachedUntil time.Time
}

// Logger is where the engine tells the operator what no caller can be told. CoreDNS's log.P is
// one, and a test's own shows what was said: an interface, so that nothing of CoreDNS is in here.
type Logger interface {
	Infof(format string, v ...any)
	Warningf(format string, v ...any)
	Errorf(format string, v ...any)
}

// New returns an engine whose table is kept in a store, and is not loaded yet; or where that
// is nil, one with an empty table in memory. The endpoint is what its metrics are told apart
// by; now is the clock of everything in it and must be monotonic, as time.Now is.
func New(endpoint string, now func() time.Time, in store.Store, log Logger) *Engine {
	r := &Engine{
		now:     now,
		clock:   lease.NewClock(now),
		lane:    newLane(),
		metrics: newMetrics(endpoint),
		log:     log,
	}
	r.store = keeper{store: in, now: now, log: log, failures: r.metrics.storeFailures}
	r.SetRules(DefaultRules)
	if in == nil {
		r.table.Open(table.Empty(uint64(now().UnixMilli())), now())
	}
	return r
}

// State returns the published table, nil until it is loaded.
func (r *Engine) State() *table.State { return r.table.Load() }

// Now returns the time on the clock of leases.
func (r *Engine) Now() lease.Time { return r.clock.Now() }

// StoreFailing reports whether the store could not keep the last change that it was given.
func (r *Engine) StoreFailing() bool { return r.store.failing.Load() }

// Apply makes all the changes, as one transaction with one revision, or none of them
// and returns an error: *service.Invalid names every fault; service.ErrNotLoaded and
// service.ErrNotKept say to come again. When it returns, the changes are kept, and DNS
// answers by them. Callers who want many changes wait in turn, with those who want few.
//
// arrived is when the changes came in. The results stand in the order of the changes;
// revision is that of the table with them.
func (r *Engine) Apply(by service.Caller, changes []service.Change, arrived time.Time) (results []table.Result, revision uint64, err error) {
	state := r.table.Load()
	if t := r.renewed(state, by, changes); t != nil {
		r.metrics.applied(t, r.now().Sub(arrived))
		return t.results, state.Revision, nil
	}
	q := &pending{by: by, changes: changes, done: make(chan struct{})}
	r.waiting.add(q)
	r.see(q)
	if q.err != nil {
		return nil, 0, q.err
	}
	r.metrics.applied(q.transaction, r.now().Sub(arrived))
	return q.results, q.revision(), nil
}

// see waits until a request is done. Whoever was in the lane took it along, or it goes
// there itself, with those whose turn it is.
func (r *Engine) see(q *pending) {
	for !q.isDone() {
		select {
		case <-q.done:
		case r.lane <- struct{}{}:
			r.commit(r.gather())
			r.lane.leave()
		}
	}
}

// Check returns everything that is wrong with a change whatever the table holds.
func (r *Engine) Check(c *service.Change) []service.Fault {
	return (&transaction{rules: r.rules.Load()}).check(c)
}

// Rules returns what changes are judged by now.
func (r *Engine) Rules() Rules { return r.rules.Load().Rules }

// SetRules replaces what changes are judged by.
func (r *Engine) SetRules(to Rules) {
	is := &rules{Rules: to}
	if was := r.rules.Load(); was != nil {
		is.cachedUntil = was.cachedUntil
		if to.TTL < was.TTL {
			is.cachedUntil = r.now().Add(was.TTL)
		}
	}
	r.rules.Store(is)
}

// Renew gives an instance's lease its full length. It changes a deadline and nothing
// else, so it waits for no writer and no store. It returns service.ErrNotFound,
// service.ErrNotOwner, service.ErrPrecondition or service.ErrNotLoaded.
func (r *Engine) Renew(by service.Caller, id service.ID, unless service.Precondition) error {
	state := r.table.Load()
	if state == nil {
		return service.ErrNotLoaded
	}
	i, ok := state.Tenure(id)
	if !ok || i.Lease.Ended() { // then it is nobody's any more
		return service.ErrNotFound
	}
	if !by.Owns(i.Owner) {
		return service.ErrNotOwner
	}
	if !unless.Met(i.Revision, true) {
		return service.ErrPrecondition
	}
	if !state.Leases().Renew(i.Lease, r.clock.Now()) {
		return service.ErrNotFound
	}
	r.metrics.renewals.Inc()
	return nil
}

// ExpiresAt returns when a lease ends unless it is renewed; the zero time for a nil
// lease, which never ends.
func (r *Engine) ExpiresAt(l *lease.Lease) time.Time {
	t, ok := l.Deadline()
	switch {
	case !ok:
		return time.Time{}
	case l.Ended(): // and is yet to be taken out of the table
		return r.now()
	}
	return r.clock.Wall(t)
}

// Close waits for those who are in the lane, settles what is owed and lets go of the
// store. Nothing changes the table afterwards.
func (r *Engine) Close() error {
	r.lane.enter()
	defer r.lane.leave()
	if r.store.store == nil {
		return nil
	}
	r.store.failed = time.Time{} // there is no later to try again
	r.commit(r.waiting.take())
	err := r.store.store.Close()
	r.store.store = closed{}
	return err
}

// closed is the store of a registry that is closed: whoever still comes is refused.
type closed struct{ store.Store }

func (closed) Commit(store.Batch) error { return errors.New("it is closed") }
