package test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
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

// flock is services with instances that live by their heartbeats, a keeper for each.
type flock []*keeper

func newFlock(t *testing.T, s *server, services, each int, lease time.Duration) (f flock) {
	t.Helper()
	for g := range services {
		var members []member
		for n := range each {
			members = append(members, alive(g, n))
		}
		f = append(f, s.keep(t, lease, members...))
	}
	return f
}

// beatEvery has every keeper beat by itself.
func (f flock) beatEvery(ctx context.Context, t *testing.T, period time.Duration, all *sync.WaitGroup) {
	for _, k := range f {
		all.Go(func() { beatEvery(ctx, t, period, k) })
	}
}

// isWhole holds the server to it that none has left, nor any of others with a lease. The
// keepers are at rest.
func (f flock) isWhole(t *testing.T, others ...*keeper) {
	t.Helper()
	asker := dial(t, "tcp", f[0].dns)
	all := slices.Concat(f, others)
	soon(t, "the flock is asked for before its leases end", func() bool {
		var renewals []renewal
		rightly := 0 // have left because they came too late
		for _, k := range all {
			if err := k.beat(); err != nil {
				t.Error(err)
			}
			renewals = append(renewals, k.renewal())
			_, lapsed := k.counts()
			rightly += lapsed
		}
		var answered []int
		for _, k := range f {
			answered = append(answered, len(asker.must(t, under(k.members[0].service), dns.TypeAAAA).Answer))
		}
		ended := f[0].scrape(t).sum("coredns_registry_expiries_total")
		came := time.Now()
		if slices.ContainsFunc(renewals, func(r renewal) bool { return !r.lasts(came) }) {
			return false
		}
		for g, n := range answered {
			if k := f[g]; n != len(k.members) {
				t.Errorf("%s has %d instances, want %d", k.members[0].service, n, len(k.members))
			}
		}
		if ended > float64(rightly) {
			t.Errorf("%v leases have ended, want at most %d", ended, rightly)
		}
		return true
	})
	for _, k := range all {
		k.hasJudged(t)
	}
}

// stop is a time in which the process did not run for certain.
type stop struct{ from, to time.Time }

// pause stops the process for a while.
func (s *server) pause(t *testing.T, d time.Duration) {
	t.Helper()
	goOn := s.halt(t)
	<-time.After(d)
	goOn()
}

// halt stops the process until it may go on.
func (s *server) halt(t *testing.T) (goOn func()) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
	from := time.Now()
	return func() {
		s.stopped.Lock()
		s.stops = append(s.stops, stop{from, time.Now()})
		s.stopped.Unlock()
		s.signal(t, syscall.SIGCONT)
	}
}

// ran is how much there was of a time without those in which a test had stopped the process.
func (s *server) ran(from, to time.Time) time.Duration {
	s.stopped.Lock()
	defer s.stopped.Unlock()
	d := to.Sub(from)
	for _, p := range s.stops {
		begin, end := p.from, p.to
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		d -= max(0, end.Sub(begin))
	}
	return d
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
			s := start(t, withoutBudget)
			f := newFlock(t, s, 4, 50, time.Second)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var beating sync.WaitGroup
			f.beatEvery(ctx, t, 250*time.Millisecond, &beating)
			tt.pause(t, s)
			<-time.After(1500 * time.Millisecond) // who had ended by now would be gone
			cancel()
			beating.Wait()
			f.isWhole(t)
			// And those that are silent from now on leave as ever.
			asker := dial(t, "udp", s.dns)
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
			s := start(t, withoutBudget)
			f := newFlock(t, s, 4, 100, leaseLength)
			var beating sync.WaitGroup
			beat := func() {
				for _, k := range f {
					beating.Go(func() {
						if err := k.beat(); err != nil {
							t.Error(err)
						}
					})
				}
			}
			for range times {
				beat() // and wait until little is left of it
				beating.Wait()
				last := f[0].renewal()
				<-time.After(time.Until(last.at.Add(last.lease - min(250*ms, length/2))))
				goOn := s.halt(t)
				began := time.Now()
				beat()
				<-time.After(time.Until(began.Add(length)))
				goOn()
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
	s := start(t, withoutBudget, "GOMAXPROCS=1")
	lower(t, s.process)
	f := newFlock(t, s, 4, 50, time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	for range 4 { // what keeps it busy
		all.Go(func() {
			for ctx.Err() == nil {
				if _, err := s.wants(http.StatusOK, http.MethodGet, servicePath(groupName(0)), ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	f.beatEvery(ctx, t, 250*time.Millisecond, &all)
	<-time.After(4 * time.Second)
	cancel()
	all.Wait()
	f.isWhole(t)
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
	const services, each, lease = 4, 50, slowness * 2 * time.Second
	dir := "DIR=" + t.TempDir()
	lines := fmt.Sprintf("lease %s 2s 24h\neviction 100", lease)
	s := start(t, kept(lines), dir)
	newFlock(t, s, services, each, lease)
	<-time.After(lease * 3 / 4)
	s.kill(t)
	<-time.After(lease / 2) // by now they would have ended
	s = start(t, kept(lines), dir)
	ready := time.Now() // later than leases begin
	var all [services]*silent
	for g := range all {
		all[g] = &silent{what: groupName(g), lease: lease, from: s.began, to: ready}
	}
	asker := dial(t, "tcp", s.dns)
	soon(t, "they leave", func() bool {
		there := 0
		for _, i := range all {
			got := asker.must(t, under(i.what), dns.TypeAAAA)
			if n := len(got.Answer); n != each && got.came.Sub(s.began) < lease {
				t.Fatalf("%s after the start %d of %d are answered, want all", got.came.Sub(s.began), n, each)
			}
			if err := i.seen(len(got.Answer) > 0, got); err != nil {
				t.Fatal(err)
			}
			there += len(got.Answer)
		}
		return there == 0
	})
	for _, i := range all {
		i.leftInTime(t, s)
	}
}
