package answer

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

func TestBelowIsWhatStandsBeforeTheZone(t *testing.T) {
	for _, tc := range []struct {
		sentence   string
		name, zone string
		rest       string
		ok         bool
	}{
		{"a name in the zone", "web.prod.svc.cluster.local.", "cluster.local.", "web.prod.svc", true},
		{"the zone itself", "cluster.local.", "cluster.local.", "", true},
		{"a label more", "a.cluster.local.", "cluster.local.", "a", true},
		{"a zone that only ends alike", "notcluster.local.", "cluster.local.", "", false},
		{"the zone's parent", "local.", "cluster.local.", "", false},
		{"another zone", "example.org.", "cluster.local.", "", false},
		{"a label that ends in an escaped dot and the zone", `a\.cluster.local.`, "cluster.local.", "", false},
		{"the root has all names", "web.prod.svc.", ".", "web.prod.svc", true},
		{"and itself", ".", ".", "", true},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			rest, ok := below(tc.name, tc.zone)
			if ok != tc.ok || ok && rest != tc.rest {
				t.Errorf("%s in %s: got %q, %v, want %q, %v", tc.name, tc.zone, rest, ok, tc.rest, tc.ok)
			}
		})
	}
}

// wholeZones are zones that the parsers are tried with.
var (
	forwardZones = []string{"cluster.local.", "example.org.", "svc.", "svc.svc.", "."}
	reverseZones = []string{"in-addr.arpa.", "2.0.192.in-addr.arpa.", "ip6.arpa.", "8.b.d.0.1.0.0.2.ip6.arpa."}
)

// join writes labels as a name in a zone.
func join(zone string, labels ...string) string {
	return (&Zone{Origin: zone}).under(strings.Join(labels, "."))
}

// TestNamesOfValidPartsParseToThem takes every form that the contract, section 2, has,
// with parts that look like the other forms.
func TestNamesOfValidPartsParseToThem(t *testing.T) {
	parts := []string{"web", "svc", "dns", "pod", "ns", "dns-version", "192-0-2-7", "2001-db8--7", "0", "cluster", "local"}
	for _, zone := range forwardZones {
		check := func(want parsed, labels ...string) {
			t.Helper()
			if got := parse(join(zone, labels...), zone); got != want {
				t.Errorf("%s in %s: got %+v, want %+v", join(zone, labels...), zone, got, want)
			}
		}
		for _, ns := range parts {
			check(parsed{kind: namespaceName, service: service.Name{Namespace: ns}}, ns, "svc")
			for _, svc := range parts {
				name := service.Name{Namespace: ns, Service: svc}
				check(parsed{kind: serviceName, service: name}, svc, ns, "svc")
				for _, host := range parts {
					check(parsed{kind: hostName, service: name, label: host}, host, svc, ns, "svc")
					check(parsed{kind: protocolName, service: name, label: "_" + host}, "_"+host, svc, ns, "svc")
					port := "_" + host + "._tcp"
					check(parsed{kind: portName, service: name, label: port}, port, svc, ns, "svc")
					check(parsed{}, host, "_tcp", svc, ns, "svc")
					check(parsed{}, "_"+host, "tcp", svc, ns, "svc")
					check(parsed{}, host, port, svc, ns, "svc")
				}
			}
			check(parsed{}, ns, "pod")
			check(parsed{}, ns, "dns-version")
			check(parsed{}, "ns", ns, "dns")
		}
		check(parsed{kind: nonTerminal}, "svc")
		check(parsed{kind: nonTerminal}, "pod")
		check(parsed{kind: nonTerminal}, "dns")
		check(parsed{kind: nameServer}, "ns", "dns")
		check(parsed{kind: version}, "dns-version")
		check(parsed{}, "other")
		if got := parse(zone, zone); got.kind != apex {
			t.Errorf("%s: got %+v, want the apex", zone, got)
		}
	}
}

