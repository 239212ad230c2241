package lease

import (
	"math"
	"sync/atomic"
	"time"
)

// Lease is the time that one instance has left. A nil Lease is that of a static
// instance: it never ends. Its methods may be called from any goroutine.
//
// It has no pointer in it, and a wheel makes a thousand at once: the garbage collector would
// else have a million of them to visit.
type Lease struct {
	length   atomic.Int64 // a time.Duration
	deadline atomic.Int64 // a Time, or ended
	tenant   Tenant

	number Number

	// The wheel's. They are written under its lock; place is read without it too.
	prev, next Number // in the list that its place has
	place      atomic.Uint32
}

// Tenant is who has a lease: the service that it belongs to, and who owns it there. Both are
// numbers by which the caller knows them.
type Tenant struct{ Owner, Service uint64 }

// Number says which lease of its wheel it is, in the place of a pointer. 0 is none: that of a
// static instance.
type Number uint32

// ended in the place of a deadline says that the lease has run out: no renewal brings
// it back, so that an instance is never both renewed and dropped.
const ended = math.MinInt64

// start gives a lease its length, from now on.
func (l *Lease) start(length time.Duration, now Time) {
	l.length.Store(int64(length))
	l.deadline.Store(int64(now.Add(length)))
}

// Number returns its number on its wheel; 0 where it is nil.
func (l *Lease) Number() Number {
	if l == nil {
		return 0
	}
	return l.number
}

// Tenant returns who the lease was made for.
func (l *Lease) Tenant() Tenant { return l.tenant }

// Length returns how long it lasts from its last renewal on; 0 for a static one.
func (l *Lease) Length() time.Duration {
	if l == nil {
		return 0
	}
	return time.Duration(l.length.Load())
}

// renew gives the lease its full length from now on. It reports false where the lease
// has ended.
func (l *Lease) renew(now Time) bool {
	for {
		old := l.deadline.Load()
		if old == ended {
			return false
		}
		// A deadline only moves forward: what was said of it stays true.
		renewed := max(old, int64(now.Add(l.Length())))
		if l.deadline.CompareAndSwap(old, renewed) {
			return true
		}
	}
}

// Deadline returns when the lease ends unless it is renewed; false for a static one.
// A lease that has ended returns a time long past.
func (l *Lease) Deadline() (Time, bool) {
	if l == nil {
		return 0, false
	}
	return Time(l.deadline.Load()), true
}

// Ended reports whether the lease has run out.
func (l *Lease) Ended() bool { return l != nil && l.deadline.Load() == ended }

// due reports whether the deadline has passed.
func (l *Lease) due(now Time) bool { return Time(l.deadline.Load()) <= now }

// end makes the lease run out if its deadline has passed.
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
