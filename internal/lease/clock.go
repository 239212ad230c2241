// Package lease keeps the deadlines of leased instances: a clock that stops while no heartbeat
// could be heard, and a wheel that finds the leases that are due. It does not know what a lease
// belongs to.
package lease

import (
	"sync/atomic"
	"time"
)

// Time is a point on the clock of leases, in nanoseconds since the clock was made. Only times of
// the same clock are comparable.
type Time int64

// Add returns the time t+d.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub returns the duration t-u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// TickEvery is how often a clock must be ticked. A lease is over within one second of its end
// (contract, section 4), so this must be well below.
const TickEvery = 100 * time.Millisecond

// longestGap is the time between two ticks past which the process counts as stopped, frozen or
// starved. It is longer than scheduling or a garbage collection takes, and well below the shortest
// lease of one second.
const longestGap = 2 * TickEvery

// Clock measures the time in which heartbeats could be heard. It stands still while the process is
// stopped: Tick detects the gap and leaves it out. Any goroutine may call Now; only one at a time
// may call Tick.
type Clock struct {
	now  func() time.Time
	last atomic.Pointer[tick]
}

// tick pairs a time of the outside clock with a lease time.
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

// Now returns the lease time. It may be ahead of a later Tick by at most the gap that the tick
// leaves out.
func (c *Clock) Now() Time {
	t, _ := c.read()
	return t
}

// Tick notes that the process is running and returns the time. The gap is the outside time since
// the last tick that was left out, usually 0.
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

// Wall returns the outside time at which the clock will read t, unless it stops before.
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
