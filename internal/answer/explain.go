package answer

import (
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// Explain yields the instances that a question in the zone is about and that may be read: those of
// the service that the name belongs to, or those that have the address. With each it yields why the
// instance is not in the answer, or "" if it is.
func (z *Zone) Explain(s *table.Snapshot, name string, qtype uint16, answer []dns.RR, may func(service.Name) bool) iter.Seq2[*table.Instance, string] {
	e := explainer{zone: z, state: s, name: z.parse(name), qtype: qtype, answer: make(map[string]bool, len(answer))}
	for _, rr := range answer {
		if body := packBody(rr); body != nil {
			e.answer[bodyKey(body)] = true
		}
	}
	return func(yield func(*table.Instance, string) bool) {
		if e.name.addr.IsValid() {
			for h := range s.Holders(e.name.addr) {
				if h.Instance != nil && may(h.Service) && !yield(h.Instance, e.missing(s.Service(h.Service), h.Instance)) {
					return
				}
			}
			return
		}
		view := s.Service(e.name.service)
		if view == nil || !may(view.Name) {
			return
		}
		for i := range view.Instances {
			if !yield(i, e.missing(view, i)) {
				return
			}
		}
	}
}

// explainer explains the instances of one question.
type explainer struct {
	zone   *Zone
	state  *table.Snapshot
	name   parsed
	qtype  uint16
	answer map[string]bool // its records, by bodyKey
}

// bodyKey returns the body of a record for comparing: without its TTL and without the weight of
// an SRV record, which depends on the other records of the answer.
func bodyKey(body []byte) string {
	body = slices.Clone(body)
	putBodyHeader(body, binary.BigEndian.Uint16(body))
	if binary.BigEndian.Uint16(body) == dns.TypeSRV {
		setWeight(body, 0)
	}
	return string(body)
}

// ServiceOf returns the service that a name in the zone belongs to, whether or not it exists; ok is
// false if the name belongs to none.
func (z *Zone) ServiceOf(name string) (service.Name, bool) {
	p := z.parse(name)
	return p.service, p.service.Service != ""
}

// Visible reports whether a caller who may read only some services may see that a name exists: the
// name of a namespace if one of them is in it, the name of an address if one of them is answered
// there. Names of a service are checked by [Zone.ServiceOf]. Other names, and the zone's own
// records, are public.
func (z *Zone) Visible(s *table.Snapshot, name string, qtype uint16, may func(service.Name) bool) bool {
	p := z.parse(name)
	switch {
	case p.kind == apex && (qtype == dns.TypeSOA || qtype == dns.TypeNS):
		return true
	case p.kind == namespaceName:
		for view := range s.Services(p.service) {
			switch {
			case view.Namespace != p.service.Namespace:
				return false
			case may(view.Name):
				return true
			}
		}
		return false
	case p.addr.IsValid():
		for h := range s.Holders(p.addr) {
			if may(h.Service) && (h.Instance == nil || s.Service(h.Service).Answers(h.Instance)) {
				return true
			}
		}
		return false
	}
	return true
}

// missing returns why an instance is not in the answer, or "" if it is.
func (e *explainer) missing(view *table.View, i *table.Instance) string {
	p := e.name
	switch {
	case view.Type() == service.ExternalName:
		return "the service is an external name: its instances are not answered"
	case !view.Live(i):
		return "its lease has expired; removal is pending"
	case !view.Answers(i):
		return fmt.Sprintf("its status is %s: only up is answered", i.Status)
	case view.Type() == service.ClusterIP && (p.kind == serviceName || p.kind == portName):
		return "the service answers with its cluster IPs"
	}
	switch a := e.lookupAlone(view, i); {
	case a.Outcome == NoName && p.kind == hostName:
		return fmt.Sprintf("the name belongs to another host: this instance is at %s", strings.Join(labels(i), ", "))
	case a.Outcome == NoName:
		return fmt.Sprintf("it has no port %s", p.label)
	case a.Outcome == NoData:
		return fmt.Sprintf("it has no %s record at this name", dns.Type(e.qtype))
	case !e.answers(a.set):
		return "left out this time: there are more records than one answer holds"
	}
	return ""
}

// lookupAlone answers the question as if the table held one instance only. Of the service's
// definition it keeps only what decides whether instances are answered.
func (e *explainer) lookupAlone(view *table.View, i *table.Instance) Answer {
	if addr := e.name.addr; addr.IsValid() {
		var b builder
		if e.qtype == dns.TypePTR {
			e.zone.addPTR(&b, e.state, table.Holder{Service: view.Name, Instance: i}, addr)
		}
		return found(b.set())
	}
	var def *service.Definition
	if d := view.Definition; d != nil {
		def = &service.Definition{Type: d.Type, PublishNotReady: d.PublishNotReady}
	}
	return e.zone.lookupService(view.Alone(i, def), e.name, e.qtype)
}

// answers reports whether the answer holds one of the records of a set.
func (e *explainer) answers(s *rrset) bool {
	for n := range int(s.numRecords) {
		body, _ := cutRecord(s.recordsFrom(n))
		if e.answer[bodyKey(body)] {
			return true
		}
	}
	return false
}

func labels(i *table.Instance) []string {
	var labels []string
	for label := range i.Hosts {
		labels = append(labels, label)
	}
	return labels
}
