package lease

import (
	"math/bits"
	"time"
)

// Rule is how many leases may end in any span: Percent of those that there are, or Floor of
// them where that is more. 100 percent is no bound. Nor is there one while there are no more
// leases than Floor.
type Rule struct {
	Percent int
	Floor   int
	Span    time.Duration
}

// of returns how many of so many leases may end in a span.
func (r Rule) of(leases int) int { return max(leases*r.Percent/100, r.Floor) }

// budget bounds how many leases may end in any span of time, so that a pause on the network's
// side, which silences many at once, does not empty the table. It refills as the ends that it
// counts grow old; nobody has to reset it.
//
// Half of what a span allows may be spent at once. A quarter more comes in the course of the
// span: whoever falls due after a mass death gets a turn long before the span is over. A quarter
// is kept for services that have lost nothing else in the span. While some wait, nothing is spent
// at once: or all that half would leave together again at the end of each span.
//
// In each tick it is opened, spent one by one, and closed. It belongs to one goroutine. The zero
// value allows nothing.
type budget struct {
	past []ends         // of the last span, oldest first
	lost map[uint64]int // how many leases of each service have ended in the span
	log  []loss         // the same, oldest first

	common, kept fund
}

// fund is one of the two parts of a budget: what anybody may have, and what is kept.
type fund struct {
	left int // that may end in this tick

	waits bool // somebody waits for it
	since Time // when that began
}

// ends are leases that have ended about the same time.
type ends struct {
	first, last  Time
	common, kept int // by the fund that they were taken from
	least, most  int // leases that there were meanwhile
}

type loss struct {
	service uint64
	at      Time
}

// mostEnds is how many entries the past has, or a few times that: what is closer together than that
// part of a span is counted as one, unless the table has shrunk in between.
const mostEnds = 256

// shares says how much of so many is for which use: at once, in the course of a span, and for
// services that have lost nothing else.
func shares(all int) (once, steady, kept int) {
	kept = (all + 3) / 4
	once = min(max(all/2, 1), all-kept)
	return once, all - kept - once, kept
}

// open begins a tick, in which there are so many leases. It calls again for each service that
// has lost something, but not any more in this span.
func (b *budget) open(r Rule, leases int, now Time, again func(service uint64)) {
	for len(b.past) > 0 && now.Sub(b.past[0].last) >= r.Span {
		b.past = b.past[1:]
	}
	for len(b.log) > 0 && now.Sub(b.log[0].at) >= r.Span {
		service := b.log[0].service
		b.log = b.log[1:]
		if b.lost[service]--; b.lost[service] == 0 {
			delete(b.lost, service)
			again(service)
		}
	}
	b.common.left, b.kept.left = b.allowed(r, leases, now)
}

// allowed returns how many leases may end now by each fund; it may be less than 0.
func (b *budget) allowed(r Rule, leases int, now Time) (common, kept int) {
	if r.Percent == 100 {
		return leases, 0
	}
	if r.Span <= 0 {
		return 0, 0
	}
	// All spans that end now, from the shortest on. Whoever is deregistered makes the leases
	// before it no measure for those after, so each span counts for itself.
	once, steady, keep := shares(r.of(leases))
	common, kept = once, keep
	if b.common.waits {
		common = min(common, step(once+steady, r.Span))
	}
	if b.kept.waits {
		kept = min(kept, step(keep, r.Span))
	}
	most, ever := leases, leases // by what is known at least, and at the most
	var spentCommon, spentKept int
	for i := len(b.past) - 1; i >= 0; i-- {
		e := &b.past[i]
		spentCommon, spentKept = spentCommon+e.common, spentKept+e.kept
		most, ever = max(most, e.least), max(ever, e.most) // a span may begin in the middle of e
		// Those that are there and those that have ended are what there was at first. But whoever
		// came back after that is not there twice.
		once, steady, keep := shares(r.of(min(most, leases+spentCommon+spentKept)))
		length := min(now.Sub(e.first), r.Span)
		common = min(common, once+part(steady, length, r.Span)-spentCommon)
		if b.common.waits && e.first > b.common.since {
			common = min(common, step(once+steady, r.Span)+part(once+steady, length, r.Span)-spentCommon)
		}
		// While the table was small, more may have been spent than there is now.
		kept = min(kept, keep-spentKept, once+steady+keep-spentCommon-spentKept)
		if b.kept.waits && e.first > b.kept.since {
			kept = min(kept, step(keep, r.Span)+part(keep, length, r.Span)-spentKept)
		}
	}
	if ever <= r.Floor {
		return leases, 0
	}
	return common, kept
}

// step is how much of n in a span may be spent in one tick, which may be late.
func step(n int, span time.Duration) int {
	return min(n, max(1, part(n, min(2*TickEvery, span), span)))
}

// part returns n × of / span, rounded down; of is no more than the span.
func part(n int, of, span time.Duration) int {
	high, low := bits.Mul64(uint64(n), uint64(of))
	q, _ := bits.Div64(high, low, uint64(span))
	return int(q)
}

// hasLost reports whether a lease of the service has ended in the span.
func (b *budget) hasLost(service uint64) bool { return b.lost[service] > 0 }

// spend counts a lease of that service which has ended, one that may, of so many.
func (b *budget) spend(r Rule, service uint64, of int, now Time) {
	if len(b.past) == 0 || !b.past[len(b.past)-1].takes(r, of, now, len(b.past)) {
		b.past = append(b.past, ends{first: now, least: of})
	}
	e := &b.past[len(b.past)-1]
	e.last, e.least, e.most = now, min(e.least, of), max(e.most, of)
	if b.common.left > 0 {
		b.common.left--
		e.common++
	} else {
		b.kept.left--
		e.kept++
	}
	if r.Percent == 100 {
		return // nothing is kept for anybody
	}
	if b.lost == nil {
		b.lost = make(map[uint64]int)
	}
	b.lost[service]++
	b.log = append(b.log, loss{service, now})
}

// takes reports whether a lease that ends now, of so many, is counted with these, which are the
// last of so many entries. For the sake of a bound on those the budget is what the fewest leases
// of an entry make it: not much less than what it is.
func (e *ends) takes(r Rule, of int, now Time, entries int) bool {
	return now == e.last || now.Sub(e.first) < r.Span/mostEnds && (of >= e.least-e.least/64 || entries >= 4*mostEnds)
}

// close ends a tick, after which some wait or not: any at all, and such whose service has lost
// nothing else.
func (b *budget) close(any, fresh bool, now Time) {
	b.common.wait(any, now)
	b.kept.wait(fresh, now)
}

func (f *fund) wait(is bool, now Time) {
	if is && !f.waits {
		f.since = now
	}
	f.waits = is
}
