package test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// budget is what an eviction budget is, and so how fast silent instances may leave.
type budget struct {
	percent, floor int
	span           time.Duration // the default lease
}

func (b budget) corefile() string {
	return fmt.Sprintf(`
cluster.local:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
        eviction %d %d
        lease %s 1s 24h
    }
    errors
    ready {$READY}
    prometheus {$METRICS}
}`, b.percent, b.floor, b.span)
}

// sample is how many instances were answered, of those that were leased then.
type sample struct {
	sent, came time.Time
	answered   int
}

// All fall silent at once, as when a network fails. They leave at the budget's pace; half of
// those that are left come back in between; the rest drains with nobody's help.
func TestSilenceOfAllDrainsAtTheBudgetsPace(t *testing.T) {
	t.Parallel()
	const all = 500
	b := budget{20, 40, time.Second}
	if soaking > 0 {
		b = budget{20, 10, 2 * time.Second}
	}
	s := start(t, b.corefile())
	var operations []object
	for n := range all {
		operations = append(operations, operation("register", "group-0", aliveID(n), object{"instance": object{"addresses": []string{fmt.Sprintf("10.0.%d.%d", n>>8, n&0xff)}}}))
	}
	told := s.watch(t, fmt.Sprint(s.endpoint.revision(t)), false).reading()
	s.batch(t, operations)
	asker := dial(t, "tcp", s.dns)
	silence := time.Now()

	var samples []sample
	saved := survivors{server: s, lease: b.span}
	var cached time.Duration // after they fell silent somebody who should leave could be kept by a cache
	heldSeen := false
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	deadline := time.Now().Add(60*b.span + patience)
	for there := all; there > len(saved.ids) || len(saved.ids) == 0; <-look.C {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d are still there", there, all)
		}
		got := asker.must(t, under("group-0"), dns.TypeA)
		there = len(got.Answer)
		if there == 0 {
			t.Log("all have left before this test could save any")
			break
		}
		samples = append(samples, sample{got.sent, got.came, there})
		if there > len(saved.ids) && got.Answer[0].Header().Ttl != 0 {
			cached = got.sent.Sub(silence)
		}
		if !heldSeen && there > all/2 && got.sent.Sub(silence) > b.span {
			heldSeen = s.saysWhatIsHeld(t, b, there)
		}
		if there < all/2 && len(saved.ids) == 0 {
			for _, rr := range got.Answer[:there/2] {
				a := rr.(*dns.A).A
				saved.ids = append(saved.ids, aliveID(int(a[len(a)-2])<<8|int(a[len(a)-1])))
			}
		}
		saved.beat(t)
	}
	took := time.Since(silence)
	b.check(t, samples)
	t.Logf("%d left in %s, %d were saved", all-len(saved.ids), took.Round(time.Millisecond), len(saved.ids))
	if slack, ok := s.excuses(cached - b.span - endsWithin); !ok {
		t.Errorf("%s after they fell silent they are answered with a TTL, want 0 after %s", cached, b.span+endsWithin+slack)
	}
	if !heldSeen {
		t.Log("this test was too late to see that any were held back")
	}

	soon(t, "nothing is held any more", func() bool {
		saved.beat(t)
		return s.scrape(t).sum("coredns_registry_evictions_held") == 0
	})
	soon(t, "those that were saved are asked for in time", func() bool {
		saved.beat(t)
		got := asker.must(t, under("group-0"), dns.TypeA)
		if got.came.Sub(saved.sent) >= b.span {
			return len(saved.ids) == 0
		}
		if n := len(saved.ids); len(got.Answer) != n || n > 0 && got.Answer[0].Header().Ttl > uint32(b.span/time.Second) {
			t.Errorf("afterwards %d instances are answered, want %d with a TTL of at most %s\n%s", len(got.Answer), n, b.span, got.Msg)
		}
		return true
	})
	s.log.wait(t, 0, "Eviction budget sufficient again")
	if !saved.late { // who was saved may otherwise have been held back once more
		if status := s.must(t, http.StatusOK, http.MethodGet, "/v1/status", ""); !strings.Contains(status, `"held":0`) || strings.Contains(status, `"reason"`) {
			t.Errorf("afterwards the status is %s", status)
		}
		log := s.log.String()
		for _, line := range []string{"Eviction budget reached", "Eviction budget sufficient again"} {
			if n := strings.Count(log, line); n != 1 {
				t.Errorf("%q is %d times in the log, want one of an episode:\n%s", line, n, log)
			}
		}
	}
	// A watcher has been told of all that came and of all that left, and of nothing else.
	for came, left := 0, 0; left < all-len(saved.ids); {
		switch c, ok := <-told; {
		case !ok:
			t.Fatalf("the watch ended after %d came and %d left", came, left)
		case c.Type == "put" && came < all:
			came++
		case c.Type == "delete" && came == all:
			left++
		case c.Type != "synced":
			t.Fatalf("the watcher was told %s", &c)
		}
	}
}

