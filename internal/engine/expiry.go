package engine

import (
	"fmt"
	"strings"
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

// evictions is what is known of the instances that the eviction budget holds back. Expire writes
// it, anybody reads held and since.
type evictions struct {
	held atomic.Int64 // instances that stay although their lease has ended

	// The episode under way: since when instances have been held back, nil where none are, how
	// many left, and when it was last told of.
	since atomic.Pointer[time.Time]
	left  int
	told  time.Time

	mu       sync.Mutex
	services heldServices // guarded by mu
}

// heldServices are those whose instances are held back, as of a moment.
type heldServices struct {
	at   time.Time
	most []HeldService // those with the most
	all  int           // how many there are
}

const (
	// mostHeldServices is how many services are known by name that instances are held back of.
	mostHeldServices = 1000

	// heldFor is how long that stays as it was found: to find it costs what all services do.
	heldFor = time.Second

	// heldInLog is how many of them a line of the log names.
	heldInLog = 10

	// tellEvery is how often the log tells of an episode that goes on.
	tellEvery = time.Minute
)

// heldServices returns the services whose instances are held back, as they were not longer ago
// than that.
func (r *Engine) heldServices(ago time.Duration) heldServices {
	e, state := &r.evictions, r.State()
	e.mu.Lock()
	defer e.mu.Unlock()
	now := r.now()
	if was := e.services; state == nil || !was.at.IsZero() && now.Sub(was.at) < ago {
		return was
	}
	by, all := state.Leases().HeldBy(mostHeldServices)
	is := heldServices{at: now, all: all}
	for _, h := range by {
		if name, ok := state.Named(h.Service); ok {
			is.most = append(is.most, HeldService{Name: name, Held: h.Leases})
		}
	}
	e.services = is
	return is
}

// String names the services as the log does.
func (h heldServices) String() string {
	var b strings.Builder
	most := h.most[:min(len(h.most), heldInLog)]
	for n, of := range most {
		if n > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s (%d)", of.Name, of.Held)
	}
	if more := h.all - len(most); more > 0 {
		fmt.Fprintf(&b, " and %d more services", more)
	}
	return b.String()
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

// Evictions is the state of the eviction budget: in any Span at most that share of the
// leased instances leaves by expiry, or Floor of them where that is more. A quarter of it is
// kept for services that have lost no other instance in the span.
type Evictions struct {
	Leased  int       // instances that have a lease
	Held    int       // of them, those that stay although it has ended
	Since   time.Time // when the first of them was held back; zero where none is
	Percent int
	Floor   int
	Span    time.Duration

	// The services that Held are of, those with the most first; of many only so many. They may
	// be those of a second ago, and are not to be changed.
	Services     []HeldService
	HeldServices int // how many there are
}

// HeldService is a service that instances are held back of.
type HeldService struct {
	service.Name
	Held int
}

// Evictions says what the eviction budget holds back.
func (r *Engine) Evictions() Evictions {
	rule := r.rules.Load().evictionRule()
	e := Evictions{
		Percent: rule.Percent,
		Floor:   rule.Floor,
		Span:    rule.Span,
	}
	if state := r.State(); state != nil {
		e.Leased = state.Leases().Len()
	}
	// Each is there only with the other, whichever has just been changed.
	since, held := r.evictions.since.Load(), r.evictions.held.Load()
	if since != nil && held > 0 {
		e.Held, e.Since = int(held), *since
		by := r.heldServices(heldFor)
		e.Services, e.HeldServices = by.most, by.all
	}
	return e
}

// Expire drops the instances whose leases have ended, as far as the eviction budget goes.
// It must be called every lease.TickEvery, by one goroutine: it is also what tells the
// clock that the process is alive.
//
// They leave every answer here and now, the table as soon as nobody is in the lane, and the
// store with the next commit. Expire itself waits for neither: while the store hangs,
// heartbeats are heard and leases end.
func (r *Engine) Expire() {
	now, gap := r.clock.Tick()
	if gap > 0 {
		r.log.Warningf("No heartbeat could be heard for %s: leases last that much longer", gap.Round(time.Millisecond))
	}
	if r.table.Load() == nil {
		return
	}
	r.table.Settle(r.now())
	due := r.due(now)
	state := r.table.Load() // now: a view that comes later knows that they have ended
	for _, l := range due {
		r.ended.add(l)
	}
	state.Forget(due)
	if !r.ended.any() || !r.lane.try() {
		return // whoever is in it will not see these; the next tick tries again
	}
	defer r.lane.leave()
	r.dropEnded()
}

// due returns the leases that have ended now, and counts those that the budget holds back.
func (r *Engine) due(now lease.Time) []*lease.Lease {
	leases := r.State().Leases()
	rule := r.rules.Load().evictionRule()
	due := leases.Due(now, rule)
	r.follow(leases.Held(), len(due), rule)
	return due
}

// follow keeps account of the episode in which instances are held back, and tells of it: when
// it begins, now and then while it lasts, and when it ends.
func (r *Engine) follow(held, left int, rule lease.Rule) {
	e := &r.evictions
	e.held.Store(int64(held))
	since := e.since.Load()
	if held == 0 && since == nil {
		return
	}
	now := r.now()
	e.left += left
	switch {
	case since == nil:
		e.since.Store(&now)
		e.told = now
		r.log.Warningf("%d instances stay although their leases have ended, %d have left: in %s at most %d%% of those leased may leave, or %d, "+
			"and a quarter of that is kept for services that have lost no other. "+
			"The rest is answered with TTL 0 until it is renewed, or its turn comes: it is of %s", held, left, rule.Span, rule.Percent, rule.Floor, r.heldServices(0))
	case held == 0:
		r.log.Infof("No instance is held back any more: %d have left in %s", e.left, now.Sub(*since).Round(time.Second))
		e.since.Store(nil)
		e.left = 0
	case now.Sub(e.told) >= tellEvery:
		e.told = now
		r.log.Warningf("%d instances are held back since %s, %d have left: they are of %s", held, since.UTC().Format(time.RFC3339), e.left, r.heldServices(0))
	}
}

// dropEnded takes instances out of the table whose leases have ended. It does not wait
// for the store, which is told with the next commit. The caller is in the lane.
func (r *Engine) dropEnded() {
	gone := r.ended.take()
	if len(gone) == 0 {
		return
	}
	t := r.begin(r.table.Load().Edit(), service.Caller{})
	for _, i := range t.expire(gone) {
		r.metrics.expiries.Inc()
		r.store.owe(i.ID())
	}
	r.publish([]*transaction{t})
}
