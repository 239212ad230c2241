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
// and steps of time within a slot and over many turns. Where no more than some may end, that
// many do; the others stay on the wheel, may be renewed, and end when they may.
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
	budgets := []func(*rand.Rand) int{
		func(*rand.Rand) int { return math.MaxInt },
		func(r *rand.Rand) int { return r.IntN(3) },
		func(r *rand.Rand) int { return r.IntN(20) - 5 }, // overdrawn is none
		func(r *rand.Rand) int { return r.IntN(2) * 1000 },
	}
	for seed := range uint64(24) {
		random := rand.New(rand.NewPCG(seed, seed))
		budget := budgets[seed%uint64(len(budgets))]
		var w Wheel
		twin := wheelTwin{}
		now := Time(random.Int64N(int64(2 * turn)))
		steps := steps[:1+random.IntN(len(steps))] // some runs go by ticks alone
		for range 1000 {
			for range min(random.IntN(10), 200-len(twin)) {
				l := w.New(lengths[random.IntN(len(lengths))](random), 0, now)
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
					if !l.Renew(now) {
						t.Fatalf("seed %d: a lease until %d cannot be renewed at %d", seed, twin[l], now)
					}
					twin[l] = now.Add(l.Length())
				}
				if random.IntN(10) == 0 {
					break
				}
			}
			now = now.Add(steps[random.IntN(len(steps))](random))
			want, most := twin.due(now), budget(random)
			ends := min(max(most, 0), len(want))
			sifted := w.sifted
			due := w.Due(now, most)
			if len(due) != ends {
				t.Fatalf("seed %d: at %d %d leases ended, want %d: of %d that are due, at most %d", seed, now, len(due), ends, len(want), most)
			}
			for _, l := range due {
				if !want[l] {
					t.Fatalf("seed %d: at %d got a lease that is not due, or twice", seed, now)
				}
				if !l.Ended() || l.Renew(now) {
					t.Fatalf("seed %d: at %d got a lease that has not ended", seed, now)
				}
				delete(want, l)
				delete(twin, l)
				w.Drop(l, now)
			}
			// One that was renewed may be counted for a second more.
			if held := w.Held(); held < len(want) || w.sifted != sifted && held != len(want) {
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
		l := w.New(time.Duration(random.Int64N(int64(3*turn))), 0, 0)
		w.Add(l)
		deadlines[l], _ = l.Deadline()
	}
	for now := Time(0); len(deadlines) > 0; now = now.Add(TickEvery) {
		for _, l := range w.Due(now, math.MaxInt) {
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
				l := w.New(time.Duration(random.Int64N(int64(10*time.Second))), 0, Time(now.Load()))
				added.Store(id, l)
				w.Add(l)
				for range random.IntN(4) {
					l.Renew(Time(now.Load()))
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
		for _, l := range w.Due(Time(now.Add(int64(TickEvery))), math.MaxInt) {
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

// Who fell due first ends first, so that none waits for ever behind others; a renewal puts a
// lease at the end of the queue that it may come into again.
func TestHeldLeasesEndInTheOrderInWhichTheyFellDue(t *testing.T) {
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(seed, 5))
		var w Wheel
		deadlines := map[*Lease]Time{}
		var leases []*Lease
		for range 300 {
			l := w.New(2*time.Second+time.Duration(random.Int64N(int64(20*time.Second))), 0, 0)
			w.Add(l)
			deadlines[l], leases = l.deadlineNow(), append(leases, l)
		}
		var last Time
		for now := Time(0); w.Len() > 0; now = now.Add(TickEvery) {
			if now > Time(time.Hour) {
				t.Fatalf("seed %d: %d leases never end", seed, w.Len())
			}
			if random.IntN(3) == 0 && now < Time(time.Minute) {
				l := leases[random.IntN(len(leases))]
				if l.Renew(now) {
					deadlines[l] = l.deadlineNow()
				}
			}
			for _, l := range w.Due(now, random.IntN(3)) {
				if deadlines[l] > now {
					t.Fatalf("seed %d: at %d lease %p ended, which lasts until %d", seed, now, l, deadlines[l])
				}
				if deadlines[l] < last-Time(TickEvery) {
					t.Fatalf("seed %d: at %d lease %p ended, which fell due at %d, after one that did at %d", seed, now, l, deadlines[l], last)
				}
				last = max(last, deadlines[l])
			}
		}
		if w.Held() != 0 {
			t.Errorf("seed %d: the wheel is empty and holds %d", seed, w.Held())
		}
	}
}

func (l *Lease) deadlineNow() Time {
	t, _ := l.Deadline()
	return t
}

// Held back, a lease costs nobody: not the tick, which must not look at each of them.
func TestHeldLeasesCostATickNothing(t *testing.T) {
	var w Wheel
	for range 100_000 {
		w.Add(w.New(time.Second, 0, 0))
	}
	now := Time(2 * time.Second)
	w.Due(now, 0)
	looked := 0
	for l := w.Lease(w.ring[overdue].first); l != nil; l = w.Lease(l.next) {
		looked++
	}
	if looked != 100_000 || w.Held() != looked {
		t.Fatalf("%d leases are held, %d in the queue", w.Held(), looked)
	}
	allocs := testing.AllocsPerRun(100, func() {
		now++ // no second passes
		w.Due(now, 0)
	})
	if allocs != 0 {
		t.Errorf("a tick allocates %v times", allocs)
	}
}

// Whoever has found a lease in what was published goes on with it for a moment, also when it
// has been dropped: it becomes nobody else's meanwhile.
func TestDroppedLeaseIsMadeAgainAfterAWhile(t *testing.T) {
	const s = Time(time.Second)
	var w Wheel
	first := w.New(30*time.Second, 1, 0)
	w.Add(first)
	w.Drop(first, 5*s)
	if until, _ := first.Deadline(); until != 30*s || first.Ended() {
		t.Errorf("a lease that was dropped lasts until %d", until)
	}
	early := w.New(time.Second, 2, 5*s+reuseAfter-1)
	if early == first || early.Number() == first.Number() {
		t.Error("it is another's already")
	}
	late := w.New(time.Minute, 3, 5*s+reuseAfter)
	if late != first || late.Owner() != 3 || late.Length() != time.Minute || w.Lease(late.Number()) != late {
		t.Errorf("got lease %d of %d, of %s, want the one that was dropped", late.Number(), late.Owner(), late.Length())
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
	for owner := range uint64(3 << pieceBits) {
		l := w.New(time.Second, owner, 0)
		if n := l.Number(); n == 0 || seen[n] || w.Lease(n) != l || l.Owner() != owner {
			t.Fatalf("lease %d has number %d, which leads to %p, not to %p", owner, n, w.Lease(n), l)
		}
		seen[l.Number()] = true
	}
}

func TestAllLeasesAreAddedWithTheirFullLength(t *testing.T) {
	const s = Time(time.Second)
	var w Wheel
	w.AddAll(0)
	short, long, there, gone := w.New(10*time.Second, 0, 0), w.New(time.Minute, 0, 0), w.New(20*time.Second, 0, 0), w.New(time.Second, 0, 0)
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
	if due := w.Due(110*s, math.MaxInt); len(due) != 2 || w.Len() != 1 {
		t.Errorf("%d leases ended and %d stay, want 2 and 1", len(due), w.Len())
	}
}
