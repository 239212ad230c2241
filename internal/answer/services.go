package answer

import (
	"fmt"
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
	named       lazy[map[string]*set]
	labels      lazy[map[string]*hostSets]
}

// hostSets are the records of one host of a service.
type hostSets struct {
	instances []*table.Instance // that share the host

	v4, v6, srv, txt lazy[set]
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
		return s.srv.get(func() *set { return s.services(anyPort) })
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
		b.begin()
		for _, addr := range i.Addresses {
			if family(addr) {
				b.addAddress("", addr, i)
			}
		}
	}
	return b.set()
}

// services returns an SRV record for each port and target, of the ports that are wanted.
func (s asked) services(want func(service.Port) bool) *set {
	b := srvBuilder{most: s.zone.most}
	if s.view.Type() == service.ClusterIP {
		b.addService(s, want)
		return b.set()
	}
	for i := range s.instances {
		b.begin()
		for label, addrs := range i.Hosts {
			b.addInstance(s.name(label), addrs, i, want)
		}
	}
	return b.set()
}

// ports returns the sets of the named ports, by "_http._tcp". A port that only the
// definition or an instance that is not answered names is there, with an empty set.
func (s asked) ports() map[string]*set {
	return *s.named.get(func() *map[string]*set {
		named := make(map[string]*set)
		add := func(ports []service.Port) {
			for _, p := range ports {
				if p.Name != "" {
					named[portLabel(p)] = nil
				}
			}
		}
		if s.view.Definition != nil {
			add(s.view.Definition.Ports)
		}
		for i := range s.in.InstancesOf(s.view.Name) {
			add(i.Ports)
		}
		for label := range named {
			named[label] = s.services(func(p service.Port) bool {
				return p.Name != "" && portLabel(p) == label
			})
		}
		return &named
	})
}

func portLabel(p service.Port) string {
	return "_" + strings.ToLower(p.Name) + "._" + string(p.Protocol)
}

// hosts returns the hosts of the service by their label.
func (s asked) hosts() map[string]*hostSets {
	return *s.labels.get(func() *map[string]*hostSets {
		labels := make(map[string]*hostSets)
		for i := range s.instances {
			for label := range i.Hosts {
				h := labels[label]
				if h == nil {
					h = &hostSets{}
					labels[label] = h
				}
				h.instances = append(h.instances, i)
			}
		}
		return &labels
	})
}

// host returns the set of a host's name, nil for a type that hosts never have.
func (s asked) host(h *hostSets, label string, qtype uint16) *set {
	switch qtype {
	case dns.TypeA:
		return h.v4.get(func() *set { return h.addresses(label, netip.Addr.Is4) })
	case dns.TypeAAAA:
		return h.v6.get(func() *set { return h.addresses(label, netip.Addr.Is6) })
	case dns.TypeSRV:
		return h.srv.get(func() *set { return h.services(s, label) })
	case dns.TypeTXT:
		return h.txt.get(h.texts)
	}
	return nil
}

// atLabel yields the instances with those of their addresses that the label leads to.
func (h *hostSets) atLabel(label string) func(yield func(*table.Instance, []netip.Addr) bool) {
	return func(yield func(*table.Instance, []netip.Addr) bool) {
		for _, i := range h.instances {
			for l, addrs := range i.Hosts {
				if l == label && !yield(i, addrs) {
					return
				}
			}
		}
	}
}

func (h *hostSets) addresses(label string, family func(netip.Addr) bool) *set {
	var b builder
	for i, addrs := range h.atLabel(label) {
		b.begin()
		for _, addr := range addrs {
			if family(addr) {
				b.addAddress("", addr, i)
			}
		}
	}
	return b.set()
}

func (h *hostSets) services(s asked, label string) *set {
	b := srvBuilder{most: s.zone.most}
	for i, addrs := range h.atLabel(label) {
		b.begin()
		b.addInstance(s.name(label), addrs, i, anyPort)
	}
	return b.set()
}

// texts returns the metadata, a TXT record for each instance (RFC 6763, section 6).
func (h *hostSets) texts() *set {
	var b builder
	for _, i := range h.instances {
		if len(i.Metadata) == 0 {
			continue
		}
		b.begin()
		txt := &dns.TXT{Hdr: header("", dns.TypeTXT)}
		for _, pair := range i.Metadata {
			txt.Txt = append(txt.Txt, escapeText(pair.Key+"="+pair.Value))
		}
		r := leased(i)
		r.rr = txt
		b.add(strings.Join(txt.Txt, "\x00"), r)
	}
	return b.set()
}

// escapeText writes a string as miekg/dns holds it, which is the form of zone files: it
// takes a backslash for the beginning of an escape.
func escapeText(s string) string { return strings.ReplaceAll(s, `\`, `\\`) }

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

func (b *builder) addAddress(owner string, addr netip.Addr, i *table.Instance) {
	r := leased(i)
	r.rr = addressRecord(owner, addr).rr
	b.add(addr.String(), r)
}

// srvBuilder gathers SRV records. Those that set no weight share 100 among the records
// of an answer, so it is known only at the end.
type srvBuilder struct {
	builder
	most   int
	hosts  map[string]*hostBuilder
	shares []*dns.SRV
}

// hostBuilder gathers the addresses of a host: instances that share it, share them.
type hostBuilder struct {
	host
	builder
}

func anyPort(service.Port) bool { return true }

// addInstance adds the records of an instance's wanted ports at one of its hosts.
func (b *srvBuilder) addInstance(target string, addrs []netip.Addr, i *table.Instance, want func(service.Port) bool) {
	h := b.host(target)
	for _, addr := range addrs {
		h.addAddress(target, addr, i)
	}
	for _, p := range i.Ports {
		if !want(p) {
			continue
		}
		srv := b.addSRV(target, p, leased(i))
		srv.Priority = i.Priority
		if i.Weight == nil {
			b.shares = append(b.shares, srv)
		} else {
			srv.Weight = *i.Weight
		}
	}
}

// addService adds a record for each wanted port of a service that has cluster IPs: its
// own name is the target.
func (b *srvBuilder) addService(s asked, want func(service.Port) bool) {
	target := s.name("")
	h := b.host(target)
	for _, addr := range s.view.Definition.ClusterIPs {
		h.add(addr.String(), addressRecord(target, addr))
	}
	for _, p := range s.view.Definition.Ports {
		if want(p) {
			b.begin()
			b.shares = append(b.shares, b.addSRV(target, p, record{}))
		}
	}
}

func (b *srvBuilder) addSRV(target string, p service.Port, r record) *dns.SRV {
	srv := &dns.SRV{Hdr: header("", dns.TypeSRV), Port: p.Number, Target: target}
	r.rr, r.host = srv, &b.host(target).host
	b.add(fmt.Sprint(p.Number, " ", target), r)
	return srv
}

func (b *srvBuilder) host(target string) *hostBuilder {
	h := b.hosts[target]
	if h == nil {
		if b.hosts == nil {
			b.hosts = make(map[string]*hostBuilder)
		}
		h = &hostBuilder{host: host{number: len(b.hosts)}}
		b.hosts[target] = h
	}
	return h
}

func (b *srvBuilder) set() *set {
	for _, h := range b.hosts {
		h.glue = h.records
		h.builder = builder{} // what gathered them is not kept with the set
	}
	s := b.builder.set()
	n := len(s.records)
	if b.most > 0 {
		n = min(n, b.most)
	}
	for _, srv := range b.shares {
		srv.Weight = uint16(max(100/n, 1))
	}
	return s
}
