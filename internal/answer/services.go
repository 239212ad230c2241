package answer

import (
	"net/netip"
	"strings"
	"sync/atomic"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// lookupService answers for a name at or below a service that exists.
func (z *Zone) lookupService(s *table.Snapshot, a Answer, view *table.View, p parsed, qtype uint16) Answer {
	if view.Type() == service.ExternalName {
		return z.lookupExternal(a, view, p.kind, qtype)
	}
	sets := z.setsOf(s, view)
	switch p.kind {
	case serviceName:
		return a.found(sets.own(qtype))
	case hostName:
		h := sets.hosts()[p.label]
		if h == nil {
			return a
		}
		return a.found(sets.host(h, p.label, qtype))
	case portName:
		set, ok := sets.ports()[p.label]
		if !ok {
			return a
		}
		if qtype != dns.TypeSRV {
			set = nil
		}
		return a.found(set)
	case protocolName:
		for port := range sets.ports() {
			if strings.HasSuffix(port, "."+p.label) {
				return a.found(nil)
			}
		}
	}
	return a
}

// lookupExternal answers for a service that is another name. Nothing is below it.
func (z *Zone) lookupExternal(a Answer, view *table.View, k kind, qtype uint16) Answer {
	if k != serviceName {
		return a
	}
	target := dns.CanonicalName(view.Definition.ExternalName)
	cname := newSet([]record{{rr: &dns.CNAME{Hdr: header("", dns.TypeCNAME), Target: target}}}, nil)
	switch qtype {
	case dns.TypeCNAME:
		return a.found(cname)
	case dns.TypeA, dns.TypeAAAA:
		a = a.found(cname)
		a.Outcome, a.Target = Alias, target
		return a
	}
	return a.found(nil)
}

// sets are the records of one service in one zone, each kind prepared when first asked.
type sets struct {
	zone *Zone
	view *table.View

	v4, v6, srv lazy[set]
	glue        lazy[map[string]*host]
	named       lazy[map[string]*set]
	labels      lazy[map[string]*hostSets]
	reverse     lazy[map[netip.Addr]*set]
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

// asked is a service's sets together with a snapshot that holds the service. The sets
// stay with the view and must not keep a snapshot alive, so the two meet only here.
type asked struct {
	*sets
	in *table.Snapshot
}

func (z *Zone) setsOf(s *table.Snapshot, view *table.View) asked {
	prepared := view.Prepared(z.key, func() any { return &sets{zone: z, view: view} })
	return asked{prepared.(*sets), s}
}

// instances yields those that are answered.
func (s asked) instances(yield func(*table.Instance) bool) {
	for i := range s.in.InstancesOf(s.view.Name) {
		if s.view.Answers(i) && !yield(i) {
			return
		}
	}
}

// own returns the set of the service's own name, nil for a type it never has.
func (s asked) own(qtype uint16) *set {
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

func (s asked) addresses(family func(netip.Addr) bool) *set {
	var b builder
	if s.view.Type() == service.ClusterIP {
		for _, addr := range s.view.Definition.ClusterIPs {
			if family(addr) {
				b.begin()
				b.add(addr.String(), addressRecord("", addr))
			}
		}
		return b.set()
	}
	for i := range s.instances {
		b.addFamily(i.Addresses, family, i)
	}
	return b.set()
}

// services returns an SRV record for each port and target.
func (s asked) services() *set {
	b := srvBuilder{service: s}
	if s.view.Type() == service.ClusterIP {
		b.addService(s.view.Definition.Ports)
		return b.set()
	}
	for i := range s.instances {
		b.begin()
		for label := range i.Hosts {
			b.addInstance(label, i, i.Ports)
		}
	}
	return b.set()
}

// ports returns the sets of the named ports, by "_http._tcp". A port that only the
// definition or an instance that is not answered names is there, with an empty set.
func (s asked) ports() map[string]*set {
	return *s.named.get(func() *map[string]*set {
		builders := make(map[string]*srvBuilder)
		at := func(p service.Port) *srvBuilder {
			label := portLabel(p)
			if builders[label] == nil {
				builders[label] = &srvBuilder{service: s}
			}
			return builders[label]
		}
		if def := s.view.Definition; def != nil {
			for n := range named(def.Ports) {
				b := at(def.Ports[n])
				if def.Type == service.ClusterIP {
					b.addService(def.Ports[n : n+1])
				}
			}
		}
		for i := range s.in.InstancesOf(s.view.Name) {
			answered := s.view.Type() == service.Headless && s.view.Answers(i)
			for n := range named(i.Ports) {
				b := at(i.Ports[n])
				if !answered {
					continue
				}
				b.begin()
				for label := range i.Hosts {
					b.addInstance(label, i, i.Ports[n:n+1])
				}
			}
		}
		sets := make(map[string]*set, len(builders))
		for label, b := range builders {
			sets[label] = b.set()
		}
		return &sets
	})
}

// named yields the places of the ports that have a name.
func named(ports []service.Port) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for n, p := range ports {
			if p.Name != "" && !yield(n) {
				return
			}
		}
	}
}

func portLabel(p service.Port) string {
	return "_" + strings.ToLower(p.Name) + "._" + string(p.Protocol)
}

// name returns the full name of a label below the service, or of the service itself.
func (s asked) name(label string) string {
	name := s.view.Name.String() + ".svc"
	if label != "" {
		name = label + "." + name
	}
	return s.zone.under(name)
}

// leased returns a record, yet without rdata, that stands for an instance.
func leased(i *table.Instance) record {
	if i.Lease == nil {
		return record{}
	}
	return record{leases: []*lease.Lease{i.Lease}}
}

// addFamily adds those of an instance's addresses that are of a family, as its first
// records.
func (b *builder) addFamily(addrs []netip.Addr, family func(netip.Addr) bool, i *table.Instance) {
	b.begin()
	for _, addr := range addrs {
		if family(addr) {
			b.addAddress("", addr, i)
		}
	}
}

func (b *builder) addAddress(owner string, addr netip.Addr, i *table.Instance) {
	r := leased(i)
	r.rr = addressRecord(owner, addr).rr
	b.add(addr.String(), r)
}
