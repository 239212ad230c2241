package registry

import (
	"net/netip"
	"testing"

	"github.com/coredns-registry/registry/internal/engine"
	"github.com/coredns-registry/registry/internal/engine/enginetest"
	"github.com/coredns-registry/registry/service"

	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/coredns/coredns/request"

	"github.com/miekg/dns"
)

// world is an engine and a server block on it, under a clock that only the test moves.
type world struct {
	*enginetest.World
	handler *Handler
}

func newWorld(t testing.TB, config Config) *world {
	t.Helper()
	return newWorldOn(t, config, nil)
}

// newWorldOn returns a world whose table is enginetest.Keep in a store, or in memory where that is nil.
func newWorldOn(t testing.TB, config Config, s *enginetest.Store) *world {
	t.Helper()
	if config.Zones == nil {
		config.Zones = []string{"cluster.local.", "in-addr.arpa.", "ip6.arpa."}
	}
	if config.TTL == 0 {
		config.TTL = defaultTTL
	}
	if config.Eviction == nil {
		config.Eviction = &engine.Eviction{Percent: 100}
	}
	rules := config.rules()
	rules.TTL = config.TTL
	w := &world{World: enginetest.NewWorld(t, rules, s)}
	w.handler = newHandler(&config, []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8::53")})
	w.handler.engine.Store(w.Engine)
	w.Used = func(e *engine.Engine) { w.handler.engine.Store(e) }
	w.handler.Next = test.NextHandler(passedOn, nil)
	return w
}

// everything may be read by whoever reads with it.
func everything(service.Name) bool { return true }

// ask returns the message that a question gets over TCP; nil where it was passed to the
// next plugin. It is asked over UDP too, for the sake of the comparison in exchange.
func (w *world) ask(name string, qtype uint16) *dns.Msg {
	w.T.Helper()
	w.exchange(new(dns.Msg).SetQuestion(name, qtype), false)
	return w.exchange(new(dns.Msg).SetQuestion(name, qtype), true)
}

// exchange returns the message that a query gets. Over UDP it is also asked as where nobody
// wants to see the message, and what is then sent in wire form must say the same.
func (w *world) exchange(m *dns.Msg, tcp bool) *dns.Msg {
	w.T.Helper()
	again := m.Copy() // the server changes the question's OPT record
	got := w.exchangeMessage(m, tcp)
	if !tcp && got != nil {
		w.samePacked(again, got)
	}
	return got
}

func (w *world) exchangeMessage(m *dns.Msg, tcp bool) *dns.Msg {
	w.T.Helper()
	rec := dnstest.NewRecorder(request.NewScrubWriter(m, &test.ResponseWriter{TCP: tcp}))
	code, err := w.handler.ServeDNS(w.T.Context(), rec, m)
	switch {
	case err != nil:
		w.T.Fatalf("asked %v: %v", m.Question, err)
	case code == passedOn:
		return nil
	case rec.Msg == nil: // the server writes it
		return new(dns.Msg).SetRcode(m, code)
	}
	return rec.Msg
}

// passedOn is what the plugin after ours returns.
const passedOn = 0x7fff
