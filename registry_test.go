package registry

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

func TestRegister(t *testing.T) {
	const known = "prod/web/web-1 192.0.2.7 http:80/tcp lease=30 k=v"
	for _, tc := range []struct {
		sentence string
		line     string
		open     func(*service.Change) // what the client leaves open
		created  bool
		changed  bool
		want     func(t *testing.T, i *table.Instance)
	}{
		{"a new instance is created", "prod/web/web-2 192.0.2.8", nil, true, true, nil},
		{"the same again changes nothing", known, nil, false, false, nil},
		{"another address is a change", "prod/web/web-1 192.0.2.9 http:80/tcp lease=30 k=v", nil, false, true, nil},
		{"another lease is a change", "prod/web/web-1 192.0.2.7 http:80/tcp lease=31 k=v", nil, false, true, nil},
		{"the lease left open is the default, which it has", known, func(c *service.Change) { c.Instance.Lease = service.Lease{} }, false, false, nil},
		{"the status left open is what it was", known, nil, false, false, func(t *testing.T, i *table.Instance) {
			if i.Status != service.Draining {
				t.Errorf("got status %s, want draining", i.Status)
			}
		}},
		{"the status given is taken", known + " status=up", nil, false, true, nil},
		{"the hostname left open is the id where that is a label", "prod/web/web-3 192.0.2.8", nil, true, true, func(t *testing.T, i *table.Instance) {
			if i.Hostname != "web-3" {
				t.Errorf("got hostname %q, want web-3", i.Hostname)
			}
		}},
		{"else there is none", "prod/web/web_3 192.0.2.8", nil, true, true, func(t *testing.T, i *table.Instance) {
			if i.Hostname != "" {
				t.Errorf("got hostname %q, want none", i.Hostname)
			}
		}},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			w := newWorld(t, Config{})
			w.load(known)
			w.apply(service.Change{Op: service.SetStatus, ID: id("prod", "web", "web-1"), Status: service.Draining})
			before := w.registry.State().Revision
			c := parseChange(t, strings.Fields(tc.line))
			if tc.open != nil {
				tc.open(&c)
			}
			results, revision, err := w.registry.Apply(anyone, []service.Change{c}, w.clock)
			if err != nil {
				t.Fatal(err)
			}
			if got := results[0].Created; got != tc.created {
				t.Errorf("got created %v, want %v", got, tc.created)
			}
			if got := revision != before; got != tc.changed {
				t.Errorf("got revision %d after %d, want a change: %v", revision, before, tc.changed)
			}
			if tc.want != nil {
				tc.want(t, results[0].Instance)
			}
		})
	}
}

