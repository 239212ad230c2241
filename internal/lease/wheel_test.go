package lease

import (
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// wheelTwin is the wheel as it would be if it cost nothing to look at every lease.
type wheelTwin map[*Lease]Time // its deadline

func (w wheelTwin) due(now Time) map[*Lease]bool {
	due := make(map[*Lease]bool)
	for l, deadline := range w {
		if deadline <= now {
			due[l] = true
		}
	}
	return due
}

// turn is the time in which the wheel goes round once.
const turn = time.Duration(slots * slotWidth)

// TestDueYieldsExactlyTheLeasesWhoseDeadlineHasPassed plays at random on the wheel and
// on its twin: short leases, ones at the edges of slots, ones longer than several turns,
// and steps of time within a slot and over many turns. Where not all may end, the others stay on
// the wheel, may be renewed, and end when they may.
func TestDueYieldsExactlyTheLeasesWhoseDeadlineHasPassed(t *testing.T) {
	lengths := []func(*rand.Rand) time.Duration{
		func(r *rand.Rand) time.Duration { return time.Duration(1 + r.Int64N(int64(2*TickEvery))) },
		func(r *rand.Rand) time.Duration { return time.Duration(1+r.Int64N(30)) * time.Second },
		func(r *rand.Rand) time.Duration { return time.Duration(1+r.Int64N(20)) * TickEvery },
		func(r *rand.Rand) time.Duration { return turn + time.Duration(r.Int64N(3)-1)*TickEvery },
		func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(5 * turn))) },
		func(r *rand.Rand) time.Duration { return 24 * time.Hour },
	}
	steps := []func(*rand.Rand) time.Duration{
		func(r *rand.Rand) time.Duration { return TickEvery },
		func(r *rand.Rand) time.Duration { return TickEvery },
		func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(TickEvery))) },
		func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(longestGap))) },
		func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(time.Minute))) },
		func(r *rand.Rand) time.Duration { return turn + time.Duration(r.Int64N(3)-1)*TickEvery },
		func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(3 * turn))) },
		func(r *rand.Rand) time.Duration { return 0 },
	}
	everything, nothing := Rule{Percent: 100}, Rule{}
	rules := []func(*rand.Rand) Rule{
		func(*rand.Rand) Rule { return everything },
		func(r *rand.Rand) Rule { return []Rule{everything, nothing}[r.IntN(2)] },
		func(r *rand.Rand) Rule {
			return Rule{Percent: r.IntN(100), Floor: r.IntN(20), Span: 1 + time.Duration(r.Int64N(int64(time.Minute)))}
		},
	}
	for seed := range uint64(24) {
		random := rand.New(rand.NewPCG(seed, seed))
		rule := rules[seed%uint64(len(rules))]
		var w Wheel
		twin := wheelTwin{}
		now := Time(random.Int64N(int64(2 * turn)))
		steps := steps[:1+random.IntN(len(steps))] // some runs go by ticks alone
		for range 1000 {
			for range min(random.IntN(10), 200-len(twin)) {
				l := w.New(lengths[random.IntN(len(lengths))](random), Tenant{}, now)
				w.Add(l)
				twin[l], _ = l.Deadline()
			}
			for l := range twin { // in random order
				switch random.IntN(10) {
				case 0:
					w.Drop(l, now)
					delete(twin, l)
					w.Drop(l, now) // again is no fault
				case 1, 2, 3:
					if !w.Renew(l, now) {
						t.Fatalf("seed %d: a lease until %d cannot be renewed at %d", seed, twin[l], now)
					}
					twin[l] = now.Add(l.Length())
				}
				if random.IntN(10) == 0 {
					break
				}
			}
			now = now.Add(steps[random.IntN(len(steps))](random))
			want, rule := twin.due(now), rule(random)
			due := w.Due(now, rule)
			if rule == everything && len(due) != len(want) || rule == nothing && len(due) > 0 {
				t.Fatalf("seed %d: at %d %d leases ended of %d that are due, by %+v", seed, now, len(due), len(want), rule)
			}
			for _, l := range due {
				if !want[l] {
					t.Fatalf("seed %d: at %d got a lease that is not due, or twice", seed, now)
				}
				if !l.Ended() || w.Renew(l, now) {
					t.Fatalf("seed %d: at %d got a lease that has not ended", seed, now)
				}
				delete(want, l)
				delete(twin, l)
				w.Drop(l, now)
			}
			if held := w.Held(); held != len(want) {
				t.Fatalf("seed %d: at %d %d leases are held, want %d", seed, now, held, len(want))
			}
			if w.Len() != len(twin) || w.Made() != len(twin) {
				t.Fatalf("seed %d: %d leases on the wheel, %d made, want %d", seed, w.Len(), w.Made(), len(twin))
			}
		}
	}
}

