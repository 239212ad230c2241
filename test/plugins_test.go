package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// Some answers go past the packing of messages where no plugin above wants to see them. So
// what a client gets, and what *prometheus* counts, is held to be the same whichever plugins
// stand above.
func TestAnswersAreTheSameUnderAllPlugins(t *testing.T) {
	t.Parallel()
	for _, plugins := range []string{
		"",
		"errors",
		"cancel 2s",
		"errors\nprometheus {$METRICS}",
		"errors\nprometheus {$METRICS}\nlog",
		"errors\nprometheus {$METRICS}\nloadbalance",
		"prometheus {$METRICS}\ncache 30",
		"prometheus {$METRICS}\nminimal",
		"errors\nrewrite stop name exact never.example.org web.default.svc.cluster.local",
		"errors\nnsid here",
		"errors\nbufsize 1232",
		"errors\nacl {\n allow\n}",
		"metadata\nerrors\nany",
	} {
		t.Run(strings.ReplaceAll(plugins, "\n", ", "), func(t *testing.T) {
			t.Parallel()
			s := start(t, fmt.Sprintf(`
cluster.local:{$DNS} in-addr.arpa:{$DNS} {
    bind 127.0.0.1
    registry {
        listen {$ENDPOINT}
    }
    %s
    ready {$READY}
}`, strings.ReplaceAll(plugins, "\n", "\n    ")))
			for n := range 3 {
				s.must(t, http.StatusCreated, http.MethodPut, instancePath("web", fmt.Sprintf("web-%d", n)),
					fmt.Sprintf(`{"addresses":["192.0.2.%d"],"ports":[{"name":"http","port":80}],"leaseSeconds":0}`, n))
			}
			asker := dial(t, "udp", s.dns)
			asker.wants(t, under("web"), dns.TypeA, dns.RcodeSuccess, under("web")+" A 192.0.2.0", under("web")+" A 192.0.2.1", under("web")+" A 192.0.2.2")
			if got := asker.must(t, "_http._tcp."+under("web"), dns.TypeSRV); len(got.Answer) != 3 {
				t.Errorf("got %d SRV records, want 3\n%s", len(got.Answer), got.Msg)
			} else if minimal := strings.Contains(plugins, "minimal"); !minimal && len(got.Extra) < 3 {
				t.Errorf("the targets' addresses are missing\n%s", got.Msg)
			}
			asker.wants(t, "1.2.0.192.in-addr.arpa.", dns.TypePTR, dns.RcodeSuccess, "1.2.0.192.in-addr.arpa. PTR web-1."+under("web"))
			asker.wants(t, under("gone"), dns.TypeA, dns.RcodeNameError)
			asker.wants(t, under("web"), dns.TypeMX, dns.RcodeSuccess)
			if !strings.Contains(plugins, "prometheus") {
				return
			}
			for rcode, want := range map[string]float64{"NOERROR": 4, "NXDOMAIN": 1} {
				soon(t, "prometheus counts the answers with "+rcode, func() bool { // it does once they are sent
					return s.scrape(t).sum("coredns_dns_responses_total", `rcode="`+rcode+`"`) == want
				})
			}
		})
	}
}
