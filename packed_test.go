package registry

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/metrics"
	"github.com/coredns/coredns/plugin/pkg/nonwriter"
	"github.com/coredns/coredns/request"

	"github.com/miekg/dns"
)

// samePacked holds what is sent in wire form, if it is, to the message that says the same.
// Where chance has chosen some of the records, it must choose the same ones sooner or later.
func (w *world) samePacked(m, want *dns.Msg) {
	w.T.Helper()
	got := ""
	for range 500 {
		if got = w.packed(m); got == "" || got == canonical(want) {
			return
		}
	}
	w.T.Errorf("asked\n%v\nsent\n%s\nwant\n%s", m, got, canonical(want))
}

// packed asks as where nobody wants to see the message, and returns what was sent in wire
// form; nothing if it was not.
func (w *world) packed(m *dns.Msg) string {
	w.T.Helper()
	client := newClient("udp")
	if _, err := w.handler.ServeDNS(w.T.Context(), client.server(m), m); err != nil {
		w.T.Fatalf("asked %v: %v", m.Question, err)
	}
	if client.sent == nil {
		return ""
	}
	got := new(dns.Msg)
	if err := got.Unpack(client.sent); err != nil {
		w.T.Fatalf("asked %v: the wire form does not unpack: %v\n%x", m.Question, err, client.sent)
	}
	if len(client.sent) > (&request.Request{W: client.socket, Req: m}).Size() {
		w.T.Errorf("asked %v: the wire form has %d bytes and does not fit", m.Question, len(client.sent))
	}
	return canonical(got)
}

// canonical is a message as text, without what may differ from one time to the next: where
// it begins to tell the records, and how it is compressed.
func canonical(m *dns.Msg) string {
	m = m.Copy()
	m.Compress = false
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		slices.SortFunc(section, func(a, b dns.RR) int { return cmp.Compare(a.String(), b.String()) })
	}
	return m.String()
}

// What a query is sent in wire form is held against the message in all tests that ask
// over UDP; here it is that they are sent so at all.
func TestUsualQuestionsAreSentInWireForm(t *testing.T) {
	w := newWorld(t, Config{})
	w.Load(aWorld)
	w.Load("prod/leased/l 192.0.2.90 http:80/tcp lease=3")
	for _, tc := range []struct {
		sentence string
		question *dns.Msg
		packed   bool
	}{
		{"addresses", ask("web", dns.TypeA), true},
		{"addresses of the other family", ask("web", dns.TypeAAAA), true},
		{"in another case", ask("wEB", dns.TypeA), true},
		{"with EDNS", ask("web", dns.TypeA).SetEdns0(1232, true), true},
		{"ports with the addresses behind them", ask("_http._tcp.web", dns.TypeSRV), true},
		{"targets that several ports share", ask("web", dns.TypeSRV), true},
		{"a lease that ends soon", ask("leased", dns.TypeSRV), true},
		{"a cluster IP", ask("vip", dns.TypeSRV), true},
		{"metadata", ask("web-1.web", dns.TypeTXT), true},
		{"a name that is not there", ask("gone", dns.TypeA), true},
		{"a type that is not there", ask("web", dns.TypeMX), true},
		{"a name between others", ask("cluster.local.", dns.TypeA), true},
		{"the zone's name servers", ask("cluster.local.", dns.TypeNS), true},
		{"the address of a name", ask("7.2.0.192.in-addr.arpa.", dns.TypePTR), true},
		{"an alias", ask("alias", dns.TypeA), false},
		{"the start of authority", ask("cluster.local.", dns.TypeSOA), false},
		{"with an option", withCookie(ask("web", dns.TypeA)), false},
		{"with a signature", ask("web", dns.TypeA).SetTsig("key.", dns.HmacSHA256, 300, 0), false},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			w := *w
			w.T = t
			w.handler.upstream = nobody{}
			w.exchange(tc.question.Copy(), false)
			for _, network := range []string{"udp", "tcp"} {
				client, question := newClient(network), tc.question.Copy()
				if _, err := w.handler.ServeDNS(t.Context(), client.server(question), question); err != nil {
					t.Fatal(err)
				}
				if packed := client.sent != nil; packed != tc.packed || client.messages == 1 == tc.packed {
					t.Errorf("over %s: sent in wire form: %v, messages: %d, want %v", network, packed, client.messages, tc.packed)
				}
			}
		})
	}
}