// survivors are those that beat again after a silence, as long as they are there: nobody
// registers again. Like a keeper they go by the clock of the test.
type survivors struct {
	*server
	lease time.Duration
	ids   []string
	sent  time.Time // the last heartbeat
	late  bool      // one came too late, by which some may have left
}

func (s *survivors) beat(t *testing.T) {
	t.Helper()
	if len(s.ids) == 0 {
		return
	}
	var identities []object
	for _, id := range s.ids {
		identities = append(identities, identity("group-0", id))
	}
	var answer struct {
		Renewed int
		Unknown []struct{ ID string }
	}
	sent := time.Now()
	decode(t, s.must(t, http.StatusOK, http.MethodPost, "/v1/heartbeats", heartbeats(identities)), &answer)
	switch first, gap := s.sent.IsZero(), time.Since(s.sent); {
	case !first && gap >= s.lease:
		t.Logf("this test has not beaten for %s; %d have left meanwhile", gap, len(answer.Unknown))
		s.late = true
	case !first && len(answer.Unknown) > 0: // at first, some may have left before they were heard
		t.Fatalf("%d of %d that were saved have left %s after their last heartbeat", len(answer.Unknown), len(s.ids), gap)
	}
	for _, gone := range answer.Unknown {
		s.ids = slices.DeleteFunc(s.ids, func(id string) bool { return id == gone.ID })
	}
	if s.sent = sent; len(s.ids) == 0 {
		s.sent = time.Time{}
	}
}

// saysWhatIsHeld holds all that tell of it to the same. It reports false where all may have
// left while it asked.
func (s *server) saysWhatIsHeld(t *testing.T, b budget, there int) bool {
	t.Helper()
	var status struct {
		Evictions struct {
			Held, Percent, Floor, SpanSeconds int
			Since                             *time.Time
			Reason                            string
		}
	}
	e := &status.Evictions
	asker := dial(t, "tcp", s.dns)
	isThere := func() bool { return len(asker.must(t, under("group-0"), dns.TypeA).Answer) > 0 }
	soon(t, "the status tells of those that are held back", func() bool {
		decode(t, s.must(t, http.StatusOK, http.MethodGet, "/v1/status", ""), &status)
		return e.Held > 0 || !isThere()
	})
	held := s.scrape(t).sum("coredns_registry_evictions_held")
	told := s.must(t, http.StatusOK, http.MethodGet, "/v1/explain?type=A&name="+under("group-0"), "")
	if !isThere() {
		return false
	}
	if e.Held > there || e.Percent != b.percent || e.Floor != b.floor || e.SpanSeconds != int(b.span/time.Second) || e.Since == nil || e.Reason == "" {
		t.Errorf("the status tells of evictions %+v, %d instances are there", *e, there)
	}
	if held == 0 || int(held) > there {
		t.Errorf("the metric says that %v are held, %d instances are there", held, there)
	}
	if !strings.Contains(told, "held back") {
		t.Errorf("no instance is explained to be held back: %s", shortened(told))
	}
	s.log.wait(t, 0, "Eviction budget reached")
	return true
}

// check holds any two samples that are less than a span apart to the budget.
func (b budget) check(t *testing.T, samples []sample) {
	t.Helper()
	most := 0
	for i, from := range samples {
		for _, to := range samples[i:] {
			if to.came.Sub(from.sent) >= b.span {
				break
			}
			left := from.answered - to.answered
			most = max(most, left)
			if allowed := max(from.answered*b.percent/100, b.floor); left > allowed {
				t.Errorf("%d of %d left in %s, want at most %d", left, from.answered, to.came.Sub(from.sent), allowed)
				return
			}
		}
	}
	t.Logf("at most %d left in a span", most)
}

