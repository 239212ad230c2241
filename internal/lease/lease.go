package lease

import (
	"math"
	"sync/atomic"
	"time"
)

// Lease is the time that one instance has left. A nil Lease is that of a static
// instance: it never ends. Its methods may be called from any goroutine.
type Lease struct {
	length   time.Duration
	deadline atomic.Int64 // a Time, or ended

	// The wheel's, guarded by its lock.
	at         number // its own; 0 where it is on no wheel
	prev, next number // in the slot that it is in
	slot       uint16
}

// ended in the place of a deadline says that the lease has run out: no renewal brings
// it back, so that an instance is never both renewed and dropped.
const ended = math.MinInt64

// New returns a lease of that length which starts now.
func New(length time.Duration, now Time) *Lease {
	l := new(Lease)
	l.Start(length, now)
	return l
}

// Start is New for a lease that is a part of something else. It must not have been started
// before.
func (l *Lease) Start(length time.Duration, now Time) {
	l.length = length
	l.deadline.Store(int64(now.Add(length)))
}

// Lease returns the lease itself, so that it may be on a wheel without a holder.
func (l *Lease) Lease() *Lease { return l }

// Length returns how long it lasts from its last renewal on; 0 for a static one.
func (l *Lease) Length() time.Duration {
	if l == nil {
		return 0
	}
	return l.length
}

// Renew gives the lease its full length from now on. It reports false where the lease
// has ended.
func (l *Lease) Renew(now Time) bool {
	if l == nil {
		return true
	}
	for {
		old := l.deadline.Load()
		if old == ended {
			return false
		}
		// A deadline only moves forward: what was said of it stays true.
		renewed := max(old, int64(now.Add(l.length)))
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
