package lease

import "time"

// Budget bounds how many leases may end in any span of time, so that a pause on the
// network's side, which silences many at once, does not empty the table. It refills as
// the ends that it counts grow old; nobody has to reset it.
// It belongs to one goroutine. The zero value allows nothing.
type Budget struct {
	rule Rule
	past []ends // of the last span, oldest first
}

// Rule is how much a budget allows in any span: Percent of the leases that there are at
// once, or Floor of them where that is more. 100 percent is no bound.
type Rule struct {
	Percent int
	Floor   int
	Span    time.Duration
}

type ends struct {
	at Time
	n  int
	of int // how many leases there were
}

// SetRule replaces the rule. What has ended already counts by the new one.
func (b *Budget) SetRule(r Rule) { b.rule = r }

// Allows returns how many leases may end now, of those that there are. It may be less than 0.
func (b *Budget) Allows(leases int, now Time) int {
	for len(b.past) > 0 && now.Sub(b.past[0].at) >= b.rule.Span {
		b.past = b.past[1:]
	}
	if b.rule.Percent == 100 {
		return leases
	}
	// The span that ends now, and each shorter one: who is deregistered makes those before
	// it no model for those after.
	allowed := b.rule.of(leases)
	sum, most := 0, leases
	for i := len(b.past) - 1; i >= 0; i-- {
		sum += b.past[i].n
		most = max(most, b.past[i].of)
		// With those that have ended it is what there was at first. But who comes back
		// after that is not there twice.
		allowed = min(allowed, b.rule.of(min(most, leases+sum))-sum)
	}
	return allowed
}

// of returns how many of so many leases may end in a span.
func (r Rule) of(leases int) int { return max(leases*r.Percent/100, r.Floor) }

// Spend counts leases that have ended, of those that there were.
func (b *Budget) Spend(n, of int, now Time) {
	if n == 0 {
		return
	}
	b.past = append(b.past, ends{now, n, of})
}