// Changed is what the audit goes by: whoever reads it must find every object that is not what it
// was.
func TestResultsTellWhatHasChanged(t *testing.T) {
	w := newWorld(t, Config{})
	const known = "prod/web/web-1 192.0.2.7"
	w.load(known + "\nprod/web/web-2 192.0.2.8\nservice prod/api headless")
	change := func(op service.Op, name, instance string) service.Change {
		return service.Change{Op: op, ID: id("prod", name, instance)}
	}
	status := func(s service.Status) service.Change {
		c := change(service.SetStatus, "web", "web-1")
		c.Status = s
		return c
	}
	line := func(s string) service.Change { return parseChange(t, strings.Fields(s)) }
	for _, tc := range []struct {
		sentence string
		changes  []service.Change
		want     []bool
	}{
		{"what only renews leases", []service.Change{change(service.Renew, "web", "web-1"), line(known)}, []bool{false, false}},
		{"the same beside what changes something", []service.Change{change(service.Renew, "web", "web-1"), line(known), status(service.Up), line("service prod/api headless"), line("prod/web/web-3 192.0.2.9")},
			[]bool{false, false, false, false, true}},
		{"another address, a status, a definition", []service.Change{line("prod/web/web-3 192.0.2.10"), status(service.Down), line("service prod/api clusterIP 10.0.0.1")}, []bool{true, true, true}},
		{"an instance that goes", []service.Change{change(service.Deregister, "web", "web-3")}, []bool{true}},
		{"a service that goes", []service.Change{change(service.Undefine, "web", "")}, []bool{true}},
	} {
		results, _, err := w.registry.Apply(anyone, tc.changes, w.clock)
		if err != nil {
			t.Fatalf("%s: %v", tc.sentence, err)
		}
		var got []bool
		var gone []string
		for _, r := range results {
			got = append(got, r.Changed)
			for _, i := range r.Gone {
				gone = append(gone, i.ID().String())
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(tc.want) {
			t.Errorf("%s: got %v, want %v", tc.sentence, got, tc.want)
		}
		if want := "[web-1.web.prod web-2.web.prod]"; tc.changes[0].Op == service.Undefine && fmt.Sprint(gone) != want {
			t.Errorf("%s: with it went %v, want %s", tc.sentence, gone, want)
		}
	}
}

// A transaction with anything wrong in it changes nothing, and names all that is wrong.
func TestRefusedTransactionChangesNothing(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		changes  []service.Change
		want     []service.Fault // without their messages
	}{
		{"a wrong value beside a right one", []service.Change{
			register("prod", "web", "b", "192.0.2.2"), register("prod", "WEB", "", "192.0.2.2"),
		}, []service.Fault{{Change: 1, Field: "service"}, {Change: 1, Field: "id"}}},
		{"a lease out of range", []service.Change{
			withLease(register("prod", "web", "b", "192.0.2.2"), 1), withLease(register("prod", "web", "c", "192.0.2.2"), 86401),
		}, []service.Fault{{Change: 0, Field: "leaseSeconds"}, {Change: 1, Field: "leaseSeconds"}}},
		{"what is not there, in all its forms", []service.Change{
			{Op: service.Deregister, ID: id("prod", "web", "x")},
			{Op: service.Renew, ID: id("prod", "web", "x")},
			{Op: service.SetStatus, ID: id("prod", "web", "x"), Status: service.Up},
			{Op: service.Undefine, ID: id("prod", "x", "")},
		}, []service.Fault{{Change: 0, Err: service.ErrNotFound}, {Change: 1, Err: service.ErrNotFound}, {Change: 2, Err: service.ErrNotFound}, {Change: 3, Err: service.ErrNotFound}}},
		{"what an earlier change took away", []service.Change{
			{Op: service.Deregister, ID: id("prod", "web", "a")}, {Op: service.Renew, ID: id("prod", "web", "a")},
		}, []service.Fault{{Change: 1, Err: service.ErrNotFound}}},
		{"a precondition that is not met", []service.Change{
			{Op: service.Deregister, ID: id("prod", "web", "a"), If: service.Precondition{Revisions: []uint64{1}}},
		}, []service.Fault{{Change: 0, Err: service.ErrPrecondition}}},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			w := newWorld(t, Config{})
			w.load("prod/web/a 192.0.2.1")
			before := w.registry.State()
			_, _, err := w.registry.Apply(anyone, tc.changes, w.clock)
			var invalid *service.Invalid
			if !errors.As(err, &invalid) || len(invalid.Faults) != len(tc.want) {
				t.Fatalf("got %v, want %d faults", err, len(tc.want))
			}
			for n, f := range invalid.Faults {
				if want := tc.want[n]; f.Change != want.Change || f.Field != want.Field || f.Err != want.Err || f.Message == "" {
					t.Errorf("fault %d: got %+v, want %+v", n, f, want)
				}
			}
			if w.registry.State() != before {
				t.Error("the table has changed")
			}
		})
	}
}

func register(namespace, name, instance, addr string) service.Change {
	return service.Change{Op: service.Register, ID: id(namespace, name, instance), Instance: &service.Instance{Addresses: parseAddrs(addr)}}
}

func withLease(c service.Change, seconds int32) service.Change {
	c.Instance.Lease = service.LeaseOf(seconds)
	return c
}

func TestBatchIsOneRevision(t *testing.T) {
	w := newWorld(t, Config{})
	before := w.registry.State()
	_, revision, err := w.registry.Apply(anyone, []service.Change{
		register("prod", "web", "a", "192.0.2.1"),
		register("prod", "web", "a", "192.0.2.2"),
		register("test", "db", "b", "192.0.2.3"),
		{Op: service.Deregister, ID: id("test", "db", "b")},
	}, w.clock)
	if err != nil || revision != before.Revision+1 {
		t.Fatalf("got revision %d and %v, want %d", revision, err, before.Revision+1)
	}
	if _, services, instances := w.registry.State().Totals(); services != 1 || instances != 1 {
		t.Errorf("got %d services and %d instances, want one of each", services, instances)
	}
	w.pass(time.Minute)
	if _, services, instances := w.registry.State().Totals(); services != 0 || instances != 0 {
		t.Errorf("a minute later: got %d services and %d instances, want none", services, instances)
	}
}

// A leased instance leaves every answer within a second after its lease, never before; one
// that is renewed never does.
func TestLeaseEndsOnTime(t *testing.T) {
	w := newWorld(t, Config{})
	const n = 1000
	start := w.clock
	for i := range n {
		w.load(fmt.Sprintf("prod/silent/i%d 192.0.2.1 lease=2\nprod/alive/i%d 192.0.2.1 lease=2", i, i))
	}
	gone := 0
	for w.clock.Sub(start) < 10*time.Second {
		w.pass(50 * time.Millisecond)
		for i := range n {
			if err := w.registry.Renew(anyone, id("prod", "alive", fmt.Sprint("i", i)), service.Precondition{}); err != nil {
				t.Fatalf("after %s: renew: %v", w.clock.Sub(start), err)
			}
		}
		here := 0
		for range w.registry.State().InstancesOf(service.Name{Namespace: "prod", Service: "silent"}) {
			here++
		}
		gone = n - here
		switch passed := w.clock.Sub(start); {
		case passed < 2*time.Second && gone > 0:
			t.Fatalf("after %s: %d have left", passed, gone)
		case passed >= 3*time.Second && gone < n:
			t.Fatalf("after %s: %d are still there", passed, n-gone)
		}
	}
	if err := w.registry.Renew(anyone, id("prod", "silent", "i1"), service.Precondition{}); !errors.Is(err, service.ErrNotFound) {
		t.Errorf("renewing what has ended: got %v, want ErrNotFound", err)
	}
}

