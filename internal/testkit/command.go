// Package testkit is what the tests of several packages share: changes as text, and the commands
// that they need. It imports nothing of ours but service, so that any package may use it.
package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// packages of Debian have the commands that tests call.
var packages = map[string]string{
	"chattr":    "e2fsprogs",
	"curl":      "curl",
	"dig":       "bind9-dnsutils",
	"fsfreeze":  "util-linux",
	"losetup":   "mount",
	"mkfs.ext4": "e2fsprogs",
	"mount":     "mount",
}

// NeedsCommands skips a test that calls commands which the machine lacks, and says which: the
// tests run wherever Go does. Where the environment has CI=true nothing may be missing, and the
// test fails.
func NeedsCommands(t testing.TB, names ...string) {
	t.Helper()
	var missing []string
	for _, name := range names {
		in, known := packages[name]
		if !known {
			t.Fatalf("nobody has written down which package of Debian has %s", name)
		}
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, fmt.Sprintf("%s (Debian package %s)", name, in))
		}
	}
	switch {
	case missing == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("CI is set and this machine lacks %s", strings.Join(missing, ", "))
	default:
		t.Skipf("this machine lacks %s", strings.Join(missing, ", "))
	}
}
