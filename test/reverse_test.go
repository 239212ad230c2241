package test

import (
	"net/http"
	"testing"

	"github.com/miekg/dns"
)

// CoreDNS makes zones of single addresses of a network that does not end at a label of the
// reverse name, in the keys of a server block too.
func TestReverseZonesOfSingleAddressesAreAnswered(t *testing.T) {
	t.Parallel()
	s := start(t, `
cluster.local:{$DNS} 192.0.2.0/28:{$DNS} 2001:db8::4/126:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
        fallthrough
    }
    hosts {
        192.0.2.9 printer.cluster.local
    }
    transfer {
        to *
    }
    errors
}`)
	s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", "web-1"), `{"addresses":["192.0.2.7","2001:db8::7"],"leaseSeconds":0}`)
	const (
		seven = "7.2.0.192.in-addr.arpa."
		v6    = "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa."
	)
	for _, network := range []string{"udp", "tcp"} {
		asker := dial(t, network, s.dns)
		asker.wants(t, seven, dns.TypePTR, dns.RcodeSuccess, seven+" PTR "+under("web-1.web"))
		asker.wants(t, v6, dns.TypePTR, dns.RcodeSuccess, v6+" PTR "+under("web-1.web"))
		asker.wants(t, seven, dns.TypeNS, dns.RcodeSuccess, seven+" NS ns.dns."+seven)
		asker.wants(t, "ns.dns."+seven, dns.TypeA, dns.RcodeSuccess, "ns.dns."+seven+" A 127.0.0.1")
		asker.wants(t, "9.2.0.192.in-addr.arpa.", dns.TypePTR, dns.RcodeSuccess, "9.2.0.192.in-addr.arpa. PTR printer.cluster.local.")
		for _, zone := range []string{seven, "10.2.0.192.in-addr.arpa.", v6} {
			if got := asker.must(t, zone, dns.TypeSOA).Answer; len(got) != 1 || got[0].Header().Name != zone {
				t.Errorf("SOA of %s: got %v", zone, got)
			}
		}
	}
}
