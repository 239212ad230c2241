package registry

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/service"

	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/miekg/dns"
)

// fleet registers n instances of one service, of which the test lets some be silent.
type fleet struct {
	*world
	ids []service.ID
}

func newFleet(t testing.TB, n int, eviction Eviction, leases LeaseRange, length time.Duration) *fleet {
	t.Helper()
	f := &fleet{world: newWorld(t, Config{Shared: Shared{Eviction: &eviction, Leases: &leases}})}
	f.add(n, length)
	return f
}

func (f *fleet) add(n int, length time.Duration) {
	f.t.Helper()
	for range n {
		i := len(f.ids)
		c := withLease(register("prod", "web", fmt.Sprint("i", i), fmt.Sprintf("10.0.%d.%d", i/250, i%250+1)), int32(length/time.Second))
		f.apply(c)
		f.ids = append(f.ids, c.ID)
	}
}

// renew sends the heartbeats of those, and reports who is not known any more.
func (f *fleet) renew(ids []service.ID) (unknown []service.ID) {
	for _, id := range ids {
		if f.registry.Renew(anyone, id, service.Precondition{}) != nil {
			unknown = append(unknown, id)
		}
	}
	return unknown
}

func (f *fleet) here() int {
	_, _, instances := f.registry.State().Totals()
	return instances
}

// How many of a fleet that is silent from one moment on have left, at the end of their leases
// and one span of the budget after the other.
func TestEvictionBudget(t *testing.T) {
	const span = 30 * time.Second
	for _, tc := range []struct {
		sentence string
		eviction Eviction
		silent   int
		alive    int
		left     []int // a second after the leases end, and after each further span
	}{
		{"a fifth leaves at once, then a fifth of the rest", Eviction{20, 0}, 100, 0, []int{20, 36, 48, 58, 66}},
		{"of all that have a lease, not of those that fell due", Eviction{20, 0}, 100, 900, []int{100}},
		{"half", Eviction{50, 0}, 100, 0, []int{50, 75, 87}},
		{"the floor where that is more", Eviction{20, 30}, 100, 0, []int{30, 60, 90, 100}},
		{"a fleet as small as the floor never waits", Eviction{20, 10}, 10, 0, []int{10}},
		{"nor does one in a larger table", Eviction{20, 10}, 10, 5, []int{10}},
		{"one more than the floor waits for a span", Eviction{20, 10}, 11, 0, []int{10, 11}},
		{"a floor alone", Eviction{0, 7}, 20, 0, []int{7, 14, 20}},
		{"nothing at all, if that is what was written", Eviction{0, 0}, 20, 0, []int{0, 0}},
		{"100 percent is no bound", Eviction{100, 0}, 1000, 0, []int{1000}},
		{"less than one of few is none", Eviction{20, 0}, 4, 0, []int{0, 0}},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			f := newFleet(t, tc.silent+tc.alive, tc.eviction, LeaseRange{span, 2 * time.Second, time.Hour}, span)
			f.load("prod/static/s 192.0.2.1\nprod/static/s2 192.0.2.2") // are not counted
			silent, alive := f.ids[:tc.silent], f.ids[tc.silent:]
			registered, static := f.clock, 2
			beat := func(d time.Duration) {
				for end := f.clock.Add(d); f.clock.Before(end); {
					f.pass(min(time.Second, end.Sub(f.clock)))
					if unknown := f.renew(alive); len(unknown) > 0 {
						t.Fatalf("%s was evicted and is alive", unknown[0])
					}
				}
			}
			beat(span - 100*time.Millisecond)
			if left := len(f.ids) - (f.here() - static); left != 0 {
				t.Fatalf("%d have left before the end of their leases", left)
			}
			beat(1100 * time.Millisecond)
			for n, want := range tc.left {
				if left := len(f.ids) - (f.here() - static); left != want {
					t.Fatalf("%s after the registration, in span %d: %d have left, want %d", f.clock.Sub(registered), n, left, want)
				}
				if got, want := f.registry.evictions.held.Load(), int64(len(silent)-want); got != want && tc.eviction.Percent < 100 {
					t.Fatalf("in span %d: %d are held, want %d", n, got, want)
				}
				beat(span)
			}
		})
	}
}

