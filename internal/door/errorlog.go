package door

import (
	"bytes"
	"log"
	"time"

	"github.com/coredns-registry/registry/internal/audit"
)

// linesPerSecond is how many lines of one kind the log has in a second. Clients can cause them as
// fast as they can send; a person who reads them learns no more from the eleventh.
const linesPerSecond = 10

// kind is what a line of the log is about. Each kind is counted apart: a client that causes one
// hides no other.
type kind uint8

const (
	ofHandshake  kind = iota // TLS failed to begin
	ofConnection             // whatever else net/http says
	ofRequest                // what could not be done, and its client is not told why
	kinds                    // how many there are
)

func (k kind) String() string {
	return [kinds]string{"TLS handshake errors", "errors of connections", "errors of requests"}[k]
}

// errorLog is the log of what no client can be told. Its methods may be called from any goroutine.
type errorLog struct {
	to    *log.Logger
	now   func() time.Time
	paces [kinds]*audit.Pace
}

func newErrorLog(to *log.Logger, now func() time.Time) *errorLog {
	l := &errorLog{to: to, now: now}
	for k := range l.paces {
		l.paces[k] = audit.NewPace(linesPerSecond)
	}
	return l
}

// printf writes a line, unless there were too many of its kind in this second.
func (l *errorLog) printf(k kind, format string, args ...any) {
	ok, suppressed := l.paces[k].Next(l.now())
	l.tell(k, suppressed)
	if ok {
		l.to.Printf(format, args...)
	}
}

// Write takes what net/http writes to its own log: one line, or that of a panic and its stack.
func (l *errorLog) Write(line []byte) (int, error) {
	k := ofConnection
	if bytes.HasPrefix(line, []byte("http: TLS handshake error")) {
		k = ofHandshake
	}
	l.printf(k, "%s", bytes.TrimSuffix(line, []byte("\n")))
	return len(line), nil
}

// flush tells how many lines were suppressed and not told yet.
func (l *errorLog) flush() {
	for k, pace := range l.paces {
		l.tell(kind(k), pace.Suppressed())
	}
}

func (l *errorLog) tell(k kind, suppressed int) {
	if suppressed > 0 {
		l.to.Printf("%d more %s", suppressed, k)
	}
}