// The contract gives a lease a second to leave after its end. Ticked on time, the wheel
// takes a tick.
func TestLeaseLeavesWithinATick(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	var w Wheel
	deadlines := map[*Lease]Time{}
	for range 10_000 {
		l := w.New(time.Duration(random.Int64N(int64(3*turn))), Tenant{}, 0)
		w.Add(l)
		deadlines[l], _ = l.Deadline()
	}
	for now := Time(0); len(deadlines) > 0; now = now.Add(TickEvery) {
		for _, l := range w.Due(now, Rule{Percent: 100}) {
			if late := now.Sub(deadlines[l]); late < 0 || late >= TickEvery {
				t.Fatalf("a lease until %d left at %d", deadlines[l], now)
			}
			delete(deadlines, l)
		}
		if now > Time(4*turn) {
			t.Fatalf("%d leases never left", len(deadlines))
		}
	}
}

// Heartbeats, registrations and deregistrations come from anywhere while the wheel
// turns. In the end every lease has left it in one of two ways.
func TestWheelLosesNothingUnderConcurrentUse(t *testing.T) {
	const clients, each = 8, 500
	var w Wheel
	var now atomic.Int64
	var added, removed sync.Map
	var running sync.WaitGroup
	for c := range clients {
		running.Go(func() {
			random := rand.New(rand.NewPCG(uint64(c), 3))
			for n := range each {
				id := c*each + n
				l := w.New(time.Duration(random.Int64N(int64(10*time.Second))), Tenant{}, Time(now.Load()))
				added.Store(id, l)
				w.Add(l)
				for range random.IntN(4) {
					w.Renew(l, Time(now.Load()))
				}
				if random.IntN(4) == 0 {
					w.Drop(l, math.MaxInt64) // not to be made again: it is told by its place
					if !l.Ended() {
						removed.Store(l, true)
					}
				}
			}
		})
	}
	stopped := make(chan struct{})
	go func() {
		running.Wait()
		close(stopped)
	}()
	yielded := map[*Lease]bool{}
	turn := func() {
		for _, l := range w.Due(Time(now.Add(int64(TickEvery))), Rule{Percent: 100}) {
			if _, ok := removed.Load(l); ok || yielded[l] {
				t.Errorf("lease %p was removed, or yielded before, and is yielded", l)
			}
			yielded[l] = true
		}
	}
	for running := true; running; {
		select {
		case <-stopped:
			running = false
		default:
			turn()
		}
	}
	for w.Len() > 0 {
		turn()
	}
	for id := range clients * each {
		was, ok := added.Load(id)
		if !ok {
			t.Fatalf("lease %d was not added", id)
		}
		l := was.(*Lease)
		_, gone := removed.Load(l)
		if gone == yielded[l] || l.Ended() != yielded[l] {
			t.Errorf("lease %d: removed %v, yielded %v", id, gone, yielded[l])
		}
	}
}

// A lease that falls due is renewed, found to be due, put in line, all at the same time: it is
// never left in the line, where it would count as held back until its turn comes.
func TestRenewalTakesALeaseOutOfTheLineHoweverTheyMeet(t *testing.T) {
	const length = time.Second
	for range 3000 {
		var w Wheel
		var leases []*Lease
		for n := range uint64(4) {
			l := w.New(length, Tenant{n, n}, 0)
			w.Add(l)
			leases = append(leases, l)
		}
		var done sync.WaitGroup
		for _, l := range leases {
			done.Go(func() { w.Renew(l, Time(length)) })
		}
		done.Go(func() { w.Due(Time(length), Rule{}) })
		done.Wait()
		if w.Held() != 0 || w.Len() != len(leases) {
			t.Fatalf("all are renewed: %d wait, %d are on the wheel", w.Held(), w.Len())
		}
		if due := w.Due(Time(2*length), Rule{Percent: 100}); len(due) != len(leases) {
			t.Fatalf("%d end at the end of their leases, want %d", len(due), len(leases))
		}
	}
}

func (l *Lease) deadlineNow() Time {
	t, _ := l.Deadline()
	return t
}

