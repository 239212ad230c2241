package test

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// kept is a Corefile with a table that survives in the directory DIR, and with more lines.
func kept(lines string) string {
	return `
cluster.local:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
        store disk {$DIR}
        ` + lines + `
    }
    errors
    ready {$READY}
    prometheus {$METRICS}
}`
}

// inMemory makes such a table one that does not survive.
func inMemory(kept string) string {
	return strings.Replace(kept, "store disk {$DIR}", "store memory", 1)
}

// A server is killed again and again in a storm of requests, now and then while it starts.
// The next one must serve what was acknowledged and nothing that was refused; what was not
// answered may be there, as a whole.
func TestAcknowledgedSurvivesKill(t *testing.T) {
	t.Parallel()
	const atOnce = 12
	longest := 400 * slowness * time.Millisecond
	dir := "DIR=" + t.TempDir()
	random := rand.New(rand.NewPCG(seed, 0))
	clients := make([]*client, atOnce)
	for n := range clients {
		clients[n] = newClient(n, 0, 600, 3600)
	}
	sum := struct{ acknowledged, refused, granted, dropped int }{}
	// Where there is much else to do there are few requests in a round, and more rounds.
	for round := 0; round < roundsOf(4) || sum.acknowledged == 0 || sum.refused == 0; round++ {
		if round%3 == 0 { // the very first is killed while it makes the file, or before
			s := launch(t, kept(""), dir)
			<-time.After(rand.N(100 * slowness * time.Millisecond))
			s.kill(t)
		}
		s := start(t, kept(""), dir)
		s.compare(t, clients, s.began)
		if t.Failed() {
			return
		}

		var killed atomic.Bool
		ctx, cancel := context.WithCancel(t.Context())
		var storm sync.WaitGroup
		for _, c := range clients {
			storm.Go(func() {
				if err := c.run(ctx); err != nil && !killed.Load() {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		storm.Go(func() { s.backUp(ctx) })
		<-time.After(time.Duration(random.Int64N(int64(longest))))
		killed.Store(true)
		s.kill(t)
		storm.Wait()
		cancel()

		s = start(t, kept(""), dir)
		granted, dropped := s.compare(t, clients, s.began)
		sum.granted, sum.dropped = sum.granted+granted, sum.dropped+dropped
		sum.acknowledged, sum.refused = 0, 0
		for _, c := range clients {
			sum.acknowledged, sum.refused = sum.acknowledged+c.acknowledged, sum.refused+c.refused
		}
		s.kill(t)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("%+v", sum)
}

// compare holds a server that has just begun to what clients know. It returns how many
// requests that were not answered are found granted, and how many dropped.
func (s *server) compare(t *testing.T, clients []*client, began time.Time) (granted, dropped int) {
	t.Helper()
	all, ends := s.served(t)
	revision := s.endpoint.revision(t)
	for _, c := range clients {
		pending := c.pending != nil
		was, wrong := c.settle(all)
		switch {
		case wrong != "":
			t.Errorf("client %s: %s", c.id, wrong)
		case was:
			granted++
		case pending:
			dropped++
		}
		if revision < c.highest {
			t.Errorf("the revision is %d, want more than %d, which client %s was told", revision, c.highest, c.id)
		}
		c.endpoint, c.highest = s.endpoint, max(c.highest, revision)
	}
	for n := range all {
		if !slices.ContainsFunc(clients, func(c *client) bool { return c.owns(n) }) {
			t.Errorf("%v is there, and nobody registered it", n)
		}
	}
	for n, end := range ends {
		length := time.Duration(all[n].parsed().LeaseSeconds) * time.Second
		// Its end is told in whole milliseconds at best.
		if end.Before(began.Add(length-time.Second/10)) || end.After(time.Now().Add(length+time.Second/10)) {
			t.Errorf("the lease of %v ends at %s, want its full length of %s after the start at %s", n, end, length, began)
		}
	}
	s.answersAsServed(t, clients, all)
	return granted, dropped
}

// answersAsServed holds DNS to the table that the endpoint tells.
func (s *server) answersAsServed(t *testing.T, clients []*client, all records) {
	t.Helper()
	want := map[string][]string{}
	for _, c := range clients {
		for _, service := range c.services() {
			want[service] = nil // also where there is nothing
		}
	}
	for n, is := range all {
		definition := all[name{n.service, ""}].orHeadless()
		switch o := is.parsed(); {
		case n.id == "" && o.Type == "clusterIP":
			want[n.service] = append(want[n.service], o.ClusterIPs...)
		case n.id == "" && o.Type == "externalName":
			want[n.service] = append(want[n.service], o.ExternalName+".")
		case n.id != "" && definition.Type == "headless" && (o.Status == "up" || definition.PublishNotReady):
			want[n.service] = append(want[n.service], o.Addresses...)
		}
	}
	asker := dial(t, "tcp", s.dns)
	for service, want := range want {
		var got []string
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			for _, rr := range asker.must(t, under(service), qtype).Answer {
				got = append(got, strings.TrimPrefix(rr.String(), rr.Header().String()))
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if got, want = slices.Compact(got), slices.Compact(want); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", under(service), got, want)
		}
	}
}

// orHeadless is the definition of a service, or what stands for it where there is none.
func (r record) orHeadless() parsed {
	if r.said == "" {
		return parsed{Type: "headless"}
	}
	return r.parsed()
}

// backUp takes one snapshot after the other, until one breaks off.
func (s *server) backUp(ctx context.Context) {
	for ctx.Err() == nil {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.endpoint.address+"/v1/snapshot", nil)
		if err != nil {
			return
		}
		response, err := s.client.Do(r)
		if err != nil {
			return
		}
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if err != nil {
			return
		}
	}
}
