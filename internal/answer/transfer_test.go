package answer

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// everyKind makes a random table with services of every type.
func everyKind(random *rand.Rand) ([]*table.Instance, map[service.Name]*service.Definition) {
	grpc := service.Port{Name: "GRPC", Protocol: service.UDP, Number: 9090}
	unnamed := service.Port{Protocol: service.SCTP, Number: 7}
	var instances []*table.Instance
	definitions := map[service.Name]*service.Definition{}
	for ns := range 3 {
		for n := range 8 {
			name := service.Name{Namespace: fmt.Sprint("n", ns), Service: fmt.Sprint("s", n)}
			s := shape{hosts: random.IntN(3), addresses: 1 + random.IntN(300), leased: random.IntN(2) == 0}
			for _, p := range []service.Port{http, grpc, unnamed} {
				if random.IntN(2) == 0 {
					s.ports = append(s.ports, p)
				}
			}
			for _, i := range s.instances(random, name, random.IntN(7)) {
				i.Status = []service.Status{service.Up, service.Up, service.Draining, service.Down}[random.IntN(4)]
				if random.IntN(3) == 0 {
					i.Hostname = ""
				}
				if random.IntN(3) == 0 {
					i.Metadata = service.Metadata{{Key: "k", Value: fmt.Sprint(random.IntN(2))}}
				}
				instances = append(instances, i)
			}
			d := &service.Definition{Ports: []service.Port{http}, PublishNotReady: random.IntN(4) == 0}
			switch random.IntN(5) {
			case 0:
				definitions[name] = d
			case 1:
				d.Type, d.ClusterIPs = service.ClusterIP, []netip.Addr{
					netip.AddrFrom4([4]byte{10, 0, 1, byte(random.IntN(256))}), // may be an instance's too
					netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(random.IntN(256))}),
				}
				definitions[name] = d
			case 2:
				d.Type, d.ExternalName = service.ExternalName, "example.org"
				definitions[name] = d
			}
		}
	}
	return instances, definitions
}

// namesThatMayBe are all names in a zone that a table could have records at, and more.
func namesThatMayBe(z *Zone, instances []*table.Instance, definitions map[service.Name]*service.Definition) []string {
	names := []string{z.Origin, z.under("dns"), z.under("ns.dns"), z.under("dns-version"), z.under("svc"), z.under("pod")}
	services := map[service.Name]bool{}
	for name, d := range definitions {
		services[name] = true
		for _, addr := range d.ClusterIPs {
			names = append(names, reverseName4or6(addr))
		}
	}
	for _, i := range instances {
		services[i.Name()] = true
		if i.Hostname != "" {
			names = append(names, z.under(i.Hostname+"."+i.Name().String()+".svc"))
		}
		for _, addr := range i.Addresses {
			names = append(names, z.under(service.DashedAddress(addr)+"."+i.Name().String()+".svc"), reverseName4or6(addr))
		}
	}
	for name := range services {
		names = append(names, z.under(name.Namespace+".svc"))
		for _, prefix := range []string{"", "_http._tcp.", "_grpc._udp.", "_http._udp.", "_tcp.", "_udp.", "_sctp."} {
			names = append(names, z.under(prefix+name.String()+".svc"))
		}
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return !z.Covers(name) })
}

func reverseName4or6(addr netip.Addr) string {
	name, _ := dns.ReverseAddr(addr.String())
	return name
}

