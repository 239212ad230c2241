package lease

import (
	"math/rand/v2"
	"testing"
	"time"
)

// However leases come and go, and however much is spent whenever it may be, in no span more end
// than the share of the most that there were at once in it, or the floor; and no more than three
// quarters of it of services that have lost others.
func TestNoSpanExceedsTheBudget(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 6))
		// The spans are some ticks, or so many that ends of several ticks are counted as one.
		rule := Rule{Percent: random.IntN(100), Floor: random.IntN(20), Span: time.Duration(1 + random.IntN([]int{30, 3000}[seed%2]))}
		var b budget
		leases := random.IntN(300)
		var there, ended, others []int
		for now := range Time(4 * rule.Span) {
			switch random.IntN(100) {
			case 0:
				leases += random.IntN(50)
			case 1:
				leases -= random.IntN(leases + 1)
			}
			n, again := 0, 0
			b.open(rule, leases, now, func(uint64) {})
			for want := random.IntN(20) * random.IntN(2); n < min(want, leases); n++ {
				service := random.Uint64N(30)
				if b.common.left <= 0 && (b.reserve.left <= 0 || b.hasLost(service)) {
					break
				}
				if b.hasLost(service) {
					again++
				}
				b.spend(rule, service, leases, now)
			}
			b.close(random.IntN(2) == 0, random.IntN(2) == 0, now)
			there, ended, others = append(there, leases), append(ended, n), append(others, again)
			leases -= n
			if random.IntN(2) == 0 {
				leases += n // they come back
			}
			if n == 0 {
				continue
			}
			sum, more, most, bounded := 0, 0, 0, false
			for at := int(now); at >= max(0, int(now)-int(rule.Span)+1); at-- {
				sum, more, most = sum+ended[at], more+others[at], max(most, there[at])
				bounded = bounded || ended[at] > 0 && there[at] > rule.Floor
				may := max(most*rule.Percent/100, rule.Floor)
				if bounded && (sum > may || more > may-(may+3)/4) {
					t.Fatalf("seed %d: %+v: in the span from %d to %d %d ended, %d of them of services that had lost others, of %d", seed, rule, at, now, sum, more, most)
				}
			}
			if most := len(b.buckets); most > 5*maxBuckets {
				t.Fatalf("seed %d: %+v: %d entries are kept of a span, want at most %d", seed, rule, most, 5*maxBuckets)
			}
		}
	}
}

func TestABudgetHasThreeParts(t *testing.T) {
	for _, tc := range []struct{ all, once, steady, kept int }{
		{0, 0, 0, 0},
		{1, 0, 0, 1}, // then a service loses one in a span, and no other does
		{2, 1, 0, 1},
		{3, 1, 1, 1},
		{4, 2, 1, 1},
		{10, 5, 2, 3},
		{20, 10, 5, 5},
		{2000, 1000, 500, 500},
	} {
		if once, steady, kept := split(tc.all); once != tc.once || steady != tc.steady || kept != tc.kept {
			t.Errorf("of %d: %d at once, %d in the course of a span, %d kept; want %d, %d, %d", tc.all, once, steady, kept, tc.once, tc.steady, tc.kept)
		}
	}
	if new(budget).left(100) != 0 {
		t.Error("the zero value allows something")
	}
}

// left is how much a budget without a rule allows.
func (b *budget) left(leases int) int {
	b.open(Rule{}, leases, 0, func(uint64) {})
	return b.common.left + b.reserve.left
}

// Where nothing is bounded, nobody asks which services have lost something; and without a bound
// what they have lost in a day could fill the memory.
func TestABudgetWithoutABoundRemembersNoServices(t *testing.T) {
	rule := Rule{Percent: 100, Span: 24 * time.Hour}
	var b budget
	for now := range Time(1000) {
		b.open(rule, 10, now, func(uint64) {})
		b.spend(rule, uint64(now), 10, now)
		b.close(false, false, now)
	}
	if len(b.losses) > 0 || len(b.lostBy) > 0 {
		t.Errorf("%d losses of %d services are remembered, want none", len(b.losses), len(b.lostBy))
	}
}
