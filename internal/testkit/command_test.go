package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// recorder notes how a test ends.
type recorder struct {
	testing.TB
	ended string
}

func (r *recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any) { r.end("SKIP", format, args) }

func (r *recorder) Fatalf(format string, args ...any) { r.end("FAIL", format, args) }

func (r *recorder) end(how, format string, args []any) {
	r.ended += how + " " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestATestIsSkippedWithOneLineWhereACommandIsMissingAndFailsInCI(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "curl"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	for _, tc := range []struct {
		sentence string
		ci       string
		names    []string
		want     string
	}{
		{"what is there", "", []string{"curl"}, ""},
		{"what is there, in CI", "true", []string{"curl"}, ""},
		{"what is missing", "", []string{"curl", "dig"}, "SKIP this machine lacks dig (Debian package bind9-dnsutils)"},
		{"all that is missing, in one line", "", []string{"dig", "mkfs.ext4"},
			"SKIP this machine lacks dig (Debian package bind9-dnsutils), mkfs.ext4 (Debian package e2fsprogs)"},
		{"what is missing, in CI", "true", []string{"dig"}, "FAIL CI is set and this machine lacks dig (Debian package bind9-dnsutils)"},
		{"what nobody knows", "", []string{"dug"}, "FAIL nobody has written down which package of Debian has dug"},
	} {
		t.Setenv("CI", tc.ci)
		r := &recorder{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			NeedsCommands(r, tc.names...)
		}()
		<-done
		if r.ended != tc.want {
			t.Errorf("%s: got %q, want %q", tc.sentence, r.ended, tc.want)
		}
	}
}
