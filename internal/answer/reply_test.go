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

// sizes are how many instances a service has, at the edges of what messages hold.
var sizes = []int{1, 2, 3, 10, 27, 28, 29, 30, 75, 76, 77, 250, 251, 255, 256, 257, 1200, 4090, 5000}

// rooms are what messages may take: plain UDP, what resolvers ask for, and TCP.
var rooms = []int{512, 1232, 4096, dns.MaxMsgSize}

// TestAnswerFitsAndTellsTheTruth makes replies of services of every size for messages of
// every size, and has replyTwin judge them.
func TestAnswerFitsAndTellsTheTruth(t *testing.T) {
	shapes := map[string]shape{
		"hosts of their own":                  {ports: []service.Port{http}},
		"leases of their own":                 {ports: []service.Port{http}, leased: true},
		"few hosts that they share":           {ports: []service.Port{http}, hosts: 7, leased: true},
		"few addresses that they share":       {ports: []service.Port{http}, addresses: 5, leased: true},
		"several ports, and hosts in common":  {ports: []service.Port{http, {Name: "grpc", Protocol: "tcp", Number: 9090}, {Protocol: "udp", Number: 53}}, hosts: 900, leased: true},
		"ports that not each has":             {ports: []service.Port{{Protocol: "udp", Number: 53}, http}, hosts: 50, some: true, leased: true},
		"hosts and addresses that they share": {ports: []service.Port{http}, hosts: 100, addresses: 40},
	}
	for sentence, shape := range shapes {
		t.Run("instances with "+sentence, func(t *testing.T) {
			random := rand.New(rand.NewPCG(3, 4))
			for _, n := range sizes {
				instances := shape.instances(random, web, n)
				state := stateOf(instances, nil)
				for _, most := range []int{0, 1, 8, 300} {
					zone := Zones([]string{"cluster.local."}, nil, most)[0]
					for _, room := range rooms {
						for _, q := range []replyTwin{
							{name: "web.prod.svc.cluster.local.", qtype: dns.TypeA},
							{name: "web.prod.svc.cluster.local.", qtype: dns.TypeAAAA},
							{name: "web.prod.svc.cluster.local.", qtype: dns.TypeSRV},
							{name: "_http._tcp.web.prod.svc.cluster.local.", qtype: dns.TypeSRV},
						} {
							if random.IntN(1+n/200) > 0 {
								continue // large ones take long: a sample of them
							}
							q.instances, q.most, q.room = instances, most, room
							q.ttl, q.now = []uint32{5, 30, 3600}[random.IntN(3)], lease.Time(45*time.Second)+lease.Time(random.Int64N(int64(10*time.Second)))
							q.judge(t, zone, state)
						}
					}
				}
			}
		})
	}
}

// replyTwin knows what the reply to a question about the service web must be, from its
// instances alone, all of which are up.
type replyTwin struct {
	name      string
	qtype     uint16
	instances []*table.Instance
	most      int
	room      int
	ttl       uint32
	now       lease.Time
}

// host returns the full name of an instance's host. All have a hostname.
func (q *replyTwin) host(i *table.Instance) string {
	return i.Hostname + ".web.prod.svc.cluster.local."
}

// records returns the records of an instance, without weight and TTL.
func (q *replyTwin) records(i *table.Instance) (records []string) {
	switch q.qtype {
	case dns.TypeA, dns.TypeAAAA:
		for _, addr := range i.Addresses {
			if addr.Is4() == (q.qtype == dns.TypeA) {
				records = append(records, addr.String())
			}
		}
	case dns.TypeSRV:
		for _, p := range i.Ports {
			if q.name[0] != '_' || p.Name == "http" {
				records = append(records, fmt.Sprint(p.Number, " ", q.host(i)))
			}
		}
	}
	return records
}

