package answer

import (
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
	p := z.parse(name)
	return func(yield func(*table.Instance, string) bool) {
		if p.addr.IsValid() {
			for h := range s.Holders(p.addr) {
				if h.Instance != nil && may(h.Service) && !yield(h.Instance, z.missing(s.Service(h.Service), h.Instance, p, name, qtype, answer)) {
					return
				}
			}
			return
		}
		view := s.Service(p.service)
		if view == nil || !may(view.Name) {
			return
		}
		for i := range view.Instances {
			if !yield(i, z.missing(view, i, p, name, qtype, answer)) {
				return
			}
		}
	}
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

// missing returns why an instance is not in the answer to a question, or "" if it is.
func (z *Zone) missing(view *table.View, i *table.Instance, p parsed, name string, qtype uint16, answer []dns.RR) string {
	switch {
	case view.Type() == service.ExternalName:
		return "the service is an external name: its instances are not answered"
	case i.Lease().Ended():
		return "its lease has expired; removal is pending"
	case !view.Answers(i):
		return fmt.Sprintf("its status is %s: only up is answered", i.Status)
	case view.Type() == service.ClusterIP && (p.kind == serviceName || p.kind == portName):
		return "the service answers with its cluster IPs"
	}
	switch a := z.lookupAlone(view, i, p, qtype); {
	case a.Outcome == NoName && p.kind == hostName:
		return fmt.Sprintf("the name belongs to another host: this instance is at %s", strings.Join(labels(i), ", "))
	case a.Outcome == NoName:
		return fmt.Sprintf("it has no port %s", p.label)
	case a.Outcome == NoData:
		return fmt.Sprintf("it has no %s record at this name", dns.Type(qtype))
	case !a.set.intersects(name, answer):
		return "left out this time: there are more records than one answer holds"
	}
	return ""
}

// lookupAlone answers a question from a table that holds one instance only. Of the service's
// definition it keeps only what decides whether instances are answered.
func (z *Zone) lookupAlone(view *table.View, i *table.Instance, p parsed, qtype uint16) Answer {
	var b table.Builder
	if def := view.Definition; def != nil {
		b.Define(view.Name, &service.Definition{Type: def.Type, PublishNotReady: def.PublishNotReady})
	}
	b.Put(table.NewInstance(i.ID(), i.Said(), i.RegisteredAt(), 0))
	alone := b.Done(i.Revision)
	if p.addr.IsValid() {
		return z.lookupReverse(alone, p.addr, qtype)
	}
	return z.lookupService(alone.Service(view.Name), p, qtype)
}

// intersects reports whether an answer holds one of the records. It ignores TTLs, and weights,
// which depend on the other records of the answer.
func (s *rrset) intersects(owner string, answer []dns.RR) bool {
	for n := range int(s.numRecords) {
		rr := withoutWeight(s.record(n, owner))
		if slices.ContainsFunc(answer, func(other dns.RR) bool { return dns.IsDuplicate(withoutWeight(other), rr) }) {
			return true
		}
	}
	return false
}

// unweighted returns a record without the weight that an SRV record has.
func withoutWeight(rr dns.RR) dns.RR {
	if srv, ok := rr.(*dns.SRV); ok {
		copied := *srv
		copied.Weight = 0
		return &copied
	}
	return rr
}

func labels(i *table.Instance) []string {
	var labels []string
	for label := range i.Hosts {
		labels = append(labels, label)
	}
	return labels
}
