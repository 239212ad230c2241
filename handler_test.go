package registry

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/coredns-registry/registry/internal/engine/enginetest"
)

const aWorld = `
	service prod/vip clusterIP 10.0.0.1 2001:db8:f::1 http:80/tcp dns:53/udp
	prod/vip/pod-1 192.0.2.81 http:8080/tcp

	prod/web/web-1 192.0.2.7 2001:db8::7 http:8080/tcp metrics:9090/tcp version=1.4.2 a=b
	prod/web/web-2 192.0.2.8 http:8080/tcp
	prod/web/web-3 192.0.2.9 http:8080/tcp admin:1/tcp status=down

	prod/bare/192.0.2.70:80 192.0.2.70 2001:db8:7:: http:80/tcp :81/tcp

	prod/shared/a 192.0.2.20 host=node http:80/tcp
	prod/shared/b 192.0.2.21 host=node http:80/tcp
	prod/twins/a 192.0.2.30 http:80/tcp
	prod/twins/b 192.0.2.30 http:80/tcp

	service prod/empty headless http:80/tcp
	prod/down/d 192.0.2.40 status=draining http:80/tcp
	service prod/eager headless publishNotReady
	prod/eager/e 192.0.2.41 status=down

	prod/weighted/w 192.0.2.50 weight=7 priority=3 http:80/tcp

	service prod/alias externalName web.prod.svc.cluster.local
	service prod/far externalName example.org.
	service prod/dangling externalName nothing.prod.svc.cluster.local
	service prod/four externalName shared.prod.svc.cluster.local
	service prod/loop externalName loop2.prod.svc.cluster.local
	service prod/loop2 externalName loop.prod.svc.cluster.local
`

// origin is what names without a dot at their end are relative to, in the tests' tables.
const origin = "prod.svc.cluster.local."

