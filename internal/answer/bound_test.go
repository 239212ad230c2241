package answer

import (
	"fmt"
	"math"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// swollen returns instances of the service web that are as large as they may be: 64 ports, at 16
// addresses, each of which is a host.
func swollen(n int) (instances []*table.Instance) {
	for k := range n {
		is := service.Instance{Status: service.Up}
		for p := range service.MaxPorts {
			is.Ports = append(is.Ports, service.Port{Name: fmt.Sprint("p", p), Protocol: service.TCP, Number: uint16(1 + p)})
		}
		for a := range service.MaxAddresses {
			is.Addresses = append(is.Addresses, netip.AddrFrom4([4]byte{10, byte((16*k + a) >> 16), byte((16*k + a) >> 8), byte(16*k + a)}))
		}
		instances = append(instances, instanceUntil(0, service.ID{Name: web, ID: fmt.Sprintf("10.0.0.1:%05d", k)}, is))
	}
	return instances
}

// crowded returns instances of the service web that have one host, one address and one port.
func crowded(n int) (instances []*table.Instance) {
	for k := range n {
		instances = append(instances, instanceUntil(0, service.ID{Name: web, ID: fmt.Sprintf("i-%05d", k)}, service.Instance{
			Status:    service.Up,
			Hostname:  "h",
			Addresses: []netip.Addr{address(1)},
			Ports:     []service.Port{http},
		}))
	}
	return instances
}

// allocated returns how many bytes a function allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestSetCostsNoMoreThanAMessageHolds: what a question has built is bounded by what can be sent,
// not by what is registered.
func TestSetCostsNoMoreThanAMessageHolds(t *testing.T) {
	state := stateOf(swollen(1000), nil)
	for _, most := range []int{0, 8} {
		zone := Zones([]string{"cluster.local."}, nil, most)[0]
		for _, q := range []struct {
			name  string
			qtype uint16
		}{
			{"web.prod.svc.cluster.local.", dns.TypeA},
			{"web.prod.svc.cluster.local.", dns.TypeSRV},
			{"_p7._tcp.web.prod.svc.cluster.local.", dns.TypeSRV},
			{"10-0-0-7.web.prod.svc.cluster.local.", dns.TypeSRV},
		} {
			var a Answer
			cost := allocated(func() { a = zone.Lookup(state.Snapshot, q.name, q.qtype) })
			t.Logf("most %d, %s %s: %d records, %d KiB kept, %d KiB allocated", most, q.name, dns.TypeToString[q.qtype], a.set.numRecords, len(a.set.bytes)>>10, cost>>10)
			if len(a.set.bytes) > 1<<20 || cost > 32<<20 {
				t.Errorf("most %d, %s %s: %d records in %d KiB, for which %d KiB were allocated", most, q.name, dns.TypeToString[q.qtype], a.set.numRecords, len(a.set.bytes)>>10, cost>>10)
			}
		}
	}
}

// TestWhatManyShareIsBuiltOnce: a host and an address that thousands of instances share are answered
// at the cost of one.
func TestWhatManyShareIsBuiltOnce(t *testing.T) {
	state := stateOf(crowded(5000), nil)
	zones := Zones([]string{"cluster.local.", "in-addr.arpa."}, nil, 0)
	for _, q := range []struct {
		zone  *Zone
		name  string
		qtype uint16
	}{
		{zones[0], "web.prod.svc.cluster.local.", dns.TypeA},
		{zones[0], "_http._tcp.web.prod.svc.cluster.local.", dns.TypeSRV},
		{zones[0], "h.web.prod.svc.cluster.local.", dns.TypeA},
		{zones[0], "h.web.prod.svc.cluster.local.", dns.TypeSRV},
		{zones[1], "1.2.0.192.in-addr.arpa.", dns.TypePTR},
	} {
		var a Answer
		allocs := testing.AllocsPerRun(10, func() { a = q.zone.Lookup(state.Snapshot, q.name, q.qtype) })
		if a.Outcome != Found || a.set.numRecords != 1 || allocs > 0 {
			t.Errorf("%s %s: %s, %.0f allocations for each question; want the one record, and none", q.name, dns.TypeToString[q.qtype], a.Outcome, allocs)
		}
	}
}

// TestEachInstanceOfALargeServiceComesFirstEquallyOften: also where only a part of them is prepared
// at a time, and where instances beside each other are not answered.
func TestEachInstanceOfALargeServiceComesFirstEquallyOften(t *testing.T) {
	const n, draws = 900, 2400
	label := strings.Repeat("z", 63)
	zone := Zones([]string{label + "." + label + "." + label + "."}, nil, 0)[0] // 250 of its names fill a message
	instances := crowded(n)
	for k, i := range instances {
		i.Hostname, i.Addresses = fmt.Sprint("h", k), []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(k >> 8), byte(k)})}
		if k < n/3 {
			i.Status = service.Draining
		}
	}
	state := stateOf(instances, nil)
	for _, q := range []struct {
		name  string
		qtype uint16
		first func() *rrset
	}{
		{"of the service", dns.TypeSRV, func() *rrset { return zone.recordsOf(state.Service(web)).collectSRV(true).set() }},
		{"of a port", dns.TypeSRV, func() *rrset {
			s := zone.recordsOf(state.Service(web))
			port, _ := s.ports().find("_http._tcp")
			return s.collectPortSRV(port, true).set()
		}},
	} {
		came := map[string]int{}
		for range draws {
			set := q.first()
			if set.numRecords >= n*2/3 {
				t.Fatalf("%s: all %d records are prepared", q.name, set.numRecords)
			}
			came[set.record(set.choose(math.MaxInt).start, "x.").(*dns.SRV).Target]++
		}
		const answered = n - n/3
		mean, chi := float64(draws)/answered, 0.
		for _, count := range came {
			chi += (float64(count) - mean) * (float64(count) - mean) / mean
		}
		chi += float64(answered-len(came)) * mean
		if z := (chi - (answered - 1)) / math.Sqrt(2*(answered-1)); z > 5 { // once in three million runs
			t.Errorf("%s: %d of %d came first, chi-square %.0f for %d", q.name, len(came), answered, chi, answered-1)
		}
	}
}

