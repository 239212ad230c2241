package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/fall"
	"github.com/coredns/coredns/plugin/pkg/nonwriter"
	"github.com/coredns/coredns/plugin/test"
	"github.com/coredns/coredns/request"

	"github.com/coredns-registry/registry/internal/engine/enginetest"

	"github.com/miekg/dns"
)

// itself is an upstream as CoreDNS has it, in a server with those handlers: each has a zone, and
// the root is all others.
type itself struct {
	handlers map[string]plugin.Handler
	asked    int
}

func (s *itself) Lookup(ctx context.Context, state request.Request, name string, qtype uint16) (*dns.Msg, error) {
	if s.asked++; s.asked > 100 {
		return nil, fmt.Errorf("asked without end")
	}
	req := state.NewWithQuestion(name, qtype)
	w := nonwriter.New(state.W)
	code := dns.RcodeRefused
	for _, zone := range []string{"cluster.local.", "example.org.", "file.", "."} {
		if h := s.handlers[zone]; h != nil && dns.IsSubDomain(zone, name) {
			code, _ = h.ServeDNS(ctx, w, req.Req)
			break
		}
	}
	if w.Msg == nil && !plugin.ClientWrite(code) {
		w.Msg = new(dns.Msg).SetRcode(req.Req, code)
	}
	return w.Msg, nil
}

// aliasesOfFile answers a CNAME and what the server itself has at its end, as *file* does.
type aliasesOfFile struct {
	upstream *itself
	aliases  map[string]string
}

func (aliasesOfFile) Name() string { return "file" }

func (f aliasesOfFile) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	depth, _ := ctx.Value(dnsserver.LoopKey{}).(int)
	if depth > 8 {
		return dns.RcodeServerFailure, nil
	}
	name := r.Question[0].Name
	alias := test.CNAME(name + " 60 IN CNAME " + f.aliases[name])
	ctx = context.WithValue(ctx, dnsserver.LoopKey{}, depth+1)
	got, err := f.upstream.Lookup(ctx, request.Request{W: w, Req: r}, f.aliases[name], r.Question[0].Qtype)
	if err != nil {
		return dns.RcodeServerFailure, err
	}
	m := new(dns.Msg).SetReply(r)
	m.Rcode = got.Rcode
	m.Answer = append([]dns.RR{alias}, got.Answer...)
	return dns.RcodeSuccess, w.WriteMsg(m)
}

// A chain of aliases through the whole server has an end, and no record stands in it twice. A
// line is an alias of the table, or with "file" of a file.
func TestEveryChainOfAliasesThroughTheServerEnds(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		aliases  string
		asked    string
		want     []string // the owners of the answer's records
		rcode    int
	}{
		{"an alias into another server block, to a name that is not there", "a b.prod.svc.example.org", "a.prod.svc.cluster.local.",
			[]string{"a.prod.svc.cluster.local."}, dns.RcodeNameError},
		{"and back to a name with an address", "a b.prod.svc.example.org\nb web.prod.svc.cluster.local", "a.prod.svc.cluster.local.",
			[]string{"a.prod.svc.cluster.local.", "b.prod.svc.example.org.", "web.prod.svc.cluster.local."}, dns.RcodeSuccess},
		{"a loop over two server blocks", "a b.prod.svc.example.org\nb a.prod.svc.cluster.local", "a.prod.svc.cluster.local.",
			[]string{"a.prod.svc.cluster.local.", "b.prod.svc.example.org."}, dns.RcodeSuccess},
		{"a loop over two server blocks from outside", "c a.prod.svc.cluster.local\na b.prod.svc.example.org\nb a.prod.svc.cluster.local", "c.prod.svc.example.org.",
			[]string{"c.prod.svc.example.org.", "a.prod.svc.cluster.local.", "b.prod.svc.example.org."}, dns.RcodeSuccess},
		{"the same name in the other block", "a a.prod.svc.example.org", "a.prod.svc.cluster.local.",
			[]string{"a.prod.svc.cluster.local.", "a.prod.svc.example.org."}, dns.RcodeSuccess},
		{"a loop through a file and back", "a f.file\nfile f.file a.prod.svc.cluster.local", "a.prod.svc.cluster.local.",
			[]string{"a.prod.svc.cluster.local.", "f.file."}, dns.RcodeServerFailure},
		{"a loop through two server blocks and a file", "a b.prod.svc.example.org\nb f.file\nfile f.file a.prod.svc.cluster.local", "a.prod.svc.cluster.local.",
			[]string{"a.prod.svc.cluster.local.", "b.prod.svc.example.org.", "f.file."}, dns.RcodeServerFailure},
		{"a loop that begins in a file", "a f.file\nfile f.file a.prod.svc.cluster.local", "f.file.",
			[]string{"f.file.", "a.prod.svc.cluster.local."}, dns.RcodeServerFailure},
		{"a loop that begins in a file, over two server blocks", "a b.prod.svc.example.org\nb f.file\nfile f.file a.prod.svc.cluster.local", "f.file.",
			[]string{"f.file.", "a.prod.svc.cluster.local.", "b.prod.svc.example.org."}, dns.RcodeServerFailure},
		{"a loop inside a file", "a f.file\nfile f.file g.file\nfile g.file f.file", "a.prod.svc.cluster.local.",
			[]string{"a.prod.svc.cluster.local.", "f.file.", "g.file."}, dns.RcodeServerFailure},
		{"a chain that is longer than anybody asks", long(20), "a0.prod.svc.cluster.local.",
			[]string{"a0.prod.svc.cluster.local.", "a1.prod.svc.example.org.", "a2.prod.svc.cluster.local.", "a3.prod.svc.example.org.",
				"a4.prod.svc.cluster.local.", "a5.prod.svc.example.org.", "a6.prod.svc.cluster.local.", "a7.prod.svc.example.org.", "a8.prod.svc.cluster.local."},
			dns.RcodeServerFailure},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			w := newWorld(t, Config{Zones: []string{"cluster.local."}})
			w.Load("prod/web/web-1 192.0.2.7")
			other := newHandler(&Config{Zones: []string{"example.org."}, TTL: defaultTTL}, nil)
			other.engine.Store(w.Engine)
			server := &itself{handlers: map[string]plugin.Handler{"cluster.local.": w.handler, "example.org.": other}}
			w.handler.upstream, other.upstream = server, server
			file := aliasesOfFile{upstream: server, aliases: make(map[string]string)}
			server.handlers["file."] = file
			for line := range strings.Lines(tc.aliases) {
				switch fields := strings.Fields(line); fields[0] {
				case "file":
					file.aliases[fields[1]+"."] = fields[2] + "."
				default:
					w.Load("service prod/" + fields[0] + " externalName " + fields[1])
				}
			}
			q := request.Request{W: &test.ResponseWriter{}, Req: new(dns.Msg).SetQuestion(tc.asked, dns.TypeA)}
			got, err := server.Lookup(t.Context(), q, tc.asked, dns.TypeA)
			if err != nil {
				t.Fatal(err)
			}
			var owners []string
			for _, rr := range got.Answer {
				owners = append(owners, rr.Header().Name)
			}
			if !slices.Equal(owners, tc.want) || got.Rcode != tc.rcode {
				t.Errorf("got %s\nwant %s and records of %q", got, dns.RcodeToString[tc.rcode], tc.want)
			}
			if server.asked > deepest+3 {
				t.Errorf("the server was asked %d times", server.asked)
			}
		})
	}
}

