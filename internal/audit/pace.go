package audit

import (
	"sync"
	"time"
)

// Pace bounds how many lines of one kind are written to a log in a second, and counts the rest: a
// client that causes them again and again neither fills the disk nor hides other lines. Its
// methods may be called from any goroutine.
type Pace struct {
	perSecond int

	mu         sync.Mutex // guards what follows
	second     time.Time  // when the present one began
	written    int        // in it
	suppressed int        // not written, and not yet returned
}

// NewPace returns a pace of so many lines a second.
func NewPace(perSecond int) *Pace { return &Pace{perSecond: perSecond} }

// Next reports whether a line is to be written now. In a new second it also returns how many of
// those before were suppressed, to one caller only.
func (p *Pace) Next(now time.Time) (ok bool, suppressed int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// A clock that was set back begins a second too.
	if passed := now.Sub(p.second); passed >= time.Second || passed < 0 {
		suppressed = p.suppressed
		p.second, p.written, p.suppressed = now, 0, 0
	}
	if p.written == p.perSecond {
		p.suppressed++
		return false, suppressed
	}
	p.written++
	return true, suppressed
}

// Suppressed returns how many lines were suppressed and not yet returned. It is to be asked now
// and then, so that they are told when no others follow, and at the end.
func (p *Pace) Suppressed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.suppressed
	p.suppressed = 0
	return n
}
