package engine_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/engine"
	"github.com/coredns-registry/registry/internal/engine/enginetest"
	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/testkit"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// fleet registers n instances of one service, of which the test lets some be silent.
type fleet struct {
	*enginetest.World
	ids []service.ID
}

func newFleet(t testing.TB, n int, eviction engine.Eviction, leases engine.LeaseRange, length time.Duration) *fleet {
	t.Helper()
	rules := enginetest.Rules()
	rules.Eviction, rules.Leases = eviction, leases
	f := &fleet{World: enginetest.NewWorld(t, rules, nil)}
	f.add(n, length)
	return f
}

func (f *fleet) add(n int, length time.Duration) {
	f.T.Helper()
	f.ids = append(f.ids, f.addTo(testkit.Anyone, "web", n, len(f.ids), length)...)
}

// addTo has somebody register n instances of a service, which are numbered from there on.
func (f *fleet) addTo(by service.Caller, name string, n, from int, length time.Duration) (ids []service.ID) {
	f.T.Helper()
	for i := from; i < from+n; i++ {
		c := testkit.WithLease(testkit.Register("prod", name, fmt.Sprint("i", i), fmt.Sprintf("10.0.%d.%d", i/250, i%250+1)), int32(length/time.Second))
		if _, _, err := f.Engine.Apply(by, []service.Change{c}, f.Now()); err != nil {
			f.T.Fatal(err)
		}
		ids = append(ids, c.ID)
	}
	return ids
}

// answered is how many instances of a service DNS knows.
func (f *fleet) answered(name string) int {
	f.T.Helper()
	return len(f.Ask(name+".prod.svc.cluster.local.", dns.TypeA).Answer)
}

// renew sends the heartbeats of those, and reports who is not known any more.
func (f *fleet) renew(ids []service.ID) (unknown []service.ID) {
	for _, id := range ids {
		if f.Engine.Renew(testkit.Anyone, id, service.Precondition{}) != nil {
			unknown = append(unknown, id)
		}
	}
	return unknown
}

func (f *fleet) here() int {
	_, _, instances := f.Engine.State().Totals()
	return instances
}

