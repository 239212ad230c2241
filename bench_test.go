package registry

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/service"

	"github.com/coredns/coredns/request"

	"github.com/miekg/dns"
)

// populace is a registry with so many instances, ten to a service, all with the longest
// lease. What is below the door and the handler is measured in bench.
type populace struct {
	size     int
	clock    time.Time
	registry *Registry
	handler  *Handler
}

var populaceSizes = []int{1000, 1_000_000}

// populaces are made by the first benchmark that needs them.
var populaces = map[int]func() *populace{
	populaceSizes[0]: sync.OnceValue(func() *populace { return newPopulace(populaceSizes[0]) }),
	populaceSizes[1]: sync.OnceValue(func() *populace { return newPopulace(populaceSizes[1]) }),
}

func newPopulace(size int) *populace {
	p := &populace{size: size, clock: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	p.registry = newRegistry("127.0.0.1:0", func() time.Time { return p.clock }, nil)
	p.registry.setRules(Rules{Leases: defaultLeases, Eviction: Eviction{Percent: 100}, TTL: defaultTTL})
	p.handler = newHandler(&Config{Zones: []string{"cluster.local.", "in-addr.arpa."}, TTL: defaultTTL}, nil)
	p.handler.registry.Store(p.registry)
	const batch = 1000
	changes := make([]service.Change, 0, batch)
	for n := range size {
		changes = append(changes, registrationOf(n, ""))
		if len(changes) == batch {
			p.apply(changes)
			changes = changes[:0]
		}
	}
	return p
}

func (p *populace) apply(changes []service.Change) {
	if _, _, err := p.registry.Apply(anyone, changes, p.clock); err != nil {
		panic(fmt.Sprintf("apply: %v", err))
	}
}

func nameOf(n int) service.Name {
	return service.Name{Namespace: fmt.Sprintf("namespace-%04d", n/1000), Service: fmt.Sprintf("service-%06d", n/10)}
}

func registrationOf(n int, zone string) service.Change {
	return service.Change{
		Op: service.Register,
		ID: service.ID{Name: nameOf(n), ID: fmt.Sprintf("instance-%07d", n)},
		Instance: &service.Instance{
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})},
			Ports:     []service.Port{{Name: "http", Protocol: service.TCP, Number: 8080}},
			Zone:      zone,
			Lease:     service.LeaseOf(seconds(defaultLeases.Max)),
		},
	}
}

func forEachPopulace(b *testing.B, run func(b *testing.B, p *populace)) {
	for _, size := range populaceSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			p := populaces[size]()
			b.ReportAllocs()
			b.ResetTimer()
			run(b, p)
		})
	}
}

// BenchmarkServeDNS asks for thousands of services in turn, which have been asked before.
// "message" has the answer made as a message and packed, as the server does where a plugin
// above wants to see it; "wire" is what is sent otherwise.
func BenchmarkServeDNS(b *testing.B) {
	for _, q := range []struct {
		sentence string
		prefix   string
		qtype    uint16
		wire     bool
	}{
		{"A/message", "", dns.TypeA, false},
		{"A/wire", "", dns.TypeA, true},
		{"SRV/message", "_http._tcp.", dns.TypeSRV, false},
		{"SRV/wire", "_http._tcp.", dns.TypeSRV, true},
		{"NXDOMAIN/message", "not-", dns.TypeA, false},
		{"NXDOMAIN/wire", "not-", dns.TypeA, true},
	} {
		b.Run(q.sentence, func(b *testing.B) {
			forEachPopulace(b, func(b *testing.B, p *populace) {
				random := rand.New(rand.NewPCG(1, 1))
				client, buffer := &forgetful{}, make([]byte, dns.MaxMsgSize)
				var writer dns.ResponseWriter = client
				if q.wire {
					writer = request.NewScrubWriter(nil, newSocket("udp", func([]byte) {}))
				}
				questions := make([]*dns.Msg, 1<<12)
				for n := range questions {
					name := q.prefix + nameOf(random.IntN(p.size)).String() + ".svc.cluster.local."
					questions[n] = new(dns.Msg).SetQuestion(name, q.qtype).SetEdns0(1232, false)
					p.serve(b, writer, questions[n])
				}
				n := 0
				for b.Loop() {
					p.serve(b, writer, questions[n%len(questions)])
					n++
					if !q.wire {
						if _, err := client.got.PackBuffer(buffer); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		})
	}
}

func (p *populace) serve(b *testing.B, client dns.ResponseWriter, question *dns.Msg) {
	if _, err := p.handler.ServeDNS(context.Background(), client, question); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkApply registers known instances anew, each with another zone than it had.
func BenchmarkApply(b *testing.B) {
	forEachPopulace(b, func(b *testing.B, p *populace) {
		at := rand.New(rand.NewPCG(2, 2)).Perm(p.size)[:min(1<<12, p.size)]
		var changes []service.Change
		for _, zone := range []string{"zone-a", "zone-b"} {
			for _, n := range at {
				changes = append(changes, registrationOf(n, zone))
			}
		}
		p.apply(changes[len(at):]) // so that the first changes something
		n := 0
		for b.Loop() {
			p.apply(changes[n%len(changes) : n%len(changes)+1])
			n++
		}
	})
}

// BenchmarkRenew is a heartbeat.
func BenchmarkRenew(b *testing.B) {
	forEachPopulace(b, func(b *testing.B, p *populace) {
		random := rand.New(rand.NewPCG(3, 3))
		ids := make([]service.ID, 1<<12)
		for n := range ids {
			ids[n] = registrationOf(random.IntN(p.size), "").ID
		}
		n := 0
		for b.Loop() {
			if err := p.registry.Renew(anyone, ids[n%len(ids)], service.Precondition{}); err != nil {
				b.Fatal(err)
			}
			n++
		}
	})
}

// BenchmarkExpire drops a hundred instances that fall due in one tick.
func BenchmarkExpire(b *testing.B) {
	const due = 100
	forEachPopulace(b, func(b *testing.B, p *populace) {
		changes := make([]service.Change, due)
		for b.Loop() {
			b.StopTimer()
			for n := range changes {
				changes[n] = registrationOf(p.size+n, "")
				changes[n].Instance.Lease = service.LeaseOf(seconds(defaultLeases.Min))
			}
			p.apply(changes)
			for range defaultLeases.Min/lease.TickEvery - 1 {
				p.clock = p.clock.Add(lease.TickEvery)
				p.registry.Expire()
			}
			p.clock = p.clock.Add(lease.TickEvery)
			b.StartTimer()
			p.registry.Expire()
			if _, _, instances := p.registry.State().Totals(); instances != p.size {
				b.Fatalf("%d instances after the tick, want %d", instances, p.size)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*due), "ns/instance")
	})
}

// forgetful is a client over UDP that keeps its last answer only. It allocates nothing.
type forgetful struct {
	dns.ResponseWriter
	client net.UDPAddr
	got    *dns.Msg
}

func (f *forgetful) LocalAddr() net.Addr  { return &f.client }
func (f *forgetful) RemoteAddr() net.Addr { return &f.client }

func (f *forgetful) WriteMsg(m *dns.Msg) error {
	f.got = m
	return nil
}