func (q *replyTwin) judge(t *testing.T, zone *Zone, state *table.State) {
	t.Helper()
	at := fmt.Sprintf("%s %s of %d instances, most %d, room %d", q.name, dns.TypeToString[q.qtype], len(q.instances), q.most, q.room)
	m := new(dns.Msg)
	m.SetReply(new(dns.Msg).SetQuestion(q.name, q.qtype))
	r := Reply{Msg: m, Room: q.room, TTL: q.ttl, Now: q.now}
	a := zone.Lookup(state.Snapshot, q.name, q.qtype)
	r.Add(q.name, a)
	all := slices.Clone(m.Answer)
	glue := slices.Clone(m.Extra)
	r.Finish()

	packed, err := m.Pack()
	if err != nil || len(packed) > q.room {
		t.Fatalf("%s: %d bytes, %v", at, len(packed), err)
	}

	// What there is, and of what it depends.
	owners := map[string][]*table.Instance{}
	addresses := map[string]map[string]bool{} // by host
	sharers := map[string][]*table.Instance{} // of a host
	for _, i := range q.instances {
		for _, record := range q.records(i) {
			owners[record] = append(owners[record], i)
		}
		host := q.host(i)
		if addresses[host] == nil {
			addresses[host] = map[string]bool{}
		}
		for _, addr := range i.Addresses {
			addresses[host][addr.String()] = true
		}
		sharers[host] = append(sharers[host], i)
	}
	limit := len(owners)
	if q.most > 0 {
		limit = min(limit, q.most)
	}

	// The answers are a choice among them, each once, and the largest that fits.
	ends := lease.Time(1 << 62)
	seen := map[string]bool{}
	depends := func(i *table.Instance) {
		if end, leased := i.Lease().Deadline(); leased {
			ends = min(ends, end)
		}
	}
	wantGlue := map[string]bool{}
	for _, rr := range m.Answer {
		var record string
		switch rr := rr.(type) {
		case *dns.A:
			record = rr.A.String()
		case *dns.AAAA:
			record = rr.AAAA.String()
		case *dns.SRV:
			record = fmt.Sprint(rr.Port, " ", rr.Target)
			if want := uint16(max(100/limit, 1)); rr.Weight != want || rr.Priority != 0 {
				t.Fatalf("%s: weight %d, want %d", at, rr.Weight, want)
			}
			for _, i := range sharers[rr.Target] {
				depends(i)
			}
			for addr := range addresses[rr.Target] {
				wantGlue[rr.Target+" "+addr] = true
			}
		}
		if owners[record] == nil || seen[record] {
			t.Fatalf("%s: got %s, which is not there or there twice", at, record)
		}
		seen[record] = true
		for _, i := range owners[record] {
			depends(i)
		}
	}
	missing := limit - len(m.Answer)
	switch {
	case missing < 0:
		t.Fatalf("%s: %d answers, want %d", at, len(m.Answer), limit)
	case m.Truncated != (missing > 0):
		t.Fatalf("%s: %d answers missing and TC %v", at, missing, m.Truncated)
	case missing > 0 && len(m.Extra) > 0:
		t.Fatalf("%s: %d answers missing and %d additional records kept", at, missing, len(m.Extra))
	case missing > 0 && q.fits(all[:len(m.Answer)+1], nil):
		t.Fatalf("%s: %d answers, and another would fit", at, len(m.Answer))
	case len(m.Answer) == 0 && limit > 0:
		t.Fatalf("%s: no answer", at)
	}

	// The additional section is whole, or gone for want of room.
	gotGlue := map[string]bool{}
	for _, rr := range m.Extra {
		fields := strings.Fields(rr.String())
		record := fields[0] + " " + fields[4]
		if gotGlue[record] || !wantGlue[record] {
			t.Fatalf("%s: additional %s is there twice, or of no host that is answered", at, record)
		}
		gotGlue[record] = true
	}
	if len(m.Extra) > 0 && len(gotGlue) != len(wantGlue) {
		t.Fatalf("%s: %d additional records of %d", at, len(gotGlue), len(wantGlue))
	}
	if missing == 0 && len(m.Extra) == 0 && len(wantGlue) > 0 && q.fits(m.Answer, glue) {
		t.Fatalf("%s: the additional section would fit", at)
	}

	// Nobody may keep it past the end of a lease, and everybody may keep it nearly as long.
	left := uint32(0)
	if ends > q.now {
		left = uint32(min(ends.Sub(q.now)/time.Second, time.Duration(q.ttl)))
	}
	for _, rr := range slices.Concat(m.Answer, m.Extra) {
		if got := rr.Header().Ttl; got > left || got+1 < left {
			t.Fatalf("%s: TTL %d of at most %d, the earliest lease ends in %s", at, got, left, ends.Sub(q.now))
		}
	}
}

