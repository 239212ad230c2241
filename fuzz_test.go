package registry

import (
	"testing"

	"github.com/miekg/dns"
)

// FuzzServeDNS holds that no message makes the handler panic or write what cannot be packed,
// and that an answer answers the question.
func FuzzServeDNS(f *testing.F) {
	for _, q := range []struct {
		name  string
		qtype uint16
	}{
		{"web.prod.svc.cluster.local.", dns.TypeA},
		{"_http._tcp.web.prod.svc.cluster.local.", dns.TypeSRV},
		{"alias.prod.svc.cluster.local.", dns.TypeAAAA},
		{"7.2.0.192.in-addr.arpa.", dns.TypePTR},
		{"cluster.local.", dns.TypeSOA},
		{`a\.b.web.prod.svc.cluster.local.`, dns.TypeANY},
	} {
		m := new(dns.Msg).SetQuestion(q.name, q.qtype)
		f.Add(must(m.Pack())(f), true)
		m.SetEdns0(1232, true)
		f.Add(must(m.Pack())(f), false)
	}
	w := newWorld(f, Config{})
	w.Load(aWorld)
	w.handler.upstream = nobody{}
	f.Fuzz(func(t *testing.T, packed []byte, tcp bool) {
		m := new(dns.Msg)
		if m.Unpack(packed) != nil || len(m.Question) == 0 {
			t.Skip() // the server drops it before any plugin
		}
		w := *w
		w.T = t
		got := w.exchange(m, tcp)
		if got == nil {
			return
		}
		if _, err := got.Pack(); err != nil {
			t.Fatalf("asked %v: %v does not pack: %v", m.Question, got, err)
		}
		if len(got.Question) == 0 || got.Question[0] != m.Question[0] || got.Id != m.Id {
			t.Errorf("asked %v: got %v", m.Question, got)
		}
	})
}
