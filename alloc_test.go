//go:build !race

package registry

import (
	"fmt"
	"strings"
	"testing"

	"github.com/coredns/coredns/request"

	"github.com/miekg/dns"
)

// TestHotPathKeepsItsAllocationBudget bounds what one query allocates in ServeDNS, for a
// service of three leased instances whose records are prepared. A budget is what was
// needed when it was set and one more; raise it only with a reason.
//
//	every answer   the message, its question, the reply                             3
//	A              a copy of each record, and their slice                           4
//	SRV            the same for the answers, the name of each target, and the same
//	               as for A for their addresses                                    11
//	NODATA         the SOA, its slice, and two names in it                          4
//	NXDOMAIN       the same                                                         4
//
// A name that is not in lower case is put into it, which is one more.
func TestHotPathKeepsItsAllocationBudget(t *testing.T) {
	w := newWorld(t, Config{})
	for n := range 3 {
		w.Load(fmt.Sprintf("prod/web/web-%d 192.0.2.%d http:80/tcp lease=30", n, n+1))
	}
	for _, tc := range []struct {
		name    string
		qtype   uint16
		records int
		budget  float64
	}{
		{"web.prod.svc.cluster.local.", dns.TypeA, 3, 8},
		{"wEb.prod.svc.cluster.local.", dns.TypeA, 3, 9},
		{"_http._tcp.web.prod.svc.cluster.local.", dns.TypeSRV, 6, 15},
		{"web.prod.svc.cluster.local.", dns.TypeAAAA, 1, 8},
		{"gone.prod.svc.cluster.local.", dns.TypeA, 1, 8},
	} {
		question := new(dns.Msg).SetQuestion(tc.name, tc.qtype)
		client := &forgetful{}
		got := testing.AllocsPerRun(200, func() {
			if _, err := w.handler.ServeDNS(t.Context(), client, question); err != nil {
				t.Fatal(err)
			}
		})
		if records := len(client.got.Answer) + len(client.got.Ns) + len(client.got.Extra); records != tc.records {
			t.Errorf("%s %s: %d records, want %d", dns.TypeToString[tc.qtype], tc.name, records, tc.records)
		}
		if got > tc.budget {
			t.Errorf("%s %s: %.0f allocations, the budget is %.0f", dns.TypeToString[tc.qtype], tc.name, got, tc.budget)
		}
		writer := request.NewScrubWriter(question, newSocket("udp", func([]byte) {}))
		got = testing.AllocsPerRun(200, func() {
			if _, err := w.handler.ServeDNS(t.Context(), writer, question); err != nil {
				t.Fatal(err)
			}
		})
		if lower := tc.name == strings.ToLower(tc.name); got > 1 || lower && got > 0 {
			t.Errorf("%s %s in wire form: %.0f allocations, want none but for a name that is not in lower case", dns.TypeToString[tc.qtype], tc.name, got)
		}
	}
}
