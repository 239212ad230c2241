package test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const withoutBudget = `
cluster.local:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
        lease 1s 1s 24h
        eviction 100
    }
    errors
    ready {$READY}
    prometheus {$METRICS}
}`

// flock is services with instances that live by their heartbeats.
type flock struct {
	*server
	services, each int
}

func newFlock(t *testing.T, s *server, services, each int, seconds int) flock {
	t.Helper()
	f := flock{s, services, each}
	var operations []object
	for g := range services {
		for n := range each {
			operations = append(operations, operation("register", groupName(g), aliveID(n),
				object{"instance": object{"addresses": []string{aliveAddress(g, n)}, "leaseSeconds": seconds}}))
		}
	}
	s.batch(t, operations)
	return f
}

// beat renews the leases of a service, all of which must be there.
func (f flock) beat(group int) error {
	var all []object
	for n := range f.each {
		all = append(all, identity(groupName(group), aliveID(n)))
	}
	answer, err := f.wants(http.StatusOK, http.MethodPost, "/v1/heartbeats", heartbeats(all))
	if want := fmt.Sprintf(`{"unknown":[],"renewed":%d}`, f.each); err == nil && answer != want {
		err = fmt.Errorf("heartbeats of %s: %d are unknown, want none of %d", groupName(group), strings.Count(answer, `"id"`), f.each)
	}
	return err
}

// isWhole asks for all of them.
func (f flock) isWhole(t *testing.T) {
	t.Helper()
	asker := dial(t, "tcp", f.dns)
	for g := range f.services {
		if got := asker.must(t, under(groupName(g)), dns.TypeAAAA); len(got.Answer) != f.each {
			t.Errorf("%s has %d instances, want %d", groupName(g), len(got.Answer), f.each)
		}
	}
	if n := f.scrape(t).sum("coredns_registry_expiries_total"); n != 0 {
		t.Errorf("%v leases have ended", n)
	}
}

// pause stops the process for a while.
func (s *server) pause(t *testing.T, d time.Duration) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
	<-time.After(d)
	s.signal(t, syscall.SIGCONT)
}

// Owners that heartbeat before and after, or are heard late, lose nothing.
func TestNoPauseOfTheServerEvicts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		what  string
		pause func(t *testing.T, s *server)
	}{
		{"ten leases long", func(t *testing.T, s *server) { s.pause(t, 10*time.Second) }},
		{"a lease long, again and again", func(t *testing.T, s *server) {
			for range 6 {
				s.pause(t, time.Second)
				<-time.After(400 * time.Millisecond)
			}
		}},
		{"hardly running at all", func(t *testing.T, s *server) {
			for range 20 {
				s.pause(t, 400*time.Millisecond)
				<-time.After(20 * time.Millisecond)
			}
		}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			f := newFlock(t, start(t, withoutBudget), 4, 50, 1)
			ctx, cancel := context.WithCancel(t.Context())
			var beating sync.WaitGroup
			for g := range f.services {
				beating.Go(func() {
					every(ctx, 250*time.Millisecond, func() {
						if err := f.beat(g); err != nil {
							t.Error(err)
						}
					})
				})
			}
			tt.pause(t, f.server)
			<-time.After(1500 * time.Millisecond) // who had ended by now would be gone
			f.isWhole(t)
			cancel()
			beating.Wait()
			// And those that are silent from now on leave as ever.
			asker := dial(t, "udp", f.dns)
			soon(t, "they leave", func() bool {
				return asker.must(t, under(groupName(0)), dns.TypeAAAA).Rcode == dns.RcodeNameError
			})
		})
	}
}

// What was left of a lease when a pause began is left when it ends, however short it was:
// time for the heartbeat that came meanwhile.
func TestHeartbeatsThatCameInAPauseCount(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for length, times := range map[time.Duration]int{300 * ms: 4, 480 * ms: 4, 700 * ms: 3, 3000 * ms: 1} {
		t.Run(length.String(), func(t *testing.T) {
			t.Parallel()
			f := newFlock(t, start(t, withoutBudget), 4, 100, 2)
			for range times {
				for g := range f.services {
					if err := f.beat(g); err != nil {
						t.Fatal(err)
					}
				}
				<-time.After(leaseLength - min(250*ms, length/2))
				f.signal(t, syscall.SIGSTOP)
				began := time.Now()
				var beating sync.WaitGroup
				for g := range f.services {
					beating.Go(func() {
						if err := f.beat(g); err != nil {
							t.Error(err)
						}
					})
				}
				<-time.After(time.Until(began.Add(length)))
				f.signal(t, syscall.SIGCONT)
				beating.Wait()
			}
			f.isWhole(t)
		})
	}
}

// A machine that has more to do than it can leaves heartbeats waiting. Nobody is evicted as
// long as they are heard in turn.
func TestStarvedServerEvictsNobody(t *testing.T) {
	t.Parallel()
	f := newFlock(t, start(t, withoutBudget, "GOMAXPROCS=1"), 4, 50, 1)
	lower(t, f.process)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range 4 { // what keeps it busy
		all.Go(func() {
			for ctx.Err() == nil {
				if _, err := f.wants(http.StatusOK, http.MethodGet, servicePath(groupName(0)), ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for g := range f.services {
		all.Go(func() {
			every(ctx, 250*time.Millisecond, func() {
				if err := f.beat(g); err != nil {
					t.Error(err)
				}
			})
		})
	}
	<-time.After(4 * time.Second)
	f.isWhole(t)
	cancel()
	all.Wait()
}

// lower makes everything else more urgent than a process.
func lower(t *testing.T, p *os.Process) {
	t.Helper()
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, p.Pid, 19); err != nil {
		t.Log(err)
	}
}

// A restart is a pause, too: leases begin anew.
func TestLeasesAreWholeAfterARestart(t *testing.T) {
	t.Parallel()
	dir := "DIR=" + t.TempDir()
	lines := "lease 2s 2s 24h\neviction 100"
	s := start(t, kept(lines), dir)
	newFlock(t, s, 4, 50, 2)
	<-time.After(1500 * time.Millisecond)
	s.kill(t)
	<-time.After(time.Second) // by now they would have ended
	s = start(t, kept(lines), dir)
	began := time.Now() // later than leases do
	f := flock{s, 4, 50}
	<-time.After(time.Until(s.began.Add(1900 * time.Millisecond)))
	f.isWhole(t)
	asker := dial(t, "udp", s.dns)
	soon(t, "they leave", func() bool {
		return asker.must(t, under(groupName(0)), dns.TypeAAAA).Rcode == dns.RcodeNameError
	})
	if late := time.Since(began); late > leaseLength+endsWithin+s.unheard() {
		t.Errorf("they left %s after the start, want at most %s", late, leaseLength+endsWithin)
	}
}
