// Package lease keeps the deadlines of leased instances: a clock that does not run
// while no heartbeat could be heard, and a wheel that yields what has fallen due.
// It knows nothing of what a lease belongs to.
package lease

import (
	"sync/atomic"
	"time"
)

// Time is a point on the clock of leases, in nanoseconds since the clock was made.
// It is comparable only with times of the same clock.
type Time int64

// Add returns the point d later.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub returns how long after u the point t is.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// TickEvery is how often a clock must be ticked. Leases end within one second
// (contract, section 4), so that is the bound on it.
const TickEvery = 100 * time.Millisecond

// longestGap is the time between two ticks past which the process is taken to have been
// stopped, frozen or starved. It is over what a scheduler or a garbage collection costs,
// and well under the shortest lease of one second.
const longestGap = 2 * TickEvery

// Clock measures the time in which heartbeats could be heard. While the process is
// stopped it stands still: Tick sees the gap and leaves it out.
// Now may be called from anywhere, Tick from one goroutine at a time.
type Clock struct {
	now  func() time.Time
	last atomic.Pointer[tick]
}

// tick pairs a point of the outside clock with the lease time it had.
type tick struct {
	at   time.Time
	time Time
}

// NewClock returns a clock that starts at 0. now must be monotonic, as time.Now is.
func NewClock(now func() time.Time) *Clock {
	c := &Clock{now: now}
	c.last.Store(&tick{at: now()})
	return c
}

// Now returns the present lease time. It may be ahead of a Tick that comes after it by as
// much as a gap that the tick leaves out, and no more than that.
func (c *Clock) Now() Time {
	t, _ := c.read()
	return t
}

// Tick tells the clock that the process is alive and returns the time. The gap is how
// much of the outside time since the last tick was left out; it is mostly 0.
func (c *Clock) Tick() (now Time, gap time.Duration) {
	last := c.last.Load()
	at := c.now()
	switch elapsed := at.Sub(last.at); {
	case elapsed > longestGap:
		gap = elapsed
		now = last.time
	default:
		now = last.time.Add(elapsed)
	}
	c.last.Store(&tick{at: at, time: now})
	return now, gap
}

// Wall returns the outside time at which the clock will show t, if nothing stops it.
func (c *Clock) Wall(t Time) time.Time {
	now, at := c.read()
	return at.Add(t.Sub(now))
}

func (c *Clock) read() (Time, time.Time) {
	last := c.last.Load()
	at := c.now()
	elapsed := at.Sub(last.at)
	if elapsed > longestGap {
		elapsed = 0
	}
	return last.time.Add(max(elapsed, 0)), at
}
