package registry

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/coredns-registry/registry/internal/answer"
	"github.com/coredns-registry/registry/internal/engine"
	"github.com/coredns-registry/registry/internal/httpapi"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/coredns/coredns/plugin/pkg/nonwriter"
	"github.com/coredns/coredns/request"

	"github.com/miekg/dns"
)

// serverBlocks are those that answer from one table, in the order of the Corefile: they tell the
// door what DNS says of it. They may be replaced while they are read.
type serverBlocks struct {
	engine   *engine.Engine
	handlers atomic.Pointer[[]*Handler]
}

func (b *serverBlocks) set(handlers []*Handler) { b.handlers.Store(&handlers) }

func (b *serverBlocks) all() []*Handler {
	if p := b.handlers.Load(); p != nil {
		return *p
	}
	return nil
}

// Names returns the DNS names that lead to an instance of the service now, in every zone
// that is served.
func (b *serverBlocks) Names(view *table.View, i *table.Instance) []string {
	var names []string
	for _, h := range b.all() {
		for _, z := range h.zones {
			names = append(names, z.Names(view, i)...)
		}
	}
	if len(b.all()) > 1 { // two blocks may serve one zone
		slices.Sort(names)
		names = slices.Compact(names)
	}
	return names
}

// Explain returns what DNS answers to a question asked over TCP and, for each instance of the
// service that the name belongs to, why it is or is not in the answer. It leaves out what other
// plugins answer: names outside the zones, and the targets of aliases there. It leaves out services
// that the caller may not read, and reports false if the name belongs to one.
func (b *serverBlocks) Explain(name string, qtype uint16, may func(service.Name) bool) (httpapi.Explanation, bool) {
	name = dns.CanonicalName(name)
	if !b.mayRead(name, may) {
		return httpapi.Explanation{}, false
	}
	h, zone := b.zoneOf(name)
	if zone == nil {
		return httpapi.Explanation{Outcome: "notserved"}, true
	}
	q := &query{Handler: h, zone: zone}
	if q.state = b.engine.State(); q.state == nil {
		return httpapi.Explanation{Zone: zone.Origin, Outcome: "notready", Rcode: dns.RcodeToString[dns.RcodeServerFailure]}, true
	}
	r := new(dns.Msg).SetQuestion(name, qtype)
	q.ctx, q.req = context.Background(), request.Request{W: nonwriter.New(overTCP{}), Req: r}
	found := q.lookup()
	m, outcome := q.message(&found), found.Outcome
	if !zone.Visible(q.state.Snapshot, name, qtype, may) {
		m.Answer, m.Extra = nil, nil
		outcome = zone.Vacant(name).Outcome
		q.deny(m, outcome, zone.Origin)
	}
	b.truncateChain(q, m, may)
	e := httpapi.Explanation{
		Zone:       zone.Origin,
		Outcome:    outcome.String(),
		Rcode:      dns.RcodeToString[m.Rcode],
		Answer:     b.texts(m.Answer, may),
		Authority:  b.texts(m.Ns, may),
		Additional: b.texts(m.Extra, may),
	}
	for i, reason := range zone.Explain(q.state.Snapshot, name, qtype, m.Answer, may) {
		answered := reason == ""
		if answered {
			reason = b.whyAnswered(i)
		}
		e.Instances = append(e.Instances, httpapi.ExplainedInstance{ID: i.ID(), Answered: answered, Reason: reason})
	}
	return e, true
}

// zoneOf returns the most specific zone that holds a name, and a server block that serves it.
func (b *serverBlocks) zoneOf(name string) (in *Handler, found *answer.Zone) {
	for _, h := range b.all() {
		if zone := h.zoneOf(name); zone != nil && (found == nil || len(zone.Origin) > len(found.Origin)) {
			in, found = h, zone
		}
	}
	return in, found
}

// mayRead reports whether the caller may read the service that a name belongs to, if any. It checks
// every zone that holds the name: an alias is followed in the zones of its own server block.
func (b *serverBlocks) mayRead(name string, may func(service.Name) bool) bool {
	for _, h := range b.all() {
		for _, zone := range h.zones {
			if !zone.Covers(name) {
				continue
			}
			if name, ok := zone.ServiceOf(name); ok && !may(name) {
				return false
			}
		}
	}
	return true
}

// truncateChain ends a chain of aliases at the first target that may not be read. The response code
// changes too, since it would reveal what is behind that target.
func (b *serverBlocks) truncateChain(q *query, m *dns.Msg, may func(service.Name) bool) {
	for n, rr := range m.Answer {
		alias, ok := rr.(*dns.CNAME)
		if !ok {
			return
		}
		to := dns.CanonicalName(alias.Target)
		zone := q.zoneOf(to)
		readable := b.mayRead(to, may)
		if readable && (zone == nil || zone.Visible(q.state.Snapshot, to, q.req.QType(), may)) {
			continue
		}
		m.Answer, m.Ns, m.Extra, m.Rcode = m.Answer[:n+1], nil, nil, dns.RcodeSuccess
		if readable && !q.Fall.Through(to) {
			q.deny(m, zone.Vacant(to).Outcome, zone.Origin)
		}
		return
	}
}

// texts returns records as text, without those whose owner or target may not be read. The target of
// an alias is public: it is in the definition of the alias's own service.
func (b *serverBlocks) texts(rrs []dns.RR, may func(service.Name) bool) []string {
	texts := make([]string, 0, len(rrs))
	for _, rr := range rrs {
		if b.mayRead(dns.CanonicalName(rr.Header().Name), may) && b.mayRead(dns.CanonicalName(answer.TargetName(rr)), may) {
			texts = append(texts, rr.String())
		}
	}
	return texts
}

// whyAnswered says why an instance is answered, and for how long.
func (b *serverBlocks) whyAnswered(i *table.Instance) string {
	at, leased := i.Lease().Deadline()
	if !leased {
		return fmt.Sprintf("it is %s and static", i.Status)
	}
	left := at.Sub(b.engine.Now())
	if left < 0 {
		return fmt.Sprintf("it is %s and its lease ended %s ago: %s", i.Status, (-left).Round(time.Millisecond), b.whyHeld(i))
	}
	return fmt.Sprintf("it is %s and its lease ends in %s", i.Status, left.Round(time.Millisecond))
}

// whyHeld says why an instance is answered whose lease has ended.
func (b *serverBlocks) whyHeld(i *table.Instance) string {
	waits, held, lost := b.engine.State().Leases().Waits(i.Lease())
	if !waits {
		return "its removal is pending"
	}
	return fmt.Sprintf("it is held back, because too many leases ended at once. Of its service, %d instances are held back and %d were removed in %s; it is removed in turn, unless a heartbeat renews its lease",
		held, lost, b.engine.Rules().Leases.Default)
}

// overTCP is the writer of a question that did not come over the network.
type overTCP struct{ dns.ResponseWriter }

func (overTCP) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (overTCP) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
