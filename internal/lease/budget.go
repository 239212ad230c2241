package lease

import (
	"math/bits"
	"time"
)

// Rule limits how many leases may end in any span: Percent of all leases, or Floor if that is more.
// 100 percent means no limit. A table with no more leases than Floor has no limit either.
type Rule struct {
	Percent int
	Floor   int
	Span    time.Duration
}

// of returns how many of a number of leases may end in a span.
func (r Rule) of(leases int) int { return max(leases*r.Percent/100, r.Floor) }

// budget limits how many leases may end in any span of time, so that a network failure, which
// silences many instances at once, does not empty the table. It refills as the ends it counts grow
// older than the span; nobody has to reset it.
//
// Half of what a span allows may be spent at once. A quarter becomes available steadily over the
// span, so that leases due after a mass failure do not wait for its end. A quarter is the reserve
// for services that have lost no other lease in the span. While leases wait for it, a pool is spent
// only as it refills; otherwise half would again end together after each span.
//
// Each tick opens the budget, spends it lease by lease and closes it. It belongs to one goroutine.
// The zero value allows nothing.
type budget struct {
	buckets []bucket       // of the last span, oldest first
	lostBy  map[uint64]int // number of losses by service
	losses  []loss         // of the last span, oldest first

	common, reserve pool
}

// pool is one of the two parts of a budget: the common part or the reserve.
type pool struct {
	left int // leases that may end in this tick

	contended      bool // leases wait for it
	contendedSince Time // start of that
}

// bucket counts leases that ended about the same time.
type bucket struct {
	first, last     Time
	common, reserve int // number of ends, by pool
	fewest, most    int // number of leases in the table meanwhile
}

// loss is a lease that a service has lost.
type loss struct {
	service uint64
	at      Time
}

// maxBuckets bounds the number of buckets, up to a small factor. Ends within that fraction of a
// span share a bucket, unless the table has shrunk in between.
const maxBuckets = 256

// split divides what a span allows into the part to spend at once, the part to spend steadily, and
// the reserve.
func split(all int) (burst, steady, reserve int) {
	reserve = (all + 3) / 4
	burst = min(max(all/2, 1), all-reserve)
	return burst, all - reserve - burst, reserve
}

// open begins a tick with a number of leases. It calls clear for each service whose last loss has
// grown older than the span.
func (b *budget) open(r Rule, leases int, now Time, clear func(service uint64)) {
	for len(b.buckets) > 0 && now.Sub(b.buckets[0].last) >= r.Span {
		b.buckets = b.buckets[1:]
	}
	for len(b.losses) > 0 && now.Sub(b.losses[0].at) >= r.Span {
		service := b.losses[0].service
		b.losses = b.losses[1:]
		if b.lostBy[service]--; b.lostBy[service] == 0 {
			delete(b.lostBy, service)
			clear(service)
		}
	}
	b.common.left, b.reserve.left = b.allowed(r, leases, now)
}

// allowed returns how many leases may end now by each pool. A result may be negative.
func (b *budget) allowed(r Rule, leases int, now Time) (common, reserve int) {
	if r.Percent == 100 {
		return leases, 0
	}
	if r.Span <= 0 {
		return 0, 0
	}
	// Check every span that ends now, from the shortest on. Deregistrations change the number of
	// leases, so each span has a limit of its own.
	burst, steady, reserved := split(r.of(leases))
	common, reserve = burst, reserved
	if b.common.contended {
		common = min(common, perTick(burst+steady, r.Span))
	}
	if b.reserve.contended {
		reserve = min(reserve, perTick(reserved, r.Span))
	}
	minPeak, maxPeak := leases, leases // bounds on the most leases in the span
	var spentCommon, spentReserve int
	for i := len(b.buckets) - 1; i >= 0; i-- {
		e := &b.buckets[i]
		spentCommon, spentReserve = spentCommon+e.common, spentReserve+e.reserve
		minPeak, maxPeak = max(minPeak, e.fewest), max(maxPeak, e.most) // the span may begin within the bucket
		// The leases of now and those ended since are no fewer than those at the start of the
		// span, but instances that came back would count twice: the peak bounds the sum.
		burst, steady, reserved := split(r.of(min(minPeak, leases+spentCommon+spentReserve)))
		length := min(now.Sub(e.first), r.Span)
		common = min(common, burst+prorate(steady, length, r.Span)-spentCommon)
		if b.common.contended && e.first > b.common.contendedSince {
			common = min(common, perTick(burst+steady, r.Span)+prorate(burst+steady, length, r.Span)-spentCommon)
		}
		// While the table had no more leases than Floor, more may have been spent.
		reserve = min(reserve, reserved-spentReserve, burst+steady+reserved-spentCommon-spentReserve)
		if b.reserve.contended && e.first > b.reserve.contendedSince {
			reserve = min(reserve, perTick(reserved, r.Span)+prorate(reserved, length, r.Span)-spentReserve)
		}
	}
	if maxPeak <= r.Floor {
		return leases, 0
	}
	return common, reserve
}

// perTick returns how much of n per span may be spent in one tick, which may be late.
func perTick(n int, span time.Duration) int {
	return min(n, max(1, prorate(n, min(2*TickEvery, span), span)))
}

// prorate returns n × of / span, rounded down. of is at most span.
func prorate(n int, of, span time.Duration) int {
	high, low := bits.Mul64(uint64(n), uint64(of))
	q, _ := bits.Div64(high, low, uint64(span))
	return int(q)
}

// hasLost reports whether a lease of the service has ended in the span.
func (b *budget) hasLost(service uint64) bool { return b.lostBy[service] > 0 }

// spend counts the end of a lease of a service, one of a number of leases.
func (b *budget) spend(r Rule, service uint64, of int, now Time) {
	if len(b.buckets) == 0 || !b.buckets[len(b.buckets)-1].accepts(r, of, now, len(b.buckets)) {
		b.buckets = append(b.buckets, bucket{first: now, fewest: of})
	}
	e := &b.buckets[len(b.buckets)-1]
	e.last, e.fewest, e.most = now, min(e.fewest, of), max(e.most, of)
	if b.common.left > 0 {
		b.common.left--
		e.common++
	} else {
		b.reserve.left--
		e.reserve++
	}
	if r.Percent == 100 {
		return // there is no reserve
	}
	if b.lostBy == nil {
		b.lostBy = make(map[uint64]int)
	}
	b.lostBy[service]++
	b.losses = append(b.losses, loss{service, now})
}

// accepts reports whether the last bucket also counts a lease that ends now, one of a number of
// leases. The budget follows from the fewest leases of each bucket, so a shrinking table needs new
// buckets, up to a bound.
func (e *bucket) accepts(r Rule, of int, now Time, entries int) bool {
	return now == e.last || now.Sub(e.first) < r.Span/maxBuckets && (of >= e.fewest-e.fewest/64 || entries >= 4*maxBuckets)
}

// close ends a tick. any reports whether leases are waiting, fresh whether some of a service
// without losses are.
func (b *budget) close(any, fresh bool, now Time) {
	b.common.setContended(any, now)
	b.reserve.setContended(fresh, now)
}

// setContended notes whether leases wait for the pool, and since when.
func (f *pool) setContended(contended bool, now Time) {
	if contended && !f.contended {
		f.contendedSince = now
	}
	f.contended = contended
}
