package test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	leaseLength = 2 * time.Second
	endsWithin  = time.Second // after the lease

	groups   = 20
	perGroup = 50 // silent instances of each, and as many that are alive
)

// silent is an instance whose heartbeats stop.
type silent struct {
	group, n int
	from, to time.Time // the last renewal happened between them
	latest   time.Time // it was asked for, and answered
	left     bool
}

func (s *silent) String() string { return fmt.Sprintf("silent-%d.%s", s.n, groupName(s.group)) }

func groupName(group int) string        { return fmt.Sprintf("group-%d", group) }
func silentAddress(group, n int) string { return fmt.Sprintf("2001:db8:0:%x::%x", group+1, n+1) }
func aliveAddress(group, n int) string  { return fmt.Sprintf("2001:db8:1:%x::%x", group+1, n+1) }
func leasedInstance(addr string) object {
	return object{"addresses": []string{addr}, "leaseSeconds": 2}
}
func heartbeats(instances any) string   { return encode(object{"instances": instances}) }
func heartbeatPath(s, id string) string { return instancePath(s, id) + "/heartbeat" }
func aliveID(n int) string              { return fmt.Sprintf("alive-%d", n) }
func silentID(n int) string             { return fmt.Sprintf("silent-%d", n) }
func registering(s, id, a string) object {
	return operation("register", s, id, object{"instance": leasedInstance(a)})
}

// Not parallel: it measures time.
func TestLeasesEndOnTime(t *testing.T) {
	if raceEnabled {
		t.Skip("it measures time, and would measure the race detector's")
	}
	s := start(t, `
cluster.local:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
        eviction 100
    }
    errors
    ready {$READY}
}`)
	all := make([][]*silent, groups)
	var operations []object
	for g := range groups {
		for n := range perGroup {
			all[g] = append(all[g], &silent{group: g, n: n})
			operations = append(operations,
				registering(groupName(g), silentID(n), silentAddress(g, n)),
				registering(groupName(g), aliveID(n), aliveAddress(g, n)))
		}
	}
	s.batch(t, operations)

	ctx, cancel := context.WithCancel(t.Context())
	var beating sync.WaitGroup
	beating.Go(func() { s.beatTogether(ctx, t) })
	beating.Go(func() { s.beatAlone(ctx, t) })
	defer beating.Wait()
	defer cancel()

	for g := range groups {
		s.renewLast(t, all[g], g)
	}
	s.watchThemLeave(t, all)

	slack := s.unheard()
	for _, group := range all {
		for _, i := range group {
			switch late := i.latest.Sub(i.to); {
			case !i.left:
				t.Errorf("%s has not left", i)
			case late > leaseLength+endsWithin+slack:
				t.Errorf("%s was still answered %s after its last renewal, want at most %s", i, late, leaseLength+endsWithin+slack)
			}
		}
	}
}

// beatTogether renews those alive in even groups, all in one request.
func (s *server) beatTogether(ctx context.Context, t *testing.T) {
	var instances []object
	for g := 0; g < groups; g += 2 {
		for n := range perGroup {
			instances = append(instances, identity(groupName(g), aliveID(n)))
		}
	}
	every(ctx, leaseLength/4, func() {
		want := fmt.Sprintf(`{"unknown":[],"renewed":%d}`, len(instances))
		answer, err := s.wants(http.StatusOK, http.MethodPost, "/v1/heartbeats", heartbeats(instances))
		if err != nil || answer != want {
			t.Errorf("heartbeats: %v, got %s, want %s", err, answer, want)
		}
	})
}

// beatAlone renews those alive in odd groups, each by itself.
func (s *server) beatAlone(ctx context.Context, t *testing.T) {
	every(ctx, leaseLength/4, func() {
		for g := 1; g < groups; g += 2 {
			for n := range perGroup {
				if _, err := s.wants(http.StatusNoContent, http.MethodPut, heartbeatPath(groupName(g), aliveID(n)), ""); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

func every(ctx context.Context, period time.Duration, do func()) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		do()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// renewLast renews the leases of a group for the last time, in one of the ways there are.
func (s *server) renewLast(t *testing.T, group []*silent, way int) {
	t.Helper()
	var identities, operations []object
	for _, i := range group {
		identities = append(identities, identity(groupName(i.group), silentID(i.n)))
		operations = append(operations, registering(groupName(i.group), silentID(i.n), silentAddress(i.group, i.n)))
	}
	from := time.Now()
	switch way % 3 {
	case 0:
		s.must(t, http.StatusOK, http.MethodPost, "/v1/heartbeats", heartbeats(identities))
	case 1:
		s.batch(t, operations) // that say what is known
	case 2:
		for _, i := range group {
			i.from = time.Now()
			s.must(t, http.StatusNoContent, http.MethodPut, heartbeatPath(groupName(i.group), silentID(i.n)), "")
			i.to = time.Now()
		}
		return
	}
	to := time.Now()
	for _, i := range group {
		i.from, i.to = from, to
	}
}

// watchThemLeave asks for all groups again and again, until the silent ones have left. None
// may leave before its lease ends, or come back, and those alive may never be missing.
func (s *server) watchThemLeave(t *testing.T, all [][]*silent) {
	t.Helper()
	asker := dial(t, "udp", s.dns)
	asker.payload = 4096
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	deadline := time.Now().Add(3 * leaseLength)
	for there := groups * perGroup; there > 0 && time.Now().Before(deadline); <-again.C {
		there = 0
		for g, group := range all {
			got := asker.must(t, under(groupName(g)), dns.TypeAAAA)
			answered := make(map[string]bool, len(got.Answer))
			for _, rr := range got.Answer {
				answered[rr.(*dns.AAAA).AAAA.String()] = true
			}
			for n := range perGroup {
				if !answered[aliveAddress(g, n)] {
					t.Fatalf("%s.%s has heartbeats and is not in the answer\n%s", aliveID(n), groupName(g), got.Msg)
				}
			}
			for _, i := range group {
				switch in := answered[silentAddress(i.group, i.n)]; {
				case in && i.left:
					t.Fatalf("%s left and is back", i)
				case in:
					i.latest = got.sent
					there++
				case !i.left:
					i.left = true
					if age := got.came.Sub(i.from); age < leaseLength {
						t.Errorf("%s left %s after its last renewal, want not before %s", i, age, leaseLength)
					}
				}
			}
		}
	}
}

// isOver reports whether all leases of that length have ended that were renewed last then.
func (s *server) isOver(lease time.Duration, renewed time.Time) bool {
	return time.Since(renewed) > lease+endsWithin+s.unheard()
}

var unheardLine = regexp.MustCompile(`No heartbeat could be heard for (\S+):`)

// unheard is the time that leases were prolonged by, since the process did not run.
func (s *server) unheard() (sum time.Duration) {
	for _, match := range unheardLine.FindAllStringSubmatch(s.log.String(), -1) {
		d, _ := time.ParseDuration(match[1])
		sum += d + time.Millisecond // it is rounded
	}
	return sum
}
