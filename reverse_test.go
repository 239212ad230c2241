package registry

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/plugin"

	"github.com/coredns-registry/registry/internal/engine/enginetest"

	"github.com/miekg/dns"
)

// CoreDNS makes a zone of each address where a network does not end at a label of the
// reverse name. Then the name of the address is the apex of the zone.
func TestAnAddressThatIsAZoneOfItsOwnHasItsPTR(t *testing.T) {
	const table = `
		prod/web/web-1 192.0.2.7 2001:db8::7 http:80/tcp
		prod/web/web-2 192.0.2.8 status=down
		service prod/vip clusterIP 192.0.2.9 http:80/tcp
	`
	const (
		seven = "7.2.0.192.in-addr.arpa."
		ten   = "10.2.0.192.in-addr.arpa."
		v6    = "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa."
	)
	for _, tc := range []struct {
		sentence string
		network  string
		fall     bool
		qtype    string
		name     string
		want     string
	}{
		{"an address in a /28", "192.0.2.0/28", false, "PTR", seven, seven + " PTR web-1.web"},
		{"in a /26", "192.0.2.0/26", false, "PTR", seven, seven + " PTR web-1.web"},
		{"in a /25", "192.0.2.0/25", false, "PTR", seven, seven + " PTR web-1.web"},
		{"of a /32", "192.0.2.7/32", false, "PTR", seven, seven + " PTR web-1.web"},
		{"in a /31", "192.0.2.6/31", false, "PTR", seven, seven + " PTR web-1.web"},
		{"of an IPv6 /128", "2001:db8::7/128", false, "PTR", v6, v6 + " PTR web-1.web"},
		{"in a /127", "2001:db8::6/127", false, "PTR", v6, v6 + " PTR web-1.web"},
		{"in a /125", "2001:db8::/125", false, "PTR", v6, v6 + " PTR web-1.web"},
		{"below the apex of a network off the nibble", "2001:db8::/30", false, "PTR", v6, v6 + " PTR web-1.web"},
		{"below the apex of a network off the octet", "192.0.2.0/23", false, "PTR", seven, seven + " PTR web-1.web"},
		{"a zone that is named and not computed", seven, false, "PTR", seven, seven + " PTR web-1.web"},
		{"a cluster IP", "192.0.2.0/28", false, "PTR", "9.2.0.192.in-addr.arpa.", "9.2.0.192.in-addr.arpa. PTR vip"},
		{"in other letters", "192.0.2.0/28", false, "PTR", "7.2.0.192.IN-ADDR.arpa.", "7.2.0.192.IN-ADDR.arpa. PTR web-1.web"},
		{"the zone has its SOA", "192.0.2.0/28", false, "SOA", seven,
			seven + " SOA ns.dns." + seven + " hostmaster." + seven + " SERIAL 7200 1800 86400 5"},
		{"and its NS", "192.0.2.0/28", false, "NS", seven,
			seven + " NS ns.dns." + seven + "\n+ns.dns." + seven + " A 192.0.2.53\n+ns.dns." + seven + " AAAA 2001:db8::53"},
		{"and no more", "192.0.2.0/28", false, "A", seven, "NODATA"},
		{"the zone is there though nobody has the address", "192.0.2.0/28", false, "PTR", ten, "NODATA"},
		{"or who has it is not answered", "192.0.2.0/28", false, "PTR", "8.2.0.192.in-addr.arpa.", "NODATA"},
		{"its SOA too", "192.0.2.10/32", false, "SOA", ten,
			ten + " SOA ns.dns." + ten + " hostmaster." + ten + " SERIAL 7200 1800 86400 5"},
		{"an address that nobody has is passed on", "192.0.2.0/28", true, "PTR", ten, "NEXT"},
		{"of any type", "192.0.2.0/28", true, "TXT", ten, "NEXT"},
		{"but for those of the zone itself", "192.0.2.10/32", true, "NS", ten,
			ten + " NS ns.dns." + ten + "\n+ns.dns." + ten + " A 192.0.2.53\n+ns.dns." + ten + " AAAA 2001:db8::53"},
		{"one that somebody has is not", "192.0.2.0/28", true, "PTR", seven, seven + " PTR web-1.web"},
		{"nor is it without the type", "192.0.2.0/28", true, "TXT", seven, "NODATA"},
		{"a network of several addresses has nothing to pass on at its apex", "192.0.2.0/24", true, "PTR", "2.0.192.in-addr.arpa.", "NODATA"},
	} {
		for _, where := range []string{"among ZONES", "in the server block"} {
			t.Run(tc.sentence+" "+where, func(t *testing.T) {
				text := "registry cluster.local " + tc.network
				keys := []string{"."}
				if where == "in the server block" {
					text, keys = "registry", serverBlockKeys("cluster.local", tc.network)
				}
				if tc.fall {
					text += " {\n fallthrough\n}"
				}
				c := caddy.NewTestController("dns", text)
				c.ServerBlockKeys = keys
				config, err := parse(c)
				if err != nil {
					t.Fatal(err)
				}
				w := newWorld(t, *config)
				w.Load(table)
				m := w.ask(tc.name, dns.StringToType[tc.qtype])
				want := strings.ReplaceAll(tc.want, "SERIAL", fmt.Sprint(w.Engine.State().Serial()))
				if got, want := enginetest.Summary(m), wanted(t, want); !slices.Equal(got, want) {
					t.Errorf("%s %s in %s:\ngot  %s\nwant %s", tc.qtype, tc.name, tc.network, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
				}
			})
		}
	}
}

// serverBlockKeys returns the keys of a server block for some zones, as CoreDNS hands them to
// plugins: it has made several zones of a network by then.
func serverBlockKeys(zones ...string) (keys []string) {
	for _, zone := range zones {
		for _, origin := range plugin.Host(zone).NormalizeExact() {
			keys = append(keys, "dns://"+origin+":1053")
		}
	}
	return keys
}

// Who may not read the holders of an address is told what there is where nobody has it.
func TestAnExplanationOfAnAddressThatIsAZoneHidesWhoHasIt(t *testing.T) {
	w := newWorld(t, Config{Zones: []string{"cluster.local.", "7.2.0.192.in-addr.arpa.", "9.2.0.192.in-addr.arpa.", "99.2.0.192.in-addr.arpa."}})
	w.Load(secrets)
	a := w.api()
	may := readable("prod/web", "prod/toaddr")
	for _, tc := range []struct {
		sentence string
		name     string
		qtype    uint16
		want     string
	}{
		{"one that may be read", "7.2.0.192.in-addr.arpa.", dns.TypePTR,
			"found NOERROR\n7.2.0.192.in-addr.arpa. PTR web-1.web.prod\nweb-1.web.prod answered=true"},
		{"of another type", "7.2.0.192.in-addr.arpa.", dns.TypeA, "nodata NOERROR\n7.2.0.192.in-addr.arpa. SOA\nweb-1.web.prod answered=false"},
		{"others", "9.2.0.192.in-addr.arpa.", dns.TypePTR, "nodata NOERROR\n9.2.0.192.in-addr.arpa. SOA"},
		{"nobody", "99.2.0.192.in-addr.arpa.", dns.TypePTR, "nodata NOERROR\n99.2.0.192.in-addr.arpa. SOA"},
		{"the zone of others", "9.2.0.192.in-addr.arpa.", dns.TypeSOA, "found NOERROR\n9.2.0.192.in-addr.arpa. SOA"},
		{"an alias to others", "toaddr.prod.svc.cluster.local.", dns.TypeA,
			"alias NOERROR\ntoaddr.prod CNAME 9.2.0.192.in-addr.arpa.\n9.2.0.192.in-addr.arpa. SOA"},
	} {
		if got := explained(a.Explain(tc.name, tc.qtype, may)); got != tc.want {
			t.Errorf("%s: %s %s: got\n%s\nwant\n%s", tc.sentence, tc.name, dns.TypeToString[tc.qtype], got, tc.want)
		}
	}
	for _, n := range []int{7, 9, 99} {
		w.explainsAll(a, fmt.Sprintf("%d.2.0.192.in-addr.arpa.", n))
	}
}
