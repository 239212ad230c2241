package bench

import (
	"fmt"
	"testing"

	"github.com/coredns-registry/registry/internal/answer"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

var zones = answer.Zones([]string{"cluster.local.", "in-addr.arpa."}, nil, 0)

var questions = []struct {
	sentence string
	zone     *answer.Zone
	qtype    uint16
	name     func(service.Name) string
	want     answer.Outcome
}{
	{"A", zones[0], dns.TypeA, func(n service.Name) string { return n.String() + ".svc.cluster.local." }, answer.Found},
	{"SRV", zones[0], dns.TypeSRV, func(n service.Name) string { return "_http._tcp." + n.String() + ".svc.cluster.local." }, answer.Found},
	{"NODATA", zones[0], dns.TypeAAAA, func(n service.Name) string { return n.String() + ".svc.cluster.local." }, answer.NoData},
	{"NXDOMAIN", zones[0], dns.TypeA, func(n service.Name) string { return "not-" + n.String() + ".svc.cluster.local." }, answer.NoName},
	{"PTR", zones[1], dns.TypePTR, func(n service.Name) string {
		var at int
		fmt.Sscanf(n.Service, "service-%d", &at)
		at *= instancesPerService
		return fmt.Sprintf("%d.%d.%d.10.in-addr.arpa.", at&0xff, at>>8&0xff, at>>16&0xff)
	}, answer.Found},
}

// BenchmarkLookup finds the answer to a question, for services that have been asked
// before and have not changed since.
func BenchmarkLookup(b *testing.B) {
	forEachQuestion(b, func(b *testing.B, s *table.State, ask func(n int) (*answer.Zone, string, uint16)) {
		n := 0
		for b.Loop() {
			zone, name, qtype := ask(n)
			n++
			zone.Lookup(s.Snapshot, name, qtype)
		}
	})
}

// BenchmarkAnswer is BenchmarkLookup and the whole message, but for its packing.
func BenchmarkAnswer(b *testing.B) {
	forEachQuestion(b, func(b *testing.B, s *table.State, ask func(n int) (*answer.Zone, string, uint16)) {
		n := 0
		for b.Loop() {
			zone, name, qtype := ask(n)
			n++
			r := answer.Reply{Msg: new(dns.Msg), Room: 1232, TTL: 5, Now: 0}
			r.Add(name, zone.Lookup(s.Snapshot, name, qtype))
			r.Finish()
		}
	})
}

func forEachQuestion(b *testing.B, run func(b *testing.B, s *table.State, ask func(n int) (*answer.Zone, string, uint16))) {
	for _, q := range questions {
		b.Run(q.sentence, func(b *testing.B) {
			forEachSize(b, func(b *testing.B, w *world) {
				s := w.table.Load()
				var names []string
				for _, n := range w.hot() {
					names = append(names, q.name(n))
					if a := q.zone.Lookup(s.Snapshot, q.name(n), q.qtype); a.Outcome != q.want {
						b.Fatalf("%s: got %s, want %s", q.name(n), a.Outcome, q.want)
					}
				}
				b.ResetTimer()
				run(b, s, func(n int) (*answer.Zone, string, uint16) {
					return q.zone, names[n%len(names)], q.qtype
				})
			})
		})
	}
}

// BenchmarkFirstAnswer is a change of a service and the first question after it, for
// which the service's records are prepared anew: a cost of the service's size.
func BenchmarkFirstAnswer(b *testing.B) {
	for _, size := range []int{10, 100, 1000} {
		for _, q := range questions[:2] {
			b.Run(fmt.Sprintf("%s/of%d", q.sentence, size), func(b *testing.B) {
				name := service.Name{Namespace: "n", Service: "s"}
				put := func(d *table.Draft, n int) {
					d.Put(instanceOf(name, n))
				}
				d := table.Empty(1).Edit()
				for n := range size {
					put(d, n)
				}
				s, _ := d.Done()
				b.ReportAllocs()
				for b.Loop() {
					d := s.Edit()
					put(d, 0)
					s, _ = d.Done()
					q.zone.Lookup(s, q.name(name), q.qtype)
				}
			})
		}
	}
}