// How many of a fleet that is silent from one moment on have left, at the end of their leases
// and one span of the budget after the other.
func TestEvictionBudget(t *testing.T) {
	const span = 30 * time.Second
	for _, tc := range []struct {
		sentence string
		eviction engine.Eviction
		silent   int
		alive    int
		left     []int // a second after the leases end, and after each further span
	}{
		{"a tenth leaves at once, then three quarters of a fifth in each span", engine.Eviction{Percent: 20, Floor: 0}, 100, 0, []int{10, 15, 26, 35}},
		{"of all that have a lease, not of those that fell due", engine.Eviction{Percent: 20, Floor: 0}, 100, 900, []int{100}},
		{"half", engine.Eviction{Percent: 50, Floor: 0}, 100, 0, []int{25, 37, 56, 70}},
		{"the floor where that is more", engine.Eviction{Percent: 20, Floor: 30}, 100, 0, []int{15, 22, 43, 64, 85, 100}},
		{"a table as small as the floor never waits", engine.Eviction{Percent: 20, Floor: 10}, 10, 0, []int{10}},
		{"a larger one has half of the floor leave at once", engine.Eviction{Percent: 20, Floor: 10}, 10, 5, []int{5, 10}},
		{"and all when it is no larger any more", engine.Eviction{Percent: 20, Floor: 10}, 11, 0, []int{5, 11}},
		{"a floor alone", engine.Eviction{Percent: 0, Floor: 7}, 20, 0, []int{3, 5, 9, 13, 20}},
		{"nothing at all, if that is what was written", engine.Eviction{Percent: 0, Floor: 0}, 20, 0, []int{0, 0}},
		{"100 percent is no bound", engine.Eviction{Percent: 100, Floor: 0}, 1000, 0, []int{1000}},
		{"less than one of few is none", engine.Eviction{Percent: 20, Floor: 0}, 4, 0, []int{0, 0}},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			f := newFleet(t, tc.silent+tc.alive, tc.eviction, engine.LeaseRange{span, 2 * time.Second, time.Hour}, span)
			f.Load("prod/static/s 192.0.2.1\nprod/static/s2 192.0.2.2") // are not counted
			silent, alive := f.ids[:tc.silent], f.ids[tc.silent:]
			registered, static := f.Now(), 2
			beat := func(d time.Duration) {
				for end := f.Now().Add(d); f.Now().Before(end); {
					f.Pass(min(time.Second, end.Sub(f.Now())))
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
					t.Fatalf("%s after the registration, in span %d: %d have left, want %d", f.Now().Sub(registered), n, left, want)
				}
				if got, want := f.Engine.Evictions().Held, len(silent)-want; got != want && tc.eviction.Percent < 100 {
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
		eviction := engine.Eviction{Percent: random.IntN(100), Floor: random.IntN(12)}
		// A lease is at least as long as a span, or not: then some leave more than once in it.
		lengths := []time.Duration{2 * time.Second, span, 2 * span}[random.IntN(3):]
		w := newFleet(t, 0, eviction, engine.LeaseRange{span, 2 * time.Second, time.Hour}, 0)
		w.Load("prod/static/s 192.0.2.1")
		for range random.IntN(150) {
			w.add(1, lengths[random.IntN(len(lengths))])
		}
		returns := random.IntN(2) == 0 // those that are told 404 register again
		grows := random.IntN(2) == 0
		var leased []int  // at each tick, before it
		var evicted []int // at each tick
		silent := make(map[service.ID]bool)
		r := w.Engine
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
						w.Apply(service.Change{Op: service.Deregister, ID: i})
					}
				}
			}
			if len(leased)%10 == 0 {
				for n, id := range w.ids {
					if !silent[id] && r.Renew(testkit.Anyone, id, service.Precondition{}) != nil && returns {
						w.Apply(testkit.WithLease(testkit.Register("prod", "web", id.ID, fmt.Sprintf("10.1.%d.%d", n/250, n%250+1)), int32(lengths[0]/time.Second)))
					}
				}
			}
			before := r.State().Leases().Len()
			w.Pass(lease.TickEvery)
			leased, evicted = append(leased, before), append(evicted, before-r.State().Leases().Len())
		}
		for end := range leased { // of each span that ends with somebody who leaves
			sum, most, bounded := 0, 0, false
			for tick := end; tick > max(-1, end-int(span/lease.TickEvery)) && evicted[end] > 0; tick-- {
				sum += evicted[tick]
				most = max(most, leased[tick])
				of := leased[tick]
				if grows || returns {
					of = most
				}
				// A table that was as small as the floor whenever some left has no bound.
				bounded = bounded || evicted[tick] > 0 && leased[tick] > eviction.Floor
				if allowed := max(of*eviction.Percent/100, eviction.Floor); sum > allowed && bounded {
					t.Fatalf("seed %d: eviction %d%% or %d in %s: %d left from tick %d to %d, of %d leased", seed, eviction.Percent, eviction.Floor, span, sum, tick, end, of)
				}
			}
		}
		// And nobody has to reset anything: whoever is silent for good leaves, and all that is
		// alive stays. 0 percent without a floor means never.
		if allowed := max(eviction.Floor, eviction.Percent/100); allowed == 0 {
			continue
		}
		for end := w.Now().Add(time.Hour); r.State().Leases().Len() > 0; w.Pass(time.Second) {
			if w.Now().After(end) {
				t.Fatalf("seed %d: eviction %d%% or %d in %s: %d of a dead fleet never leave", seed, eviction.Percent, eviction.Floor, span, r.State().Leases().Len())
			}
		}
		if w.Engine.Evictions().Held != 0 || w.here() != 1 {
			t.Fatalf("seed %d: all have left, %d are held and %d are there", seed, w.Engine.Evictions().Held, w.here())
		}
	}
}

// One credential that may write one service registers 9,000 instances with the shortest lease and
// falls silent; the same again a while later. Whatever it does, and however often others lose an
// instance meanwhile, those leave within a second of the end of their leases.
func TestOneServicesMassDeathKeepsNoOtherDeadInstance(t *testing.T) {
	const dead = 2 * time.Second
	f := newFleet(t, 0, engine.Eviction{Percent: 20, Floor: 10}, engine.LeaseRange{30 * time.Second, dead, time.Hour}, 0)
	flood := service.Caller{Name: "flood"}
	others := []service.Caller{{Name: "a"}, {Name: "b"}, {Name: "c"}, {}}
	for n := range 40 {
		f.addTo(others[n%len(others)], fmt.Sprint("s-", n), 3, 0, time.Hour)
	}
	alive := func() (n int) {
		for s := range 40 {
			n += f.answered(fmt.Sprint("s-", s))
		}
		return n
	}
	f.addTo(flood, "flood", 9000, 0, dead)
	for round := range 30 {
		f.Pass(3 * time.Second)
		if round == 12 {
			f.addTo(flood, "flood", 9000, 0, dead) // what is still there is renewed
		}
		before := alive()
		// Two of one service, so that one is not its first, and one of another.
		f.addTo(others[round%4], fmt.Sprint("s-", round%4), 2, 100, dead)
		f.addTo(others[(round+1)%4], fmt.Sprint("s-", (round+1)%4), 1, 200, dead)
		if got := alive(); got != before+3 {
			t.Fatalf("%d are answered, want %d", got, before+3)
		}
		f.Pass(dead + time.Second)
		if got := alive(); got != before {
			t.Fatalf("%s after the mass death: a second after the end of their leases %d of others' three dead instances are answered, %d of the flood are held back",
				f.Now().Sub(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)), got-before, f.Engine.Evictions().Held)
		}
	}
	if f.answered("flood") == 0 {
		t.Error("the mass is gone: nothing was held back, and nothing shown")
	}
}