// Time in which the process did not run does not count.
func TestPauseEndsNoLease(t *testing.T) {
	w := newWorld(t, Config{})
	w.load("prod/web/a 192.0.2.1 lease=2")
	w.pass(time.Second)
	w.clock = w.clock.Add(time.Hour) // stopped
	w.registry.Expire()
	w.pass(900 * time.Millisecond)
	if m := w.ask("web.prod.svc.cluster.local.", dns.TypeA); len(m.Answer) != 1 {
		t.Error("after a pause of an hour: the instance has left, and had 100 ms left")
	}
	w.pass(200 * time.Millisecond)
	if m := w.ask("web.prod.svc.cluster.local.", dns.TypeA); m.Rcode != dns.RcodeNameError {
		t.Error("the instance has not left, and its lease has ended")
	}
}

// What one goroutine has been told is there, every query of its finds, under load from
// others.
func TestAcknowledgedIsAnswered(t *testing.T) {
	w := newWorld(t, Config{})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			name := fmt.Sprintf("s%d", g)
			for n := range 500 {
				c := register("prod", name, fmt.Sprint("i", n%7), "192.0.2.1")
				if _, _, err := w.registry.Apply(anyone, []service.Change{c}, w.clock); err != nil {
					t.Error(err)
				}
				if m := w.exchange(ask(fmt.Sprintf("i%d.%s", n%7, name), dns.TypeA), true); len(m.Answer) != 1 {
					t.Errorf("registered and not answered: %v", m)
				}
				c.Op = service.Deregister
				if _, _, err := w.registry.Apply(anyone, []service.Change{c}, w.clock); err != nil {
					t.Error(err)
				}
				if m := w.exchange(ask(name, dns.TypeA), true); m.Rcode != dns.RcodeNameError {
					t.Errorf("deregistered and answered: %v", m)
				}
			}
		})
	}
	wg.Wait()
}

func TestSafeToStopOnceNoCacheHoldsIt(t *testing.T) {
	w := newWorld(t, Config{TTL: time.Minute})
	deregister := func() time.Time {
		w.load("prod/web/a 192.0.2.1")
		results, _, err := w.registry.Apply(anyone, []service.Change{{Op: service.Deregister, ID: id("prod", "web", "a")}}, w.clock)
		if err != nil {
			t.Fatal(err)
		}
		return results[0].SafeToStopAt
	}
	w.clock = w.clock.Add(300 * time.Millisecond)
	if got, want := deregister().Sub(w.clock), 60700*time.Millisecond; got != want {
		t.Errorf("with a TTL of a minute: got %s from now, want %s, a whole second", got, want)
	}
	w.registry.setRules(Rules{Leases: defaultLeases, Eviction: defaultEviction, TTL: 5 * time.Second})
	w.clock = w.clock.Add(30 * time.Second)
	if got, want := deregister().Sub(w.clock), 30700*time.Millisecond; got != want {
		t.Errorf("half a minute after the TTL fell to 5 s: got %s from now, want %s", got, want)
	}
	w.clock = w.clock.Add(time.Hour)
	if got, want := deregister().Sub(w.clock), 5700*time.Millisecond; got != want {
		t.Errorf("an hour later: got %s from now, want %s", got, want)
	}
}

// Heartbeats that race with the end of their lease: told 204, the instance stays for the
// length of its lease; told 404, it is gone.
func TestHeartbeatIsNeverBothHeardAndIgnored(t *testing.T) {
	w := newWorld(t, Config{})
	for range 300 {
		w.load("prod/web/a 192.0.2.1 lease=2")
		w.pass(2*time.Second - 100*time.Millisecond)
		w.clock = w.clock.Add(100 * time.Millisecond)
		var wg sync.WaitGroup
		var err error
		wg.Go(func() { err = w.registry.Renew(anyone, id("prod", "web", "a"), service.Precondition{}) })
		wg.Go(func() { w.registry.Expire() })
		wg.Wait()
		here := w.registry.State().Instance(id("prod", "web", "a")) != nil
		if here != (err == nil) {
			t.Fatalf("the heartbeat got %v, the instance is there: %v", err, here)
		}
		w.pass(time.Duration(rand.IntN(5)) * time.Second)
	}
}
