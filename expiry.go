package registry

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/service"
)

// Eviction bounds how many instances may leave by expiry in any span of one default
// lease: that share of the leased ones, or Floor of them where that is more.
type Eviction struct {
	Percent int
	Floor   int
}

// evictionRule is what the eviction budget goes by.
func (r *Rules) evictionRule() lease.Rule {
	return lease.Rule{Percent: r.Eviction.Percent, Floor: r.Eviction.Floor, Span: r.Leases.Default}
}

var defaultEviction = Eviction{Percent: 20, Floor: 10}

// evictions is the state of the eviction budget. Expire writes it, anybody reads held and
// since.
type evictions struct {
	budget lease.Budget
	held   atomic.Int64 // instances that stay although their lease has ended

	// The episode under way: since when instances have been held back, nil where none are,
	// and how many left.
	since atomic.Pointer[time.Time]
	left  int
}

// ended holds leases that have ended, of instances that are still in the table.
type ended struct {
	mu     sync.Mutex
	leases []*lease.Lease
}

func (e *ended) add(l *lease.Lease) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.leases = append(e.leases, l)
}

func (e *ended) take() []*lease.Lease {
	e.mu.Lock()
	defer e.mu.Unlock()
	taken := e.leases
	e.leases = nil
	return taken
}

func (e *ended) any() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.leases) > 0
}

// Expire drops the instances whose leases have ended, as far as the eviction budget goes.
// It must be called every lease.TickEvery, by one goroutine: it is also what tells the
// clock that the process is alive.
//
// They leave every answer here and now, the table as soon as nobody is in the lane, and the
// store with the next commit. Expire itself waits for neither: while the store hangs,
// heartbeats are heard and leases end.
func (r *Registry) Expire() {
	now, gap := r.clock.Tick()
	if gap > 0 {
		log.Warningf("No heartbeat could be heard for %s: leases last that much longer", gap.Round(time.Millisecond))
	}
	if r.table.Load() == nil {
		return
	}
	due := r.due(now)
	state := r.table.Load() // now: a view that comes later knows that they have ended
	for _, l := range due {
		r.ended.add(l)
		state.Forget(l)
	}
	if !r.ended.any() || !r.lane.try() {
		return // whoever is in it will not see these; the next tick tries again
	}
	defer r.lane.leave()
	r.dropEnded()
}

// due returns the leases that have ended now, and counts those that the budget holds back.
func (r *Registry) due(now lease.Time) []*lease.Lease {
	leases := r.State().Leases()
	e := &r.evictions
	rule := r.rules.Load().evictionRule()
	e.budget.SetRule(rule)
	leased := leases.Len()
	due := leases.Due(now, e.budget.Allows(leased, now))
	e.budget.Spend(len(due), leased, now)
	held := leases.Held()
	e.held.Store(int64(held))
	e.left += len(due)
	switch since := e.since.Load(); {
	case held > 0 && since == nil:
		now := r.now()
		e.since.Store(&now)
		log.Warningf("%d instances stay although their leases have ended, %d have left: in %s at most %d%% of those leased may leave, or %d. "+
			"The rest is answered with TTL 0 until it is renewed, or its turn comes", held, len(due), rule.Span, rule.Percent, rule.Floor)
	case held == 0 && since != nil:
		log.Infof("No instance is held back any more: %d have left in %s", e.left, r.now().Sub(*since).Round(time.Second))
		e.since.Store(nil)
	}
	if held == 0 {
		e.left = 0
	}
	return due
}

// dropEnded takes instances out of the table whose leases have ended. It does not wait
// for the store, which is told with the next commit. The caller is in the lane.
func (r *Registry) dropEnded() {
	gone := r.ended.take()
	if len(gone) == 0 {
		return
	}
	t := r.begin(r.table.Load().Edit(), service.Caller{})
	for _, l := range gone {
		if i := t.expire(l); i != nil {
			r.metrics.expiries.Inc()
			r.store.owe(i.ID())
		}
	}
	r.publish([]*transaction{t})
}