// TestTransferIsAllThatQueriesGive: the records of a transfer are those that one gets by
// asking for every name and type, and each comes once. Whatever the answers of a query are
// bounded by, a transfer is whole.
func TestTransferIsAllThatQueriesGive(t *testing.T) {
	origins := []string{"cluster.local.", "example.org.", "0.10.in-addr.arpa.", "in-addr.arpa.", "ip6.arpa.", "8.b.d.0.1.0.0.2.ip6.arpa.", "0.0.10.in-addr.arpa.", "7.in-addr.arpa.", "3.0.0.10.in-addr.arpa.", "200.0.0.10.in-addr.arpa."}
	servers := []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8::53")}
	types := []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeTXT, dns.TypePTR, dns.TypeCNAME, dns.TypeNS, dns.TypeMX}
	now := lease.Time(45 * time.Second)
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 11))
		instances, definitions := everyKind(random)
		state := stateOf(instances, definitions)
		bounded := Zones(origins, servers, 1)
		for n, zone := range Zones(origins, servers, 0) {
			var asked []dns.RR
			for _, name := range namesThatMayBe(zone, instances, definitions) {
				for _, qtype := range types {
					r := Reply{Msg: new(dns.Msg), Room: dns.MaxMsgSize, TTL: 3600, Now: now}
					r.Add(name, zone.Lookup(state.Snapshot, name, qtype))
					r.Finish()
					asked = append(asked, r.Msg.Answer...)
				}
			}
			want := lines(asked)
			for _, z := range []*Zone{zone, bounded[n]} {
				var told []dns.RR
				for rrs := range z.All(state.Version(), 3600, now, 0) {
					if len(rrs) == 0 {
						t.Errorf("seed %d, %s: an empty part of a transfer", seed, z.Origin)
					}
					told = append(told, rrs...)
				}
				if got := lines(told); !slices.Equal(got, want) || len(got) != len(told) {
					t.Fatalf("seed %d, %s: %d records told, %d different, want %d\nonly told:\n%s\nonly asked:\n%s",
						seed, z.Origin, len(told), len(got), len(want), without(got, want), without(want, got))
				}
				for range z.All(state.Version(), 3600, now, 0) {
					break // whoever reads a transfer may go away
				}
			}
		}
	}
}

// TestABoundedTransferHasNoMoreOfEachNameAndType: it has that many of those that there are,
// the same ones whenever the serial is the same, and each instance in its turn.
func TestABoundedTransferHasNoMoreOfEachNameAndType(t *testing.T) {
	const most = 3
	type owner struct {
		name  string
		qtype uint16
	}
	now := lease.Time(45 * time.Second)
	for seed := range uint64(3) {
		opened := func(second int64) *table.Version {
			instances, definitions := everyKind(rand.New(rand.NewPCG(seed, 13)))
			return stateAt(time.Unix(second, 0), instances, definitions).Version()
		}
		for _, zone := range Zones([]string{"cluster.local.", "in-addr.arpa."}, nil, 0) {
			all := map[owner][]string{}
			for rrs := range zone.All(opened(0), 3600, now, 0) {
				at := owner{rrs[0].Header().Name, rrs[0].Header().Rrtype}
				all[at] = lines(withoutWeights(rrs))
			}
			seen := map[owner][]string{}
			var before []string
			for serial := range 100 {
				var told []dns.RR
				for rrs := range zone.All(opened(int64(serial/2)), 3600, now, most) { // each serial twice
					at := owner{rrs[0].Header().Name, rrs[0].Header().Rrtype}
					some := lines(withoutWeights(rrs))
					if len(some) != min(most, len(all[at])) || without(some, all[at]) != "" {
						t.Fatalf("seed %d: %v has\n%s\nof\n%s", seed, at, strings.Join(some, "\n"), strings.Join(all[at], "\n"))
					}
					seen[at] = append(seen[at], some...)
					told = append(told, rrs...)
				}
				is := lines(told)
				if serial%2 == 1 && !slices.Equal(is, before) {
					t.Fatalf("seed %d: of one serial: got\n%s\nand\n%s", seed, strings.Join(is, "\n"), strings.Join(before, "\n"))
				}
				before = is
			}
			for at, records := range all {
				if at.qtype == dns.TypeSRV {
					continue // whose turn it is goes by instances, and one may have more than most
				}
				if missing := without(records, seen[at]); missing != "" {
					t.Errorf("seed %d: %v is never sent with\n%s", seed, at, missing)
				}
			}
		}
	}
}

