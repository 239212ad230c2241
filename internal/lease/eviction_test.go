package lease

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// fleet is leases of tenants that have names, on a wheel that is ticked.
type fleet struct {
	*Wheel
	t     testing.TB
	rule  Rule
	at    Time
	names map[Tenant]string
	left  map[string]int
}

func newFleet(t testing.TB, rule Rule) *fleet {
	return &fleet{Wheel: new(Wheel), t: t, rule: rule, names: make(map[Tenant]string), left: make(map[string]int)}
}

func number(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()
}

// add adds n leases of "owner/service" that end after so long.
func (f *fleet) add(name string, n int, length time.Duration) (leases []*Lease) {
	owner, service, _ := strings.Cut(name, "/")
	tenant := Tenant{number(owner), number(service)}
	f.names[tenant] = name
	for range n {
		l := f.New(length, tenant, f.at)
		f.Add(l)
		leases = append(leases, l)
	}
	return leases
}

// tick lets the time of one tick pass, and returns how many have left in it.
func (f *fleet) tick() (left int) {
	f.at = f.at.Add(TickEvery)
	for _, l := range f.Due(f.at, f.rule) {
		f.left[f.names[l.Tenant()]]++
		f.Drop(l, f.at)
		left++
	}
	return left
}

// pass lets time pass up to a moment.
func (f *fleet) pass(until time.Duration) {
	for f.at < Time(until) {
		f.tick()
	}
}

func (f *fleet) String() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(f.left)) {
		all = append(all, fmt.Sprint(name, " ", f.left[name]))
	}
	return strings.Join(all, ", ")
}

