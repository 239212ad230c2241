package registry

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/coredns-registry/registry/internal/httpapi"
	"github.com/coredns-registry/registry/internal/table"

	"github.com/coredns/coredns/plugin/pkg/nonwriter"
	"github.com/coredns/coredns/request"

	"github.com/miekg/dns"
)

// Explain says what DNS answers to a question asked over TCP, and for each instance of the
// service that the name belongs to, why it is or is not in the answer. A name outside the
// zones is answered by others, and so is what an alias leads to there: it is left out.
func (a *api) Explain(name string, qtype uint16) httpapi.Explanation {
	name = dns.CanonicalName(name)
	var q *query
	for _, h := range a.blocks.all() {
		if zone := h.zoneOf(name); zone != nil && (q == nil || len(zone.Origin) > len(q.zone.Origin)) {
			q = &query{Handler: h, zone: zone}
		}
	}
	if q == nil {
		return httpapi.Explanation{Outcome: "notserved"}
	}
	if q.state = a.State(); q.state == nil {
		return httpapi.Explanation{Zone: q.zone.Origin, Outcome: "notready", Rcode: dns.RcodeToString[dns.RcodeServerFailure]}
	}
	zone := q.zone
	r := new(dns.Msg).SetQuestion(name, qtype)
	q.ctx, q.req = context.Background(), request.Request{W: nonwriter.New(overTCP{}), Req: r}
	m, outcome := q.answer()
	e := httpapi.Explanation{
		Zone:       zone.Origin,
		Outcome:    outcome.String(),
		Rcode:      dns.RcodeToString[m.Rcode],
		Answer:     texts(m.Answer),
		Authority:  texts(m.Ns),
		Additional: texts(m.Extra),
	}
	for view, i := range zone.Concerned(q.state.Snapshot, name) {
		reason := zone.Missing(view, i, name, qtype, m.Answer)
		answered := reason == ""
		if answered {
			reason = a.present(i)
		}
		e.Instances = append(e.Instances, httpapi.ExplainedInstance{ID: i.ID, Answered: answered, Reason: reason})
	}
	return e
}

func texts(rrs []dns.RR) []string {
	texts := make([]string, 0, len(rrs))
	for _, rr := range rrs {
		texts = append(texts, rr.String())
	}
	return texts
}

// present says why an instance is answered, and for how long.
func (a *api) present(i *table.Instance) string {
	at, leased := i.Lease.Deadline()
	if !leased {
		return fmt.Sprintf("it is %s and static", i.Status)
	}
	left := at.Sub(a.clock.Now())
	if left < 0 {
		return fmt.Sprintf("it is %s and its lease has ended %s ago: it is held back, since too many fell due at once", i.Status, (-left).Round(time.Millisecond))
	}
	return fmt.Sprintf("it is %s and its lease ends in %s", i.Status, left.Round(time.Millisecond))
}

// overTCP stands in for the writer of a question that nobody asked over the network.
type overTCP struct{ dns.ResponseWriter }

func (overTCP) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (overTCP) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