// However many wait, a tick costs what leaves in it.
func TestATickCostsWhatLeavesAndNotWhatWaits(t *testing.T) {
	quickest := func(waiting int) time.Duration {
		rule := Rule{Floor: 8, Span: 100 * time.Second}
		var w Wheel
		for n := range uint64(waiting) {
			w.Add(w.New(time.Second, Tenant{n % 1000, n % 10_000}, 0))
		}
		now := Time(2 * time.Second)
		w.Due(now, rule)
		if held := w.Held(); held != waiting-6 {
			t.Fatalf("%d wait, want all but the 6 that may leave at once", held)
		}
		if allocs := testing.AllocsPerRun(100, func() { now++; w.Due(now, rule) }); allocs != 0 {
			t.Errorf("%d wait and nothing leaves: a tick allocates %v times", waiting, allocs)
		}
		least := time.Duration(math.MaxInt64)
		for range 1000 {
			now++
			began := time.Now()
			w.Due(now, rule)
			least = min(least, time.Since(began))
		}
		return least
	}
	// To look at each would take 1,000 times as long.
	if few, many := quickest(100), quickest(100_000); many > 20*(few+time.Microsecond) {
		t.Errorf("a tick takes %s where 100,000 wait, and %s where 100 do", many, few)
	}
}

// Where more fall due at one moment than a tick may take, the next ticks take the rest; none is lost,
// or waits for long.
func TestLeasesThatFallDueAllAtOnceAreTakenInAFewTicks(t *testing.T) {
	var w Wheel
	const all = 2*maxCollected + 100
	for n := range uint64(all) {
		w.Add(w.New(time.Second, Tenant{Service: n % 100}, 0))
	}
	now, left := Time(time.Second), 0
	for _, want := range []int{maxCollected, maxCollected, 100, 0} {
		due := w.Due(now, Rule{Percent: 100})
		if len(due) != want {
			t.Errorf("at %s: %d end, want %d", time.Duration(now), len(due), want)
		}
		left += len(due)
		now = now.Add(TickEvery)
	}
	if left != all || w.Len() != 0 {
		t.Errorf("%d of %d have ended, %d are left", left, all, w.Len())
	}
}

// Whoever has found a lease in what was published goes on with it for a moment, also when it
// has been dropped: it becomes nobody else's meanwhile.
func TestDroppedLeaseIsMadeAgainAfterAWhile(t *testing.T) {
	const s = Time(time.Second)
	var w Wheel
	first := w.New(30*time.Second, Tenant{Service: 1}, 0)
	w.Add(first)
	w.Drop(first, 5*s)
	if until, _ := first.Deadline(); until != 30*s || first.Ended() {
		t.Errorf("a lease that was dropped lasts until %d", until)
	}
	early := w.New(time.Second, Tenant{Service: 2}, 5*s+reuseAfter-1)
	if early == first || early.Number() == first.Number() {
		t.Error("it is another's already")
	}
	late := w.New(time.Minute, Tenant{Service: 3}, 5*s+reuseAfter)
	if late != first || late.Tenant().Service != 3 || late.Length() != time.Minute || w.Lease(late.Number()) != late {
		t.Errorf("got lease %d of %d, of %s, want the one that was dropped", late.Number(), late.Tenant().Service, late.Length())
	}
	if w.Len() != 0 || w.Made() != 2 {
		t.Errorf("%d leases are on the wheel, %d made, want 0 and 2", w.Len(), w.Made())
	}
}

func TestLeaseIsFoundByItsNumber(t *testing.T) {
	var w Wheel
	if w.Lease(0) != nil || (*Lease)(nil).Number() != 0 {
		t.Error("there is a lease of the number 0")
	}
	seen := map[Number]bool{}
	for owner := range uint64(3 << chunkBits) {
		l := w.New(time.Second, Tenant{Owner: owner}, 0)
		if n := l.Number(); n == 0 || seen[n] || w.Lease(n) != l || l.Tenant().Owner != owner {
			t.Fatalf("lease %d has number %d, which leads to %p, not to %p", owner, n, w.Lease(n), l)
		}
		seen[l.Number()] = true
	}
}

func TestAllLeasesAreAddedWithTheirFullLength(t *testing.T) {
	const s = Time(time.Second)
	var w Wheel
	w.AddAll(0)
	short, long, there, gone := w.New(10*time.Second, Tenant{}, 0), w.New(time.Minute, Tenant{}, 0), w.New(20*time.Second, Tenant{}, 0), w.New(time.Second, Tenant{}, 0)
	w.Add(there)
	w.Drop(gone, 0)
	w.AddAll(100 * s)
	for _, tc := range []struct {
		sentence string
		lease    *Lease
		until    Time
	}{
		{"a short one", short, 110 * s},
		{"a long one", long, 160 * s},
		{"one that was on the wheel", there, 20 * s},
		{"one that was dropped", gone, 1 * s},
	} {
		if until := tc.lease.deadlineNow(); until != tc.until {
			t.Errorf("%s lasts until %d, want %d", tc.sentence, until, tc.until)
		}
	}
	if due := w.Due(110*s, Rule{Percent: 100}); len(due) != 2 || w.Len() != 1 {
		t.Errorf("%d leases ended and %d stay, want 2 and 1", len(due), w.Len())
	}
}
