package httpapi

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// logbook is what a log is written to, a line each.
type logbook struct {
	mu    sync.Mutex
	lines []string
}

func (b *logbook) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}

// read returns what was written since it was last read.
func (b *logbook) read() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := b.lines
	b.lines = nil
	return lines
}

// withLog has the server write to a log, and its clock stand still.
func withLog(b *logbook) func(*Options) {
	now := time.Now()
	return func(o *Options) {
		o.Log, o.Now = log.New(b, "", 0), func() time.Time { return now }
	}
}

// linesPerSecond is how many lines of a kind a door's log has in a second.
const linesPerSecond = 10

func TestFailedHandshakesAreCountedPastARate(t *testing.T) {
	certs := httptest.NewTLSServer(nil)
	defer certs.Close()
	var b logbook
	w := start(t, withLog(&b), func(o *Options) { o.TLS = &tls.Config{Certificates: certs.TLS.Certificates} })
	const flood = 100
	for range flood {
		c, err := net.Dial("tcp", w.addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "this is no TLS handshake at all")
		_, _ = io.Copy(io.Discard, c) // until the server has closed it
		c.Close()
	}
	// Another kind of trouble is not hidden by them.
	w.server.Logf("PUT instance: disk is full")
	w.server.FlushLog()
	got := b.read()
	handshakes := slices.DeleteFunc(slices.Clone(got), func(line string) bool { return !strings.HasPrefix(line, "http: TLS handshake error from ") })
	rest := slices.DeleteFunc(slices.Clone(got), func(line string) bool { return strings.HasPrefix(line, "http: TLS handshake error from ") })
	if want := []string{"PUT instance: disk is full", fmt.Sprint(flood-linesPerSecond, " more TLS handshake errors")}; len(handshakes) != linesPerSecond || !slices.Equal(rest, want) {
		t.Errorf("got %d handshakes and %q, want %d and %q", len(handshakes), rest, linesPerSecond, want)
	}
}

func TestWritesRefusedWhileTheDiskIsFullAreCountedPastARate(t *testing.T) {
	var b logbook
	w := start(t, withLog(&b))
	w.memory.trouble = errors.New("disk is full")
	const flood = 50
	for range flood {
		w.must(http.StatusServiceUnavailable, "PUT", web1, oneOf4)
	}
	w.server.FlushLog()
	want := append(slices.Repeat([]string{"PUT instance: disk is full"}, linesPerSecond), fmt.Sprint(flood-linesPerSecond, " more errors of requests"))
	if got := b.read(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if w.server.FlushLog(); len(b.read()) > 0 {
		t.Error("what was told is told again")
	}
}
