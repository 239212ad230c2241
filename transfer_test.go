package registry

import (
	"slices"
	"strings"
	"testing"

	"github.com/coredns/coredns/plugin/transfer"

	"github.com/miekg/dns"
)

func TestTransferIsTheWholeZone(t *testing.T) {
	for _, tc := range []struct {
		zone string
		want []string // among the records
		not  string
	}{
		{"cluster.local.", []string{
			"cluster.local. NS ns.dns.cluster.local.",
			"ns.dns.cluster.local. A 192.0.2.53",
			`dns-version.cluster.local. TXT "1.1.0"`,
			"web A 192.0.2.7",
			"_http._tcp.web SRV 0 50 8080 web-2.web",
			`web-1.web TXT "a=b" "version=1.4.2"`,
			"vip A 10.0.0.1",
			"pod-1.vip A 192.0.2.81",
			"alias CNAME web",
		}, "192.0.2.9"},
		{"in-addr.arpa.", []string{
			"in-addr.arpa. NS ns.dns.in-addr.arpa.",
			"7.2.0.192.in-addr.arpa. PTR web-1.web",
			"1.0.0.10.in-addr.arpa. PTR vip",
			"30.2.0.192.in-addr.arpa. PTR a.twins",
		}, "dns-version"},
	} {
		w := newWorld(t, Config{})
		w.load(aWorld)
		got := transferred(t, w, tc.zone, 0)
		first, last := got[0].(*dns.SOA), got[len(got)-1].(*dns.SOA)
		if first.Serial != last.Serial || first.Serial != w.registry.State().Serial() {
			t.Errorf("%s: serials %d and %d, want %d", tc.zone, first.Serial, last.Serial, w.registry.State().Serial())
		}
		lines := summary(&dns.Msg{Answer: got})
		for _, want := range tc.want {
			if line := wanted(t, want)[0]; !slices.Contains(lines, line) {
				t.Errorf("%s: %q is missing from\n%s", tc.zone, line, strings.Join(lines, "\n"))
			}
		}
		if strings.Contains(strings.Join(lines, "\n"), tc.not) {
			t.Errorf("%s: %q is in it", tc.zone, tc.not)
		}
	}
}

func transferred(t *testing.T, w *world, zone string, serial uint32) []dns.RR {
	t.Helper()
	records, err := w.handler.Transfer(zone, serial)
	if err != nil {
		t.Fatalf("%s: %v", zone, err)
	}
	var all []dns.RR
	for rrs := range records {
		all = append(all, rrs...)
	}
	return all
}

func TestTransferOfWhatIsKnownIsTheSOAAlone(t *testing.T) {
	w := newWorld(t, Config{})
	w.load(aWorld)
	now := w.registry.State().Serial()
	for _, tc := range []struct {
		sentence string
		serial   uint32
		alone    bool
	}{
		{"the same serial", now, true},
		{"a newer one", now + 1, true},
		{"an older one", now - 1, false},
	} {
		if got := len(transferred(t, w, "cluster.local.", tc.serial)); (got == 1) != tc.alone {
			t.Errorf("%s: got %d records, want the SOA alone: %v", tc.sentence, got, tc.alone)
		}
	}
}

func TestTransferOfAnotherZoneIsNotOurs(t *testing.T) {
	w := newWorld(t, Config{})
	for _, zone := range []string{"example.org.", "svc.cluster.local."} {
		if _, err := w.handler.Transfer(zone, 0); err != transfer.ErrNotAuthoritative {
			t.Errorf("%s: got %v, want ErrNotAuthoritative", zone, err)
		}
	}
}
