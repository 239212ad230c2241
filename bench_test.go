package registry

import (
	"context"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/coredns/coredns/request"

	"github.com/coredns-registry/registry/internal/engine/enginetest"

	"github.com/miekg/dns"
)

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
			enginetest.ForEachPopulace(b, func(b *testing.B, p *enginetest.Populace) {
				h := newHandler(&Config{Zones: []string{"cluster.local.", "in-addr.arpa."}, TTL: defaultTTL}, nil)
				h.engine.Store(p.Engine)
				serve := func(client dns.ResponseWriter, question *dns.Msg) {
					if _, err := h.ServeDNS(context.Background(), client, question); err != nil {
						b.Fatal(err)
					}
				}
				random := rand.New(rand.NewPCG(1, 1))
				client, buffer := &forgetful{}, make([]byte, dns.MaxMsgSize)
				var writer dns.ResponseWriter = client
				if q.wire {
					writer = request.NewScrubWriter(nil, newSocket("udp", func([]byte) {}))
				}
				questions := make([]*dns.Msg, 1<<12)
				for n := range questions {
					name := q.prefix + enginetest.NameOf(random.IntN(p.Size)).String() + ".svc.cluster.local."
					questions[n] = new(dns.Msg).SetQuestion(name, q.qtype).SetEdns0(1232, false)
					serve(writer, questions[n])
				}
				n := 0
				for b.Loop() {
					serve(writer, questions[n%len(questions)])
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
