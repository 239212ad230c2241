package audit

import (
	"errors"
	"strconv"
	"sync"
	"time"
)

// refusalsPerSecond is how many refusals are told in a second. More of them say no more: they
// are counted, so that a client gone mad does not fill the disk or hide the writes.
const refusalsPerSecond = 1000

// Log tells every write and every refusal, a line each, or more for what changes many objects. Its
// methods may be called from any goroutine.
type Log struct {
	to       []Writer
	refusals *Pace
}

// Writer is where a log goes. Its methods may be called from any goroutine.
type Writer interface {
	// Write writes the lines of one entry, without the end of the last. It does not keep them.
	Write(now time.Time, lines []byte)

	// Close returns when all is written, or given up. It is called once.
	Close() error
}

// New returns a log that goes to each of the writers, which are its own from then on.
func New(to ...Writer) *Log {
	return &Log{to: to, refusals: NewPace(refusalsPerSecond)}
}

// maxKept is how large a buffer may be that is kept for use again: as large as most batches need.
const maxKept = 64 << 10

// buffers are for the lines of one entry each, kept for use again.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// Record writes the entry. Refusals past a thousand in a second are only counted; writes never.
func (l *Log) Record(now time.Time, e *Entry) {
	if e.Refused() {
		ok, suppressed := l.refusals.Next(now)
		l.tell(now, suppressed)
		if !ok {
			return
		}
	}
	lines := buffers.Get().(*[]byte)
	*lines = e.AppendTo((*lines)[:0])
	l.write(now, *lines)
	if cap(*lines) <= maxKept {
		buffers.Put(lines)
	}
}

// Flush tells how many refusals were suppressed since that was told last. To be called now and
// then, so that it is told when no others follow.
func (l *Log) Flush(now time.Time) { l.tell(now, l.refusals.Suppressed()) }

// Close tells what has only been counted, and closes the writers. It is to be called once.
func (l *Log) Close(now time.Time) error {
	l.Flush(now)
	var errs []error
	for _, w := range l.to {
		errs = append(errs, w.Close())
	}
	return errors.Join(errs...)
}

func (l *Log) tell(now time.Time, suppressed int) {
	if suppressed > 0 {
		l.write(now, strconv.AppendInt([]byte("suppressed="), int64(suppressed), 10))
	}
}

func (l *Log) write(now time.Time, lines []byte) {
	for _, w := range l.to {
		w.Write(now, lines)
	}
}
