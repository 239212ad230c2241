package door

import (
	"log"
	"slices"
	"strings"
	"testing"
	"time"
)

// logbook is what a log is written to, a line each.
type logbook struct{ lines []string }

func (b *logbook) Write(line []byte) (int, error) {
	b.lines = append(b.lines, strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}

// read returns what was written since it was last read.
func (b *logbook) read() []string {
	lines := b.lines
	b.lines = nil
	return lines
}

// What net/http writes to its log is told as it is, and bounded too: a panic with its stack among
// it, which there must never be.
func TestWhatTheServerSaysOfConnectionsIsCountedPastARate(t *testing.T) {
	var b logbook
	now := time.Now()
	l := newErrorLog(log.New(&b, "", 0), func() time.Time { return now })
	http := log.New(l, "", 0)
	for range linesPerSecond + 5 {
		http.Print("http: panic serving 192.0.2.7:40000: oh\ngoroutine 1:\nmain()\n")
	}
	if got := b.read(); len(got) != linesPerSecond || got[0] != "http: panic serving 192.0.2.7:40000: oh\ngoroutine 1:\nmain()" {
		t.Errorf("got %q", got)
	}
	now = now.Add(time.Second)
	http.Print("http: Accept error: too many open files; retrying in 5ms")
	want := []string{"5 more errors of connections", "http: Accept error: too many open files; retrying in 5ms"}
	if got := b.read(); !slices.Equal(got, want) {
		t.Errorf("a second later: got %q, want %q", got, want)
	}
}
