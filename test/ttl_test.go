package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// renewed is an instance with a lease and heartbeats.
type renewed struct {
	id, address string
	lease       time.Duration

	since    time.Time // it was renewed then at the earliest
	mu       sync.Mutex
	at       time.Time // and then at the latest
	underWay bool      // a heartbeat is, which may have renewed it by now
}

// end is when the lease ends at the latest, for who knows what has happened until now.
func (r *renewed) end() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.underWay {
		return time.Now().Add(r.lease)
	}
	return r.at.Add(r.lease)
}

// renew makes a request that renews the lease. It is an error that there is none any more,
// unless the test was too late.
func (r *renewed) renew(s *server, method, path, body string) error {
	sent := time.Now()
	r.mu.Lock()
	r.underWay = true
	r.mu.Unlock()
	status, answer, err := s.do(method, path, body)
	came := time.Now()
	r.mu.Lock()
	r.at, r.underWay = came, false
	r.mu.Unlock()
	switch {
	case err != nil:
		return err
	case status == http.StatusCreated, status == http.StatusNoContent:
		r.since = sent
	case status != http.StatusNotFound || came.Sub(r.since) < r.lease:
		return fmt.Errorf("%s %s: got %d %s after the last renewal: %s", method, path, status, came.Sub(r.since), answer)
	}
	return nil
}

func TestNoAnswerOutlivesItsLease(t *testing.T) {
	t.Parallel()
	s := start(t, `
cluster.local:{$DNS} in-addr.arpa:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
        ttl 5s
    }
    errors
    ready {$READY}
}`)
	var instances []*renewed
	for n := 2; n <= 4; n++ {
		instances = append(instances, &renewed{
			id:      fmt.Sprintf("web-%d", n),
			address: fmt.Sprintf("192.0.2.%d", n),
			lease:   time.Duration(n) * time.Second,
		})
	}
	for _, i := range instances {
		if err := i.renew(s, http.MethodPut, instancePath("web", i.id), encode(object{
			"addresses": []string{i.address}, "leaseSeconds": i.lease / time.Second,
			"ports":    []object{{"name": "http", "port": 8080}},
			"metadata": object{"version": "1.4.2"},
		})); err != nil {
			t.Fatal(err)
		}
	}
	s.must(t, http.StatusCreated, http.MethodPut, servicePath("alias"), `{"type":"externalName","externalName":"web.default.svc.cluster.local"}`)

	var beating sync.WaitGroup
	defer beating.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	for _, i := range instances {
		beating.Go(func() {
			every(ctx, time.Duration(200+rand.IntN(700))*time.Millisecond, func() {
				if err := i.renew(s, http.MethodPut, heartbeatPath("web", i.id), ""); err != nil {
					t.Error(err)
				}
			})
		})
	}
	asked := 0
	var late []outlived
	asker := dial(t, "udp", s.dns)
	asker.payload = 1232
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for there := true; there; <-again.C {
		there = false
		for _, q := range questions {
			got := asker.must(t, q.name, q.qtype)
			there = there || len(got.Answer) > 0 && got.Rcode == dns.RcodeSuccess
			late = append(late, outliving(got, instances)...)
			asked++
		}
	}
	for _, l := range late {
		if slack, ok := s.excuses(l.by); !ok {
			t.Errorf("%s, and at most %s are allowed", l.what, slack)
			return
		}
	}
	t.Logf("%d questions", asked)
}

// questions are all that are answered with what leases stand behind.
var questions = []struct {
	name  string
	qtype uint16
}{
	{under("web"), dns.TypeA},
	{under("web"), dns.TypeSRV},
	{under("_http._tcp.web"), dns.TypeSRV},
	{under("alias"), dns.TypeA},
	{under("web-3.web"), dns.TypeA},
	{under("web-3.web"), dns.TypeSRV},
	{under("web-2.web"), dns.TypeTXT},
	{"4.2.0.192.in-addr.arpa.", dns.TypePTR},
	{"2.2.0.192.in-addr.arpa.", dns.TypePTR},
}

// transit is how long an answer may be on its way to who asked, so that its TTL is right
// there: it is shorter than the lease by that much.
const transit = 100 * time.Millisecond

// outlived is a record with a TTL that goes on after the lease that it depends on.
type outlived struct {
	what string
	by   time.Duration
}

// outliving holds every record of an answer to the lease that ends first of those that the
// answer depends on. An instance may be answered for a moment longer, but not be cached.
func outliving(got reply, instances []*renewed) (late []outlived) {
	came := got.came
	if latest := got.sent.Add(transit); came.After(latest) {
		came = latest // this machine was busy: a TTL cannot know how long it is on its way
	}
	all := append(got.Answer, got.Extra...)
	for _, i := range instances {
		end, meant := i.end(), false
		for _, rr := range all {
			meant = meant || standsFor(rr, i.address, i.id+".web.")
		}
		if !meant {
			continue
		}
		for _, rr := range all {
			ttl := time.Duration(rr.Header().Ttl) * time.Second
			by := came.Add(ttl).Sub(end)
			if ttl == 0 {
				by -= endsWithin
			}
			if rr.Header().Rrtype != dns.TypeOPT && by > 0 {
				late = append(late, outlived{fmt.Sprintf("%s outlives the lease of %s by %s: %s", question(got.Msg), i.id, by, rr), by})
			}
		}
	}
	return late
}