// TestTransferOfALargeServiceIsWhole: however many more records there are than an answer holds.
func TestTransferOfALargeServiceIsWhole(t *testing.T) {
	const n = 72 // a port of theirs is at just more hosts than an answer holds
	instances := swollen(n)
	instances[0] = instanceUntil(lease.Time(20*time.Second), instances[0].ID(), instances[0].Said())
	state := stateOf(instances, nil)
	zone := Zones([]string{"cluster.local."}, nil, 8)[0]
	told := map[string]map[string]bool{}
	for rrs := range zone.All(state.Version(), 30, lease.Time(5*time.Second), 0) {
		for _, rr := range rrs {
			srv, is := rr.(*dns.SRV)
			if !is {
				continue
			}
			if told[srv.Hdr.Name] == nil {
				told[srv.Hdr.Name] = map[string]bool{}
			}
			key := fmt.Sprint(srv.Port, srv.Target)
			if told[srv.Hdr.Name][key] {
				t.Fatalf("it stands twice: %s", srv)
			}
			told[srv.Hdr.Name][key] = true
			if srv.Hdr.Name[0] != '1' && (srv.Hdr.Ttl != 14 || srv.Weight != 1) {
				t.Fatalf("got %s, want the weight 1 and the TTL 14 of all at the name", srv)
			}
		}
	}
	for name, want := range map[string]int{
		"web.prod.svc.cluster.local.":          n * service.MaxAddresses * service.MaxPorts,
		"_p7._tcp.web.prod.svc.cluster.local.": n * service.MaxAddresses,
		"10-0-0-7.web.prod.svc.cluster.local.": service.MaxPorts,
	} {
		if got := len(told[name]); got != want {
			t.Errorf("%d records of type SRV at %s, want %d", got, name, want)
		}
	}
}