// long is a chain of so many aliases, in turn in one server block and in the other.
func long(n int) (chain string) {
	zones := []string{"example.org", "cluster.local"}
	for n := range n {
		chain += fmt.Sprintf("a%d a%d.prod.svc.%s\n", n, n+1, zones[n%2])
	}
	return chain
}

// Who asked has gone: nobody is asked for him any more, and it is not said that there is nothing.
func TestTheEndOfTheContextEndsAChain(t *testing.T) {
	w := newWorld(t, Config{})
	w.Load(aWorld)
	server := &itself{}
	w.handler.upstream = server
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	question := ask("far", dns.TypeA)
	client := nonwriter.New(&test.ResponseWriter{})
	if _, err := w.handler.ServeDNS(ctx, client, question); err != nil {
		t.Fatal(err)
	}
	if client.Msg.Rcode != dns.RcodeServerFailure || len(client.Msg.Answer) != 1 || server.asked > 0 {
		t.Errorf("the server was asked %d times; got %s\nwant SERVFAIL and the alias", server.asked, client.Msg)
	}
}

// A name that is passed on comes back where nobody knows it. Where somebody could and fails, it
// is not said that it does not exist.
func TestWhatNobodyBehindKnowsIsOursToDeny(t *testing.T) {
	failing := plugin.HandlerFunc(func(context.Context, dns.ResponseWriter, *dns.Msg) (int, error) {
		return dns.RcodeServerFailure, fmt.Errorf("no healthy upstream")
	})
	quiet := plugin.HandlerFunc(func(context.Context, dns.ResponseWriter, *dns.Msg) (int, error) {
		return dns.RcodeServerFailure, nil // as *file* whose zone is not loaded
	})
	passing := plugin.HandlerFunc(func(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
		return plugin.NextOrFailure("passing", nil, ctx, w, r)
	})
	for _, tc := range []struct {
		sentence string
		next     plugin.Handler
		denied   bool
	}{
		{"nobody is behind", nil, true},
		{"somebody is, and passes it on", passing, true},
		{"somebody is who fails", failing, false},
		{"somebody is who fails and does not say why", quiet, false},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			w := newWorld(t, Config{Fall: fall.Root})
			w.Load("service prod/out externalName www.example.net\nservice prod/in externalName gone.prod.svc.cluster.local")
			w.handler.Next = tc.next
			w.handler.upstream = &itself{handlers: map[string]plugin.Handler{".": w.handler}}
			answered := func(name, want string) {
				t.Helper()
				q := request.Request{W: &test.ResponseWriter{}, Req: ask(name, dns.TypeA)}
				got, err := w.handler.upstream.Lookup(t.Context(), q, q.Name(), dns.TypeA)
				if err != nil {
					t.Fatal(err)
				}
				if lines, want := enginetest.Summary(got), wanted(t, want); !slices.Equal(lines, want) {
					t.Errorf("%s: got %q, want %q", name, lines, want)
				}
			}
			if tc.denied {
				answered("gone", "NXDOMAIN")
				answered("in", "NXDOMAIN\nin CNAME gone\nSOA")
				answered("out", "out CNAME www.example.net.")
			} else {
				answered("gone", "SERVFAIL")
				answered("in", "SERVFAIL\nin CNAME gone")
				answered("out", "SERVFAIL\nout CNAME www.example.net.")
			}
		})
	}
}
