package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/miekg/dns"
)

const (
	startWithin = 2 * time.Minute // for the largest world
	lookEvery   = 50 * time.Millisecond
)

// wait returns when the server answers for the first and the last service.
func (s *server) wait(ctx context.Context) error {
	all := s.all()
	last := all[len(all)-1]
	probe := questionNamed("A")
	if last.six() {
		probe = questionNamed("AAAA")
	}
	return s.soon(ctx, func() error { return s.verify(probe, last.fqdn()) })
}

// waitEndpoint returns when the endpoint has loaded its table.
func (s *server) waitEndpoint(ctx context.Context) error {
	return s.soon(ctx, func() error {
		response, err := http.Get("http://" + s.endpoint + "/v1/namespaces")
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("the endpoint says %s", response.Status)
		}
		return nil
	})
}

// soon tries until there is no error.
func (s *server) soon(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-look.C:
		case <-s.exited:
			return fmt.Errorf("it has ended: %w\n%s", err, s.said())
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

// verify asks a question, and returns an error unless the answer is as it must be.
func (s *server) verify(q question, name string) error {
	query := new(dns.Msg).SetQuestion(name, q.qtype)
	if s.edns() {
		query.SetEdns0(4096, false) // as dnsperf does
	}
	client := dns.Client{Timeout: time.Second}
	answer, _, err := client.Exchange(query, s.address)
	if err != nil {
		return fmt.Errorf("ask %s: %w", s, err)
	}
	if problem := s.judge(q, answer); problem != "" {
		return fmt.Errorf("%s answers %s of %s with %s:\n%s", s, q.name, name, problem, answer)
	}
	return nil
}

// judge says what is wrong with an answer; nothing if it is right.
func (s *server) judge(q question, answer *dns.Msg) string {
	records, addresses := 0, map[string]bool{}
	for _, rr := range answer.Answer {
		if rr.Header().Rrtype == q.qtype {
			records++
		}
	}
	for _, rr := range answer.Extra {
		addresses[rr.Header().Name] = true
	}
	switch {
	case answer.Rcode != s.rcode(q):
		return fmt.Sprintf("%s, want %s", dns.RcodeToString[answer.Rcode], dns.RcodeToString[s.rcode(q)])
	case s.floor:
		return ""
	case answer.Truncated:
		return "less than all"
	case records != q.records(s.world):
		return fmt.Sprintf("%d records, want %d", records, q.records(s.world))
	}
	if !q.extra {
		return ""
	}
	for _, rr := range answer.Answer {
		if srv, ok := rr.(*dns.SRV); ok && !addresses[srv.Target] {
			return "no address of " + srv.Target
		}
	}
	return ""
}

// sampled is how many names of each question are compared before a measurement.
const sampled = 20

// verifyAll asks for a sample of the names.
func (s *server) verifyAll(q question, names []string) error {
	for n := range min(sampled, len(names)) {
		if err := s.verify(q, names[n]); err != nil {
			return fmt.Errorf("the comparison is void: %w", err)
		}
	}
	return nil
}