// TestAnswers is the table of names in the contract, section 2. A wanted line is a record
// as zone files have it; "+" begins one of the additional section.
func TestAnswers(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		qtype    string
		name     string
		want     string
	}{
		{"a headless service has the addresses of its instances that are up", "A", "web",
			"web A 192.0.2.7\nweb A 192.0.2.8"},
		{"and of the other family", "AAAA", "web", "web AAAA 2001:db8::7"},
		{"the answer repeats the question's case", "A", "wEb.Prod.sVc.cluster.LOCAL.",
			"wEb.Prod.sVc.cluster.LOCAL. A 192.0.2.7\nwEb.Prod.sVc.cluster.LOCAL. A 192.0.2.8"},
		{"SRV has each port and target, their addresses as additional records", "SRV", "web",
			"web SRV 0 33 8080 web-1.web\nweb SRV 0 33 9090 web-1.web\nweb SRV 0 33 8080 web-2.web\n+web-1.web A 192.0.2.7\n+web-1.web AAAA 2001:db8::7\n+web-2.web A 192.0.2.8"},
		{"SRV of a named port has the instances that have it", "SRV", "_http._tcp.web",
			"_http._tcp.web SRV 0 50 8080 web-1.web\n_http._tcp.web SRV 0 50 8080 web-2.web\n+web-1.web A 192.0.2.7\n+web-1.web AAAA 2001:db8::7\n+web-2.web A 192.0.2.8"},
		{"SRV of one instance's port", "SRV", "_metrics._tcp.web",
			"_metrics._tcp.web SRV 0 100 9090 web-1.web\n+web-1.web A 192.0.2.7\n+web-1.web AAAA 2001:db8::7"},
		{"a port that only an instance that is down names has no data", "SRV", "_admin._tcp.web", "NODATA"},
		{"a port that nobody names does not exist", "SRV", "_ftp._tcp.web", "NXDOMAIN"},
		{"nor does one of another protocol", "SRV", "_http._udp.web", "NXDOMAIN"},
		{"both underscores are needed", "SRV", "http.tcp.web", "NXDOMAIN"},
		{"both, not one", "SRV", "_http.tcp.web", "NXDOMAIN"},
		{"a named port has SRV only", "A", "_http._tcp.web", "NODATA"},
		{"a protocol has names below it", "SRV", "_tcp.web", "NODATA"},
		{"another protocol has none", "SRV", "_udp.web", "NXDOMAIN"},

		{"a cluster IP service has its cluster IPs", "A", "vip", "vip A 10.0.0.1"},
		{"of both families", "AAAA", "vip", "vip AAAA 2001:db8:f::1"},
		{"its SRV point to itself", "SRV", "vip",
			"vip SRV 0 50 80 vip\nvip SRV 0 50 53 vip\n+vip A 10.0.0.1\n+vip AAAA 2001:db8:f::1"},
		{"and so do its named ports", "SRV", "_dns._udp.vip",
			"_dns._udp.vip SRV 0 100 53 vip\n+vip A 10.0.0.1\n+vip AAAA 2001:db8:f::1"},
		{"its instances have hosts", "A", "pod-1.vip", "pod-1.vip A 192.0.2.81"},

		{"a host has its addresses", "A", "web-1.web", "web-1.web A 192.0.2.7"},
		{"its ports", "SRV", "web-2.web", "web-2.web SRV 0 100 8080 web-2.web\n+web-2.web A 192.0.2.8"},
		{"its metadata in one record", "TXT", "web-1.web", `web-1.web TXT "a=b" "version=1.4.2"`},
		{"a host without metadata has none", "TXT", "web-2.web", "NODATA"},
		{"a host that is down does not exist", "A", "web-3.web", "NXDOMAIN"},
		{"an instance with a hostname has no host by its address", "A", "192-0-2-7.web", "NXDOMAIN"},
		{"one without has one for each address", "A", "192-0-2-70.bare", "192-0-2-70.bare A 192.0.2.70"},
		{"which would end in a dash", "AAAA", "2001-db8-7--0.bare", "2001-db8-7--0.bare AAAA 2001:db8:7::"},
		{"that host has no address of the other", "A", "2001-db8-7--0.bare", "NODATA"},
		{"each address is an SRV target of its own", "SRV", "_http._tcp.bare",
			"_http._tcp.bare SRV 0 50 80 192-0-2-70.bare\n_http._tcp.bare SRV 0 50 80 2001-db8-7--0.bare\n+192-0-2-70.bare A 192.0.2.70\n+2001-db8-7--0.bare AAAA 2001:db8:7::"},
		{"an unnamed port is among the service's SRV", "SRV", "192-0-2-70.bare",
			"192-0-2-70.bare SRV 0 50 80 192-0-2-70.bare\n192-0-2-70.bare SRV 0 50 81 192-0-2-70.bare\n+192-0-2-70.bare A 192.0.2.70"},
		{"instances may share a host", "A", "node.shared", "node.shared A 192.0.2.20\nnode.shared A 192.0.2.21"},
		{"which is one target", "SRV", "_http._tcp.shared",
			"_http._tcp.shared SRV 0 100 80 node.shared\n+node.shared A 192.0.2.20\n+node.shared A 192.0.2.21"},
		{"an address that instances share stands once", "A", "twins", "twins A 192.0.2.30"},
		{"weight and priority are the instance's own where it set them", "SRV", "weighted",
			"weighted SRV 3 7 80 w.weighted\n+w.weighted A 192.0.2.50"},

		{"a defined service without instances has no data", "A", "empty", "NODATA"},
		{"nor have its ports", "SRV", "_http._tcp.empty", "NODATA"},
		{"a service with no instance up has no data", "A", "down", "NODATA"},
		{"with publishNotReady every instance is answered", "A", "eager", "eager A 192.0.2.41"},
		{"a service without ports has no SRV", "SRV", "eager", "NODATA"},

		{"an external name is an alias", "CNAME", "alias", "alias CNAME web"},
		{"followed inside the table", "AAAA", "alias", "alias CNAME web\nweb AAAA 2001:db8::7"},
		{"the alias stays when nothing of the type is at its end", "AAAA", "four", "four CNAME shared\nSOA"},
		{"and when its end does not exist, which the code says", "A", "dangling", "NXDOMAIN\ndangling CNAME nothing\nSOA"},
		{"a loop ends", "A", "loop", "loop CNAME loop2\nloop2 CNAME loop"},
		{"an alias that leads out stands alone where nobody knows more", "A", "far", "far CNAME example.org."},
		{"an alias has no other records", "SRV", "alias", "NODATA"},
		{"and nothing below it", "A", "web-1.alias", "NXDOMAIN"},

		{"the version of the rules", "TXT", "dns-version.cluster.local.", `dns-version.cluster.local. TXT "1.1.0"`},
		{"has nothing else", "A", "dns-version.cluster.local.", "NODATA"},
		{"and nothing below", "TXT", "x.dns-version.cluster.local.", "NXDOMAIN"},
		{"the zone has a name server", "NS", "cluster.local.",
			"cluster.local. NS ns.dns.cluster.local.\n+ns.dns.cluster.local. A 192.0.2.53\n+ns.dns.cluster.local. AAAA 2001:db8::53"},
		{"which has the addresses that the server is bound to", "A", "ns.dns.cluster.local.", "ns.dns.cluster.local. A 192.0.2.53"},
		{"of both families", "AAAA", "ns.dns.cluster.local.", "ns.dns.cluster.local. AAAA 2001:db8::53"},
		{"a reverse zone as well", "NS", "in-addr.arpa.",
			"in-addr.arpa. NS ns.dns.in-addr.arpa.\n+ns.dns.in-addr.arpa. A 192.0.2.53\n+ns.dns.in-addr.arpa. AAAA 2001:db8::53"},
		{"the apex has no address", "A", "cluster.local.", "NODATA"},
		{"names with others below have no data", "A", "dns.cluster.local.", "NODATA"},
		{"svc", "A", "svc.cluster.local.", "NODATA"},
		{"a namespace", "A", "prod.svc.cluster.local.", "NODATA"},
		{"a namespace without services does not exist", "A", "test.svc.cluster.local.", "NXDOMAIN"},
		{"a service that is not there does not exist", "A", "gone", "NXDOMAIN"},
		{"a name too long", "A", "x.web-1.web", "NXDOMAIN"},
		{"a label with a dot in it is no two labels", "A", `web-1\.web`, "NXDOMAIN"},
		{"a zone that only ends alike is not ours", "A", "web.prod.svc.notcluster.local.", "NEXT"},

		{"an address leads back to its instance", "PTR", "7.2.0.192.in-addr.arpa.", "7.2.0.192.in-addr.arpa. PTR web-1.web"},
		{"without a hostname to its host by address", "PTR", "70.2.0.192.in-addr.arpa.", "70.2.0.192.in-addr.arpa. PTR 192-0-2-70.bare"},
		{"a cluster IP to its service", "PTR", "1.0.0.10.in-addr.arpa.", "1.0.0.10.in-addr.arpa. PTR vip"},
		{"a shared address to each", "PTR", "30.2.0.192.in-addr.arpa.", "30.2.0.192.in-addr.arpa. PTR a.twins\n30.2.0.192.in-addr.arpa. PTR b.twins"},
		{"IPv6 too", "PTR", "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.",
			"7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR web-1.web"},
		{"an address has no other records", "A", "7.2.0.192.in-addr.arpa.", "NODATA"},
		{"that of an instance that is down does not exist", "PTR", "9.2.0.192.in-addr.arpa.", "NXDOMAIN"},
		{"part of a reverse name has no data", "PTR", "2.0.192.in-addr.arpa.", "NODATA"},
		{"whether or not anything is below", "PTR", "99.in-addr.arpa.", "NODATA"},
		{"what is no address does not exist", "PTR", "256.2.0.192.in-addr.arpa.", "NXDOMAIN"},
		{"nor does what is below one", "PTR", "1.7.2.0.192.in-addr.arpa.", "NXDOMAIN"},
		{"nor an octet with a zero before it", "PTR", "07.2.0.192.in-addr.arpa.", "NXDOMAIN"},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			w := newWorld(t, Config{})
			w.Load(aWorld)
			w.handler.upstream = nobody{}
			name := tc.name
			if !strings.HasSuffix(name, ".") {
				name += "." + origin
			}
			m := w.ask(name, dns.StringToType[tc.qtype])
			if got, want := enginetest.Summary(m), wanted(t, tc.want); !slices.Equal(got, want) {
				t.Errorf("%s %s:\ngot  %s\nwant %s", tc.qtype, tc.name, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
			}
		})
	}
}

