package registry

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

// Registry is the only door through which the table changes. Reading goes past it: a
// reader takes what is published and asks nobody.
//
// Its methods may be called from any goroutine.
type Registry struct {
	now     func() time.Time
	clock   *lease.Clock
	leases  lease.Wheel
	table   table.Table
	metrics *tableMetrics

	rules atomic.Pointer[rules]

	// mu is held by whoever changes the table: one writer at a time, in the order in
	// which they came.
	mu sync.Mutex
}

// LeaseRange is the lease of a registration that names none, and the range of those
// that do. All are whole seconds.
type LeaseRange struct{ Default, Min, Max time.Duration }

// rules are the settings that a change of the table is judged by. They may be replaced
// while the registry runs.
type rules struct {
	leases LeaseRange
	ttl    time.Duration // the longest that an answer may be kept

	// cachedUntil is when the last answer goes out of date that was given while the TTL
	// was longer.
	cachedUntil time.Time
}

// newRegistry returns a registry with an empty table in memory. The endpoint is what its
// metrics are told apart by; now is the clock of everything in it and must be monotonic,
// as time.Now is.
func newRegistry(endpoint string, now func() time.Time) *Registry {
	r := &Registry{now: now, clock: lease.NewClock(now), metrics: newTableMetrics(endpoint)}
	r.rules.Store(&rules{leases: defaultLeases})
	r.table.Open(table.Empty(uint64(now().UnixMilli())))
	return r
}

// State returns the published table, nil until it is loaded.
func (r *Registry) State() *table.State { return r.table.Load() }

// Apply makes all the changes, as one transaction with one revision, or none of them
// and returns an error: *service.Invalid names every fault; service.ErrNotLoaded says
// to come again. When it returns, DNS answers by the changes.
//
// arrived is when the changes came in. The results stand in the order of the changes;
// revision is that of the table with them.
func (r *Registry) Apply(changes []service.Change, arrived time.Time) (results []table.Result, revision uint64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	state := r.table.Load()
	if state == nil {
		return nil, 0, service.ErrNotLoaded
	}
	t := r.begin(state.Snapshot)
	for n := range changes {
		t.apply(n, &changes[n])
	}
	if len(t.faults) > 0 {
		return nil, 0, &service.Invalid{Faults: t.faults}
	}
	r.publish(t)
	r.metrics.applied(t, r.now().Sub(arrived))
	return t.results, r.table.Load().Revision, nil
}

// Check returns everything that is wrong with a change whatever the table holds.
func (r *Registry) Check(c *service.Change) []service.Fault {
	return (&transaction{rules: r.rules.Load()}).check(c)
}

// setRules replaces the settings that changes are judged by.
func (r *Registry) setRules(leases LeaseRange, ttl time.Duration) {
	was := r.rules.Load()
	cachedUntil := was.cachedUntil
	if ttl < was.ttl {
		cachedUntil = r.now().Add(was.ttl)
	}
	r.rules.Store(&rules{leases, ttl, cachedUntil})
}

// Renew gives an instance's lease its full length. It changes a deadline and nothing
// else, so it waits for no writer.
func (r *Registry) Renew(id service.ID, unless service.Precondition) error {
	state := r.table.Load()
	if state == nil {
		return service.ErrNotLoaded
	}
	i := state.Instance(id)
	if i == nil {
		return service.ErrNotFound
	}
	if !unless.Met(i.Revision, true) {
		return service.ErrPrecondition
	}
	if !i.Lease.Renew(r.clock.Now()) {
		return service.ErrNotFound
	}
	r.metrics.renewals.Inc()
	return nil
}

// Expire drops the instances whose leases have ended. It must be called every
// lease.TickEvery, by one goroutine: it is also what tells the clock that the process
// is alive.
func (r *Registry) Expire() {
	now, gap := r.clock.Tick()
	if gap > 0 {
		log.Warningf("No heartbeat could be heard for %s: leases last that much longer", gap.Round(time.Millisecond))
	}
	r.mu.Lock() // before any lease ends: who holds it may rely on those that have not
	defer r.mu.Unlock()
	due := r.leases.Due(now)
	if len(due) == 0 {
		return
	}
	t := r.begin(r.table.Load().Snapshot)
	for _, owner := range due {
		if t.expire(owner.(*table.Instance)) {
			r.metrics.expiries.Inc()
		}
	}
	r.publish(t)
}

// publish makes a transaction's changes visible. The lock is held.
func (r *Registry) publish(t *transaction) {
	for _, l := range t.renewed {
		l.Renew(t.at)
	}
	if !t.draft.Changed() {
		return
	}
	r.table.Publish(t.draft.Done())
	for _, l := range t.granted { // first: what one change grants, the next may drop
		r.leases.Add(l)
	}
	for _, l := range t.dropped {
		r.leases.Remove(l)
	}
}

// ExpiresAt returns when a lease ends unless it is renewed; the zero time for a nil
// lease, which never ends.
func (r *Registry) ExpiresAt(l *lease.Lease) time.Time {
	t, ok := l.Deadline()
	if !ok {
		return time.Time{}
	}
	return r.clock.Wall(t)
}