// TestABoundedTransferOfALargeServiceTakesTurns: there are more records than are gathered for
// one answer, and all of them have their turn.
func TestABoundedTransferOfALargeServiceTakesTurns(t *testing.T) {
	const most, serials = 100, 8
	zone := Zones([]string{"cluster.local."}, nil, 0)[0]
	targets := map[string]map[string]bool{}
	var before []string
	for n := range serials {
		version := stateAt(time.Unix(int64(n/2), 0), swollen(72), nil).Version() // each serial twice
		told := map[string][]string{}
		var all []dns.RR
		for rrs := range zone.All(version, 30, 0, most) {
			all = append(all, rrs...)
			for _, rr := range rrs {
				srv, is := rr.(*dns.SRV)
				if !is {
					continue
				}
				if srv.Weight != 1 && srv.Hdr.Name[0] != '1' {
					t.Fatalf("got %s, want the share of one in %d", srv, most)
				}
				name := srv.Hdr.Name
				told[name] = append(told[name], srv.String())
				if targets[name] == nil {
					targets[name] = map[string]bool{}
				}
				targets[name][srv.Target] = true
			}
		}
		for name, want := range map[string]int{
			"web.prod.svc.cluster.local.":          most,
			"_p7._tcp.web.prod.svc.cluster.local.": most,
			"10-0-0-7.web.prod.svc.cluster.local.": service.MaxPorts,
		} {
			if got := len(told[name]); got != want {
				t.Fatalf("%d records of type SRV at %s, want %d", got, name, want)
			}
		}
		is := lines(all)
		if n%2 == 1 && !slices.Equal(is, before) {
			t.Fatal("of one serial there are two contents")
		}
		before = is
	}
	for name, least := range map[string]int{"web.prod.svc.cluster.local.": serials / 2, "_p7._tcp.web.prod.svc.cluster.local.": 2 * most} {
		if got := len(targets[name]); got < least {
			t.Errorf("%s leads to %d hosts under %d serials, want at least %d", name, got, serials/2, least)
		}
	}
}

// withoutWeights returns records as they would be whatever else is sent with them.
func withoutWeights(rrs []dns.RR) (all []dns.RR) {
	for _, rr := range rrs {
		rr = dns.Copy(rr)
		rr.Header().Ttl = 0
		if srv, ok := rr.(*dns.SRV); ok {
			srv.Weight = 0
		}
		all = append(all, rr)
	}
	return all
}

func without(some, others []string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(some), func(s string) bool { return slices.Contains(others, s) }), "\n")
}

// TestNamesOfAnInstanceLeadToIt: what the endpoint tells of an instance, DNS answers.
func TestNamesOfAnInstanceLeadToIt(t *testing.T) {
	for seed := range uint64(20) {
		instances, definitions := everyKind(rand.New(rand.NewPCG(seed, 12)))
		state := stateOf(instances, definitions)
		zones := Zones([]string{"cluster.local.", "in-addr.arpa."}, nil, 0)
		for _, i := range instances {
			view := state.Service(i.Name())
			if got := zones[1].Names(view, i); got != nil {
				t.Errorf("seed %d: %s has the names %v in a reverse zone", seed, i.ID(), got)
			}
			names := zones[0].Names(view, i)
			if (len(names) > 0) != view.Answers(i) {
				t.Errorf("seed %d: %s is answered: %v, it has the names %v", seed, i.ID(), view.Answers(i), names)
			}
			for _, name := range names {
				found := false
				for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV} {
					r := Reply{Msg: new(dns.Msg), Room: dns.MaxMsgSize}
					r.Add(name, zones[0].Lookup(state.Snapshot, name, qtype))
					for _, rr := range append(r.Msg.Answer, r.Msg.Extra...) {
						found = found || slices.Contains(i.Addresses, addressOf(rr))
					}
				}
				if !found {
					t.Errorf("seed %d: %s does not lead to %s", seed, name, i.ID())
				}
			}
		}
	}
}

