package registry

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/nonwriter"
	"github.com/coredns/coredns/plugin/test"
	"github.com/coredns/coredns/request"

	"github.com/miekg/dns"
)

// named is a plugin that passes everything on.
type named struct {
	name string
	next plugin.Handler
}

func (n named) Name() string { return n.name }

func (n named) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	return plugin.NextOrFailure(n.name, n.next, ctx, w, r)
}

// Where it is known of all plugins before ours that they add nothing, nothing stands between them
// and the server. What stands behind does not matter.
func TestMessagesAreMadeToFitBehindPluginsThatMayAddToThem(t *testing.T) {
	original := dnsserver.Directives
	t.Cleanup(func() { dnsserver.Directives = original })
	order := slices.Insert(slices.Clone(original), slices.Index(original, "hosts"), pluginName)
	if err := dnsserver.SetDirectives(order); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		before, behind string
		fits           bool
	}{
		{"", "", false},
		{"errors", "forward", false},
		{"metadata cancel bufsize prometheus errors log loadbalance acl cache template transfer", "hosts file forward", false},
		{"nsid", "", true},
		{"errors tsig", "", true},
		{"errors rewrite", "", true},
		{"errors dnssec", "", true},
		{"errors dns64", "", true},
		{"errors Another", "", true}, // whose name is not that of its directive
		{"errors", "Another", false},
	} {
		server := &dnsserver.Config{Zone: "cluster.local."}
		add := func(names string) {
			for _, name := range strings.Fields(names) {
				server.AddPlugin(func(next plugin.Handler) plugin.Handler { return named{name, next} })
			}
		}
		h := newHandler(&Config{Zones: []string{"cluster.local."}}, nil)
		add(tc.before)
		complete := h.addTo(server)
		add(tc.behind)
		if _, err := dnsserver.NewServer("dns://127.0.0.1:0", []*dnsserver.Config{server}); err != nil {
			t.Fatal(err)
		}
		complete()
		if got := h.fits.Load(); got != tc.fits {
			t.Errorf("%q before and %q behind: messages are made to fit: %t, want %t", tc.before, tc.behind, got, tc.fits)
		}
		if server.Handler(pluginName) != h {
			t.Errorf("%q before: other plugins find %T, want the handler", tc.before, server.Handler(pluginName))
		}
	}
}

// What others answer in the server block is theirs.
func TestOnlyMessagesOfOursAreMadeToFit(t *testing.T) {
	w := newWorld(t, Config{})
	w.Load(aWorld)
	w.handler.fits.Store(true)
	theirs := plugin.HandlerFunc(func(_ context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
		m := new(dns.Msg).SetReply(r)
		for range 100 {
			m.Extra = append(m.Extra, test.A("a.example.org. IN A 192.0.2.1"))
		}
		return dns.RcodeSuccess, w.WriteMsg(m)
	})
	w.handler.Next = theirs
	f := &front{w.handler, w.handler}
	question := new(dns.Msg).SetQuestion("example.org.", dns.TypeA)
	client := nonwriter.New(&test.ResponseWriter{})
	if _, err := f.ServeDNS(t.Context(), client, question); err != nil {
		t.Fatal(err)
	}
	if got := len(client.Msg.Extra); got != 100 {
		t.Errorf("%d additional records of another plugin are left, want 100", got)
	}
}

// A writer that makes messages fit does not keep answers from going out in wire form.
func TestTheWriterThatMakesMessagesFitLetsTheWireFormPass(t *testing.T) {
	w := newWorld(t, Config{})
	w.Load(aWorld)
	w.handler.fits.Store(true)
	f := &front{w.handler, w.handler}
	client, question := newClient("udp"), ask("web", dns.TypeA)
	if _, err := f.ServeDNS(t.Context(), client.server(question), question); err != nil {
		t.Fatal(err)
	}
	if client.sent == nil {
		t.Error("sent as a message")
	}
}

// A reply has the room that is left beside the OPT record which the server adds.
func TestOptionsThatAreNotAnsweredTakeNoRoom(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		tcp      bool
		question *dns.Msg
		want     int
	}{
		{"without EDNS", false, ask("web", dns.TypeA), 512},
		{"with EDNS", false, ask("web", dns.TypeA).SetEdns0(1232, false), 1232 - 11},
		{"with a cookie, which CoreDNS does not answer", false, withCookie(ask("web", dns.TypeA)), 1232 - 11},
		{"over TCP", true, withCookie(ask("web", dns.TypeA)), 65535 - 11},
		{"with more than a datagram holds", false, ask("web", dns.TypeA).SetEdns0(65535, false), 65507 - 11},
	} {
		q := query{req: request.Request{W: &test.ResponseWriter{TCP: tc.tcp}, Req: tc.question}}
		if got := q.room(); got != tc.want {
			t.Errorf("%s: got room for %d bytes, want %d", tc.sentence, got, tc.want)
		}
	}
}
