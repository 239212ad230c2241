package registry

import (
	"context"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/coredns-registry/registry/internal/answer"
	"github.com/coredns-registry/registry/internal/engine"
	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/table"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/fall"
	clog "github.com/coredns/coredns/plugin/pkg/log"
	"github.com/coredns/coredns/plugin/pkg/upstream"
	"github.com/coredns/coredns/request"

	"github.com/miekg/dns"
)

const pluginName = "registry"

var log = clog.NewWithPlugin(pluginName)

// Handler answers DNS queries for the zones of one server block from the table. It is
// set up before the first query and not changed afterwards, but for its registry: that
// comes when the server block starts, and other plugins may ask before.
type Handler struct {
	Next  plugin.Handler
	Zones []string // as in the Corefile, fully qualified and in lower case
	Fall  fall.F

	ttl          uint32
	transferMost int // records of one name and type in a transfer; 0 is all
	zones        []*answer.Zone
	engine       atomic.Pointer[engine.Engine]
	upstream     upstreamer
	answers      answerCounts
	fits         atomic.Bool // whether messages are made to fit after other plugins, see front
}

// upstreamer resolves a name by way of the whole server, as upstream.Upstream does.
type upstreamer interface {
	Lookup(ctx context.Context, state request.Request, name string, qtype uint16) (*dns.Msg, error)
}

// newHandler returns the handler of a server block. addrs are those of its name server.
func newHandler(config *Config, addrs []netip.Addr) *Handler {
	h := &Handler{
		Zones:        config.Zones,
		Fall:         config.Fall,
		ttl:          uint32(config.TTL / time.Second),
		transferMost: config.TransferMost,
		zones:        answer.Zones(config.Zones, addrs, config.Most),
		upstream:     upstream.New(),
	}
	h.answers = countAnswers(h.zones)
	return h
}

// Name implements plugin.Handler.
func (h *Handler) Name() string { return pluginName }

// ServeDNS implements plugin.Handler: the name is parsed once, looked up once, has one
// outcome, and that becomes one message.
func (h *Handler) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	q := query{Handler: h, ctx: ctx, req: request.Request{W: w, Req: r}}
	q.zone = h.zoneOf(q.req.Name())
	switch {
	case q.zone == nil:
		code, err := q.passOn()
		if q.nobodyKnows(code, err) && q.chain() != nil {
			return dns.RcodeRefused, nil // we ask ourselves, see resolve
		}
		return code, err
	case r.Opcode != dns.OpcodeQuery:
		return dns.RcodeNotImplemented, nil
	case q.req.QType() == dns.TypeAXFR || q.req.QType() == dns.TypeIXFR:
		return dns.RcodeRefused, nil // the transfer plugin stands before us and did not want it
	}
	if q.state = h.state(); q.state == nil {
		h.answers.count(q.zone, answer.NotReady)
		return dns.RcodeServerFailure, nil
	}
	a := q.lookup()
	h.answers.count(q.zone, a.Outcome)
	if a.Absent() && h.Fall.Through(q.req.Name()) {
		if code, err := q.passOn(); !q.nobodyKnows(code, err) {
			return code, err
		}
	}
	if a.Outcome == answer.Alias && slices.Contains(q.chain(), q.req.Name()) {
		return dns.RcodeServerFailure, nil // we ask ourselves, in a loop
	}
	if sent, err := q.sendPacked(&a); sent {
		return dns.RcodeSuccess, err
	}
	return dns.RcodeSuccess, q.send(&a)
}

// send sends an answer as a message.
func (q *query) send(a *answer.Answer) error {
	if f := q.fitter(); f != nil {
		f.ours = true
	}
	return q.req.W.WriteMsg(q.message(a))
}

// state returns the published table; nil until it is loaded.
func (h *Handler) state() *table.State {
	r := h.engine.Load()
	if r == nil {
		return nil
	}
	return r.State()
}

// now returns the time on the clock of leases. There must be a state.
func (h *Handler) now() lease.Time { return h.engine.Load().Now() }

// zoneOf returns the most specific of our zones that a name is in, nil if there is none.
func (h *Handler) zoneOf(name string) *answer.Zone {
	var found *answer.Zone
	for _, z := range h.zones {
		if z.Covers(name) && (found == nil || len(z.Origin) > len(found.Origin)) {
			found = z
		}
	}
	return found
}

// query is one question being answered from one state of the table.
type query struct {
	*Handler
	ctx   context.Context
	req   request.Request
	state *table.State
	zone  *answer.Zone // that the name asked, or the end of its chain so far, is in
}

// lookup returns what the zone answers. The apex's SOA is none of what it knows.
func (q *query) lookup() answer.Answer {
	if q.asksSOA() {
		return answer.Answer{Outcome: answer.Found}
	}
	return q.zone.Lookup(q.state.Snapshot, q.req.Name(), q.req.QType())
}

func (q *query) asksSOA() bool {
	return q.req.QType() == dns.TypeSOA && q.req.Name() == q.zone.Origin
}

// message returns the reply that says an answer.
func (q *query) message(a *answer.Answer) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(q.req.Req)
	m.Authoritative = true
	qname := q.req.QName()
	if q.asksSOA() {
		m.Answer = []dns.RR{q.soa(qname)}
		return m
	}
	reply := answer.Reply{Msg: m, Room: q.room(), TTL: q.ttl, Now: q.now(), FitLater: q.fitter() != nil}
	if a.Outcome == answer.Alias {
		q.follow(&reply, *a)
	} else {
		reply.Add(qname, *a)
		q.deny(m, a.Outcome, qname[len(qname)-len(q.zone.Origin):])
	}
	reply.Finish()
	return m
}

// deny completes the message of a name without records. zone is the owner of the SOA.
func (q *query) deny(m *dns.Msg, o answer.Outcome, zone string) {
	switch o {
	case answer.NoName:
		m.Rcode = dns.RcodeNameError
	case answer.NoData:
	default:
		return
	}
	m.Ns = []dns.RR{q.soa(zone)}
}

func (q *query) soa(owner string) dns.RR { return q.zone.SOA(owner, q.state.Serial(), q.ttl) }