// fits reports whether a reply of these records would have fit.
func (q *replyTwin) fits(answer, extra []dns.RR) bool {
	m := new(dns.Msg)
	m.SetReply(new(dns.Msg).SetQuestion(q.name, q.qtype))
	m.Compress, m.Answer, m.Extra = true, answer, extra
	packed, err := m.Pack()
	return err == nil && len(packed) <= q.room
}

// The contract, section 2: an answer is kept for no longer than its earliest lease
// lasts, and not at all where an instance is held back past its end.
func TestTTLOfAReplyIsThatOfItsEarliestLease(t *testing.T) {
	const s = lease.Time(time.Second)
	for _, tc := range []struct {
		sentence string
		leases   []lease.Time // 0 is static
		now      lease.Time
		want     uint32
	}{
		{"static instances have it all", []lease.Time{0, 0}, 7 * s, 30},
		{"and so have leases that last", []lease.Time{100 * s, 0, 200 * s}, 7 * s, 30},
		{"the earliest counts", []lease.Time{100 * s, 20 * s, 0}, 7*s + s/2, 12},
		{"a lease that lasts just the TTL is a moment short", []lease.Time{37 * s}, 7 * s, 29},
		{"a moment more and it is enough", []lease.Time{37*s + lease.Time(transit)}, 7 * s, 30},
		{"the last second is not told", []lease.Time{8 * s}, 7 * s, 0},
		{"nor is the end", []lease.Time{7 * s}, 7 * s, 0},
		{"nor what is past", []lease.Time{5 * s}, 7 * s, 0},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			var instances []*table.Instance
			for n, until := range tc.leases {
				instances = append(instances, instanceUntil(until, service.ID{Name: web, ID: fmt.Sprint(n)}, service.Instance{
					Status:    service.Up,
					Addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})},
				}))
			}
			zone := Zones([]string{"cluster.local."}, nil, 0)[0]
			const name = "web.prod.svc.cluster.local."
			state := stateOf(instances, nil)
			for range 3 { // the first prepares what the others use
				r := Reply{Msg: new(dns.Msg), Room: 512, TTL: 30, Now: tc.now}
				r.Add(name, zone.Lookup(state.Snapshot, name, dns.TypeA))
				r.Finish()
				for _, rr := range r.Msg.Answer {
					if got := rr.Header().Ttl; got != tc.want {
						t.Errorf("got %d, want %d: %s", got, tc.want, rr)
					}
				}
				if len(r.Msg.Answer) != len(tc.leases) {
					t.Errorf("%d answers, want %d", len(r.Msg.Answer), len(tc.leases))
				}
			}
		})
	}
}

// What others added to a reply, as an upstream does at the end of a chain, keeps its TTL.
func TestRecordsOfOthersKeepTheirTTL(t *testing.T) {
	zone := Zones([]string{"cluster.local."}, nil, 0)[0]
	state := stateOf(nil, map[service.Name]*service.Definition{web: {Type: service.ExternalName, ExternalName: "Example.org"}})
	const name = "web.prod.svc.cluster.local."
	r := Reply{Msg: new(dns.Msg), Room: 512, TTL: 30}
	a := zone.Lookup(state.Snapshot, name, dns.TypeA)
	if a.Outcome != Alias || a.Target != "example.org." {
		t.Fatalf("got %+v, want an alias of example.org.", a)
	}
	r.Add(name, a)
	other, err := dns.NewRR("example.org. 300 IN A 192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	r.Msg.Answer = append(r.Msg.Answer, other)
	r.Finish()
	if got, want := lines(r.Msg.Answer), []string{"example.org. 300 IN A 192.0.2.1", name + " 30 IN CNAME example.org."}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