// Who has left by when, of those that fall silent.
func TestWhoLeavesInWhichTurn(t *testing.T) {
	const s = time.Second
	type silence struct {
		who string // "owner/service"
		n   int
		at  time.Duration // the end of their leases
	}
	type look struct {
		at   time.Duration
		left string
	}
	rule := Rule{Percent: 20, Floor: 10, Span: 30 * s}
	for _, tc := range []struct {
		sentence string
		rule     Rule
		alive    int
		silent   []silence
		looks    []look
	}{
		{"half of the budget leaves at once, a quarter in the course of the span, then three quarters in each", rule, 900,
			[]silence{{"a/web", 100, 1 * s}, {"b/db", 1000, 40 * s}, {"c/x", 1, 1 * s}},
			[]look{{900 * time.Millisecond, ""}, {1 * s, "a/web 100, c/x 1"}, {39 * s, "a/web 100, c/x 1"},
				{40 * s, "a/web 100, b/db 190, c/x 1"}, {55 * s, "a/web 100, b/db 237, c/x 1"}, {70 * s, "a/web 100, b/db 285, c/x 1"}}},
		{"a table as small as the floor never waits", rule, 0,
			[]silence{{"a/web", 10, 1 * s}},
			[]look{{1 * s, "a/web 10"}}},
		{"of a table of one more, half of the floor leaves at once, and all when it has been small for a span", rule, 0,
			[]silence{{"a/web", 11, 1 * s}},
			[]look{{1 * s, "a/web 5"}, {15900 * time.Millisecond, "a/web 5"}, {16 * s, "a/web 6"}, {30900 * time.Millisecond, "a/web 6"}, {31 * s, "a/web 11"}}},
		{"services that lose one each have three quarters of the budget at once", rule, 80,
			[]silence{{"a/1", 1, 1 * s}, {"a/2", 1, 1 * s}, {"a/3", 1, 1 * s}, {"a/4", 1, 1 * s}, {"a/5", 1, 1 * s}, {"a/6", 1, 1 * s},
				{"a/7", 1, 1 * s}, {"a/8", 1, 1 * s}, {"a/9", 1, 1 * s}},
			[]look{{1 * s, "a/1 1, a/2 1, a/3 1, a/4 1, a/5 1, a/6 1, a/7 1, a/8 1, a/9 1"}}},
		{"one service's mass death keeps no dead instance of another's", rule, 100,
			[]silence{{"a/flood", 9000, 2 * s}, {"b/web", 1, 2 * s}, {"b/db", 1, 7 * s}, {"a/x", 1, 9 * s}, {"b/mail", 1, 12 * s}},
			[]look{{2 * s, "a/flood 909, b/web 1"}, {7 * s, "a/flood 984, b/db 1, b/web 1"}, {9 * s, "a/flood 1014, a/x 1, b/db 1, b/web 1"},
				{12 * s, "a/flood 1059, a/x 1, b/db 1, b/mail 1, b/web 1"}}},
		{"nor does it where they have lost one before: turns come soon, between owners", rule, 100,
			[]silence{{"a/flood", 9000, 2 * s}, {"b/web", 3, 4 * s}},
			[]look{{4 * s, "a/flood 939, b/web 1"}, {4400 * time.Millisecond, "a/flood 943, b/web 3"}}},
		{"a flood of services of one owner is one owner", rule, 200,
			[]silence{{"a/1", 250, 2 * s}, {"a/2", 250, 2 * s}, {"a/3", 250, 2 * s}, {"a/4", 250, 2 * s}, {"b/web", 60, 2 * s}},
			[]look{{2 * s, "a/1 17, a/2 17, a/3 16, a/4 16, b/web 60"}}},
		{"between the services of an owner, in turn", rule, 200,
			[]silence{{"a/1", 500, 2 * s}, {"a/2", 300, 2 * s}},
			[]look{{2 * s, "a/1 50, a/2 50"}, {31900 * time.Millisecond, "a/1 75, a/2 74"}}},
		{"instances of nobody take turns by service", rule, 200,
			[]silence{{"/1", 500, 2 * s}, {"/2", 300, 2 * s}},
			[]look{{2 * s, "/1 50, /2 50"}}},
		{"two owners in one service take turns too, and the service has lost one when either has", Rule{20, 0, 30 * s}, 80,
			[]silence{{"a/web", 15, 1 * s}, {"b/web", 5, 1 * s}, {"c/web", 1, 2 * s}},
			[]look{{1 * s, "a/web 5, b/web 5"}, {2 * s, "a/web 5, b/web 5"}, {13 * s, "a/web 6, b/web 5, c/web 1"}}},
		{"100 percent is no bound", Rule{100, 0, 30 * s}, 0,
			[]silence{{"a/web", 1000, 1 * s}},
			[]look{{1 * s, "a/web 1000"}}},
		{"0 percent and no floor is nobody", Rule{0, 0, 30 * s}, 10,
			[]silence{{"a/web", 10, 1 * s}},
			[]look{{300 * s, ""}}},
		{"a budget of one is for services that have lost nothing else", Rule{0, 1, 30 * s}, 10,
			[]silence{{"a/web", 3, 1 * s}, {"b/db", 1, 1 * s}},
			[]look{{1 * s, "a/web 1"}, {30900 * time.Millisecond, "a/web 1"}, {31 * s, "a/web 1, b/db 1"}, {61 * s, "a/web 2, b/db 1"}, {91 * s, "a/web 3, b/db 1"}}},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			f := newFleet(t, tc.rule)
			f.add("z/alive", tc.alive, time.Hour)
			for _, who := range tc.silent {
				f.add(who.who, who.n, who.at)
			}
			for _, look := range tc.looks {
				f.pass(look.at)
				if got := f.String(); got != look.left {
					t.Errorf("at %s: have left: %s\nwant %s", look.at, got, look.left)
				}
			}
		})
	}
}

// A mass that is dead drains tick by tick: there is no part of a span in which none leaves, or
// most of what the span allows.
func TestWhatIsHeldBackLeavesSteadily(t *testing.T) {
	for _, span := range []time.Duration{time.Second, 2 * time.Second, 30 * time.Second, 10 * time.Minute} {
		f := newFleet(t, Rule{Percent: 20, Floor: 10, Span: span})
		for n := range 10_000 { // as heartbeats are: not all at the same moment
			f.add(fmt.Sprint("a/", n%7), 1, span+time.Duration(n)*span/30_000)
		}
		f.pass(span * 4 / 3) // all are dead
		const parts = 10
		for part := range 5 * parts {
			left := 0
			there := f.Len()
			for range int(span/TickEvery) / parts {
				left += f.tick()
			}
			budget := f.rule.of(there)
			if least, most := budget/(6*parts), budget*3/2/parts; left < least || left > most {
				t.Errorf("span %s: in the %d. tenth of one %d of %d have left, want %d to %d", span, part, left, there, least, most)
			}
		}
	}
}