// TestPointersOfASharedAddressFollowEachChange: what is kept of an address goes with whatever changes
// what is told there.
func TestPointersOfASharedAddressFollowEachChange(t *testing.T) {
	db := service.Name{Namespace: "prod", Service: "db"}
	shared := address(7)
	said := func(id service.ID, hostname string, status service.Status) *table.Instance {
		return instanceUntil(lease.Time(time.Second), id, service.Instance{Status: status, Hostname: hostname, Addresses: []netip.Addr{shared}})
	}
	a, b, c := service.ID{Name: web, ID: "a"}, service.ID{Name: web, ID: "b"}, service.ID{Name: db, ID: "c"}
	state := stateOf([]*table.Instance{said(a, "a", service.Up), said(b, "b", service.Up), said(c, "c", service.Down)}, nil).Snapshot
	zones := Zones([]string{"z.", "in-addr.arpa."}, nil, 0)
	edit := func(do func(d *table.Draft)) {
		d := state.Edit()
		do(d)
		state, _ = d.Done()
	}
	for _, step := range []struct {
		sentence string
		do       func()
		want     string
	}{
		{"at first", func() {}, "a.web b.web"},
		{"another hostname", func() { edit(func(d *table.Draft) { d.Put(said(a, "x", service.Up)) }) }, "b.web x.web"},
		{"another status", func() { edit(func(d *table.Draft) { d.Put(said(b, "b", service.Draining)) }) }, "x.web"},
		{"one more", func() {
			edit(func(d *table.Draft) { d.Put(said(service.ID{Name: web, ID: "d"}, "d", service.Up)) })
		}, "d.web x.web"},
		{"one that is not ready is to be told", func() { edit(func(d *table.Draft) { d.Define(db, &service.Definition{PublishNotReady: true}) }) }, "c.db d.web x.web"},
		{"and no longer", func() { edit(func(d *table.Draft) { d.Define(db, &service.Definition{}) }) }, "d.web x.web"},
		{"the service is another name", func() {
			edit(func(d *table.Draft) {
				d.Define(web, &service.Definition{Type: service.ExternalName, ExternalName: "example.org"})
			})
		}, ""},
		{"and no longer", func() { edit(func(d *table.Draft) { d.Define(web, &service.Definition{}) }) }, "d.web x.web"},
		{"a cluster IP", func() {
			edit(func(d *table.Draft) {
				d.Define(db, &service.Definition{Type: service.ClusterIP, ClusterIPs: []netip.Addr{shared}})
			})
		}, "d.web db x.web"},
		{"one is gone", func() { edit(func(d *table.Draft) { d.Remove(a) }) }, "d.web db"},
		{"a lease has ended, before the instance is gone", func() {
			l := state.Instance(service.ID{Name: web, ID: "d"}).Lease()
			state.Leases().Add(l)
			state.Leases().Due(lease.Time(time.Hour), lease.Rule{Percent: 100, Span: time.Second})
			state.Forget([]*lease.Lease{l})
		}, "db"},
	} {
		step.do()
		var got []string
		for range 2 {
			got = nil
			r := Reply{Msg: new(dns.Msg), Room: dns.MaxMsgSize}
			r.Add("x.", zones[1].Lookup(state, "7.2.0.192.in-addr.arpa.", dns.TypePTR))
			for _, rr := range r.Msg.Answer {
				got = append(got, strings.TrimSuffix(rr.(*dns.PTR).Ptr, ".prod.svc.z."))
			}
			slices.Sort(got)
		}
		if strings.Join(got, " ") != step.want {
			t.Errorf("%s: got %v, want %s", step.sentence, got, step.want)
		}
	}
}
