package test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/miekg/dns"
)

func TestServerBlocksShareATable(t *testing.T) {
	t.Parallel()
	s := start(t, `
cluster.local:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
        ttl 5s
    }
    errors
}
example.org:{$DNS} example.net:{$DNS2} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
        ttl 60s
    }
    errors
}`)
	var web struct{ Names []string }
	decode(t, s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "web-1"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`), &web)
	for _, tt := range []struct {
		server, zone string
		ttl          uint32
	}{
		{s.dns, "cluster.local.", 5},
		{s.dns, "example.org.", 60},
		{s.dns2, "example.net.", 60},
	} {
		name := "web.default.svc." + tt.zone
		if !slices.Contains(web.Names, name) {
			t.Errorf("names of the instance: got %q, want %s among them", web.Names, name)
		}
		asker := dial(t, "udp", tt.server)
		asker.wants(t, name, dns.TypeA, dns.RcodeSuccess, name+" A 192.0.2.7")
		if got := asker.must(t, name, dns.TypeA); len(got.Answer) == 0 || got.Answer[0].Header().Ttl != tt.ttl {
			t.Errorf("%s: got %v, want a TTL of %d, that of its own block", name, got.Answer, tt.ttl)
		}
	}
}

func TestFallthrough(t *testing.T) {
	t.Parallel()
	s := start(t, `
.:{$DNS} {
    bind 127.0.0.1
    registry cluster.local example.org in-addr.arpa {
        listen {$ENDPOINT}
        fallthrough cluster.local in-addr.arpa
    }
    template IN A {
        match ^before\.
        answer "{{ .Name }} 60 IN A 192.0.2.90"
        fallthrough
    }
    hosts {
        192.0.2.80 web.default.svc.cluster.local
        192.0.2.81 legacy.default.svc.cluster.local
        192.0.2.82 legacy.default.svc.example.org
        fallthrough
    }
    file {$ZONE} cluster.local
    errors
}
cluster.local:{$DNS2} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
    }
    hosts {
        192.0.2.81 legacy.default.svc.cluster.local
    }
}`, "ZONE="+writeFile(t, `
$ORIGIN cluster.local.
@ 3600 SOA ns.dns hostmaster 1 7200 1800 86400 60
printer.office 60 A 192.0.2.99
`))
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "web-1"), `{"addresses":["192.0.2.7"],"leaseSeconds":0}`)
	for _, tt := range []struct {
		what, server, name string
		qtype              uint16
		rcode              int
		records            []string
	}{
		{"ours, though hosts has it too", s.dns, under("web"), dns.TypeA, dns.RcodeSuccess, []string{under("web") + " A 192.0.2.7"}},
		{"ours without the type, though hosts has the name", s.dns, under("web"), dns.TypeAAAA, dns.RcodeSuccess, nil},
		{"what only hosts has", s.dns, under("legacy"), dns.TypeA, dns.RcodeSuccess, []string{under("legacy") + " A 192.0.2.81"}},
		{"what only a file has", s.dns, "printer.office.cluster.local.", dns.TypeA, dns.RcodeSuccess,
			[]string{"printer.office.cluster.local. A 192.0.2.99"}},
		{"in a zone that does not fall through", s.dns, "legacy.default.svc.example.org.", dns.TypeA, dns.RcodeNameError, nil},
		{"in a block that does not fall through", s.dns2, under("legacy"), dns.TypeA, dns.RcodeNameError, nil},
		{"a reverse name of ours", s.dns, "7.2.0.192.in-addr.arpa.", dns.TypePTR, dns.RcodeSuccess,
			[]string{"7.2.0.192.in-addr.arpa. PTR " + under("web-1.web")}},
		{"a reverse name that only hosts has", s.dns, "81.2.0.192.in-addr.arpa.", dns.TypePTR, dns.RcodeSuccess,
			[]string{"81.2.0.192.in-addr.arpa. PTR " + under("legacy")}},
		{"what template says, which stands before", s.dns, "before.default.svc.cluster.local.", dns.TypeA, dns.RcodeSuccess,
			[]string{"before.default.svc.cluster.local. A 192.0.2.90"}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			dial(t, "udp", tt.server).wants(t, tt.name, tt.qtype, tt.rcode, tt.records...)
		})
	}
}
