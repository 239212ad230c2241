package httpapi

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/access"
	"github.com/coredns-registry/registry/internal/audit"
)

// gate is a guard with a file of tokens that the test may write again.
type gate struct {
	t     *testing.T
	path  string
	file  *access.TokensFile
	guard *access.Guard

	mu    sync.Mutex
	lines []string // of the audit; guarded by mu
}

// newGate returns one where each line, "NAME GRANT...", is what the holder of NAME's token
// may do.
func newGate(t *testing.T, lines ...string) *gate {
	t.Helper()
	d := &gate{t: t, path: filepath.Join(t.TempDir(), "tokens")}
	d.write(lines)
	var err error
	if d.file, err = access.OpenTokens(d.path, nil); err != nil {
		t.Fatal(err)
	}
	d.guard = access.NewGuard(access.Rules{Tokens: d.file, Audit: audit.New(d)})
	return d
}

// guards has a server ask the gate.
func (d *gate) guards(o *Options) { o.Guard = func() *access.Guard { return d.guard } }

func (d *gate) write(lines []string) {
	d.t.Helper()
	var b strings.Builder
	for _, line := range lines {
		name, grants, _ := strings.Cut(line, " ")
		fmt.Fprintf(&b, "%s sha256:%x %s\n", name, sha256.Sum256([]byte(token(name))), grants)
	}
	if err := os.WriteFile(d.path, []byte(b.String()), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// change has other lines in force.
func (d *gate) change(lines ...string) {
	d.t.Helper()
	d.write(lines)
	var events []access.Event
	for range 2 { // what is seen twice counts
		events = append(events, d.guard.Poll(time.Now())...)
	}
	if len(events) != 1 || !events[0].New {
		d.t.Fatalf("got the events %v", events)
	}
}

// Close and Write make the gate what its audit is written to.
func (d *gate) Close() error { return nil }

func (d *gate) Write(_ time.Time, line []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, strings.Split(string(line), "\n")...)
}

// audited returns the lines of the audit since it was asked last, without whence they came.
func (d *gate) audited() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var lines []string
	for _, line := range d.lines {
		before, after, _ := strings.Cut(line, " from=")
		from, rest, _ := strings.Cut(after, " ")
		if _, err := netip.ParseAddrPort(from); err != nil && from != `""` {
			d.t.Errorf("%s: %v", line, err)
		}
		lines = append(lines, before+" "+rest)
	}
	d.lines = nil
	return lines
}

func token(name string) string { return "token-of-" + name }

// as is the header of a request that the holder of NAME's token sends.
func as(name string) []string { return []string{"Authorization", "Bearer " + token(name)} }
