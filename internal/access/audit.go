package access

import (
	"strconv"
	"sync"
	"time"
)

// refusalsPerSecond is how many refusals are told in a second. More of them say no more: they
// are counted, so that a client gone mad does not fill the disk or hide the writes.
const refusalsPerSecond = 1000

// Audit is the log of every write and every refusal, a line each, or more for what changes many
// objects. Its methods may be called from any goroutine.
type Audit struct {
	write func(now time.Time, lines []byte)

	mu         sync.Mutex // guards what follows
	second     time.Time  // when the present one began
	refusals   int        // told in it
	suppressed int        // not told, since the last line about those
}

// NewAudit returns a log whose lines are given to write, all of an entry at once, without the
// end of the last. It must not keep them, and is called from any goroutine.
func NewAudit(write func(now time.Time, lines []byte)) *Audit { return &Audit{write: write} }

// maxKept is how large a buffer may be that is kept for use again: as large as most batches need.
const maxKept = 64 << 10

// lines are buffers for the lines of one entry each, kept for use again.
var lines = sync.Pool{New: func() any { return new([]byte) }}

// Record writes the entry. Refusals past a thousand in a second are only counted; writes never.
func (a *Audit) Record(now time.Time, e *Entry) {
	told, suppressed := a.count(now, e.Refused())
	a.tell(now, suppressed)
	if !told {
		return
	}
	line := lines.Get().(*[]byte)
	*line = e.AppendTo((*line)[:0])
	a.write(now, *line)
	if cap(*line) <= maxKept {
		lines.Put(line)
	}
}

// Flush tells how many refusals were suppressed since that was told last. To be called now and
// then, so that it is told when no others follow, and at the end.
func (a *Audit) Flush(now time.Time) {
	a.mu.Lock()
	suppressed := a.suppressed
	a.suppressed = 0
	a.mu.Unlock()
	a.tell(now, suppressed)
}

// count decides about an entry. It returns how many were suppressed in a second that is over,
// to one caller only.
func (a *Audit) count(now time.Time, refusal bool) (told bool, suppressed int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	// A clock that was set back begins a second too.
	if passed := now.Sub(a.second); passed >= time.Second || passed < 0 {
		suppressed = a.suppressed
		a.second, a.refusals, a.suppressed = now, 0, 0
	}
	if !refusal {
		return true, suppressed
	}
	if a.refusals == refusalsPerSecond {
		a.suppressed++
		return false, suppressed
	}
	a.refusals++
	return true, suppressed
}

func (a *Audit) tell(now time.Time, suppressed int) {
	if suppressed > 0 {
		a.write(now, strconv.AppendInt([]byte("suppressed="), int64(suppressed), 10))
	}
}
