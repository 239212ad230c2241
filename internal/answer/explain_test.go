package answer

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// explainWorld holds, in one namespace, a headless service whose definition names more ports than
// its instances have, one with a cluster IP, and an external name.
func explainWorld() *table.State {
	id := func(svc, id string) service.ID {
		return service.ID{Name: service.Name{Namespace: "prod", Service: svc}, ID: id}
	}
	addrs := func(texts ...string) (addrs []netip.Addr) {
		for _, text := range texts {
			addrs = append(addrs, netip.MustParseAddr(text))
		}
		return addrs
	}
	udp := service.Port{Name: "dns", Protocol: service.UDP, Number: 53}
	return stateOf([]*table.Instance{
		instanceUntil(0, id("web", "a"), service.Instance{Status: service.Up, Hostname: "one", Addresses: addrs("192.0.2.1", "2001:db8::1"),
			Ports: []service.Port{http}, Metadata: service.Metadata{{Key: "name", Value: "a"}}}),
		instanceUntil(0, id("web", "b"), service.Instance{Status: service.Up, Hostname: "one", Addresses: addrs("192.0.2.2"),
			Ports: []service.Port{http}, Metadata: service.Metadata{{Key: "name", Value: "b"}}}),
		instanceUntil(0, id("web", "c"), service.Instance{Status: service.Up, Addresses: addrs("192.0.2.3"), Ports: []service.Port{udp}}),
		instanceUntil(0, id("web", "d"), service.Instance{Status: service.Draining, Hostname: "one", Addresses: addrs("192.0.2.1"), Ports: []service.Port{http}}),
		instanceUntil(0, id("vip", "a"), service.Instance{Status: service.Up, Hostname: "one", Addresses: addrs("192.0.2.9"), Ports: []service.Port{http}}),
		instanceUntil(0, id("away", "a"), service.Instance{Status: service.Up, Hostname: "one", Addresses: addrs("192.0.2.10")}),
	}, map[service.Name]*service.Definition{
		id("web", "").Name:  {Ports: []service.Port{{Name: "admin", Protocol: service.TCP, Number: 9000}}},
		id("vip", "").Name:  {Type: service.ClusterIP, ClusterIPs: addrs("192.0.2.9", "192.0.2.99"), Ports: []service.Port{http}},
		id("away", "").Name: {Type: service.ExternalName, ExternalName: "example.org"},
	})
}

func anyService(service.Name) bool { return true }

func TestEachInstanceIsExplained(t *testing.T) {
	state := explainWorld()
	for _, tc := range []struct {
		sentence string
		max      int // records in the answer; 0 is all
		name     string
		qtype    uint16
		instance string
		reason   string // part of it; empty: the instance is in the answer
	}{
		{"an address at the service", 0, "web.prod", dns.TypeA, "a", ""},
		{"none of the family", 0, "web.prod", dns.TypeAAAA, "b", "no AAAA record at this name"},
		{"an instance that drains, whose address another has too", 0, "web.prod", dns.TypeA, "d", "status is draining"},
		{"an SRV record whose weight depends on the others", 0, "web.prod", dns.TypeSRV, "c", ""},
		{"a type that no instance has", 0, "web.prod", dns.TypeMX, "a", "no MX record at this name"},
		{"metadata at the name of the service", 0, "web.prod", dns.TypeTXT, "a", "no TXT record at this name"},
		{"an SRV record that two share, of which one is answered", 1, "one.web.prod", dns.TypeSRV, "a", ""},

		{"its host", 0, "one.web.prod", dns.TypeA, "b", ""},
		{"the host of another", 0, "one.web.prod", dns.TypeA, "c", "at 192-0-2-3"},
		{"the metadata of its own", 0, "one.web.prod", dns.TypeTXT, "b", ""},
		{"no metadata at its host", 0, "192-0-2-3.web.prod", dns.TypeTXT, "c", "no TXT record at this name"},

		{"its port", 0, "_http._tcp.web.prod", dns.TypeSRV, "a", ""},
		{"its port in another type", 0, "_http._tcp.web.prod", dns.TypeA, "a", "no A record at this name"},
		{"the port of another", 0, "_dns._udp.web.prod", dns.TypeSRV, "a", "no port _dns._udp"},
		{"a port that only the definition names", 0, "_admin._tcp.web.prod", dns.TypeSRV, "a", "no port _admin._tcp"},
		{"its protocol", 0, "_udp.web.prod", dns.TypeSRV, "c", "no SRV record at this name"},
		{"the protocol of another", 0, "_udp.web.prod", dns.TypeSRV, "a", "no port _udp"},

		{"its address", 0, "1.2.0.192.in-addr.arpa.", dns.TypePTR, "a", ""},
		{"its address in another type", 0, "1.2.0.192.in-addr.arpa.", dns.TypeA, "a", "no A record at this name"},

		{"the cluster IPs, though one is its own address", 0, "vip.prod", dns.TypeA, "a", "cluster IPs"},
		{"a port of the cluster IPs", 0, "_http._tcp.vip.prod", dns.TypeSRV, "a", "cluster IPs"},
		{"a host behind them", 0, "one.vip.prod", dns.TypeA, "a", ""},
		{"an address that is a cluster IP as well", 0, "9.2.0.192.in-addr.arpa.", dns.TypePTR, "a", ""},
		{"an external name", 0, "away.prod", dns.TypeA, "a", "external name"},
	} {
		name := tc.name
		if !strings.HasSuffix(name, ".") {
			name += ".svc.cluster.local."
		}
		zones := Zones([]string{"cluster.local.", "in-addr.arpa."}, nil, tc.max)
		zone := zones[0]
		if zones[1].Covers(name) {
			zone = zones[1]
		}
		m := new(dns.Msg)
		r := Reply{Msg: m, Room: dns.MaxMsgSize}
		a := zone.Lookup(state.Snapshot, name, tc.qtype)
		r.Add(name, a)
		explained := false
		for i, reason := range zone.Explain(state.Snapshot, name, tc.qtype, m.Answer, anyService) {
			if i.ID().ID != tc.instance {
				continue
			}
			explained = true
			if (reason == "") != (tc.reason == "") || !strings.Contains(reason, tc.reason) {
				t.Errorf("%s: %s of %s %s: got %q, want %q", tc.sentence, tc.instance, name, dns.TypeToString[tc.qtype], reason, tc.reason)
			}
		}
		if !explained {
			t.Errorf("%s: %s says nothing of %s", tc.sentence, name, tc.instance)
		}
	}
}

// Two instances share a host and differ in metadata: of a bounded answer each is either in it or left out.
func TestAnInstanceLeftOutOfABoundedAnswerIsExplainedSo(t *testing.T) {
	state := explainWorld()
	const name = "one.web.prod.svc.cluster.local."
	for _, qtype := range []uint16{dns.TypeA, dns.TypeTXT} {
		zone := Zones([]string{"cluster.local."}, nil, 1)[0]
		r := Reply{Msg: new(dns.Msg), Room: dns.MaxMsgSize}
		r.Add(name, zone.Lookup(state.Snapshot, name, qtype))
		var in, out int
		for _, reason := range zone.Explain(state.Snapshot, name, qtype, r.Msg.Answer, anyService) {
			switch {
			case reason == "":
				in++
			case strings.Contains(reason, "more records than one answer"):
				out++
			}
		}
		if in != 1 || out != 1 {
			t.Errorf("%s: %d instances in the answer and %d left out, want 1 and 1: %v", dns.TypeToString[qtype], in, out, r.Msg.Answer)
		}
	}
}