// wanted reads what a row wants into the form of summary.
func wanted(t *testing.T, want string) []string {
	t.Helper()
	switch want {
	case "NODATA":
		return []string{"SOA"}
	case "NXDOMAIN":
		return []string{"NXDOMAIN", "SOA"}
	}
	var lines []string
	for line := range strings.SplitSeq(want, "\n") {
		text, additional := strings.CutPrefix(line, "+")
		zone := dns.NewZoneParser(strings.NewReader(text), origin, "")
		zone.SetDefaultTTL(0)
		if rr, ok := zone.Next(); ok {
			fields := strings.SplitN(rr.String(), "\t", 5)
			line = fields[0] + " " + fields[3] + " " + fields[4]
			if additional {
				line = "+" + line
			}
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

// A TTL is the block's, or what is left of the earliest lease in the answer.
func TestTTLNeverPassesTheEndOfALease(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		lease    string
		passed   time.Duration
		want     uint32
	}{
		{"a static instance has the full TTL", "lease=0", time.Minute, 5},
		{"a lease that lasts longer does not shorten it", "lease=30", 0, 5},
		{"a lease that is about to end does", "lease=30", 27 * time.Second, 2},
		{"by whole seconds, rounded down", "lease=30", 26500 * time.Millisecond, 3},
		{"down to nothing", "lease=30", 29500 * time.Millisecond, 0},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			w := newWorld(t, Config{})
			w.Load("prod/web/a 192.0.2.1 http:80/tcp " + tc.lease + "\nprod/web/b 192.0.2.2 http:80/tcp lease=0")
			w.Pass(tc.passed)
			for name, qtype := range map[string]uint16{
				"web.prod.svc.cluster.local.":            dns.TypeA,
				"_http._tcp.web.prod.svc.cluster.local.": dns.TypeSRV,
				"a.web.prod.svc.cluster.local.":          dns.TypeA,
				"1.2.0.192.in-addr.arpa.":                dns.TypePTR,
			} {
				m := w.ask(name, qtype)
				if len(m.Answer) == 0 {
					t.Fatalf("%s: no answer", name)
				}
				for _, rr := range append(m.Answer, m.Extra...) {
					if got := rr.Header().Ttl; got > tc.want || got+1 < tc.want {
						t.Errorf("%s: TTL %d, want %d: %v", name, got, tc.want, rr)
					}
				}
			}
		})
	}
}
