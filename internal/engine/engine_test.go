package engine_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/engine"
	"github.com/coredns-registry/registry/internal/engine/enginetest"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/internal/testkit"
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
			w := enginetest.NewWorld(t, enginetest.Rules(), nil)
			w.Load(known)
			w.Apply(service.Change{Op: service.SetStatus, ID: testkit.ID("prod", "web", "web-1"), Status: service.Draining})
			before := w.Engine.State().Revision
			c := w.Changes(tc.line)[0]
			if tc.open != nil {
				tc.open(&c)
			}
			results, revision, err := w.Engine.Apply(testkit.Anyone, []service.Change{c}, w.Now())
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
	w := enginetest.NewWorld(t, enginetest.Rules(), nil)
	const known = "prod/web/web-1 192.0.2.7"
	w.Load(known + "\nprod/web/web-2 192.0.2.8\nservice prod/api headless")
	change := func(op service.Op, name, instance string) service.Change {
		return service.Change{Op: op, ID: testkit.ID("prod", name, instance)}
	}
	status := func(s service.Status) service.Change {
		c := change(service.SetStatus, "web", "web-1")
		c.Status = s
		return c
	}
	line := func(s string) service.Change { return w.Changes(s)[0] }
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
		results, _, err := w.Engine.Apply(testkit.Anyone, tc.changes, w.Now())
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
			testkit.Register("prod", "web", "b", "192.0.2.2"), testkit.Register("prod", "WEB", "", "192.0.2.2"),
		}, []service.Fault{{Change: 1, Field: "service"}, {Change: 1, Field: "id"}}},
		{"a lease out of range", []service.Change{
			testkit.WithLease(testkit.Register("prod", "web", "b", "192.0.2.2"), 1), testkit.WithLease(testkit.Register("prod", "web", "c", "192.0.2.2"), 86401),
		}, []service.Fault{{Change: 0, Field: "leaseSeconds"}, {Change: 1, Field: "leaseSeconds"}}},
		{"what is not there, in all its forms", []service.Change{
			{Op: service.Deregister, ID: testkit.ID("prod", "web", "x")},
			{Op: service.Renew, ID: testkit.ID("prod", "web", "x")},
			{Op: service.SetStatus, ID: testkit.ID("prod", "web", "x"), Status: service.Up},
			{Op: service.Undefine, ID: testkit.ID("prod", "x", "")},
		}, []service.Fault{{Change: 0, Err: service.ErrNotFound}, {Change: 1, Err: service.ErrNotFound}, {Change: 2, Err: service.ErrNotFound}, {Change: 3, Err: service.ErrNotFound}}},
		{"what an earlier change took away", []service.Change{
			{Op: service.Deregister, ID: testkit.ID("prod", "web", "a")}, {Op: service.Renew, ID: testkit.ID("prod", "web", "a")},
		}, []service.Fault{{Change: 1, Err: service.ErrNotFound}}},
		{"a precondition that is not met", []service.Change{
			{Op: service.Deregister, ID: testkit.ID("prod", "web", "a"), If: service.Precondition{Revisions: []uint64{1}}},
		}, []service.Fault{{Change: 0, Err: service.ErrPrecondition}}},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			w := enginetest.NewWorld(t, enginetest.Rules(), nil)
			w.Load("prod/web/a 192.0.2.1")
			before := w.Engine.State()
			_, _, err := w.Engine.Apply(testkit.Anyone, tc.changes, w.Now())
			var invalid *service.Invalid
			if !errors.As(err, &invalid) || len(invalid.Faults) != len(tc.want) {
				t.Fatalf("got %v, want %d faults", err, len(tc.want))
			}
			for n, f := range invalid.Faults {
				if want := tc.want[n]; f.Change != want.Change || f.Field != want.Field || f.Err != want.Err || f.Message == "" {
					t.Errorf("fault %d: got %+v, want %+v", n, f, want)
				}
			}
			if w.Engine.State() != before {
				t.Error("the table has changed")
			}
		})
	}
}