// addressOf returns the address that a record holds; the zero Addr if it holds none.
func addressOf(rr dns.RR) (addr netip.Addr) {
	switch rr := rr.(type) {
	case *dns.A:
		addr, _ = netip.AddrFromSlice(rr.A)
	case *dns.AAAA:
		addr, _ = netip.AddrFromSlice(rr.AAAA)
	}
	return addr.Unmap()
}

// TestNamesOver255BytesDoNotExist: nothing is told to be at a name that is too long for a message
// (RFC 1035, section 3.1), and nothing leads to it. A single record of one breaks a whole transfer.
func TestNamesOver255BytesDoNotExist(t *testing.T) {
	label := strings.Repeat("z", 63)
	origin := strings.Repeat(label+".", 2) + strings.Repeat("z", 47) + "."
	// The longest names that are left below SERVICE.NAMESPACE.svc: 67 bytes.
	host := func(n int) string { return strings.Repeat("h", n) }
	name := service.Name{Namespace: "prod", Service: "web"}
	var instances []*table.Instance
	for n, is := range []service.Instance{
		{Hostname: host(63), Ports: []service.Port{{Name: host(57), Protocol: service.TCP, Number: 1}}},
		{Hostname: "short", Ports: []service.Port{{Name: host(62), Protocol: service.TCP, Number: 2}}},
	} {
		is.Status, is.Addresses = service.Up, []netip.Addr{address(n)}
		is.Metadata = service.Metadata{{Key: "k", Value: "v"}}
		instances = append(instances, instanceUntil(0, service.ID{Name: name, ID: fmt.Sprint("i", n)}, is))
	}
	long := service.Name{Namespace: label, Service: label} // not even its own name is short enough
	instances = append(instances, instanceUntil(0, service.ID{Name: long, ID: "x"},
		service.Instance{Status: service.Up, Hostname: "x", Addresses: []netip.Addr{address(9)}}))
	state := stateOf(instances, map[service.Name]*service.Definition{
		{Namespace: label, Service: "alias"}: {Type: service.ExternalName, ExternalName: "example.org"},
	})
	for _, extra := range []string{"", "zz."} { // zones in which the first instance's names just fit, and just do not
		zones := Zones([]string{extra + origin, "in-addr.arpa."}, nil, 0)
		told := map[string]bool{}
		for n, zone := range zones {
			for rrs := range zone.All(state.Version(), 30, 0, 0) {
				for _, rr := range rrs {
					told[rr.Header().Name] = true
					if _, err := dns.PackRR(rr, make([]byte, 1<<10), 0, nil, false); err != nil || len(rr.Header().Name) > 254 {
						t.Errorf("the transfer of zone %d has a record that is too long, %v: %s", n, err, rr)
					}
				}
			}
		}
		zone := zones[0]
		for _, i := range instances {
			view := state.Service(i.Name())
			for _, name := range zone.Names(view, i) {
				if len(name) > 254 || !told[name] {
					t.Errorf("%s has the name %s, of %d bytes", i.ID(), name, len(name)+1)
				}
			}
			for _, label := range append(labels(i), portLabel(service.Port{Name: host(62), Protocol: service.TCP})) {
				name := label + "." + i.Name().String() + zone.suffix
				got := zone.Lookup(state.Snapshot, name, dns.TypeA).Outcome
				if exists := got != NoName; exists != (len(name) <= 254) && i.Name() == web || exists && len(name) > 254 {
					t.Errorf("a name of %d bytes: %s", len(name)+1, got)
				}
			}
		}
		fits := extra == ""
		if got := told[portLabel(service.Port{Name: host(57), Protocol: service.TCP})+".web.prod"+zone.suffix]; got != fits {
			t.Errorf("the longest port that fits is told: %t, want %t", got, fits)
		}
		if !told["short.web.prod"+zone.suffix] {
			t.Error("what is short enough is not told")
		}
	}
	longest := strings.Repeat("a.", LongestZone/2)
	if soa := Zones([]string{longest}, nil, 0)[0].SOA(longest, state.Serial(), 30); packBody(soa) == nil {
		t.Errorf("the SOA of the longest zone has no place in a message: %s", soa)
	}
}
