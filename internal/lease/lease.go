package lease

import (
	"math"
	"sync/atomic"
	"time"
)

// Lease is the time until one instance expires. A nil Lease is that of a static instance, which
// never expires. Any goroutine may call its methods.
//
// A Lease holds no pointers, and a wheel allocates a thousand at once, so that the garbage
// collector need not visit each.
type Lease struct {
	length   atomic.Int64 // a time.Duration
	deadline atomic.Int64 // a Time, or ended
	tenant   Tenant

	number Number

	// Written under the wheel's lock; state is read without it too.
	prev, next Number // in its list
	state      atomic.Uint32
}

// Tenant identifies who has a lease: a service, and the owner of the instance. The caller chooses
// the numbers.
type Tenant struct{ Owner, Service uint64 }

// Number identifies a lease on its wheel, in place of a pointer. 0 is that of a static instance.
type Number uint32

// ended replaces the deadline of a lease that has expired. No renewal brings it back, so an
// instance is never both renewed and removed.
const ended = math.MinInt64

// start gives a lease its length, from now on.
func (l *Lease) start(length time.Duration, now Time) {
	l.length.Store(int64(length))
	l.deadline.Store(int64(now.Add(length)))
}

// Number returns the number of the lease on its wheel, or 0 if l is nil.
func (l *Lease) Number() Number {
	if l == nil {
		return 0
	}
	return l.number
}

// Tenant returns the tenant that the lease was made for.
func (l *Lease) Tenant() Tenant { return l.tenant }

// Length returns the time from a renewal to the deadline, or 0 if l is nil.
func (l *Lease) Length() time.Duration {
	if l == nil {
		return 0
	}
	return time.Duration(l.length.Load())
}

// renew moves the deadline to the full length from now on. It reports false if the lease has
// expired.
func (l *Lease) renew(now Time) bool {
	for {
		old := l.deadline.Load()
		if old == ended {
			return false
		}
		// A deadline only moves forward, so that bounds derived from it stay true.
		renewed := max(old, int64(now.Add(l.Length())))
		if l.deadline.CompareAndSwap(old, renewed) {
			return true
		}
	}
}

// Deadline returns when the lease ends unless it is renewed; leased is false if l is nil. The
// deadline of an expired lease is long past.
func (l *Lease) Deadline() (deadline Time, leased bool) {
	if l == nil {
		return 0, false
	}
	return Time(l.deadline.Load()), true
}

// Ended reports whether the lease has expired.
func (l *Lease) Ended() bool { return l != nil && l.deadline.Load() == ended }

// due reports whether the deadline has passed.
func (l *Lease) due(now Time) bool { return Time(l.deadline.Load()) <= now }

// end expires the lease if its deadline has passed, and reports whether it has expired.
func (l *Lease) end(now Time) bool {
	for {
		old := l.deadline.Load()
		if old == ended {
			return true
		}
		if Time(old) > now {
			return false
		}
		if l.deadline.CompareAndSwap(old, ended) {
			return true
		}
	}
}
