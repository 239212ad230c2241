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

// longestDatagram is the largest message over UDP, the payload of an IPv4 packet (RFC 791, RFC
// 768). A client may advertise more, but could not receive it.
const longestDatagram = 65535 - 20 - 8

// roomOf returns the largest size of the reply to a request.
func roomOf(r *request.Request) int {
	if r.Proto() == "udp" {
		return min(r.Size(), longestDatagram)
	}
	return r.Size()
}

// room returns the largest size of the handler's message. The server adds the OPT record, which is
// that of the request without the options that the server does not know.
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

// Plugins before this one may add to its message: *nsid* an option, *tsig* a signature, *dnssec* many,
// *rewrite* longer names. CoreDNS then truncates the message at its size and sets TC although only
// additional records are missing; or it sends nothing, since it does not truncate signed messages.
// So if there are such plugins, a fitter stands between them and CoreDNS's own writer, and makes the
// message fit once it is complete.

// front gives the fitter to the first plugin of the server block.
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

// fitter is a writer that makes messages of this plugin fit.
type fitter struct {
	dns.ResponseWriter
	req  *dns.Msg
	ours bool
}

type fitterKey struct{}

// withFitter is a function of its own since every query passes through ServeDNS, on a small stack.
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

// fitter returns the writer that makes the query's message fit, or nil. If the server queries
// itself, the context holds the fitter of the outer query as well.
func (q *query) fitter() *fitter {
	if f, ok := q.ctx.Value(fitterKey{}).(*fitter); ok && f.req == q.req.Req {
		return f
	}
	return nil
}

// addTo adds the handler to its server block, and a front before all other plugins. The returned
// function decides whether the front is needed; call it when all plugins are known, before the
// first query.
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

// addNothing are the plugins before this one that pass its messages on without making them longer.
// Other plugins may make them longer.
var addNothing = []string{
	"metadata", "geoip", "cancel", "bufsize", "trace", "prometheus", "errors", "log", "dnstap", "local", "any",
	"chaos", "loadbalance", "acl", "cache", "header", "minimal", "template", "transfer",
}
