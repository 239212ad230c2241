package registry

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/service"

	"github.com/coredns/coredns/plugin/pkg/dnstest"
	"github.com/coredns/coredns/plugin/test"
	"github.com/coredns/coredns/request"

	"github.com/miekg/dns"
)

// world is a registry and a server block on it, under a clock that only the test moves.
type world struct {
	t        testing.TB
	clock    time.Time
	registry *Registry
	handler  *Handler
}

func newWorld(t testing.TB, config Config) *world {
	t.Helper()
	w := &world{t: t, clock: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	w.registry = newRegistry("127.0.0.1:0", func() time.Time { return w.clock }, nil)
	if config.Zones == nil {
		config.Zones = []string{"cluster.local.", "in-addr.arpa.", "ip6.arpa."}
	}
	if config.TTL == 0 {
		config.TTL = defaultTTL
	}
	if config.Eviction == nil {
		config.Eviction = &Eviction{Percent: 100}
	}
	w.setRules(&config)
	w.handler = newHandler(&config, []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8::53")})
	w.handler.registry.Store(w.registry)
	w.handler.Next = test.NextHandler(passedOn, nil)
	return w
}

// anyone is who changes the table where no credential is asked for.
var anyone = service.Caller{Admin: true}

// everything may be read by whoever reads with it.
func everything(service.Name) bool { return true }

func (w *world) setRules(config *Config) {
	rules := config.rules()
	rules.TTL = config.TTL
	w.registry.setRules(rules)
}

// pass lets time pass as it does while the process runs: in ticks.
func (w *world) pass(d time.Duration) {
	for end := w.clock.Add(d); w.clock.Before(end); {
		w.clock = w.clock.Add(min(lease.TickEvery, end.Sub(w.clock)))
		w.registry.Expire()
	}
}

func (w *world) apply(changes ...service.Change) {
	w.t.Helper()
	if _, _, err := w.registry.Apply(anyone, changes, w.clock); err != nil {
		w.t.Fatalf("apply %+v: %v", changes, err)
	}
}

// load makes the table that a text describes, a line an object:
//
//	default/web/web-1 192.0.2.7 2001:db8::7 http:8080/tcp lease=30 status=down weight=10 host=h key=value
//	service default/web clusterIP 10.0.0.1 http:80/tcp
func (w *world) load(text string) {
	w.t.Helper()
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) > 0 {
			w.apply(parseChange(w.t, fields))
		}
	}
}

func parseChange(t testing.TB, fields []string) service.Change {
	t.Helper()
	if fields[0] == "service" {
		return parseDefinition(t, fields[1:])
	}
	parts := strings.Split(fields[0], "/")
	i := &service.Instance{Lease: service.LeaseOf(0)}
	for _, f := range fields[1:] {
		key, value, pair := strings.Cut(f, "=")
		addr, err := netip.ParseAddr(f)
		switch {
		case err == nil:
			i.Addresses = append(i.Addresses, addr)
		case !pair:
			i.Ports = append(i.Ports, parsePort(t, f))
		case key == "lease":
			i.Lease = service.LeaseOf(int32(number(t, value)))
		case key == "status":
			i.Status, _ = service.ParseStatus(value)
		case key == "host":
			i.Hostname = value
		case key == "weight":
			weight := uint16(number(t, value))
			i.Weight = &weight
		case key == "priority":
			i.Priority = uint16(number(t, value))
		default:
			i.Metadata = append(i.Metadata, service.Pair{Key: key, Value: value})
		}
	}
	i.Metadata.Sort()
	return service.Change{Op: service.Register, ID: id(parts[0], parts[1], parts[2]), Instance: i}
}

func parseDefinition(t testing.TB, fields []string) service.Change {
	t.Helper()
	namespace, name, _ := strings.Cut(fields[0], "/")
	d := &service.Definition{}
	d.Type, _ = service.ParseType(fields[1])
	for _, f := range fields[2:] {
		addr, err := netip.ParseAddr(f)
		switch {
		case err == nil:
			d.ClusterIPs = append(d.ClusterIPs, addr)
		case f == "publishNotReady":
			d.PublishNotReady = true
		case strings.Contains(f, ":"):
			d.Ports = append(d.Ports, parsePort(t, f))
		default:
			d.ExternalName = f
		}
	}
	return service.Change{Op: service.Define, ID: id(namespace, name, ""), Definition: d}
}

func parsePort(t testing.TB, text string) service.Port {
	t.Helper()
	name, rest, ok := strings.Cut(text, ":")
	n, protocol, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 {
		t.Fatalf("port %q: want name:number/protocol", text)
	}
	return service.Port{Name: name, Number: uint16(number(t, n)), Protocol: service.Protocol(protocol)}
}

func number(t testing.TB, s string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(s, &n); err != nil {
		t.Fatalf("number %q: %v", s, err)
	}
	return n
}

func id(namespace, name, instance string) service.ID {
	return service.ID{Name: service.Name{Namespace: namespace, Service: name}, ID: instance}
}

// ask returns the message that a question gets over TCP; nil where it was passed to the
// next plugin. It is asked over UDP too, for the sake of the comparison in exchange.
func (w *world) ask(name string, qtype uint16) *dns.Msg {
	w.t.Helper()
	w.exchange(new(dns.Msg).SetQuestion(name, qtype), false)
	return w.exchange(new(dns.Msg).SetQuestion(name, qtype), true)
}

// exchange returns the message that a query gets. Over UDP it is also asked as where nobody
// wants to see the message, and what is then sent in wire form must say the same.
func (w *world) exchange(m *dns.Msg, tcp bool) *dns.Msg {
	w.t.Helper()
	again := m.Copy() // the server changes the question's OPT record
	got := w.exchangeMessage(m, tcp)
	if !tcp && got != nil {
		w.samePacked(again, got)
	}
	return got
}

func (w *world) exchangeMessage(m *dns.Msg, tcp bool) *dns.Msg {
	w.t.Helper()
	rec := dnstest.NewRecorder(request.NewScrubWriter(m, &test.ResponseWriter{TCP: tcp}))
	code, err := w.handler.ServeDNS(w.t.Context(), rec, m)
	switch {
	case err != nil:
		w.t.Fatalf("asked %v: %v", m.Question, err)
	case code == passedOn:
		return nil
	case rec.Msg == nil: // the server writes it
		return new(dns.Msg).SetRcode(m, code)
	}
	return rec.Msg
}

// passedOn is what the plugin after ours returns.
const passedOn = 0x7fff