// In no span of one default lease do more leave by expiry than the share of those that were
// leased at its start, or the floor, whoever falls silent, comes back or is deregistered.
// Where some register in the span the share is of the most that were leased at once in it: who
// is evicted and registers again is not counted twice.
func TestNoSpanExceedsTheEvictionBudget(t *testing.T) {
	for seed := range uint64(25) {
		random := rand.New(rand.NewPCG(seed, 4))
		span := time.Duration(5+random.IntN(20)) * time.Second
		eviction := Eviction{Percent: random.IntN(100), Floor: random.IntN(12)}
		// A lease is at least as long as a span, or not: then some leave more than once in it.
		lengths := []time.Duration{2 * time.Second, span, 2 * span}[random.IntN(3):]
		w := newFleet(t, 0, eviction, LeaseRange{span, 2 * time.Second, time.Hour}, 0)
		w.load("prod/static/s 192.0.2.1")
		for range random.IntN(150) {
			w.add(1, lengths[random.IntN(len(lengths))])
		}
		returns := random.IntN(2) == 0 // those that are told 404 register again
		grows := random.IntN(2) == 0
		var leased []int  // at each tick, before it
		var evicted []int // at each tick
		silent := make(map[service.ID]bool)
		r := w.registry
		for range 6 * int(span/lease.TickEvery) {
			switch random.IntN(60) {
			case 0: // the network is gone
				for _, id := range w.ids {
					silent[id] = silent[id] || random.IntN(10) > 0
				}
			case 1: // and back
				clear(silent)
			case 2:
				if len(w.ids) > 0 {
					silent[w.ids[random.IntN(len(w.ids))]] = true
				}
			case 3:
				if grows {
					w.add(random.IntN(20), lengths[random.IntN(len(lengths))])
				}
			case 4:
				for _, i := range w.ids {
					if random.IntN(4) == 0 && r.State().Instance(i) != nil {
						w.apply(service.Change{Op: service.Deregister, ID: i})
					}
				}
			}
			if len(leased)%10 == 0 {
				for n, id := range w.ids {
					if !silent[id] && r.Renew(anyone, id, service.Precondition{}) != nil && returns {
						w.apply(withLease(register("prod", "web", id.ID, fmt.Sprintf("10.1.%d.%d", n/250, n%250+1)), int32(lengths[0]/time.Second)))
					}
				}
			}
			before := r.State().Leases().Len()
			w.pass(lease.TickEvery)
			leased, evicted = append(leased, before), append(evicted, before-r.State().Leases().Len())
		}
		for start := range leased {
			end := min(start+int(span/lease.TickEvery), len(leased))
			sum, most := 0, leased[start]
			for tick := start; tick < end; tick++ {
				sum += evicted[tick]
				if grows || returns {
					most = max(most, leased[tick])
				}
			}
			if allowed := max(most*eviction.Percent/100, eviction.Floor); sum > allowed {
				t.Fatalf("seed %d: eviction %d%% or %d in %s: %d left in the span from tick %d on, of %d leased", seed, eviction.Percent, eviction.Floor, span, sum, start, most)
			}
		}
		// And nobody has to reset anything: whoever is silent for good leaves, and all that is
		// alive stays. 0 percent without a floor means never.
		if allowed := max(eviction.Floor, eviction.Percent/100); allowed == 0 {
			continue
		}
		for end := w.clock.Add(time.Hour); r.State().Leases().Len() > 0; w.pass(time.Second) {
			if w.clock.After(end) {
				t.Fatalf("seed %d: eviction %d%% or %d in %s: %d of a dead fleet never leave", seed, eviction.Percent, eviction.Floor, span, r.State().Leases().Len())
			}
		}
		if w.registry.evictions.held.Load() != 0 || w.here() != 1 {
			t.Fatalf("seed %d: all have left, %d are held and %d are there", seed, w.registry.evictions.held.Load(), w.here())
		}
	}
}

// A network that is gone for ten leases and comes back: those that it was silent for and that
// had to wait are saved by a heartbeat, and the next who is really dead leaves in time.
func TestHeartbeatSavesWhoIsHeldBack(t *testing.T) {
	const span = 30 * time.Second
	f := newFleet(t, 500, Eviction{20, 10}, LeaseRange{span, 2 * time.Second, time.Hour}, span)
	f.pass(span + time.Second) // the leases end while the network is gone
	if left, held := 500-f.here(), f.registry.evictions.held.Load(); left != 100 || held != 400 {
		t.Fatalf("%d have left and %d are held, want a fifth, and the rest", left, held)
	}
	for _, a := range f.ask("web.prod.svc.cluster.local.", dns.TypeA).Answer {
		if a.Header().Ttl != 0 {
			t.Fatalf("held back and answered with a TTL: %v", a)
		}
	}
	unknown := f.renew(f.ids)
	if len(unknown) != 100 {
		t.Fatalf("%d heartbeats were told 404, want those of the 100 that have left", len(unknown))
	}
	if m := f.ask("web.prod.svc.cluster.local.", dns.TypeA); len(m.Answer) != 400 || m.Answer[0].Header().Ttl != 5 {
		t.Fatalf("saved and answered otherwise than before: %d answers, TTL %d", len(m.Answer), m.Answer[0].Header().Ttl)
	}
	f.pass(time.Second)
	if held := f.registry.evictions.held.Load(); held != 0 {
		t.Errorf("all are alive and %d are held", held)
	}
	alive := slices.DeleteFunc(slices.Clone(f.ids), func(id service.ID) bool { return slices.Contains(unknown, id) })
	for range 10 {
		f.pass(span / 3)
		if unknown := f.renew(alive); len(unknown) > 0 {
			t.Fatalf("%s was evicted after it was saved", unknown[0])
		}
	}
	f.pass(span / 3)
	f.renew(alive[1:])
	f.pass(2*span/3 + 100*time.Millisecond)
	if f.registry.State().Instance(alive[0]) != nil {
		t.Error("one that is really dead has not left at the end of its lease")
	}
}