func TestBatchIsOneRevision(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), nil)
	before := w.Engine.State()
	_, revision, err := w.Engine.Apply(testkit.Anyone, []service.Change{
		testkit.Register("prod", "web", "a", "192.0.2.1"),
		testkit.Register("prod", "web", "a", "192.0.2.2"),
		testkit.Register("test", "db", "b", "192.0.2.3"),
		{Op: service.Deregister, ID: testkit.ID("test", "db", "b")},
	}, w.Now())
	if err != nil || revision != before.Revision+1 {
		t.Fatalf("got revision %d and %v, want %d", revision, err, before.Revision+1)
	}
	if _, services, instances := w.Engine.State().Totals(); services != 1 || instances != 1 {
		t.Errorf("got %d services and %d instances, want one of each", services, instances)
	}
	w.Pass(time.Minute)
	if _, services, instances := w.Engine.State().Totals(); services != 0 || instances != 0 {
		t.Errorf("a minute later: got %d services and %d instances, want none", services, instances)
	}
}

// A leased instance leaves every answer within a second after its lease, never before; one
// that is renewed never does.
func TestLeaseEndsOnTime(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), nil)
	const n = 1000
	start := w.Now()
	for i := range n {
		w.Load(fmt.Sprintf("prod/silent/i%d 192.0.2.1 lease=2\nprod/alive/i%d 192.0.2.1 lease=2", i, i))
	}
	gone := 0
	for w.Now().Sub(start) < 10*time.Second {
		w.Pass(50 * time.Millisecond)
		for i := range n {
			if err := w.Engine.Renew(testkit.Anyone, testkit.ID("prod", "alive", fmt.Sprint("i", i)), service.Precondition{}); err != nil {
				t.Fatalf("after %s: renew: %v", w.Now().Sub(start), err)
			}
		}
		here := 0
		for range w.Engine.State().InstancesOf(service.Name{Namespace: "prod", Service: "silent"}) {
			here++
		}
		gone = n - here
		switch passed := w.Now().Sub(start); {
		case passed < 2*time.Second && gone > 0:
			t.Fatalf("after %s: %d have left", passed, gone)
		case passed >= 3*time.Second && gone < n:
			t.Fatalf("after %s: %d are still there", passed, n-gone)
		}
	}
	if err := w.Engine.Renew(testkit.Anyone, testkit.ID("prod", "silent", "i1"), service.Precondition{}); !errors.Is(err, service.ErrNotFound) {
		t.Errorf("renewing what has ended: got %v, want ErrNotFound", err)
	}
}

// Time in which the process did not run does not count.
func TestPauseEndsNoLease(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), nil)
	w.Load("prod/web/a 192.0.2.1 lease=2")
	w.Pass(time.Second)
	w.Jump(time.Hour) // stopped
	w.Engine.Expire()
	w.Pass(900 * time.Millisecond)
	if m := w.Ask("web.prod.svc.cluster.local.", dns.TypeA); len(m.Answer) != 1 {
		t.Error("after a pause of an hour: the instance has left, and had 100 ms left")
	}
	w.Pass(200 * time.Millisecond)
	if m := w.Ask("web.prod.svc.cluster.local.", dns.TypeA); m.Rcode != dns.RcodeNameError {
		t.Error("the instance has not left, and its lease has ended")
	}
}

// What one goroutine has been told is there, every query of its finds, under load from
// others.
func TestAcknowledgedIsAnswered(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), nil)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			name := fmt.Sprintf("s%d", g)
			for n := range 500 {
				c := testkit.Register("prod", name, fmt.Sprint("i", n%7), "192.0.2.1")
				if _, _, err := w.Engine.Apply(testkit.Anyone, []service.Change{c}, w.Now()); err != nil {
					t.Error(err)
				}
				if m := w.Ask(fmt.Sprintf("i%d.%s.prod", n%7, name)+enginetest.Origin, dns.TypeA); len(m.Answer) != 1 {
					t.Errorf("registered and not answered: %v", m)
				}
				c.Op = service.Deregister
				if _, _, err := w.Engine.Apply(testkit.Anyone, []service.Change{c}, w.Now()); err != nil {
					t.Error(err)
				}
				if m := w.Ask(name+".prod"+enginetest.Origin, dns.TypeA); m.Rcode != dns.RcodeNameError {
					t.Errorf("deregistered and answered: %v", m)
				}
			}
		})
	}
	wg.Wait()
}