// A service that crashes again and again is no network that fails, and a table that may go as a whole
// has nothing to save: however often it does.
func TestTableAsSmallAsTheFloorNeverWaits(t *testing.T) {
	f := newFleet(t, Rule{Percent: 20, Floor: 10, Span: 30 * time.Second})
	for life := range 20 {
		f.add("a/web", 10, 2*time.Second)
		f.pass(time.Duration(f.at) + 2*time.Second)
		if f.Len() != 0 || f.left["a/web"] != 10*(life+1) {
			t.Fatalf("%d have left after %d lives of ten, and %d are there", f.left["a/web"], life+1, f.Len())
		}
	}
	f.add("a/web", 11, 2*time.Second)
	f.pass(time.Duration(f.at) + 2*time.Second)
	if f.Len() != 11 {
		t.Errorf("a larger table has a budget, of which more than all is spent: %d of 11 have left", 11-f.Len())
	}
}

// evictionTwin is a budget as it would be if it cost nothing to look at each end and each moment
// of a span again.
type evictionTwin struct {
	rule  Rule
	ticks []twinTick
	due   map[*Lease]bool
}

type twinTick struct {
	at     Time
	leases int // before it
	ended  []Tenant
}

// inSpan are the ticks of the span that ends now.
func (e *evictionTwin) inSpan() []twinTick {
	last := e.ticks[len(e.ticks)-1].at
	for n := range e.ticks {
		if last.Sub(e.ticks[n].at) < e.rule.Span {
			return e.ticks[n:]
		}
	}
	return nil
}

// judge says what is wrong with the last tick; it is empty where nothing is.
func (e *evictionTwin) judge() string {
	span := e.inSpan()
	last := span[len(span)-1]
	if len(last.ended) > 0 {
		sum, most, bounded := 0, 0, false
		for n := len(span) - 1; n >= 0; n-- { // all spans that end with it
			sum, most = sum+len(span[n].ended), max(most, span[n].leases)
			// A table that was as small as the floor whenever some left has no bound.
			bounded = bounded || len(span[n].ended) > 0 && span[n].leases > e.rule.Floor && e.rule.Percent < 100
			if may := max(most*e.rule.Percent/100, e.rule.Floor); sum > may && bounded {
				return fmt.Sprintf("%d have ended in %s, of at most %d there: more than %d", sum, last.at.Sub(span[n].at), most, may)
			}
		}
	}
	// Where one waits whose service has lost nothing, the kept quarter is spent, on others like it; or
	// all is, while the table was so small that it had no bound.
	lost := make(map[uint64]int)
	all, most := 0, last.leases
	for _, tick := range span {
		for _, t := range tick.ended {
			lost[t.Service]++
			all++
		}
		most = max(most, tick.leases)
	}
	for l := range e.due {
		if lost[l.Tenant().Service] == 0 && len(lost) < e.least(span)/4 && all < e.least(span) {
			return fmt.Sprintf("one waits whose service has lost nothing, and only %d services have lost any of %d in all; the least budget in the span was %d", len(lost), all, e.least(span))
		}
	}
	return ""
}

// least is the budget of the span when it was least.
func (e *evictionTwin) least(span []twinTick) int {
	least := span[len(span)-1].leases - len(span[len(span)-1].ended)
	for _, tick := range span {
		least = min(least, tick.leases)
	}
	return max(least*e.rule.Percent/100, e.rule.Floor)
}

