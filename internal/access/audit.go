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
	write    func(now time.Time, lines []byte)
	refusals *Pace
}

// NewAudit returns a log whose lines are given to write, all of an entry at once, without the
// end of the last. It must not keep them, and is called from any goroutine.
func NewAudit(write func(now time.Time, lines []byte)) *Audit {
	return &Audit{write: write, refusals: NewPace(refusalsPerSecond)}
}

// maxKept is how large a buffer may be that is kept for use again: as large as most batches need.
const maxKept = 64 << 10

// lines are buffers for the lines of one entry each, kept for use again.
var lines = sync.Pool{New: func() any { return new([]byte) }}

// Record writes the entry. Refusals past a thousand in a second are only counted; writes never.
func (a *Audit) Record(now time.Time, e *Entry) {
	if e.Refused() {
		ok, suppressed := a.refusals.Next(now)
		a.tell(now, suppressed)
		if !ok {
			return
		}
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
func (a *Audit) Flush(now time.Time) { a.tell(now, a.refusals.Suppressed()) }

func (a *Audit) tell(now time.Time, suppressed int) {
	if suppressed > 0 {
		a.write(now, strconv.AppendInt([]byte("suppressed="), int64(suppressed), 10))
	}
}