// Whatever stops the process, nobody healthy leaves: not while heartbeats are on their way,
// and not for that the budget is spent.
func TestPauseEvictsNobody(t *testing.T) {
	f := newFleet(t, 200, Eviction{20, 10}, LeaseRange{10 * time.Second, 2 * time.Second, time.Hour}, 3*time.Second)
	random := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		f.pass(time.Duration(random.IntN(1000)) * time.Millisecond)
		f.clock = f.clock.Add([]time.Duration{501 * time.Millisecond, 30 * time.Second, 240 * time.Hour, 2 * time.Second}[random.IntN(4)])
		if random.IntN(2) == 0 {
			f.registry.Expire() // before the heartbeats that have been waiting are read
		}
		if unknown := f.renew(f.ids); len(unknown) > 0 {
			t.Fatalf("%d are evicted that sent a heartbeat each second that the process ran, or as soon as it did", len(unknown))
		}
		if held := f.registry.evictions.held.Load(); held != 0 {
			t.Fatalf("%d are held and all are alive", held)
		}
	}
}

func TestHeldBackIsExplained(t *testing.T) {
	f := newFleet(t, 20, Eviction{20, 10}, LeaseRange{30 * time.Second, 2 * time.Second, time.Hour}, 10*time.Second)
	f.pass(12 * time.Second)
	a := &api{Registry: f.registry, blocks: &blocks{}}
	a.blocks.set([]*Handler{f.handler})
	e, _ := a.Explain("web.prod.svc.cluster.local.", dns.TypeA, everything)
	if len(e.Instances) != 10 {
		t.Fatalf("%d instances are explained, want the 10 that are held back", len(e.Instances))
	}
	for _, i := range e.Instances {
		if !i.Answered || !strings.Contains(i.Reason, "held back") || !strings.Contains(i.Reason, "ended 2s ago") {
			t.Errorf("%s: answered %v, %q", i.ID, i.Answered, i.Reason)
		}
	}
	f.renew(f.ids)
	e, _ = a.Explain("web.prod.svc.cluster.local.", dns.TypeA, everything)
	for _, i := range e.Instances {
		if !i.Answered || strings.Contains(i.Reason, "held back") {
			t.Errorf("%s, renewed: answered %v, %q", i.ID, i.Answered, i.Reason)
		}
	}
}

// One line when instances begin to be held back, and one when none is any more, whatever
// happens between; none where nobody had to wait.
func TestEachEpisodeIsLoggedOnce(t *testing.T) {
	lines := listen(t)
	f := newFleet(t, 10, Eviction{20, 10}, LeaseRange{10 * time.Second, 2 * time.Second, time.Hour}, 10*time.Second)
	f.pass(time.Minute)
	if got := lines.take(); len(got) != 0 {
		t.Errorf("nobody had to wait: logged %q", got)
	}
	for range 2 {
		f.ids = nil
		f.add(100, 10*time.Second)
		f.pass(5 * time.Minute)
		got := lines.take()
		if len(got) != 2 || !strings.Contains(got[0], "80 instances stay") || !strings.Contains(got[0], "20 have left") ||
			!strings.Contains(got[1], "100 have left") {
			t.Errorf("a mass death: logged %q", got)
		}
	}
	f.ids = nil
	f.add(100, 10*time.Second)
	f.pass(11 * time.Second)
	f.renew(f.ids)
	f.pass(time.Second)
	if got := lines.take(); len(got) != 2 || !strings.Contains(got[1], "20 have left") {
		t.Errorf("a network that came back: logged %q", got)
	}
}

// logged gathers what the plugin logs.
type logged struct {
	clog.Listener
	mu    sync.Mutex
	lines []string
}

func listen(t testing.TB) *logged {
	l := &logged{}
	clog.RegisterListener(l)
	t.Cleanup(func() { clog.DeregisterListener(l) })
	return l
}

func (l *logged) Name() string { return "test" }

func (l *logged) Infof(_, format string, v ...any)    { l.add(format, v) }
func (l *logged) Warningf(_, format string, v ...any) { l.add(format, v) }
func (l *logged) Errorf(_, format string, v ...any)   { l.add(format, v) }

func (l *logged) add(format string, v []any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, v...))
}

func (l *logged) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}