// Random histories of many tenants: masses that fall silent, come back, register again and are
// deregistered, on a wheel and its twin. In no span more end than the budget allows; whoever is
// renewed is out of the line at once; of a tenant those end first who fell due first; tenants who
// wait take turns; and nobody waits whose service has lost nothing unless a quarter has gone to such.
func TestEvictionsKeepToTheBudgetAndTakeTurns(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 9))
		rule := Rule{Percent: random.IntN(101), Floor: random.IntN(20), Span: time.Duration(1+random.IntN(20)) * time.Second}
		if seed%10 == 0 {
			rule.Span = 90 * time.Second // of which a part is more than a tick
		}
		f := newFleet(t, rule)
		twin := &evictionTwin{rule: rule, due: make(map[*Lease]bool)}
		owners, services := 1+random.IntN(4), 1+random.IntN(12)
		since := make(map[*Lease]Time) // when those that wait fell due
		there := make(map[*Lease]bool)
		silent := make(map[Tenant]bool)
		register := func(n int) {
			name := fmt.Sprint(random.IntN(owners), "/", random.IntN(services))
			for _, l := range f.add(name, n, []time.Duration{2 * time.Second, rule.Span, 2 * rule.Span}[random.IntN(3)]) {
				there[l] = true
			}
		}
		for range 1 + random.IntN(20) {
			register(1 + random.IntN(20))
		}
		fail := func(format string, args ...any) {
			t.Helper()
			t.Fatalf("seed %d: %+v: at %s: %s", seed, rule, time.Duration(f.at), fmt.Sprintf(format, args...))
		}
		for range min(1200, 8*int(rule.Span/TickEvery)) {
			switch random.IntN(80) {
			case 0: // a network is gone
				for _, l := range sorted(there) {
					silent[l.Tenant()] = silent[l.Tenant()] || random.IntN(5) > 0
				}
			case 1: // and back
				clear(silent)
			case 2: // a service dies
				for _, l := range sorted(there) {
					silent[l.Tenant()] = true
					break
				}
			case 3:
				register(1 + random.IntN(20))
			case 4:
				for _, l := range sorted(there) {
					if random.IntN(6) == 0 {
						f.Drop(l, f.at)
						delete(there, l)
						delete(twin.due, l)
						delete(since, l)
					}
				}
			}
			if random.IntN(5) == 0 {
				for _, l := range sorted(there) {
					if !silent[l.Tenant()] {
						if !f.Renew(l, f.at) {
							fail("a lease that is there cannot be renewed")
						}
						delete(twin.due, l)
						delete(since, l)
					}
				}
			}
			if got := f.Held(); got != len(twin.due) {
				fail("%d wait, want %d", got, len(twin.due))
			}

			f.at = f.at.Add(TickEvery)
			for _, l := range sorted(there) {
				if l.deadlineNow() <= f.at && !twin.due[l] {
					twin.due[l], since[l] = true, f.at
				}
			}
			waited := maps.Clone(twin.due)
			tick := twinTick{at: f.at, leases: f.Len()}
			latest := make(map[Tenant]Time) // who has ended last of each
			for _, l := range f.Due(f.at, rule) {
				if !twin.due[l] {
					fail("one ended that was not due")
				}
				if since[l] < latest[l.Tenant()] {
					fail("one ended that fell due at %d after one that did at %d", since[l], latest[l.Tenant()])
				}
				latest[l.Tenant()] = since[l]
				tick.ended = append(tick.ended, l.Tenant())
				delete(there, l)
				delete(twin.due, l)
				f.Drop(l, f.at)
			}
			for l := range twin.due {
				if since[l] < latest[l.Tenant()] {
					fail("one waits that fell due at %d, and one has ended that did at %d", since[l], latest[l.Tenant()])
				}
			}
			twin.ticks = append(twin.ticks, tick)
			if wrong := twin.judge(); wrong != "" {
				fail("%s", wrong)
			}
			if wrong := unfair(waited, twin.due, tick.ended); wrong != "" {
				fail("%s", wrong)
			}
		}
		if max(rule.Floor, rule.Percent/100) == 0 {
			continue
		}
		for end := f.at.Add(3 * time.Hour); f.Len() > 0; f.tick() {
			if f.at > end {
				fail("%d of a dead table never end", f.Len())
			}
		}
		if f.Held() != 0 {
			fail("all have ended and %d wait", f.Held())
		}
	}
}

// sorted are leases in the order of their numbers, so that a seed repeats what it does.
func sorted(leases map[*Lease]bool) []*Lease {
	return slices.SortedFunc(maps.Keys(leases), func(a, b *Lease) int { return cmp.Compare(a.number, b.number) })
}

// unfair says who had more turns than others that waited all the time. There are two rounds of
// turns in a tick, of what anybody may have and of what is kept; for the second not all wait.
func unfair(before, after map[*Lease]bool, ended []Tenant) string {
	owners, services := make(map[uint64]int), make(map[Tenant]int)
	for _, t := range ended {
		owners[t.Owner]++
		services[t]++
	}
	waiting := make(map[Tenant]bool)
	for l := range after {
		waiting[l.Tenant()] = before[l]
	}
	for a := range waiting {
		for _, b := range ended {
			// One that had a turn more by the first round, and one by each of its fresh services.
			if a.Owner != b.Owner && owners[b.Owner] > owners[a.Owner]+1+freshTurns(ended, b.Owner) {
				return fmt.Sprintf("of one owner %d ended, and one waits of another of which %d did", owners[b.Owner], owners[a.Owner])
			}
			if a.Owner == b.Owner && services[b] > services[a]+2 {
				return fmt.Sprintf("of one service %d ended, and one waits of another of the same owner of which %d did", services[b], services[a])
			}
		}
	}
	return ""
}

// freshTurns is how many ends of an owner may have been by what is kept: one for each service.
func freshTurns(ended []Tenant, owner uint64) int {
	services := make(map[uint64]bool)
	for _, t := range ended {
		if t.Owner == owner {
			services[t.Service] = true
		}
	}
	return len(services)
}