// A network that is gone for ten leases and comes back: those that it was silent for and that
// had to wait are saved by a heartbeat, and the next who is really dead leaves in time.
func TestHeartbeatSavesWhoIsHeldBack(t *testing.T) {
	const span = 30 * time.Second
	f := newFleet(t, 500, engine.Eviction{Percent: 20, Floor: 10}, engine.LeaseRange{span, 2 * time.Second, time.Hour}, span)
	f.Pass(span + time.Second) // the leases end while the network is gone
	if left, held := 500-f.here(), f.Engine.Evictions().Held; left != 50 || held != 450 {
		t.Fatalf("%d have left and %d are held, want a tenth, and the rest", left, held)
	}
	for _, a := range f.Ask("web.prod.svc.cluster.local.", dns.TypeA).Answer {
		if a.Header().Ttl != 0 {
			t.Fatalf("held back and answered with a TTL: %v", a)
		}
	}
	unknown := f.renew(f.ids)
	if len(unknown) != 50 {
		t.Fatalf("%d heartbeats were told 404, want those of the 50 that have left", len(unknown))
	}
	if m := f.Ask("web.prod.svc.cluster.local.", dns.TypeA); len(m.Answer) != 450 || m.Answer[0].Header().Ttl != 5 {
		t.Fatalf("saved and answered otherwise than before: %d answers, TTL %d", len(m.Answer), m.Answer[0].Header().Ttl)
	}
	f.Pass(lease.TickEvery)
	if held := f.Engine.Evictions().Held; held != 0 {
		t.Errorf("all are alive and %d are held", held)
	}
	alive := slices.DeleteFunc(slices.Clone(f.ids), func(id service.ID) bool { return slices.Contains(unknown, id) })
	for range 10 {
		f.Pass(span / 3)
		if unknown := f.renew(alive); len(unknown) > 0 {
			t.Fatalf("%s was evicted after it was saved", unknown[0])
		}
	}
	f.Pass(span / 3)
	f.renew(alive[1:])
	f.Pass(2*span/3 + 100*time.Millisecond)
	if f.Engine.State().Instance(alive[0]) != nil {
		t.Error("one that is really dead has not left at the end of its lease")
	}
}

// Whatever stops the process, nobody healthy leaves: not while heartbeats are on their way,
// and not for that the budget is spent.
func TestPauseEvictsNobody(t *testing.T) {
	f := newFleet(t, 200, engine.Eviction{Percent: 20, Floor: 10}, engine.LeaseRange{10 * time.Second, 2 * time.Second, time.Hour}, 3*time.Second)
	random := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		f.Pass(time.Duration(random.IntN(1000)) * time.Millisecond)
		f.Jump([]time.Duration{501 * time.Millisecond, 30 * time.Second, 240 * time.Hour, 2 * time.Second}[random.IntN(4)])
		if random.IntN(2) == 0 {
			f.Engine.Expire() // before the heartbeats that have been waiting are read
		}
		if unknown := f.renew(f.ids); len(unknown) > 0 {
			t.Fatalf("%d are evicted that sent a heartbeat each second that the process ran, or as soon as it did", len(unknown))
		}
		if held := f.Engine.Evictions().Held; held != 0 {
			t.Fatalf("%d are held and all are alive", held)
		}
	}
}

