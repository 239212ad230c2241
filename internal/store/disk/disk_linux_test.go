package disk

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/coredns-registry/registry/internal/store/storetest"
	"github.com/coredns-registry/registry/internal/testkit"
)

func TestAFullDiskCostsTheCommitsMeanwhile(t *testing.T) {
	dir := mounted(t, "tmpfs", "tmpfs", "size=1m")
	f := newFailing(t, dir)
	for range 3 {
		ballast := filepath.Join(dir, "ballast")
		if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("the disk is not full: %v", err)
		}
		for range 3 {
			f.fails(storetest.Large("x"), syscall.ENOSPC.Error())
			if !errors.Is(f.failed, syscall.ENOSPC) {
				t.Errorf("%v does not wrap the cause", f.failed)
			}
			if err := f.Snapshot(io.Discard); err != nil {
				t.Errorf("a full disk can be read: %v", err)
			}
		}
		try(t, os.Remove(ballast))
		f.succeeds(string(rune('a' + len(f.want))))
	}
	f.holds()
}

func TestNoTableIsMadeOnAFullDisk(t *testing.T) {
	dir := mounted(t, "tmpfs", "tmpfs", "size=16k")
	if _, err := Open(dir); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) > 0 {
		t.Errorf("it leaves %v", names)
	}
}

func TestAReadOnlyDiskIsServedAndWrittenLater(t *testing.T) {
	dir := mounted(t, "tmpfs", "tmpfs", "")
	f := newFailing(t, dir)
	closed(t, f.Store)
	remount(t, dir, syscall.MS_RDONLY)
	f.Store = opened(t, dir)
	for range 2 {
		f.fails(storetest.Static("x"), syscall.EROFS.Error())
		if err := f.Snapshot(io.Discard); err != nil {
			t.Error(err)
		}
	}
	remount(t, dir, 0)
	f.succeeds("b")
	f.succeeds("c")
	f.holds()

	remount(t, dir, syscall.MS_RDONLY)
	if _, err := Open(filepath.Join(dir, "new")); !errors.Is(err, syscall.EROFS) {
		t.Errorf("a new table on a read-only disk: %v", err)
	}
	remount(t, dir, 0)
}

// A file system whose device has no room for what it was promised learns of it when it
// flushes: so do we.
func TestAFlushThatFailsCostsTheCommitsMeanwhile(t *testing.T) {
	testkit.NeedsCommands(t, "mkfs.ext4", "losetup")
	under := mounted(t, "tmpfs", "tmpfs", "size=16m")
	image, ballast := filepath.Join(under, "image"), filepath.Join(under, "ballast")
	try(t, os.WriteFile(image, nil, 0o600))
	try(t, os.Truncate(image, 64<<20))
	run(t, "mkfs.ext4", "-q", "-O", "^has_journal", "-E", "lazy_itable_init=0", image)
	loop := strings.TrimSpace(run(t, "losetup", "--find", "--show", image))
	t.Cleanup(func() { exec.Command("losetup", "--detach", loop).Run() })
	f := newFailing(t, mounted(t, loop, "ext4", "errors=continue"))
	failures := 0
	for round := range 5 {
		os.WriteFile(ballast, make([]byte, 16<<20), 0o600)
		for n := range 40 {
			o := storetest.Large("x")
			o.Revision = f.kept.revision + 1
			err := f.Commit(batch(f.Store, o))
			if err == nil {
				f.acknowledged(o)
				continue
			}
			failures++
			if n == 0 {
				t.Logf("round %d: %v", round, err)
			}
		}
		try(t, os.Remove(ballast))
		f.succeeds(string(rune('a' + round)))
	}
	t.Logf("%d commits failed", failures)
	if failures == 0 {
		t.Error("no commit failed")
	}
	f.holds()
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Skipf("%s does not work here: %v %s", name, err, out)
	}
	return string(out)
}

// mounted mounts a file system for the test.
func mounted(t *testing.T, source, kind, options string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount(source, dir, kind, 0, options); err != nil {
		t.Skipf("a file system of its own can be mounted by root only: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

func remount(t *testing.T, dir string, flags uintptr) {
	t.Helper()
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|flags, ""); err != nil {
		t.Fatalf("remount: %v", err)
	}
}
