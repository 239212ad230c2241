package httpapi

import (
	"fmt"
	"strings"
)

// fault is one thing that is wrong with a request, as it is told.
type fault struct {
	Field   string // "ports[0].port"; empty for the body as a whole
	Message string // what is wrong, and what would be right
}

const (
	// maxFaults is how many faults of one body are told: many more than a whole batch with a
	// handful in each operation has. Without a limit an answer could be twenty times as
	// large as the body that provokes it.
	maxFaults = 10_000

	// maxTold is how many bytes of an answer may be what a body has said, about: faults quote
	// what is wrong, and heartbeats name what is unknown. A whole batch has room for some
	// hundred bytes about each operation.
	maxTold = 1 << 20

	// maxQuoted is how many bytes the field or the message of a fault may have: more than any
	// has that quotes a value of a length that is allowed.
	maxQuoted = 1 << 10
)

// faultList collects the faults of a body, up to what is told of one.
type faultList struct {
	faults  []fault
	told    int // how many bytes they have
	dropped int // how many there were beyond maxFaults and maxTold
}

// full reports whether another fault is only counted.
func (l *faultList) full() bool { return len(l.faults) == maxFaults || l.told > maxTold }

func (l *faultList) add(f fault) {
	if l.full() {
		l.dropped++
		return
	}
	f.Field, f.Message = shorten(f.Field), shorten(f.Message)
	l.faults = append(l.faults, f)
	l.told += len(f.Field) + len(f.Message)
}

// tellDropped adds that there are more faults than are told. what says what they are.
func (l *faultList) tellDropped(what string) {
	if l.dropped > 0 {
		l.faults = append(l.faults, fault{"", fmt.Sprintf(what, l.dropped)})
		l.dropped = 0
	}
}

// shorten cuts something out of the middle of a text that is too long: what is wrong with a
// value stands behind it.
func shorten(s string) string {
	if len(s) <= maxQuoted {
		return s
	}
	const half = maxQuoted / 2
	return strings.ToValidUTF8(s[:half], "") + "…" + strings.ToValidUTF8(s[len(s)-half:], "")
}
