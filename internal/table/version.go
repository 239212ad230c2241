package table

import "time"

// Version is the table as zone transfers send it. All changes of one second form one version, which
// is published when that second is over. So a serial stands for one content, there is at most one
// serial a second, and none is ahead of the clock. A restarted server begins with a greater serial,
// whatever file it loads, unless it restarts within the same second.
//
// The instances of a version are those of its second: one whose lease has ended since then is still
// answered.
type Version struct {
	*Snapshot
	second int64
}

// Serial returns the serial of the version's zones: the Unix time in seconds of its newest change.
// Serials are compared by RFC 1982.
func (v *Version) Serial() uint32 { return uint32(v.second) }

// Version returns the version that transfers send now.
func (s *State) Version() *Version { return s.version.Load() }

// Serial returns the serial of the version that transfers send now.
func (s *State) Serial() uint32 { return s.Version().Serial() }

// Settle makes the published state the version that transfers send, if the second of its newest
// change is over. It must be called regularly; any goroutine may call it.
func (t *Table) Settle(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.state.Load(); s != nil {
		s.settle(t.calendar.read(now))
	}
}

// settle implements Settle for the current second. The caller holds the table's mu.
func (s *State) settle(second int64) {
	if second > s.second && s.second > s.Version().second {
		s.version.Store(newVersion(s.Snapshot, s.second))
	}
}

// newVersion returns the version of a snapshot.
func newVersion(s *Snapshot, second int64) *Version {
	frozen := *s
	frozen.frozen = true
	return &Version{&frozen, second}
}

// calendar tells the Unix time in seconds and never goes back: if the machine's clock is set back,
// it counts on by the monotonic clock until that clock has caught up.
type calendar struct {
	start  time.Time
	second int64         // the last one read from the machine's clock
	at     time.Duration // time of that reading, since start
}

func (c *calendar) read(now time.Time) int64 {
	if c.start.IsZero() {
		c.start = now
	}
	return c.count(now.Unix(), now.Sub(c.start))
}

// count returns the second, given the second of the machine's clock and the time since start.
func (c *calendar) count(clock int64, at time.Duration) int64 {
	if counted := c.second + int64((at-c.at)/time.Second); clock < counted {
		return counted
	}
	c.second, c.at = clock, at
	return clock
}
