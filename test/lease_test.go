package test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	leaseLength = 2 * time.Second
	longLease   = time.Hour   // for who has to outlive the test
	endsWithin  = time.Second // after the lease

	groups   = 20
	perGroup = 50 // silent instances of each, and as many that are alive
)

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
func alive(group, n int) member {
	return member{name{groupName(group), aliveID(n)}, aliveAddress(group, n)}
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
	var silents [groups][perGroup]*silent
	var keepers [groups][perGroup]*keeper
	var even []member // beat together, all in one request
	var alone []*keeper
	for g := range groups {
		for n := range perGroup {
			silents[g][n] = &silent{what: silentID(n) + "." + groupName(g), lease: leaseLength}
			if g%2 == 0 {
				even = append(even, alive(g, n))
			} else {
				keepers[g][n] = s.keep(t, leaseLength, alive(g, n))
				alone = append(alone, keepers[g][n])
			}
		}
	}
	together := s.keep(t, leaseLength, even...)
	for g := 0; g < groups; g += 2 {
		for n := range perGroup {
			keepers[g][n] = together
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	var beating sync.WaitGroup
	beating.Go(func() { beatEvery(ctx, t, leaseLength/4, together) })
	beating.Go(func() { beatEvery(ctx, t, leaseLength/4, alone...) })
	defer beating.Wait()
	defer cancel()

	for g := range groups {
		s.renewLast(t, &silents[g], g)
	}
	s.watchThemLeave(t, &silents, &keepers)
	for g := range groups {
		for n := range perGroup {
			silents[g][n].leftInTime(t, s)
		}
	}
	cancel()
	beating.Wait()
	together.hasJudged(t)
	alone[0].hasJudged(t)
}

// renewLast registers a group and renews its leases for the last time, in one of the ways
// there are. Who has left before that comes again.
func (s *server) renewLast(t *testing.T, group *[perGroup]*silent, g int) {
	t.Helper()
	var identities, operations []object
	for n := range group {
		identities = append(identities, identity(groupName(g), silentID(n)))
		operations = append(operations, registering(groupName(g), silentID(n), silentAddress(g, n)))
	}
	soon(t, "the leases of "+groupName(g)+" are renewed in time", func() bool {
		s.batch(t, operations)
		from := time.Now()
		switch g % 3 {
		case 0:
			if !strings.Contains(s.must(t, http.StatusOK, http.MethodPost, "/v1/heartbeats", heartbeats(identities)), `"unknown":[]`) {
				return false
			}
		case 1:
			s.batch(t, operations) // that say what is known
		case 2:
			for n, i := range group {
				i.from = time.Now()
				if status, _, err := s.do(http.MethodPut, heartbeatPath(groupName(g), silentID(n)), ""); err != nil || status != http.StatusNoContent {
					return false
				}
				i.to = time.Now()
			}
			return true
		}
		to := time.Now()
		for _, i := range group {
			i.from, i.to = from, to
		}
		return true
	})
}

// watchThemLeave asks for all groups again and again, until the silent ones have left. None
// may leave before its lease ends, or come back, and those alive may never be missing.
func (s *server) watchThemLeave(t *testing.T, silents *[groups][perGroup]*silent, keepers *[groups][perGroup]*keeper) {
	t.Helper()
	asker := dial(t, "udp", s.dns)
	asker.payload = 4096
	soon(t, "all silent ones have left", func() bool {
		there := 0
		for g := range groups {
			var renewals [perGroup]renewal
			for n := range renewals {
				renewals[n] = keepers[g][n].renewal()
			}
			got := asker.must(t, under(groupName(g)), dns.TypeAAAA)
			answered := make(map[string]bool, len(got.Answer))
			for _, rr := range got.Answer {
				answered[rr.(*dns.AAAA).AAAA.String()] = true
			}
			for n, r := range renewals {
				if !answered[aliveAddress(g, n)] && r.lasts(got.came) {
					t.Fatalf("%s.%s has heartbeats and is not in the answer\n%s", aliveID(n), groupName(g), got.Msg)
				}
			}
			for n, i := range silents[g] {
				in := answered[silentAddress(g, n)]
				if err := i.seen(in, got); err != nil {
					t.Fatal(err)
				}
				if in {
					there++
				}
			}
		}
		return there == 0
	})
}