func ruledTTL(ttl time.Duration) engine.Rules {
	r := enginetest.Rules()
	r.TTL = ttl
	return r
}

func TestSafeToStopOnceNoCacheHoldsIt(t *testing.T) {
	w := enginetest.NewWorld(t, ruledTTL(time.Minute), nil)
	deregister := func() time.Time {
		w.Load("prod/web/a 192.0.2.1")
		results, _, err := w.Engine.Apply(testkit.Anyone, []service.Change{{Op: service.Deregister, ID: testkit.ID("prod", "web", "a")}}, w.Now())
		if err != nil {
			t.Fatal(err)
		}
		return results[0].SafeToStopAt
	}
	w.Jump(300 * time.Millisecond)
	if got, want := deregister().Sub(w.Now()), 60700*time.Millisecond; got != want {
		t.Errorf("with a TTL of a minute: got %s from now, want %s, a whole second", got, want)
	}
	w.SetRules(ruledTTL(5 * time.Second))
	w.Jump(30 * time.Second)
	if got, want := deregister().Sub(w.Now()), 30700*time.Millisecond; got != want {
		t.Errorf("half a minute after the TTL fell to 5 s: got %s from now, want %s", got, want)
	}
	w.Jump(time.Hour)
	if got, want := deregister().Sub(w.Now()), 5700*time.Millisecond; got != want {
		t.Errorf("an hour later: got %s from now, want %s", got, want)
	}
}

// Heartbeats that race with the end of their lease: told 204, the instance stays for the
// length of its lease; told 404, it is gone.
func TestHeartbeatIsNeverBothHeardAndIgnored(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), nil)
	for range 300 {
		w.Load("prod/web/a 192.0.2.1 lease=2")
		w.Pass(2*time.Second - 100*time.Millisecond)
		w.Jump(100 * time.Millisecond)
		var wg sync.WaitGroup
		var err error
		wg.Go(func() { err = w.Engine.Renew(testkit.Anyone, testkit.ID("prod", "web", "a"), service.Precondition{}) })
		wg.Go(func() { w.Engine.Expire() })
		wg.Wait()
		here := w.Engine.State().Instance(testkit.ID("prod", "web", "a")) != nil
		if here != (err == nil) {
			t.Fatalf("the heartbeat got %v, the instance is there: %v", err, here)
		}
		w.Pass(time.Duration(rand.IntN(5)) * time.Second)
	}
}

// What a dry run says is what happens.
func TestDiffersIsWhatApplyDoes(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), nil)
	random := rand.New(rand.NewPCG(1, 2))
	one := func(of ...string) string { return of[random.IntN(len(of))] }
	differed := 0
	for range 2000 {
		var c service.Change
		if random.IntN(4) == 0 {
			c = w.Changes("service prod/" + one("a", "b") + " headless " + one("", "publishNotReady", "http:80/tcp"))[0]
		} else {
			c = w.Changes("prod/" + one("a", "b") + "/" + one("x", "y", "z.z") + " 192.0.2." + one("1", "2") + one("", " lease=30") + one("", " host=x", " host=y") + one("", " status=up", " status=down"))[0]
			if random.IntN(2) == 0 {
				c.Instance.Lease = service.Lease{}
			}
		}
		before := w.Engine.State()
		differs := w.Engine.Differs(testkit.Anyone, &c, before.Snapshot)
		w.Apply(c)
		if changed := w.Engine.State().Revision != before.Revision; changed != differs {
			t.Fatalf("%+v %+v %+v: differs is %t, and it was changed: %t", c.ID, c.Instance, c.Definition, differs, changed)
		}
		if differs {
			differed++
		}
	}
	if differed < 500 || differed > 1900 {
		t.Errorf("%d of 2000 differed, which is no test", differed)
	}
}
