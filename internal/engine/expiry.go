package engine

import (
	"sync"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/service"
)

// Expire removes the instances whose leases have expired, as far as the eviction budget allows.
// It must be called every lease.TickEvery, by one goroutine: it is also what tells the clock that
// the process is alive.
//
// They leave every answer at once, the table as soon as nobody holds the writer semaphore, and
// the store with the next commit. Expire itself waits for neither: while the store hangs,
// heartbeats are heard and leases expire.
func (e *Engine) Expire() {
	now, gap := e.clock.Tick()
	if gap > 0 {
		e.log.Warningf("Paused for %s; all leases extended by that much", gap.Round(time.Millisecond))
	}
	state := e.table.Load()
	if state == nil {
		return
	}
	e.table.Settle(e.now())
	rule := e.rules.Load().evictionRule()
	due := state.Leases().Due(now, rule)
	e.follow(state.Leases().Held(), len(due), rule)
	e.expired.add(due)
	e.table.Load().Forget(due) // what is prepared of a later one is without them
	if !e.expired.any() || !e.writer.tryAcquire() {
		return // what the writer is publishing still has them; the next tick tries again
	}
	defer e.writer.release()
	e.removeExpired()
}

// removeExpired takes expired instances out of the table. It does not wait for the store, which
// gets that with the next commit. The caller holds the writer semaphore.
func (e *Engine) removeExpired() {
	leases := e.expired.take()
	if len(leases) == 0 {
		return
	}
	t := e.begin(e.table.Load().Edit(), service.Caller{})
	for _, i := range t.expire(leases) {
		e.metrics.expiries.Inc()
		e.persister.markDirty(i.ID())
	}
	e.publish([]*transaction{t})
}

// expired holds leases that have expired, of instances that are still in the table.
type expired struct {
	mu     sync.Mutex
	leases []*lease.Lease
}

func (x *expired) add(leases []*lease.Lease) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.leases = append(x.leases, leases...)
}

func (x *expired) take() []*lease.Lease {
	x.mu.Lock()
	defer x.mu.Unlock()
	taken := x.leases
	x.leases = nil
	return taken
}

func (x *expired) any() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.leases) > 0
}
