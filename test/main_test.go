// Package test holds the registry to its contract from outside. The program of cmd/coredns
// is built once, started with Corefiles as a user writes them, and spoken to by real
// clients, over DNS and HTTP. Nothing of its code is called.
package test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program is the path of the CoreDNS that is tested.
var program string

func TestMain(m *testing.M) {
	flag.Parse()
	if !isGiven("test.parallel") { // most of the time is spent in waiting
		_ = flag.Set("test.parallel", "4")
	}
	os.Exit(buildAndRun(m))
}

func isGiven(name string) (given bool) {
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

func buildAndRun(m *testing.M) (code int) {
	dir, err := os.MkdirTemp("", "registry-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "coredns")
	if err := build(program); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(program string) error {
	if err := lookAtSources(".."); err != nil {
		return err
	}
	// Without the stamp of the version control: git refuses a checkout that another user owns.
	args := []string{"build", "-buildvcs=false", "-o", program}
	if raceEnabled {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/coredns")...)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

// lookAtSources has Go's cache of test results know that these tests depend on every source
// of the module: it notes which files a test looks at, and cannot see what the compiler does.
func lookAtSources(module string) error {
	return filepath.WalkDir(module, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != module:
			return fs.SkipDir
		case strings.HasSuffix(path, ".go"):
			_, err = os.Stat(path)
		}
		return err
	})
}
