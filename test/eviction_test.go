package test

import (
	"fmt"
	"net/http"
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
	s.batch(t, operations)
	w := s.watch(t, fmt.Sprint(s.endpoint.revision(t)), false)
	asker := dial(t, "tcp", s.dns)
	silence := time.Now()

	var samples []sample
	saved := 0 // that are kept alive after all
	var alive []any
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	deadline := time.Now().Add(60 * b.span)
	heldSeen := false
	for there := all; there > saved || saved == 0; <-look.C {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d are still there", there, all)
		}
		got := asker.must(t, under("group-0"), dns.TypeA)
		there = len(got.Answer)
		samples = append(samples, sample{got.sent, got.came, there})
		// Whoever stays past its lease may not be kept by a cache.
		if held := s.isOver(b.span, silence) && there > saved; held && got.Answer[0].Header().Ttl != 0 {
			t.Errorf("%d instances are answered %s after they fell silent with a TTL of %d, want 0", there, time.Since(silence), got.Answer[0].Header().Ttl)
		}
		if !heldSeen && s.isOver(b.span, silence) {
			heldSeen = true
			s.saysWhatIsHeld(t, b, there)
		}
		if saved == 0 && there < all/2 {
			for _, rr := range got.Answer[:there/2] {
				a := rr.(*dns.A).A
				alive = append(alive, identity("group-0", aliveID(int(a[len(a)-2])<<8|int(a[len(a)-1]))))
			}
		}
		if len(alive) > 0 {
			var answer struct {
				Renewed int
				Unknown []struct{ ID string }
			}
			decode(t, s.must(t, http.StatusOK, http.MethodPost, "/v1/heartbeats", heartbeats(alive)), &answer)
			switch {
			case saved == 0: // some may have left before they were heard
				saved = answer.Renewed
				gone := map[string]bool{}
				for _, u := range answer.Unknown {
					gone[u.ID] = true
				}
				var still []any
				for _, i := range alive {
					if !gone[i.(object)["id"].(string)] {
						still = append(still, i)
					}
				}
				alive = still
			case answer.Renewed != saved:
				t.Fatalf("%d instances were saved, and then only %d of them are there", saved, answer.Renewed)
			}
		}
	}
	took := time.Since(silence)
	b.check(t, samples)
	t.Logf("%d left in %s, %d were saved", all-saved, took.Round(time.Millisecond), saved)

	soon(t, "nothing is held any more", func() bool {
		s.must(t, http.StatusOK, http.MethodPost, "/v1/heartbeats", heartbeats(alive))
		return s.scrape(t).sum("coredns_registry_evictions_held") == 0
	})
	if got := asker.must(t, under("group-0"), dns.TypeA); len(got.Answer) != saved || got.Answer[0].Header().Ttl > uint32(b.span/time.Second) {
		t.Errorf("afterwards %d instances are answered with a TTL of %d, want %d", len(got.Answer), got.Answer[0].Header().Ttl, saved)
	}
	if status := s.must(t, http.StatusOK, http.MethodGet, "/v1/status", ""); !strings.Contains(status, `"held":0`) || strings.Contains(status, `"reason"`) {
		t.Errorf("afterwards the status is %s", status)
	}
	s.log.wait(t, 0, "No instance is held back any more")
	log := s.log.String()
	for _, line := range []string{"instances stay although their leases have ended", "No instance is held back any more"} {
		if n := strings.Count(log, line); n != 1 {
			t.Errorf("%q is %d times in the log, want one of an episode:\n%s", line, n, log)
		}
	}
	// A watcher has been told of all that left, and of nothing else.
	for left := all; left > saved; {
		switch c, err := w.next(); {
		case err != nil:
			t.Fatal(err)
		case c.Type == "delete":
			left--
		case c.Type != "synced":
			t.Fatalf("the watcher was told %s", &c)
		}
	}
}

// saysWhatIsHeld holds all that tell of it to the same.
func (s *server) saysWhatIsHeld(t *testing.T, b budget, there int) {
	t.Helper()
	var status struct {
		Evictions struct {
			Held, Percent, Floor, SpanSeconds int
			Since                             *time.Time
			Reason                            string
		}
	}
	decode(t, s.must(t, http.StatusOK, http.MethodGet, "/v1/status", ""), &status)
	e := status.Evictions
	if e.Held == 0 || e.Held > there || e.Percent != b.percent || e.Floor != b.floor || e.SpanSeconds != int(b.span/time.Second) || e.Since == nil || e.Reason == "" {
		t.Errorf("the status tells of evictions %+v, %d instances are there", e, there)
	}
	if n := s.scrape(t).sum("coredns_registry_evictions_held"); n == 0 || int(n) > there {
		t.Errorf("the metric says that %v are held, %d instances are there", n, there)
	}
	s.log.wait(t, 0, "instances stay although their leases have ended")
	if told := s.must(t, http.StatusOK, http.MethodGet, "/v1/explain?type=A&name="+under("group-0"), ""); !strings.Contains(told, "held back") {
		t.Errorf("no instance is explained to be held back: %s", shortened(told))
	}
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
			s.batch(t, operations)
			silence := time.Now()
			look := time.NewTicker(10 * time.Millisecond)
			defer look.Stop()
			for {
				got := asker.must(t, under("group-0"), dns.TypeA)
				if len(got.Answer) == 0 {
					break
				}
				if age := got.sent.Sub(silence); age > leaseLength+endsWithin+s.unheard() {
					t.Fatalf("%d of %d are still answered %s after they fell silent", len(got.Answer), few, age)
				}
				<-look.C
			}
			if early := time.Since(silence); early < leaseLength {
				t.Errorf("they left after %s", early)
			}
		})
	}
	if strings.Contains(s.log.String(), "stay although") {
		t.Error("the log says that some were held")
	}
}