func TestFewSilentOnesAreNotHeld(t *testing.T) {
	t.Parallel()
	const few = 10
	s := start(t, budget{20, few, 2 * time.Second}.corefile())
	asker := dial(t, "udp", s.dns)
	for _, round := range []string{"alone", "again, in another span"} {
		t.Run(round, func(t *testing.T) {
			var operations []object
			for n := range few {
				operations = append(operations, operation("register", "group-0", aliveID(n), object{"instance": object{"addresses": []string{fmt.Sprintf("192.0.2.%d", n+1)}}}))
			}
			all := &silent{what: "the few", lease: leaseLength, from: time.Now()}
			s.batch(t, operations)
			all.to = time.Now()
			soon(t, "they leave", func() bool {
				got := asker.must(t, under("group-0"), dns.TypeA)
				if err := all.seen(len(got.Answer) > 0, got); err != nil {
					t.Fatal(err)
				}
				return all.left
			})
			all.leftInTime(t, s)
		})
	}
	if strings.Contains(s.log.String(), "stay although") {
		t.Error("the log says that some were held")
	}
}

// One credential that may write one service has thousands of instances with the shortest lease and
// falls silent. What others lose meanwhile leaves in time, the second of a service too; and all that
// tell of it name the service, to whoever may read it.
func TestMassDeathOfOneKeepsNoOtherDeadInstance(t *testing.T) {
	t.Parallel()
	const mass = 6000
	f := newFiles(t)
	flood, team := newToken(), newToken()
	f.setTokens(t, tokenLine("flood", flood, "write:default/flood"), tokenLine("team", team, "write:default/team", "write:default/other"))
	s := startGuarded(t, f, guarded("tokens {$FILES}/tokens"))
	asFlood, asTeam, asNobody := s.as(t, flood, nil), s.as(t, team, nil), s.as(t, "", nil)
	register := func(e *endpoint, service, id, addr string, seconds int) {
		t.Helper()
		e.must(t, http.StatusCreated, http.MethodPut, instancePath(service, id), encode(object{"addresses": []string{addr}, "leaseSeconds": seconds}))
	}
	for n := range 20 {
		register(asTeam, "team", aliveID(n), fmt.Sprintf("192.0.2.%d", n+1), 3600)
	}
	var operations []object
	for n := range mass {
		operations = append(operations, operation("register", "flood", fmt.Sprint(n), object{
			"instance": object{"addresses": []string{fmt.Sprintf("10.0.%d.%d", n>>8, n&0xff)}, "leaseSeconds": 2}}))
	}
	asFlood.batch(t, operations)
	soon(t, "the mass is held back", func() bool { return s.scrape(t).sum("coredns_registry_evictions_held") > mass/2 })

	asker := dial(t, "tcp", s.dns)
	for round := range 3 {
		var all []*silent
		for n, service := range []string{"team", "team", "other"} {
			i := &silent{what: fmt.Sprintf("silent-%d.%s", 3*round+n, service), lease: leaseLength, from: time.Now()}
			register(asTeam, service, silentID(3*round+n), fmt.Sprintf("198.51.100.%d", 3*round+n+1), 2)
			i.to = time.Now()
			all = append(all, i)
		}
		soon(t, "they leave", func() bool {
			left := 0
			for _, i := range all {
				got := asker.must(t, under(i.what), dns.TypeA)
				if err := i.seen(len(got.Answer) > 0, got); err != nil {
					t.Fatal(err)
				}
				if i.left {
					left++
				}
			}
			return left == len(all)
		})
		for _, i := range all {
			i.leftInTime(t, s)
		}
	}

	if held := s.scrape(t).sum("coredns_registry_evictions_held_by_service", `service="flood"`); held < mass/2 {
		t.Errorf("the metric says that %v of the flood are held", held)
	}
	s.log.wait(t, 0, "flood.default (")
	const named = `"services":[{"namespace":"default","service":"flood","held":`
	for _, tc := range []struct {
		sentence string
		as       *endpoint
		want     string
	}{
		{"who may read it", asFlood, named},
		{"who may read others", asTeam, `"services":[],"otherServices":1}`},
		{"nobody", asNobody, `"services":[],"otherServices":1}`},
	} {
		if status := tc.as.must(t, http.StatusOK, http.MethodGet, "/v1/status", ""); !strings.Contains(status, tc.want) {
			t.Errorf("%s is told %s, want %s in it", tc.sentence, status, tc.want)
		}
	}
	if told := asFlood.must(t, http.StatusOK, http.MethodGet, "/v1/explain?type=A&name="+under("flood"), ""); !strings.Contains(told, "it is held back, because too many leases ended at once. Of its service, ") {
		t.Errorf("no instance is explained to be held back: %s", shortened(told))
	}
}