// FuzzParseName: whatever name comes in, nothing panics; what is taken for the name of a
// service or of what is below it reads the same when its parts are put together again;
// and only a whole address has a reverse name.
func FuzzParseName(f *testing.F) {
	for _, name := range []string{
		".", "cluster.local.", "svc.cluster.local.", "web.prod.svc.cluster.local.", "a.web.prod.svc.cluster.local.",
		"_http._tcp.web.prod.svc.cluster.local.", "_tcp.web.prod.svc.cluster.local.", "_.web.prod.svc.cluster.local.",
		"_._.web.prod.svc.cluster.local.", "a._tcp.web.prod.svc.cluster.local.", `a\.b.web.prod.svc.cluster.local.`,
		`\..svc.cluster.local.`, `\\.svc.cluster.local.`, `_a\.._tcp.web.prod.svc.cluster.local.`, "ns.dns.cluster.local.", `ns\.dns.cluster.local.`,
		"x.ns.dns.cluster.local.", "dns-version.cluster.local.", "notcluster.local.", `a\.cluster.local.`,
		"web.prod.svc.", "svc.svc.svc.svc.", "svc.", "dns.svc.",
		"7.2.0.192.in-addr.arpa.", "07.2.0.192.in-addr.arpa.", "256.2.0.192.in-addr.arpa.", "+7.2.0.192.in-addr.arpa.",
		"1.7.2.0.192.in-addr.arpa.", "2.0.192.in-addr.arpa.", "ns.dns.2.0.192.in-addr.arpa.", "in-addr.arpa.", "dns.in-addr.arpa.", `7\.2.0.192.in-addr.arpa.`,
		"7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", "8.b.d.0.1.0.0.2.ip6.arpa.",
		"f.7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.", "10.ip6.arpa.", "g.ip6.arpa.", "_.ip6.arpa.", "ip6.arpa.",
	} {
		f.Add(`_\..0.0.svc.`) // panicked
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if _, ok := dns.IsDomainName(name); !ok {
			return // no such question comes from the wire, nor may one be asked
		}
		name = dns.CanonicalName(name)
		for _, zone := range forwardZones {
			p := parse(name, zone)
			var labels []string
			if p.label != "" {
				labels = append(labels, p.label)
			}
			switch p.kind {
			case serviceName, hostName, protocolName, portName:
				labels = append(labels, p.service.Service, p.service.Namespace, "svc")
			case namespaceName:
				labels = append(labels, p.service.Namespace, "svc")
			default:
				if p.service != (service.Name{}) || p.label != "" {
					t.Errorf("%s in %s: got %+v", name, zone, p)
				}
				continue
			}
			if got := join(zone, labels...); got != name {
				t.Errorf("%s in %s: got %+v, which is %s", name, zone, p, got)
			}
		}
		for _, zone := range reverseZones {
			p := parseReverse(name, zone)
			if (p.kind == reverseName) != p.addr.IsValid() {
				t.Errorf("%s in %s: got %+v", name, zone, p)
			}
			if p.kind == reverseName {
				if got := reverseOf(t, p.addr); got != name {
					t.Errorf("%s in %s: got %s, whose name is %s", name, zone, p.addr, got)
				}
			}
		}
	})
}

// reverseOf returns the reverse name of an address. dns.ReverseAddr takes an IPv4-mapped
// address for IPv4.
func reverseOf(t *testing.T, addr netip.Addr) string {
	t.Helper()
	if addr.Is4In6() {
		bytes := addr.As16()
		bytes[0] = 0x20
		return strings.TrimSuffix(reverseOf(t, netip.AddrFrom16(bytes)), "0.2."+reverse6) + "0.0." + reverse6
	}
	name, err := dns.ReverseAddr(addr.String())
	if err != nil {
		t.Fatalf("reverse name of %s: %v", addr, err)
	}
	return name
}

func TestReverseNamesLeadBackToTheirAddress(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var bytes [16]byte
		for n := range bytes {
			bytes[n] = byte(random.Uint32()) * byte(random.IntN(2)) // with runs of zeros
		}
		for _, addr := range []netip.Addr{netip.AddrFrom16(bytes), netip.AddrFrom4([4]byte(bytes[:4]))} {
			name := reverseOf(t, addr)
			labels := dns.SplitDomainName(name)
			whole := len(labels) - 2 // without in-addr.arpa
			for n := range labels[:whole+1] {
				// Each zone that the name lies in, from its own name to the root of them.
				zone := dns.Fqdn(strings.Join(labels[n:], "."))
				want := parsed{kind: reverseName, addr: addr}
				if n == 0 {
					want.kind = apex
				}
				if got := parseReverse(name, zone); got != want {
					t.Fatalf("%s in %s: got %+v, want %+v", name, zone, got, want)
				}
				prefix, ok := reverseRange(zone)
				if bits := (whole - n) * addr.BitLen() / whole; !ok || prefix.Bits() != bits || !prefix.Contains(addr) || prefix.Masked() != prefix {
					t.Fatalf("addresses of %s: got %s, %v, want the %d bits before %s", zone, prefix, ok, bits, addr)
				}
				if n > 0 {
					if got := parseReverse(zone, labels[len(labels)-2]+".arpa."); got.kind != nonTerminal && got.kind != apex {
						t.Fatalf("%s: got %+v, want a name with others below", zone, got)
					}
				}
			}
		}
	}
}

func TestZonesOfNoAddressHaveNone(t *testing.T) {
	for zone, reverse := range map[string]bool{
		"cluster.local.": false, "arpa.": false, ".": false, "home.arpa.": false, "notin-addr.arpa.": false,
		"in-addr.arpa.": true, "ip6.arpa.": true, "2.0.192.in-addr.arpa.": true,
		"0/25.2.0.192.in-addr.arpa.": true, // RFC 2317
	} {
		if got := IsReverse(zone); got != reverse {
			t.Errorf("%s is a reverse zone: got %v", zone, got)
		}
	}
	for _, zone := range []string{"cluster.local.", "arpa.", "0/25.2.0.192.in-addr.arpa.", "1.1.1.1.1.in-addr.arpa."} {
		if got, ok := reverseRange(zone); ok {
			t.Errorf("%s has the addresses %s", zone, got)
		}
	}
}
