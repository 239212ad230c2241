package main

import (
	"testing"

	"github.com/miekg/dns"
)

func TestWrongAnswerMakesTheComparisonVoid(t *testing.T) {
	two := world{1, 2}
	const srv, address = "_http._tcp.w. 5 IN SRV 0 1 80 ", " 5 IN A 192.0.2.1"
	for _, tt := range []struct {
		name          string
		peer          peer
		question      string
		rcode         int
		answer, extra []string
		right         bool
	}{
		{"an address of each instance", peer{}, "A", 0, []string{"w." + address, "w." + address}, nil, true},
		{"one is missing", peer{}, "A", 0, []string{"w." + address}, nil, false},
		{"one is of another type", peer{}, "A", 0, []string{"w." + address, "w. 5 IN CNAME v."}, nil, false},
		{"the right records with the wrong code", peer{}, "A", 2, []string{"w." + address, "w." + address}, nil, false},
		{"no such name", peer{}, "NXDOMAIN", 3, nil, nil, true},
		{"no such name, where it cannot tell", peer{servfail: true}, "NXDOMAIN", 2, nil, nil, true},
		{"targets with their addresses", peer{}, "SRV", 0, []string{srv + "a.", srv + "b."}, []string{"a." + address, "b." + address}, true},
		{"a target without", peer{}, "SRV", 0, []string{srv + "a.", srv + "b."}, []string{"a." + address}, false},
		{"one that looks nothing up", peer{floor: true}, "NXDOMAIN", 0, nil, nil, true},
	} {
		s := &server{peer: tt.peer, world: two}
		m := new(dns.Msg)
		m.Rcode, m.Answer, m.Extra = tt.rcode, records(t, tt.answer), records(t, tt.extra)
		if problem := s.judge(questionNamed(tt.question), m); (problem == "") != tt.right {
			t.Errorf("%s: got %q", tt.name, problem)
		}
	}
}

func records(t *testing.T, texts []string) (all []dns.RR) {
	t.Helper()
	for _, text := range texts {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rr)
	}
	return all
}
