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

// Evictions is the state of the eviction budget: in any Span at most that share of the
// leased instances leaves by expiry, or Floor of them where that is more. A quarter of it is
// kept for services that have lost no other instance in the span.
type Evictions struct {
	Leased  int       // instances that have a lease
	Held    int       // of them, those that are held back: they stay although their lease has expired
	Since   time.Time // when the first of them was held back; zero where none is
	Percent int
	Floor   int
	Span    time.Duration

	// The services with instances held back, those with the most first; of many only so many.
	// They may be a second old, and must not be changed.
	Services     []HeldService
	HeldServices int // how many there are
}

// HeldService is a service with instances that are held back.
type HeldService struct {
	service.Name
	Held int
}

// Evictions returns what the eviction budget holds back.
func (e *Engine) Evictions() Evictions {
	rule := e.rules.Load().evictionRule()
	now := Evictions{Percent: rule.Percent, Floor: rule.Floor, Span: rule.Span}
	if state := e.State(); state != nil {
		now.Leased = state.Leases().Len()
	}
	// Both are reported or neither, whichever has just been changed.
	since, held := e.evictions.since.Load(), e.evictions.held.Load()
	if since != nil && held > 0 {
		now.Held, now.Since = int(held), *since
		services := e.heldServices(heldServicesAge)
		now.Services, now.HeldServices = services.top, services.count
	}
	return now
}

// evictions is what is known of the instances that are held back. Expire writes it; any goroutine
// reads held, since and services.
type evictions struct {
	held atomic.Int64

	// The episode under way: since when instances have been held back, nil where none are, how
	// many left, and when it was last logged.
	since  atomic.Pointer[time.Time]
	left   int
	logged time.Time

	mu       sync.Mutex
	services heldServices // guarded by mu
}

// heldServices are the services with instances held back, as of a moment.
type heldServices struct {
	at    time.Time
	top   []HeldService // those with the most
	count int           // how many there are
}

const (
	// maxHeldServices is how many services are known by name.
	maxHeldServices = 1000

	// heldServicesAge is for how long they are remembered: finding them looks at all that there are.
	heldServicesAge = time.Second

	// loggedServices is how many of them a line of the log names.
	loggedServices = 10

	// logEvery is how often an episode that goes on is logged.
	logEvery = time.Minute
)

// heldServices returns the services with instances held back, as they were at most maxAge ago.
func (e *Engine) heldServices(maxAge time.Duration) heldServices {
	v, state := &e.evictions, e.State()
	v.mu.Lock()
	defer v.mu.Unlock()
	now := e.now()
	if prev := v.services; state == nil || !prev.at.IsZero() && now.Sub(prev.at) < maxAge {
		return prev
	}
	by, count := state.Leases().HeldBy(maxHeldServices)
	next := heldServices{at: now, count: count}
	for _, h := range by {
		if name, ok := state.Named(h.Service); ok {
			next.top = append(next.top, HeldService{Name: name, Held: h.Leases})
		}
	}
	v.services = next
	return next
}

// String names the services as the log does.
func (h heldServices) String() string {
	var b strings.Builder
	top := h.top[:min(len(h.top), loggedServices)]
	for n, s := range top {
		if n > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s (%d)", s.Name, s.Held)
	}
	if more := h.count - len(top); more > 0 {
		fmt.Fprintf(&b, " and %d more services", more)
	}
	return b.String()
}

// follow keeps account of the episode in which instances are held back, and logs it: when it
// begins, every minute while it lasts, and when it ends. left is how many have left now.
func (e *Engine) follow(held, left int, rule lease.Rule) {
	v := &e.evictions
	v.held.Store(int64(held))
	since := v.since.Load()
	if held == 0 && since == nil {
		return
	}
	now := e.now()
	v.left += left
	switch {
	case since == nil:
		v.since.Store(&now)
		v.logged = now
		e.log.Warningf("Eviction budget reached: keeping %d expired instances, %d have left. In %s at most %d%% of the leased instances may leave, or %d, "+
			"a quarter of them from services that have lost no other. "+
			"The rest is answered with TTL 0 until a heartbeat renews it or its turn comes: %s", held, left, rule.Span, rule.Percent, rule.Floor, e.heldServices(0))
	case held == 0:
		e.log.Infof("Eviction budget sufficient again: no expired instance is kept, %d have left in %s", v.left, now.Sub(*since).Round(time.Second))
		v.since.Store(nil)
		v.left = 0
	case now.Sub(v.logged) >= logEvery:
		v.logged = now
		e.log.Warningf("Still keeping %d expired instances since %s, %d have left: %s", held, since.UTC().Format(time.RFC3339), v.left, e.heldServices(0))
	}
}
