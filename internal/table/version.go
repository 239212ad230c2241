package table

import "time"

// Version is the table as zone transfers send it. All changes of one second make one version,
// which is published when that second is over: so a serial number stands for one content, there
// is at most one a second, and none that was told is ahead of the clock. Whatever a server is
// restarted with, an older file or none, it begins with a greater one, unless it was started
// within the same second before.
//
// Its instances are those of its second: one whose lease has ended since is still answered.
type Version struct {
	*Snapshot
	second int64
}

// Serial returns the serial number of the zones that are made of the version: the Unix time in
// seconds of its newest change, to be compared by RFC 1982.
func (v *Version) Serial() uint32 { return uint32(v.second) }

// Version returns the version that is transferred now.
func (s *State) Version() *Version { return s.version.Load() }

// Serial returns that of the version that is transferred now.
func (s *State) Serial() uint32 { return s.Version().Serial() }

// Settle has what is published become the version that is transferred, where the second of its
// newest change is over. It must be called now and then; any goroutine may.
func (t *Table) Settle(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.state.Load(); s != nil {
		s.settle(t.calendar.read(now))
	}
}

// settle does what Settle says, at that second. The caller holds the table's mu.
func (s *State) settle(second int64) {
	if second > s.second && s.second > s.Version().second {
		s.version.Store(newVersion(s.Snapshot, s.second))
	}
}

func newVersion(s *Snapshot, second int64) *Version {
	frozen := *s
	frozen.frozen = true
	return &Version{&frozen, second}
}

// calendar tells the Unix time in seconds, and never goes back: where the clock of the machine
// was set back, it counts on by the monotonic clock until that one has caught up.
type calendar struct {
	began  time.Time
	second int64         // the last that the machine's clock told
	at     time.Duration // when it did, since began
}

func (c *calendar) read(now time.Time) int64 {
	if c.began.IsZero() {
		c.began = now
	}
	return c.count(now.Unix(), now.Sub(c.began))
}

// count returns the second, by what the machine's clock tells and by the time since began.
func (c *calendar) count(told int64, at time.Duration) int64 {
	if counted := c.second + int64((at-c.at)/time.Second); told < counted {
		return counted
	}
	c.second, c.at = told, at
	return told
}
