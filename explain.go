package registry

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/coredns-registry/registry/internal/answer"
	"github.com/coredns-registry/registry/internal/httpapi"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/coredns/coredns/plugin/pkg/nonwriter"
	"github.com/coredns/coredns/request"

	"github.com/miekg/dns"
)

// Explain says what DNS answers to a question asked over TCP, and for each instance of the
// service that the name belongs to, why it is or is not in the answer. A name outside the
// zones is answered by others, and so is what an alias leads to there: it is left out. So is
// what is of services that may not be read; for a name of such a service it reports false.
func (a *api) Explain(name string, qtype uint16, may func(service.Name) bool) (httpapi.Explanation, bool) {
	name = dns.CanonicalName(name)
	if !a.mayTell(name, may) {
		return httpapi.Explanation{}, false
	}
	h, zone := a.zoneOf(name)
	if zone == nil {
		return httpapi.Explanation{Outcome: "notserved"}, true
	}
	q := &query{Handler: h, zone: zone}
	if q.state = a.State(); q.state == nil {
		return httpapi.Explanation{Zone: zone.Origin, Outcome: "notready", Rcode: dns.RcodeToString[dns.RcodeServerFailure]}, true
	}
	r := new(dns.Msg).SetQuestion(name, qtype)
	q.ctx, q.req = context.Background(), request.Request{W: nonwriter.New(overTCP{}), Req: r}
	found := q.lookup()
	m, outcome := q.message(&found), found.Outcome
	if !zone.Shows(q.state.Snapshot, name, qtype, may) {
		m.Answer, m.Extra = nil, nil
		outcome = zone.Vacant(name).Outcome
		q.deny(m, outcome, zone.Origin)
	}
	a.cutChain(q, m, may)
	e := httpapi.Explanation{
		Zone:       zone.Origin,
		Outcome:    outcome.String(),
		Rcode:      dns.RcodeToString[m.Rcode],
		Answer:     a.texts(m.Answer, may),
		Authority:  a.texts(m.Ns, may),
		Additional: a.texts(m.Extra, may),
	}
	for view, i := range zone.Concerned(q.state.Snapshot, name) {
		if !may(view.Name) {
			continue
		}
		reason := zone.Missing(view, i, name, qtype, m.Answer)
		answered := reason == ""
		if answered {
			reason = a.present(i)
		}
		e.Instances = append(e.Instances, httpapi.ExplainedInstance{ID: i.ID(), Answered: answered, Reason: reason})
	}
	return e, true
}

// zoneOf returns the most specific zone that a name is in, and a server block that serves it.
func (a *api) zoneOf(name string) (in *Handler, found *answer.Zone) {
	for _, h := range a.blocks.all() {
		if zone := h.zoneOf(name); zone != nil && (found == nil || len(zone.Origin) > len(found.Origin)) {
			in, found = h, zone
		}
	}
	return in, found
}

// mayTell reports whether a name is of no service, or of one that may be read. It counts in
// every zone that it is in: an alias is followed by the server block that has it, in the
// zones of that one.
func (a *api) mayTell(name string, may func(service.Name) bool) bool {
	for _, h := range a.blocks.all() {
		for _, zone := range h.zones {
			if !zone.Covers(name) {
				continue
			}
			if of, is := zone.ServiceOf(name); is && !may(of) {
				return false
			}
		}
	}
	return true
}

// cutChain ends a chain of aliases where it comes to what may not be read. What is behind
// that, and whether anything is, would be told by the response code too.
func (a *api) cutChain(q *query, m *dns.Msg, may func(service.Name) bool) {
	for n, rr := range m.Answer {
		alias, is := rr.(*dns.CNAME)
		if !is {
			return
		}
		to := dns.CanonicalName(alias.Target)
		zone := q.zoneOf(to)
		told := a.mayTell(to, may)
		if told && (zone == nil || zone.Shows(q.state.Snapshot, to, q.req.QType(), may)) {
			continue
		}
		m.Answer, m.Ns, m.Extra, m.Rcode = m.Answer[:n+1], nil, nil, dns.RcodeSuccess
		if told && !q.Fall.Through(to) {
			q.deny(m, zone.Vacant(to).Outcome, zone.Origin)
		}
		return
	}
}

// texts writes records, without those that are at, or lead to, what may not be read. An alias
// is no secret of what it leads to: it is in the definition of its own service.
func (a *api) texts(rrs []dns.RR, may func(service.Name) bool) []string {
	texts := make([]string, 0, len(rrs))
	for _, rr := range rrs {
		if a.mayTell(dns.CanonicalName(rr.Header().Name), may) && a.mayTell(target(rr), may) {
			texts = append(texts, rr.String())
		}
	}
	return texts
}

// target returns the name that a record leads to and tells of; the root where there is none.
func target(rr dns.RR) string {
	switch rr := rr.(type) {
	case *dns.PTR:
		return dns.CanonicalName(rr.Ptr)
	case *dns.SRV:
		return dns.CanonicalName(rr.Target)
	}
	return "."
}

// present says why an instance is answered, and for how long.
func (a *api) present(i *table.Instance) string {
	at, leased := i.Lease().Deadline()
	if !leased {
		return fmt.Sprintf("it is %s and static", i.Status)
	}
	left := at.Sub(a.Now())
	if left < 0 {
		return fmt.Sprintf("it is %s and its lease has ended %s ago: %s", i.Status, (-left).Round(time.Millisecond), a.whyHeld(i))
	}
	return fmt.Sprintf("it is %s and its lease ends in %s", i.Status, left.Round(time.Millisecond))
}

// whyHeld says why an instance is there whose lease has ended.
func (a *api) whyHeld(i *table.Instance) string {
	waits, held, lost := a.State().Leases().Waits(i.Lease())
	if !waits {
		return "it is about to leave"
	}
	return fmt.Sprintf("it is held back, since too many fell due at once. Of its service %d are held back and %d have left in %s; its turn comes, or a heartbeat saves it",
		held, lost, a.Rules().Leases.Default)
}

// overTCP stands in for the writer of a question that nobody asked over the network.
type overTCP struct{ dns.ResponseWriter }

func (overTCP) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (overTCP) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
