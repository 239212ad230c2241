package test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/testkit"

	"github.com/miekg/dns"
)

// trouble is something that keeps a store from being written.
type trouble struct {
	what        string
	make        func(t *testing.T) (dir string) // a directory that can have it, or skips
	begin, over func(t *testing.T, dir string)
	refused     []write // while it lasts
	partial     bool    // other writes are kept
}

type write struct{ method, path, body string }

var troubles = []trouble{
	{"a full disk", smallDisk, fillUp, freeUp, []write{largest}, true}, // smaller ones may find room in the file
	{"a file that must not be written", markable, mark("+i"), mark("-i"), append(writes, largest), false},
}

// writes are of all kinds. None is made twice.
var writes = []write{
	{http.MethodPut, instancePath("web", "other"), `{"addresses":["192.0.2.10"]}`},
	{http.MethodPut, instancePath("web", "static") + "/status", `{"status":"down"}`},
	{http.MethodDelete, instancePath("web", "static"), ""},
	{http.MethodPut, servicePath("web"), `{"type":"externalName","externalName":"www.example.net"}`},
	{http.MethodDelete, servicePath("web"), ""},
	{http.MethodPost, "/v1/batch", encode(object{"operations": []object{operation("deregister", "web", "static", nil)}})},
	{http.MethodPost, "/v1/import", `{"format":1,"services":[],"instances":[{"namespace":"default","service":"web","id":"other","addresses":["192.0.2.10"]}]}`},
}

// largest takes a megabyte.
var largest = func() write {
	text := strings.Repeat("x", 240)
	var operations []object
	for n := range mostOperations {
		operations = append(operations, operation("register", "large", fmt.Sprintf("large-%d", n), object{"instance": object{
			"addresses": []string{"198.51.100.7"}, "leaseSeconds": 0, "metadata": object{"a": text, "b": text, "c": text, "d": text},
		}}))
	}
	return write{http.MethodPost, "/v1/batch", encode(object{"operations": operations})}
}()

func TestDiskTroubleCostsWritesAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, tt := range troubles {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			dir := tt.make(t)
			s := start(t, kept("lease 2s 2s 24h\neviction 100"), "DIR="+dir)
			s.fill(t, 1000, 10)
			s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "static"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)
			s.registerAlive(t)
			w := s.watch(t, fmt.Sprint(s.endpoint.revision(t)), false)
			was, _ := s.served(t)

			silent := s.registerSilent(t)
			tt.begin(t, dir)
			asker := dial(t, "udp", s.dns)
			soon(t, "the silent one leaves", func() bool {
				s.mustBeat(t)
				got := asker.must(t, under("web"), dns.TypeA)
				if !has(got.Answer, "192.0.2.7") || !has(got.Answer, "192.0.2.8") {
					t.Fatalf("meanwhile an instance is not answered:\n%s", got.Msg)
				}
				if err := silent.seen(has(got.Answer, "192.0.2.9"), got); err != nil {
					t.Fatal(err)
				}
				s.refuses503(t, tt.refused)
				return silent.left
			})
			silent.leftInTime(t, s)
			is, _ := s.served(t)
			if wrong := is.differ(was); wrong != "" {
				t.Error(wrong)
			}
			if n := s.scrape(t).sum("coredns_registry_store_failures_total"); n == 0 {
				t.Error("the metric counts no failure")
			}
			if status := s.must(t, http.StatusOK, http.MethodGet, "/v1/status", ""); !tt.partial && !strings.Contains(status, `"storeFailing":true`) {
				t.Errorf("the status does not say that the store fails: %s", status)
			}

			tt.over(t, dir)
			soon(t, "writes work again", func() bool {
				s.mustBeat(t)
				status, _, _ := s.problem(t, http.MethodPut, instancePath("web", "new"), `{"addresses":["192.0.2.10"],"leaseSeconds":0}`)
				return status == http.StatusCreated || status == http.StatusOK
			})
			s.log.wait(t, 0, "Store recovered")
			for { // the watcher has missed nothing
				c, err := w.next()
				if err != nil {
					t.Fatal(err)
				}
				if c.ID == "new" {
					break
				}
			}
			if told := strings.Count(s.log.String(), "Store commit failed"); told > 1 && !tt.partial {
				t.Errorf("the log says %d times that the store failed, want it once an episode", told)
			}
			was, _ = s.served(t)
			s.kill(t)
			s = start(t, kept("lease 2s 2s 24h\neviction 100"), "DIR="+dir)
			is, _ = s.served(t)
			if wrong := is.differ(was); wrong != "" {
				t.Errorf("after a restart: %s", wrong)
			}
		})
	}
}

// registerAlive registers an instance that goes on beating, with a lease that ends on no
// machine, however slow.
func (s *server) registerAlive(t *testing.T) {
	t.Helper()
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "alive"), encode(object{
		"addresses": []string{"192.0.2.8"}, "leaseSeconds": longLease / time.Second,
	}))
}

// registerSilent registers one that never beats.
func (s *server) registerSilent(t *testing.T) *silent {
	t.Helper()
	i := &silent{what: "silent.web", lease: leaseLength, from: time.Now()}
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "silent"), `{"addresses":["192.0.2.9"]}`)
	i.to = time.Now()
	return i
}

