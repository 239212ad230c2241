package registry

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// crowd is a service of n instances with one address of each family.
func crowd(t testing.TB, n int, config Config) *world {
	w := newWorld(t, config)
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "prod/web/web-%d 10.%d.%d.1 2001:db8::%x http:8080/tcp\n", i, i/256, i%256, i+1)
	}
	w.Load(text.String())
	return w
}

// An answer that does not fit loses its additional section first, all of it, and then
// says that it is truncated; what is sent is the largest prefix that fits.
func TestAnswerThatDoesNotFit(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 29, 30, 31, 100, 500, 1500, 5000} {
		w := crowd(t, n, Config{})
		for _, tc := range []struct {
			name  string
			qtype uint16
		}{
			{"web.prod.svc.cluster.local.", dns.TypeA},
			{"web.prod.svc.cluster.local.", dns.TypeAAAA},
			{"_http._tcp.web.prod.svc.cluster.local.", dns.TypeSRV},
		} {
			for _, room := range []struct {
				sentence string
				edns     uint16 // 0 is none
				tcp      bool
				size     int
			}{
				{"UDP without EDNS", 0, false, 512},
				{"EDNS 1232", 1232, false, 1232},
				{"EDNS 4096", 4096, false, 4096},
				{"TCP", 0, true, 65535},
			} {
				q := new(dns.Msg).SetQuestion(tc.name, tc.qtype)
				if room.edns > 0 {
					q.SetEdns0(room.edns, false)
				}
				m := w.exchange(q, room.tcp)
				packed, err := m.Pack()
				at := fmt.Sprintf("%d instances, %s, %s", n, dns.TypeToString[tc.qtype], room.sentence)
				if err != nil || len(packed) > room.size {
					t.Errorf("%s: got %d bytes and %v, want at most %d", at, len(packed), err, room.size)
				}
				if missing := len(m.Answer) < n; m.Truncated != missing {
					t.Errorf("%s: TC %v with %d answers", at, m.Truncated, len(m.Answer))
				}
				extra := len(m.Extra)
				if m.IsEdns0() != nil {
					extra--
				}
				want := 0
				if tc.qtype == dns.TypeSRV {
					want = 2 * n
				}
				switch {
				case extra != 0 && extra != want:
					t.Errorf("%s: %d additional records, want all %d or none", at, extra, want)
				case extra > 0 && len(m.Answer) < n:
					t.Errorf("%s: %d additional records, and answers are missing", at, extra)
				case len(m.Answer) == 0:
					t.Errorf("%s: no answer at all", at)
				}
				if m.Truncated && len(packed)+100 < room.size {
					t.Errorf("%s: only %d of %d bytes are used", at, len(packed), room.size)
				}
			}
		}
	}
}

func TestAnswersBoundsTheRecords(t *testing.T) {
	w := crowd(t, 10, Config{Most: 3})
	m := w.ask("_http._tcp.web.prod.svc.cluster.local.", dns.TypeSRV)
	if len(m.Answer) != 3 || len(m.Extra) != 6 || m.Truncated {
		t.Fatalf("got %d answers, %d additional, TC %v; want 3 with the 6 addresses of theirs", len(m.Answer), len(m.Extra), m.Truncated)
	}
	for _, rr := range m.Answer {
		if got := rr.(*dns.SRV).Weight; got != 33 {
			t.Errorf("got weight %d, want 33: a share of the records that are answered", got)
		}
	}
}

// Each instance comes first equally often, also where some have more records than others.
func TestFirstPlaceIsFair(t *testing.T) {
	const n, queries = 10, 10_000
	w := newWorld(t, Config{})
	for i := range n {
		w.Load(fmt.Sprintf("prod/web/web-%d 10.0.0.%d %s http:8080/tcp", i, i, []string{"", "10.0.1.1"}[i/9]))
	}
	for _, qtype := range []uint16{dns.TypeA, dns.TypeSRV} {
		first := map[string]int{}
		for range queries {
			m := w.ask("web.prod.svc.cluster.local.", qtype)
			first[m.Answer[0].String()]++
		}
		if len(first) != n {
			t.Errorf("%s: %d came first, want each of %d: %v", dns.TypeToString[qtype], len(first), n, first)
		}
		chi := 0.0
		for _, got := range first {
			d := float64(got) - queries/n
			chi += d * d / (queries / n)
		}
		// 9 degrees of freedom: a fair order exceeds this once in a million runs.
		if chi > 45.1 {
			t.Errorf("%s: chi-square %.1f: %v", dns.TypeToString[qtype], chi, first)
		}
	}
}
