package registry

import (
	"context"
	"slices"

	"github.com/coredns-registry/registry/internal/answer"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/edns"
	"github.com/coredns/coredns/request"

	"github.com/miekg/dns"
)

// longestDatagram is the most bytes that a message over UDP may have: what an IPv4 packet has
// room for (RFC 791, RFC 768). A client may allow more, and would then get nothing.
const longestDatagram = 65535 - 20 - 8

// roomOf returns how many bytes the reply to a request may have.
func roomOf(r *request.Request) int {
	if r.Proto() == "udp" {
		return min(r.Size(), longestDatagram)
	}
	return r.Size()
}

// room returns how many of them the handler's message may take. The server adds the OPT record,
// which is the request's without the options that it does not know.
func (q *query) room() int {
	room := roomOf(&q.req)
	opt := q.req.Req.IsEdns0()
	if opt == nil {
		return room
	}
	if len(opt.Option) > 0 {
		all := opt.Option
		opt = &dns.OPT{Hdr: opt.Hdr}
		for _, o := range all {
			if edns.SupportedOption(o.Option()) {
				opt.Option = append(opt.Option, o)
			}
		}
	}
	return room - dns.Len(opt)
}

// Plugins that stand before ours may add to its message: *nsid* an option, *tsig* a signature,
// *dnssec* many, *rewrite* longer names. CoreDNS then cuts off what is too much wherever it comes
// to an end, and says that answers are missing though it was their addresses; or it sends
// nothing, since it does not cut what is signed. So where there are any, a writer of ours
// stands behind them all, before CoreDNS's own, and makes the message fit once it is complete.

// front hands that writer to the first plugin of the server block.
type front struct {
	next    plugin.Handler
	handler *Handler
}

func (f *front) Name() string { return pluginName + "_front" }

func (f *front) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	if f.handler.fits.Load() {
		ctx, w = withFitter(ctx, w, r)
	}
	return f.next.ServeDNS(ctx, w, r)
}

// fitter makes a message of ours fit.
type fitter struct {
	dns.ResponseWriter
	req  *dns.Msg
	ours bool
}

type fitterKey struct{}

// withFitter is apart, since every query goes through ServeDNS and has little stack.
//
//go:noinline
func withFitter(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (context.Context, dns.ResponseWriter) {
	f := &fitter{ResponseWriter: w, req: r}
	return context.WithValue(ctx, fitterKey{}, f), f
}

func (f *fitter) WriteMsg(m *dns.Msg) error {
	if f.ours {
		req := request.Request{W: f.ResponseWriter, Req: f.req}
		req.SizeAndDo(m)
		answer.Fit(m, roomOf(&req))
	}
	return f.ResponseWriter.WriteMsg(m)
}

// fitter returns the writer that makes the query's message fit; nil where none does. Where the
// server asks itself, that of the question before is in the context as well.
func (q *query) fitter() *fitter {
	if f, ok := q.ctx.Value(fitterKey{}).(*fitter); ok && f.req == q.req.Req {
		return f
	}
	return nil
}

// addTo puts the handler into its server block, and a front before all other plugins. The
// returned function says whether that is needed, when all plugins are known: before the first query.
func (h *Handler) addTo(server *dnsserver.Config) (complete func()) {
	before := len(server.Plugin)
	server.AddPlugin(func(next plugin.Handler) plugin.Handler {
		h.Next = next
		return h
	})
	server.Plugin = slices.Insert(server.Plugin, 0, func(next plugin.Handler) plugin.Handler {
		return &front{next, h}
	})
	return func() {
		for _, p := range server.Handlers() {
			if p.Name() == pluginName {
				break
			}
			if slices.Contains(addNothing, p.Name()) {
				before--
			}
		}
		h.fits.Store(before > 0)
	}
}

// addNothing are the plugins that stand before ours and let a message of ours pass, or make it
// no longer. Of others that is not known.
var addNothing = []string{
	"metadata", "geoip", "cancel", "bufsize", "trace", "prometheus", "errors", "log", "dnstap", "local", "any",
	"chaos", "loadbalance", "acl", "cache", "header", "minimal", "template", "transfer",
}
