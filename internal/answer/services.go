package answer

import (
	"net/netip"
	"sync/atomic"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// lookupService answers for a name at or below a service that exists.
func (z *Zone) lookupService(view *table.View, p parsed, qtype uint16) Answer {
	if view.Type() == service.ExternalName {
		return z.lookupExternal(view, p.kind, qtype)
	}
	s := z.setsOf(view)
	switch p.kind {
	case serviceName:
		return found(s.own(qtype))
	case portName:
		set := s.ports().find(p.label)
		switch {
		case set == nil:
			return Answer{}
		case qtype != dns.TypeSRV:
			return found(nil)
		}
		return found(set)
	case hostName:
		if h := s.hosts().at(p.label); len(h) > 0 {
			return found(s.host(h, qtype))
		}
	case protocolName:
		if s.ports().speak(p.label) {
			return found(nil)
		}
	}
	return Answer{}
}

// lookupExternal answers for a service that is another name. Nothing is below it.
func (z *Zone) lookupExternal(view *table.View, k kind, qtype uint16) Answer {
	if k != serviceName {
		return Answer{}
	}
	switch qtype {
	case dns.TypeCNAME:
		return found(alias(view))
	case dns.TypeA, dns.TypeAAAA:
		a := found(alias(view))
		a.Outcome, a.Target = Alias, dns.CanonicalName(view.Definition.ExternalName)
		return a
	}
	return found(nil)
}

// alias returns the record of a service that is another name.
func alias(view *table.View) *set {
	var b builder
	if target, ok := packName(dns.CanonicalName(view.Definition.ExternalName)); ok {
		b.addData(dns.TypeCNAME, target, static)
	}
	return b.set()
}

// sets are the records of one service in one zone, each kind prepared when first asked. What
// is mostly asked stands in one piece: in a large table each other one has to be waited for.
type sets struct {
	table.Preparation
	zone *Zone
	view *table.View

	v4, v6, srv lazy[set]
	named       lazy[portSets]
	labels      lazy[hosts]

	first set // of those above, the one that was asked first
	taken atomic.Bool
}

// lazy is a value that is made by the first who asks.
type lazy[T any] struct{ value atomic.Pointer[T] }

func (l *lazy[T]) get(make func() *T) *T {
	if v := l.value.Load(); v != nil {
		return v
	}
	l.value.CompareAndSwap(nil, make())
	return l.value.Load()
}

// setsOf returns the sets of a service, which are kept with its view.
func (z *Zone) setsOf(view *table.View) *sets {
	return view.Prepared(z.key, func() *table.Preparation {
		s := &sets{zone: z, view: view}
		s.Value = s
		return &s.Preparation
	}).(*sets)
}

// filled returns a set of what was gathered, which is to be kept.
func (s *sets) filled(b interface{ fill(*set) }) *set {
	to := &s.first
	if !s.taken.CompareAndSwap(false, true) {
		to = new(set)
	}
	b.fill(to)
	return to
}

// builder returns one for records of the service.
func (s *sets) builder() builder { return builder{most: s.zone.most, leases: s.view.Leases()} }

// instances yields those that are answered.
func (s *sets) instances(yield func(*table.Instance) bool) {
	for i := range s.view.Instances {
		if s.view.Answers(i) && !yield(i) {
			return
		}
	}
}

// own returns the set of the service's own name, nil for a type it never has.
func (s *sets) own(qtype uint16) *set {
	switch qtype {
	case dns.TypeA:
		return s.v4.get(func() *set { return s.addresses(netip.Addr.Is4) })
	case dns.TypeAAAA:
		return s.v6.get(func() *set { return s.addresses(netip.Addr.Is6) })
	case dns.TypeSRV:
		return s.srv.get(s.services)
	}
	return nil
}

func (s *sets) addresses(family func(netip.Addr) bool) *set {
	b := s.builder()
	if s.view.Type() == service.ClusterIP {
		for _, addr := range s.view.Definition.ClusterIPs {
			b.addFamily([]netip.Addr{addr}, family, static)
		}
		return s.filled(&b)
	}
	for i := range s.instances {
		b.addFamily(i.Addresses, family, i.Lease().Number())
	}
	return s.filled(&b)
}

// services returns an SRV record for each port and target.
func (s *sets) services() *set {
	b := s.newSRVBuilder(s.targets(s.instances))
	if s.view.Type() == service.ClusterIP {
		b.addService(s.view.Definition.Ports)
		return s.filled(b)
	}
	for i := range s.instances {
		b.begin()
		for label := range i.Hosts {
			b.addInstance(label, i, i.Ports)
		}
	}
	return s.filled(b)
}

// fullName returns the full name of a label below the service, or of the service itself.
func (s *sets) fullName(label string) string {
	name := s.view.Name
	if label == "" {
		return name.Service + "." + name.Namespace + s.zone.suffix
	}
	return label + "." + name.Service + "." + name.Namespace + s.zone.suffix
}