// mustBeat renews the lease of the one that is alive, and sees that it is renewed.
func (s *server) mustBeat(t *testing.T) {
	t.Helper()
	sent := time.Now()
	s.must(t, http.StatusNoContent, http.MethodPut, heartbeatPath("web", "alive"), "")
	var i struct{ ExpiresAt time.Time }
	decode(t, s.must(t, http.StatusOK, http.MethodGet, instancePath("web", "alive"), ""), &i)
	if renewed := i.ExpiresAt.Add(-longLease); renewed.Before(sent.Add(-time.Second / 10)) {
		t.Errorf("after a heartbeat at %s a lease of %s ends at %s", sent, longLease, i.ExpiresAt)
	}
}

func (s *server) refuses503(t *testing.T, writes []write) {
	t.Helper()
	for _, w := range writes {
		status, retryAfter, contentType := s.problem(t, w.method, w.path, w.body)
		if status != http.StatusServiceUnavailable || retryAfter == "" || contentType != "application/problem+json" {
			t.Errorf("%s %s while the store cannot be written: got %d, Retry-After %q, %s, want 503 with both", w.method, w.path, status, retryAfter, contentType)
		}
	}
}

// A disk that hangs refuses nobody and answers nobody: writes wait, all else goes on.
func TestDiskThatHangsCostsWritesAndNothingElse(t *testing.T) {
	t.Parallel()
	dir := freezable(t)
	s := start(t, kept("lease 2s 2s 24h\neviction 100"), "DIR="+dir)
	s.registerAlive(t)
	silent := s.registerSilent(t)
	thaw := freeze(t, dir)
	defer thaw()
	written := make(chan error, 1)
	go func() {
		_, err := s.wants(http.StatusCreated, http.MethodPut, instancePath("web", "new"), `{"addresses":["192.0.2.10"],"leaseSeconds":0}`)
		written <- err
	}()
	asker := dial(t, "udp", s.dns)
	soon(t, "the silent one leaves", func() bool {
		s.mustBeat(t)
		got := asker.must(t, under("web"), dns.TypeA)
		if !has(got.Answer, "192.0.2.8") || has(got.Answer, "192.0.2.10") {
			t.Fatalf("while the disk hangs: want 192.0.2.8, not 192.0.2.10\n%s", got.Msg)
		}
		if err := silent.seen(has(got.Answer, "192.0.2.9"), got); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-written:
			t.Fatalf("answered while the disk hangs; %v", err)
		default:
		}
		return silent.left
	})
	silent.leftInTime(t, s)
	thaw()
	if err := <-written; err != nil {
		t.Errorf("after the disk hung: %v", err)
	}
	s.mustBeat(t)
	asker.wants(t, under("web"), dns.TypeA, dns.RcodeSuccess, under("web")+" A 192.0.2.8", under("web")+" A 192.0.2.10")
}

// A table that can be read is served, though it cannot be written yet.
func TestStartsOnADiskThatIsReadOnly(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	s := start(t, kept(""), "DIR="+dir)
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "static"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)
	s.stop(t)
	run(t, "mount", "-o", "remount,ro", dir)
	s = start(t, kept(""), "DIR="+dir)
	s.refuses503(t, writes)
	dial(t, "udp", s.dns).wants(t, under("web"), dns.TypeA, dns.RcodeSuccess, under("web")+" A 192.0.2.7")
	run(t, "mount", "-o", "remount,rw", dir)
	soon(t, "writes work", func() bool {
		status, _, _ := s.problem(t, http.MethodPut, instancePath("web", "new"), `{"addresses":["192.0.2.10"],"leaseSeconds":0}`)
		return status == http.StatusCreated
	})
}

// smallDisk is one of a few megabytes, which are the test's alone.
func smallDisk(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	mounted(t, dir, "-t", "tmpfs", "-o", "size=6m", "tmpfs", dir)
	return dir
}

// mounted mounts something until the test ends, and skips it where that is not possible.
func mounted(t *testing.T, dir string, args ...string) {
	t.Helper()
	needs(t, "mount", args...)
	t.Cleanup(func() { run(t, "umount", dir) })
}

// needs runs a program that the test cannot do without.
func needs(t *testing.T, program string, args ...string) (out string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skipf("%s takes root", program)
	}
	testkit.NeedsCommands(t, program)
	b, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Skipf("%s %q: %v: %s", program, args, err, b)
	}
	return strings.TrimSpace(string(b))
}

func run(t *testing.T, program string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %q: %v: %s", program, args, err, out)
	}
}

func fillUp(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "large"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func freeUp(t *testing.T, dir string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, "large")); err != nil {
		t.Error(err)
	}
}

// markable is a directory on a disk where files can be made immutable.
func markable(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	file := filepath.Join(dir, "file")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	needs(t, "chattr", "+i", file)
	_, err = io.WriteString(f, "though it is open already")
	run(t, "chattr", "-i", file)
	if err == nil {
		t.Skip("here a file that is open can be written though it is immutable")
	}
	if err := errors.Join(os.Remove(file)); err != nil {
		t.Error(err)
	}
	return dir
}

func mark(how string) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		run(t, "chattr", how, filepath.Join(dir, "registry.db"))
	}
}

// freezable is a disk of its own in a file, which can be made to hang.
func freezable(t *testing.T) (dir string) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(image)
	if err == nil {
		err = errors.Join(f.Truncate(64<<20), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	needs(t, "mkfs.ext4", "-q", image)
	needs(t, "fsfreeze", "--version")
	dir = t.TempDir()
	mounted(t, dir, "-o", "loop", image, dir)
	return dir
}

// freeze makes it hang until thaw is called, which may be done again.
func freeze(t *testing.T, dir string) (thaw func()) {
	t.Helper()
	run(t, "fsfreeze", "--freeze", dir)
	return sync.OnceFunc(func() { run(t, "fsfreeze", "--unfreeze", dir) })
}