// The log, the status and the metric name the services that most are held back of, so many and no
// more, and count the rest.
func TestWhatIsHeldBackIsNamed(t *testing.T) {
	f := newFleet(t, 0, engine.Eviction{Percent: 0, Floor: 0}, engine.LeaseRange{30 * time.Second, 2 * time.Second, time.Hour}, 0)
	for n := range 25 {
		f.addTo(testkit.Anyone, fmt.Sprintf("s-%02d", n), 1+n, 0, 2*time.Second)
	}
	f.Pass(3 * time.Second)
	var named []string
	for n := 24; n > 14; n-- {
		named = append(named, fmt.Sprintf("s-%02d.prod (%d)", n, n+1))
	}
	if got, want := f.Log.Take(), "its turn comes: "+strings.Join(named, ", ")+" and 15 more services"; len(got) != 1 || !strings.HasSuffix(got[0], want) {
		t.Errorf("logged %q, want at its end %q", got, want)
	}
	e := f.Engine.Evictions()
	if len(e.Services) != 25 || e.HeldServices != 25 || e.Services[0].Name.String() != "s-24.prod" || e.Services[0].Held != 25 {
		t.Errorf("the status has %+v", e)
	}
	if err := f.Engine.Renew(testkit.Anyone, testkit.ID("prod", "s-24", "i0"), service.Precondition{}); err != nil {
		t.Fatal(err)
	}
	if got := f.Engine.Evictions().Services[0].Held; got != 25 {
		t.Errorf("what is known of the services is looked up again at once: got %d", got)
	}
	f.Pass(engine.HeldServicesAge)
	if got := f.Engine.Evictions().Services[0]; got.Held != 24 {
		t.Errorf("a second after a renewal: got %+v, want 24 of it", got)
	}
}

// One line when instances begin to be held back, one a minute while it lasts, and one when none
// is any more; none where nobody had to wait. They name the services.
func TestEachEpisodeIsLoggedOnce(t *testing.T) {
	f := newFleet(t, 10, engine.Eviction{Percent: 20, Floor: 10}, engine.LeaseRange{10 * time.Second, 2 * time.Second, time.Hour}, 10*time.Second)
	f.Pass(time.Minute)
	if got := f.Log.Take(); len(got) != 0 {
		t.Errorf("nobody had to wait: logged %q", got)
	}
	for range 2 {
		f.ids = nil
		f.add(100, 10*time.Second)
		f.Pass(5 * time.Minute)
		got := f.Log.Take()
		if len(got) != 4 || !strings.Contains(got[0], "keeping 90 expired instances") || !strings.Contains(got[0], "10 have left") ||
			!strings.HasSuffix(got[0], ": web.prod (90)") || !strings.HasSuffix(got[1], ": web.prod (45)") ||
			!strings.HasSuffix(got[2], ": web.prod (9)") || !strings.Contains(got[3], "100 have left") {
			t.Errorf("a mass death: logged %q", got)
		}
	}
	f.ids = nil
	f.add(100, 10*time.Second)
	f.Pass(11 * time.Second)
	f.renew(f.ids)
	f.Pass(time.Second)
	if got := f.Log.Take(); len(got) != 2 || !strings.Contains(got[1], "10 have left") {
		t.Errorf("a network that came back: logged %q", got)
	}
}

func TestEvictionsAreTold(t *testing.T) {
	const span = 30 * time.Second
	f := newFleet(t, 100, engine.Eviction{Percent: 20, Floor: 10}, engine.LeaseRange{span, 2 * time.Second, time.Hour}, span)
	f.Load("prod/web/static 192.0.2.1")
	tell := func(what string, want engine.Evictions) {
		t.Helper()
		want.Percent, want.Floor, want.Span = 20, 10, span
		if got := f.Engine.Evictions(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", what, got, want)
		}
	}
	tell("all are alive", engine.Evictions{Leased: 100})
	f.Pass(span + time.Second)
	since := f.Now().Add(-time.Second)
	of := func(n int) []engine.HeldService {
		return []engine.HeldService{{Name: service.Name{Namespace: "prod", Service: "web"}, Held: n}}
	}
	tell("a tenth has left", engine.Evictions{Leased: 90, Held: 90, Since: since, Services: of(90), HeldServices: 1})
	f.Pass(span)
	tell("more of the rest", engine.Evictions{Leased: 85, Held: 85, Since: since, Services: of(85), HeldServices: 1})
	f.renew(f.ids)
	f.Pass(lease.TickEvery)
	tell("the rest is alive", engine.Evictions{Leased: 85})
}

// Whoever asks meanwhile is told of an episode or of none, never of half of one.
func TestEvictionsAreToldWhileTheyHappen(t *testing.T) {
	w := newFleet(t, 0, engine.Eviction{Percent: 0, Floor: 1}, engine.LeaseRange{2 * time.Second, 2 * time.Second, time.Minute}, 0)
	done := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if e := w.Engine.Evictions(); (e.Held > 0) == e.Since.IsZero() {
				t.Errorf("got %+v", e)
				return
			}
		}
	})
	for round := range 50 {
		for n := range 3 {
			w.Load(fmt.Sprintf("prod/web/i-%d-%d 192.0.2.1 lease=2", round, n))
		}
		w.Pass(9 * time.Second)
	}
	close(done)
	asking.Wait()
}
