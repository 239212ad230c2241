package test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// outside is what the world is, by name: the answer of an upstream server.
var outside = map[string]struct {
	rcode   int
	records []string
}{
	"www.example.net.":     {dns.RcodeSuccess, []string{"www.example.net. 77 IN A 198.51.100.1"}},
	"chain.example.net.":   {dns.RcodeSuccess, []string{"chain.example.net. 88 IN CNAME www.example.net.", "www.example.net. 77 IN A 198.51.100.1"}},
	"nodata.example.net.":  {dns.RcodeSuccess, nil},
	"nothing.example.net.": {dns.RcodeNameError, nil},
	"broken.example.net.":  {dns.RcodeServerFailure, nil},
	"refused.example.net.": {dns.RcodeRefused, nil},
}

func serveOutside(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg).SetReply(r)
	said, known := outside[r.Question[0].Name]
	if !known || r.Question[0].Qtype != dns.TypeA {
		said.rcode, said.records = dns.RcodeSuccess, nil
	}
	m.Rcode = said.rcode
	for _, record := range said.records {
		rr, err := dns.NewRR(record)
		if err != nil {
			panic(err) // of the test's own
		}
		m.Answer = append(m.Answer, rr)
	}
	if len(m.Answer) == 0 && (m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError) {
		soa, _ := dns.NewRR("example.net. 99 IN SOA ns.example.net. hostmaster.example.net. 1 2 3 4 5")
		m.Ns = []dns.RR{soa}
	}
	_ = w.WriteMsg(m)
}

func TestUpstreamAlias(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	listen(t, port, dns.HandlerFunc(serveOutside))
	s := start(t, `
.:{$DNS} {
    bind 127.0.0.1
    registry cluster.local {
        listen {$ENDPOINT}
        ttl 5s
    }
    hosts {
        192.0.2.50 hosts.example.org
        ttl 66
        fallthrough
    }
    forward . 127.0.0.1:{$UPSTREAM}
    errors
}
cluster.local:{$DNS2} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
    }
    errors
}`, "UPSTREAM="+port)
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "web-1"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)

	for _, tt := range []struct {
		what, target string
		rcode        int
		soa          string // owner of the SOA in the authority section
		rest         []string
	}{
		{"address", "www.example.net.", dns.RcodeSuccess, "", []string{"www.example.net.\t77\tIN\tA\t198.51.100.1"}},
		{"alias", "chain.example.net.", dns.RcodeSuccess, "", []string{"chain.example.net.\t88\tIN\tCNAME\twww.example.net.", "www.example.net.\t77\tIN\tA\t198.51.100.1"}},
		{"hosts", "hosts.example.org.", dns.RcodeSuccess, "", []string{"hosts.example.org.\t66\tIN\tA\t192.0.2.50"}},
		{"nodata", "nodata.example.net.", dns.RcodeSuccess, "example.net.", nil},
		{"nxdomain", "nothing.example.net.", dns.RcodeNameError, "example.net.", nil},
		{"servfail", "broken.example.net.", dns.RcodeServerFailure, "", nil},
		{"refused", "refused.example.net.", dns.RcodeSuccess, "", nil},
		{"inside", under("web"), dns.RcodeSuccess, "", []string{under("web") + "\t5\tIN\tA\t192.0.2.7"}},
		{"twice", under("alias-inside"), dns.RcodeSuccess, "", []string{under("alias-inside") + "\t5\tIN\tCNAME\t" + under("web"), under("web") + "\t5\tIN\tA\t192.0.2.7"}},
		{"inside-nothing", under("nobody"), dns.RcodeNameError, "cluster.local.", nil},
		{"itself", under("alias-itself"), dns.RcodeSuccess, "", nil},
	} {
		t.Run(tt.what, func(t *testing.T) {
			alias := "alias-" + tt.what
			s.must(t, http.StatusCreated, http.MethodPut, servicePath(alias), fmt.Sprintf(`{"type":"externalName","externalName":%q}`, tt.target))
			want := append([]string{under(alias) + "\t5\tIN\tCNAME\t" + tt.target}, tt.rest...)
			var got reply
			soon(t, "upstream answers before the server gives it up", func() bool { // it is this process, which may be slow
				got = dial(t, "udp", s.dns).must(t, under(alias), dns.TypeA)
				return got.came.Sub(got.sent) < time.Second
			})
			if got.Rcode != tt.rcode {
				t.Errorf("got %s, want %s", dns.RcodeToString[got.Rcode], dns.RcodeToString[tt.rcode])
			}
			same := len(got.Answer) == len(want)
			for i := range want {
				same = same && got.Answer[i].String() == want[i] // in order: the chain's
			}
			if !same {
				t.Errorf("got\n%s\nwant the answer\n%q", got.Msg, want)
			}
			if soa := owner(got.Ns); soa != tt.soa {
				t.Errorf("SOA of %q in the authority section, want of %q", soa, tt.soa)
			}
		})
	}
	t.Run("a block that knows no upstream", func(t *testing.T) {
		dial(t, "udp", s.dns2).wants(t, under("alias-address"), dns.TypeA, dns.RcodeSuccess, under("alias-address")+" CNAME www.example.net.")
	})
}

// owner is whose SOA it is that is there, empty where none is.
func owner(authority []dns.RR) string {
	for _, rr := range authority {
		if rr.Header().Rrtype == dns.TypeSOA {
			return rr.Header().Name
		}
	}
	return ""
}
