package answer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// Concerned yields the instances that a question in the zone is about, answered or not:
// those of the service that the name belongs to, or those that hold the address.
func (z *Zone) Concerned(s *table.Snapshot, name string) func(yield func(*table.View, *table.Instance) bool) {
	p := z.parse(name)
	return func(yield func(*table.View, *table.Instance) bool) {
		if p.addr.IsValid() {
			for h := range s.Holders(p.addr) {
				if h.Instance != nil && !yield(s.Service(h.Service), h.Instance) {
					return
				}
			}
			return
		}
		view := s.Service(p.service)
		if view == nil {
			return
		}
		for i := range s.InstancesOf(view.Name) {
			if !yield(view, i) {
				return
			}
		}
	}
}

// ServiceOf returns the service that a name in the zone belongs to, whether or not there is
// one; false where it belongs to none.
func (z *Zone) ServiceOf(name string) (service.Name, bool) {
	p := z.parse(name)
	return p.service, p.service.Service != ""
}

// Shows reports whether a name that belongs to no one service is there for who may read no
// more than that: a namespace's by a service in it, an address's by one that is answered
// there. Other names, and the zone's own records, have nothing to hide.
func (z *Zone) Shows(s *table.Snapshot, name string, qtype uint16, may func(service.Name) bool) bool {
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

// Missing says why an instance is not in the answer to a question; it is empty where the
// instance is in it.
func (z *Zone) Missing(view *table.View, i *table.Instance, name string, qtype uint16, answer []dns.RR) string {
	p := z.parse(name)
	switch {
	case view.Type() == service.ExternalName:
		return "the service is an external name: its instances are not answered"
	case i.Lease().Ended():
		return "its lease has ended: it is on its way out of the table"
	case !view.Answers(i):
		return fmt.Sprintf("its status is %s: only up is answered", i.Status)
	case view.Type() == service.ClusterIP && (p.kind == serviceName || p.kind == portName):
		return "the service answers with its cluster IPs"
	case p.kind == hostName && !slices.Contains(labels(i), p.label):
		return fmt.Sprintf("the name is that of another host: it is at %s", strings.Join(labels(i), ", "))
	case p.kind == portName && !slices.ContainsFunc(i.Ports, func(port service.Port) bool { return portLabel(port) == p.label }):
		return fmt.Sprintf("it has no port %s", p.label)
	}
	return missingType(i, p, qtype, answer)
}

// missingType is for an instance whose name was asked for, of whatever type.
func missingType(i *table.Instance, p parsed, qtype uint16, answer []dns.RR) string {
	typeName := dns.Type(qtype).String()
	var has bool // records of the type
	switch {
	case p.addr.IsValid():
		has = qtype == dns.TypePTR
	case p.kind == protocolName:
	case qtype == dns.TypeSRV:
		has = len(i.Ports) > 0
	case p.kind == portName:
	case qtype == dns.TypeA:
		has = slices.ContainsFunc(i.Addresses, netip.Addr.Is4)
	case qtype == dns.TypeAAAA:
		has = slices.ContainsFunc(i.Addresses, netip.Addr.Is6)
	case qtype == dns.TypeTXT:
		has = p.kind == hostName && len(i.Metadata) > 0
	}
	switch {
	case !has:
		return fmt.Sprintf("it has no %s record at this name", typeName)
	case !slices.ContainsFunc(answer, func(rr dns.RR) bool { return standsFor(rr, i) }):
		return "it was left out this time: there are more records than one answer holds"
	}
	return ""
}

func labels(i *table.Instance) []string {
	var labels []string
	for label := range i.Hosts {
		labels = append(labels, label)
	}
	return labels
}

// standsFor reports whether a record of an answer is one of the instance's.
func standsFor(rr dns.RR, i *table.Instance) bool {
	switch rr := rr.(type) {
	case *dns.A:
		addr, _ := netip.AddrFromSlice(rr.A)
		return slices.Contains(i.Addresses, addr.Unmap())
	case *dns.AAAA:
		addr, _ := netip.AddrFromSlice(rr.AAAA)
		return slices.Contains(i.Addresses, addr)
	case *dns.SRV:
		label, _, _ := strings.Cut(rr.Target, ".")
		return slices.Contains(labels(i), label) &&
			slices.ContainsFunc(i.Ports, func(p service.Port) bool { return p.Number == rr.Port })
	case *dns.PTR:
		label, _, _ := strings.Cut(rr.Ptr, ".")
		return slices.Contains(labels(i), label)
	case *dns.TXT:
		return true
	}
	return false
}
