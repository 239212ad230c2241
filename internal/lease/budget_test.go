package lease

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestBudgetRefillsAsWhatHasEndedGrowsOld(t *testing.T) {
	const s = Time(time.Second)
	var b Budget
	b.SetRule(Rule{Percent: 20, Floor: 3, Span: 10 * time.Second})
	for _, step := range []struct {
		sentence string
		at       Time
		leases   int
		want     int
		spend    int
	}{
		{"a share of those that there are", 0, 100, 20, 5},
		{"less what has ended", 1 * s, 95, 15, 10},
		{"others that came make it more", 2 * s, 185, 22, 0},
		{"who came back makes it no more", 3 * s, 100, 5, 5},
		{"nothing is left", 4 * s, 80, 0, 0},
		{"one that was deregistered takes a part with it", 5 * s, 30, -10, 0},
		{"what ended a span ago is forgotten", 10 * s, 80, 4, 4},
		{"each at its time", 11 * s, 76, 8, 0},
		{"until nothing is in the span", 30 * s, 76, 15, 0},
		{"the floor where that is more", 30 * s, 4, 3, 3},
		{"which is spent too", 31 * s, 1, 0, 0},
		{"of none there is none, but for the floor", 60 * s, 0, 3, 0},
	} {
		if got := b.Allows(step.leases, step.at); got != step.want {
			t.Errorf("%s: got %d, want %d", step.sentence, got, step.want)
		}
		b.Spend(step.spend, step.leases, step.at)
	}
	b.SetRule(Rule{Percent: 100, Span: 10 * time.Second})
	b.Spend(50, 50, 70*s)
	if got := b.Allows(7, 71*s); got != 7 {
		t.Errorf("100 percent is no bound: got %d of 7", got)
	}
	if got := new(Budget).Allows(100, 0); got != 0 {
		t.Errorf("the zero value allows %d", got)
	}
}

// However leases come and go, in no span more end than the share of the most that there were
// at once in it, or the floor.
func TestNoSpanExceedsTheBudget(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 6))
		rule := Rule{Percent: random.IntN(100), Floor: random.IntN(20), Span: time.Duration(1 + random.IntN(30))}
		var b Budget
		b.SetRule(rule)
		leases := random.IntN(300)
		var there, ended []int
		for now := range Time(300) {
			switch random.IntN(6) {
			case 0:
				leases += random.IntN(50)
			case 1:
				leases -= random.IntN(leases + 1)
			}
			n := 0
			if random.IntN(3) > 0 {
				n = max(min(b.Allows(leases, now), leases, random.IntN(100)), 0)
				b.Spend(n, leases, now)
			}
			there, ended = append(there, leases), append(ended, n)
			leases -= n
			if random.IntN(2) == 0 {
				leases += n // they come back
			}
		}
		for start := range there {
			sum, most := 0, 0
			for at := start; at < min(start+int(rule.Span), len(there)); at++ {
				sum, most = sum+ended[at], max(most, there[at])
			}
			if sum > max(most*rule.Percent/100, rule.Floor) {
				t.Fatalf("seed %d: %+v: %d ended in the span from %d on, of %d", seed, rule, sum, start, most)
			}
		}
	}
}