func ask(name string, qtype uint16) *dns.Msg {
	if !strings.HasSuffix(name, ".") {
		name += "." + origin
	}
	return new(dns.Msg).SetQuestion(name, qtype)
}

func withCookie(m *dns.Msg) *dns.Msg {
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"}}
	return m
}

// after returns the writer that a plugin gets from another one before it, which hands on
// its own.
func after(w dns.ResponseWriter) (handed dns.ResponseWriter) {
	next := plugin.HandlerFunc(func(_ context.Context, w dns.ResponseWriter, _ *dns.Msg) (int, error) {
		handed = w
		return dns.RcodeSuccess, nil
	})
	_, _ = plugin.NextOrFailure("before", next, context.Background(), w, nil)
	return handed
}

// Whoever puts a writer of its own around the server's wants to see the message; but for
// *prometheus*, which wants its response code and how long it is.
func TestWhoWantsTheMessageGetsIt(t *testing.T) {
	w := newWorld(t, Config{})
	w.Load(aWorld)
	server := func(client dns.ResponseWriter) dns.ResponseWriter {
		return request.NewScrubWriter(new(dns.Msg), client)
	}
	type other struct{ dns.ResponseWriter }
	for _, tc := range []struct {
		sentence string
		writer   func(client dns.ResponseWriter) dns.ResponseWriter
		packed   bool
	}{
		{"nobody", server, true},
		{"prometheus", func(c dns.ResponseWriter) dns.ResponseWriter { return metrics.NewRecorder(server(c)) }, true},
		{"errors", func(c dns.ResponseWriter) dns.ResponseWriter { return after(server(c)) }, true},
		{"prometheus and errors", func(c dns.ResponseWriter) dns.ResponseWriter { return after(after(metrics.NewRecorder(server(c)))) }, true},
		{"cancel, prometheus and errors", func(c dns.ResponseWriter) dns.ResponseWriter {
			return after(after(metrics.NewRecorder(after(server(c)))))
		}, true},
		{"another plugin behind prometheus", func(c dns.ResponseWriter) dns.ResponseWriter {
			return after(other{after(metrics.NewRecorder(server(c)))})
		}, false},
		{"another plugin", func(c dns.ResponseWriter) dns.ResponseWriter { return other{server(c)} }, false},
		{"prometheus, and another below it", func(c dns.ResponseWriter) dns.ResponseWriter { return other{metrics.NewRecorder(server(c))} }, false},
		{"prometheus, and another above it", func(c dns.ResponseWriter) dns.ResponseWriter { return metrics.NewRecorder(other{server(c)}) }, false},
		{"no server", func(c dns.ResponseWriter) dns.ResponseWriter { return c }, false},
		{"the server, which asks itself", func(c dns.ResponseWriter) dns.ResponseWriter { return server(nonwriter.New(c)) }, false},
		{"a server that is no socket, but has its addresses", func(c dns.ResponseWriter) dns.ResponseWriter { return server(other{c}) }, false},
	} {
		for name, rcode := range map[string]int{"web": dns.RcodeSuccess, "gone": dns.RcodeNameError} {
			client := newClient("udp")
			writer := tc.writer(client.socket)
			if _, err := w.handler.ServeDNS(t.Context(), writer, ask(name, dns.TypeA)); err != nil {
				t.Fatal(err)
			}
			if packed := client.sent != nil; packed != tc.packed {
				t.Errorf("%s: %s was sent in wire form: %v, want %v", tc.sentence, name, packed, tc.packed)
			}
			if r, ok := behindPlugins(writer).(*metrics.Recorder); ok && (r.Rcode != rcode || tc.packed && r.Len != len(client.sent)) {
				t.Errorf("%s: %s: prometheus counts %d bytes with code %d, want %d with %d", tc.sentence, name, r.Len, r.Rcode, len(client.sent), rcode)
			}
		}
	}
}

// A server may have the socket hand what it packs to another writer first, as *shed* does.
func TestNothingGoesPastTheWriterOfTheSocket(t *testing.T) {
	w := newWorld(t, Config{})
	w.Load(aWorld)
	type other struct{ dns.Writer }
	client := newClient("udp", func(w dns.Writer) dns.Writer { return other{w} })
	question := ask("web", dns.TypeA)
	if _, err := w.handler.ServeDNS(t.Context(), client.server(question), question); err != nil {
		t.Fatal(err)
	}
	if client.sent != nil || client.messages != 1 {
		t.Errorf("sent in wire form: %t, messages: %d, want one message", client.sent != nil, client.messages)
	}
}
