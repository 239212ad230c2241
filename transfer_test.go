package registry

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/engine"
	"github.com/coredns-registry/registry/internal/engine/enginetest"
	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/store/memory"
	"github.com/coredns-registry/registry/internal/testkit"
	"github.com/coredns-registry/registry/service"

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
		w.Load(aWorld)
		w.Pass(2 * time.Second)
		got := transferred(t, w, tc.zone, 0)
		first, last := got[0].(*dns.SOA), got[len(got)-1].(*dns.SOA)
		if first.Serial != last.Serial || first.Serial != w.Engine.State().Serial() {
			t.Errorf("%s: serials %d and %d, want %d", tc.zone, first.Serial, last.Serial, w.Engine.State().Serial())
		}
		lines := enginetest.Summary(&dns.Msg{Answer: got})
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
	w.Load(aWorld)
	now := w.Engine.State().Serial()
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

func TestATransferIsBoundedAsAnswersAreWhenItIsTold(t *testing.T) {
	for _, tc := range []struct {
		text string
		want int
	}{
		{"registry", 5},
		{"registry {\n answers 2\n}", 5},
		{"registry {\n answers 2 transfer\n}", 2},
		{"registry {\n answers 9 transfer\n}", 5},
		{"registry {\n answers 0 transfer\n}", 5},
	} {
		config, err := parseText(tc.text)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t, *config)
		for n := range 5 {
			w.Load(fmt.Sprintf("prod/web/web-%d 192.0.2.%d", n, n))
		}
		w.Pass(2 * time.Second)
		got := 0
		for _, rr := range transferred(t, w, "cluster.local.", 0) {
			if rr.Header().Name == "web."+origin && rr.Header().Rrtype == dns.TypeA {
				got++
			}
		}
		if got != tc.want {
			t.Errorf("%s: a transfer has %d addresses of the service, want %d", tc.text, got, tc.want)
		}
	}
}

// Whenever it is asked for and however long it takes, a transfer has what its serial stands for.
func TestATransferIsTheTableAsOfItsSerial(t *testing.T) {
	w := newWorld(t, Config{})
	w.Pass(400 * time.Millisecond)
	w.Load("prod/web/web-1 192.0.2.1 lease=3\nprod/web/web-2 192.0.2.2")
	w.Pass(2600 * time.Millisecond)
	records := func(zone string) string {
		t.Helper()
		rrs := transferred(t, w, zone, 0)
		for _, rr := range rrs {
			rr.Header().Ttl = 0
		}
		return strings.Join(enginetest.Summary(&dns.Msg{Answer: rrs}), "\n")
	}
	zones := []string{"cluster.local.", "in-addr.arpa."}
	before := []string{records(zones[0]), records(zones[1])}
	same := func(what string) {
		t.Helper()
		for n, zone := range zones {
			if got := records(zone); got != before[n] {
				t.Errorf("%s, of the same serial: got\n%s\nwant\n%s", what, got, before[n])
			}
		}
	}
	began, err := w.handler.Transfer(zones[0], 0)
	if err != nil {
		t.Fatal(err)
	}
	<-began // its first SOA

	w.Load("prod/web/web-2 192.0.2.22\nprod/web/web-3 192.0.2.3\nservice prod/new headless")
	same("after a change")
	w.Apply(service.Change{Op: service.Deregister, ID: testkit.ID("prod", "web", "web-2")})
	same("after an instance has gone")
	if got := enginetest.Summary(w.ask("web."+origin, dns.TypeA)); !slices.Equal(got, wanted(t, "web A 192.0.2.1\nweb A 192.0.2.3")) {
		t.Errorf("DNS does not answer by the changes: %v", got)
	}
	w.Pass(500 * time.Millisecond)
	same("after a lease has ended")
	w.Pass(600 * time.Millisecond)
	for n, zone := range zones {
		if got := records(zone); got == before[n] {
			t.Errorf("%s: a second after the changes there is still\n%s", zone, got)
		}
	}
	if after := records(zones[0]); strings.Contains(after, "192.0.2.1\n") || strings.Contains(after, "192.0.2.2\n") || !strings.Contains(after, "192.0.2.3\n") {
		t.Errorf("of the next serial: got\n%s", after)
	}

	var rrs []dns.RR
	for more := range began {
		rrs = append(rrs, more...)
	}
	for _, rr := range rrs {
		rr.Header().Ttl = 0
	}
	rrs = append(rrs, rrs[len(rrs)-1]) // its first SOA
	if got := strings.Join(enginetest.Summary(&dns.Msg{Answer: rrs}), "\n"); got != before[0] {
		t.Errorf("what was begun before the changes: got\n%s\nwant\n%s", got, before[0])
	}
}

// A secondary takes what has a greater serial than it has (RFC 1982, section 3.2), so that of a
// zone must grow whatever becomes of the table.
func TestTheSerialGrowsOverRestartsRestoresAndMovesBetweenStores(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	pass := func(r *engine.Engine, d time.Duration) {
		for end := now.Add(d); now.Before(end); {
			now = now.Add(100 * time.Millisecond)
			r.Expire()
		}
	}
	open := func(in *memory.Store) *engine.Engine {
		t.Helper()
		var s store.Store
		if in != nil {
			s = in
		}
		r := engine.New("127.0.0.1:0", func() time.Time { return now }, s, log)
		if err := r.Load(); err != nil {
			t.Fatal(err)
		}
		return r
	}
	kept := new(memory.Store) // stands for the file on disk: it is opened again after Close
	last := uint32(0)
	for _, tc := range []struct {
		sentence string
		after    time.Duration
		store    *memory.Store
		changes  int
	}{
		{"in memory", 0, nil, 10_000},
		{"a restart", time.Second, nil, 3},
		{"a restart after 25 days", 25 * 24 * time.Hour, nil, 3},
		{"a restart after 7 years", 7 * 365 * 24 * time.Hour, nil, 3},
		{"onto a disk", time.Second, kept, 20_000},
		{"a restart there", time.Second, kept, 3},
		{"an empty directory", time.Second, new(memory.Store), 0},
		{"the old file restored", time.Second, kept, 0},
		{"back to memory", time.Second, nil, 0},
	} {
		now = now.Add(tc.after).Truncate(time.Second).Add(300 * time.Millisecond)
		r := open(tc.store)
		check := func(what string) {
			t.Helper()
			got := r.State().Serial()
			if int32(got-last) <= 0 {
				t.Errorf("%s, %s: serial %d after %d", tc.sentence, what, got, last)
			}
			if got > uint32(now.Unix()) || got < uint32(now.Unix())-3 {
				t.Errorf("%s, %s: serial %d is not of about now, %d", tc.sentence, what, got, now.Unix())
			}
			last = got
		}
		check("at the start")
		for n := range tc.changes {
			c := service.Change{Op: service.Define, ID: testkit.ID("prod", "web", ""), Definition: &service.Definition{PublishNotReady: n%2 == 0}}
			if _, _, err := r.Apply(testkit.Anyone, []service.Change{c}, now); err != nil {
				t.Fatal(err)
			}
		}
		pass(r, 2*time.Second)
		if tc.changes > 0 {
			check("after changes")
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
