package answer

import (
	"math/rand/v2"
	"net/netip"
	"sync"
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
	s := z.recordsOf(view)
	switch p.kind {
	case serviceName:
		return found(s.serviceSet(typeOf(qtype)))
	case portName:
		return s.lookupPort(p.label, typeOf(qtype))
	case hostName:
		if h := s.hosts().withLabel(p.label); len(h) > 0 {
			return found(s.hostSet(h, typeOf(qtype)))
		}
	case protocolName:
		if s.ports().hasProtocol(p.label) {
			return found(nil)
		}
	}
	return Answer{}
}

// lookupExternal answers for an external name. No name exists below it.
func (z *Zone) lookupExternal(view *table.View, k kind, qtype uint16) Answer {
	if k != serviceName {
		return Answer{}
	}
	switch qtype {
	case dns.TypeCNAME:
		return found(cnameSet(view))
	case dns.TypeA, dns.TypeAAAA:
		a := found(cnameSet(view))
		a.Outcome, a.Target = Alias, dns.CanonicalName(view.Definition.ExternalName)
		return a
	}
	return found(nil)
}

// cnameSet returns the CNAME record of an external name.
func cnameSet(view *table.View) *rrset {
	var b builder
	if target, ok := packName(dns.CanonicalName(view.Definition.ExternalName)); ok {
		b.addRdata(dns.TypeCNAME, target, noLease)
	}
	return b.set()
}

// serviceRecords are the records of one service in one zone, each RRset prepared when it is first
// asked for. What most queries need is in one allocation: each further one costs a cache miss.
type serviceRecords struct {
	table.Preparation
	zone *Zone
	view *table.View

	rrsetCache // at the service itself, its ports, and hosts that many instances share
	namedPorts lazy[ports]
	hostLabels lazy[hosts]
}

// lazy is a value that is built on first use, by one goroutine while others wait.
type lazy[T any] struct{ value atomic.Pointer[T] }

func (l *lazy[T]) get(mu *sync.Mutex, build func() *T) *T {
	if v := l.value.Load(); v != nil {
		return v
	}
	mu.Lock()
	defer mu.Unlock()
	if l.value.Load() == nil {
		l.value.Store(build())
	}
	return l.value.Load()
}

// recordsOf returns the records of a service, which are kept with its view.
func (z *Zone) recordsOf(view *table.View) *serviceRecords {
	return view.Prepared(z.key, func() *table.Preparation {
		s := &serviceRecords{zone: z, view: view}
		s.Value = s
		return &s.Preparation
	}).(*serviceRecords)
}

// newBuilder returns a builder for records of the service.
func (s *serviceRecords) newBuilder() builder {
	return builder{maxRecords: s.zone.maxRecords, forTransfer: s.zone.forTransfer, wheel: s.view.Leases()}
}

// members are some instances of a service by their numbers, or all of them. The zero value has
// none.
type members struct {
	numbers []int32
	all     bool
}

// answered yields the members that are answered, from the first or a random one on.
func (s *serviceRecords) answered(m members, randomStart bool) func(yield func(*table.Instance) bool) {
	return func(yield func(*table.Instance) bool) {
		n := len(m.numbers)
		if m.all {
			n = s.view.Len()
		}
		at := func(k int) *table.Instance {
			if m.all {
				return s.view.At(k)
			}
			return s.view.At(int(m.numbers[k]))
		}
		from := 0
		if randomStart {
			from = pickRandom(n, func(k int) bool { return s.view.Answers(at(k)) })
		}
		for k := range n {
			if i := at((from + k) % n); s.view.Answers(i) && !yield(i) {
				return
			}
		}
	}
}

// pickRandom picks a random suitable one of n. If hardly any is suitable, it may pick another.
func pickRandom(n int, suitable func(k int) bool) int {
	for range min(100*n, 100) {
		if k := rand.IntN(n); suitable(k) {
			return k
		}
	}
	return 0
}

// serviceSet returns the RRset at the service's own name, or nil if services have no records of the
// type.
func (s *serviceRecords) serviceSet(t *recordType) *rrset {
	if t.service == nil {
		return nil
	}
	return s.get("", t.qtype, func(randomStart bool) recordSource { return t.service(s, randomStart) })
}

func (s *serviceRecords) collectAddresses(family func(netip.Addr) bool, randomStart bool) *builder {
	b := s.newBuilder()
	if s.view.Type() == service.ClusterIP {
		for _, addr := range s.view.Definition.ClusterIPs {
			b.addFamily([]netip.Addr{addr}, family, noLease)
		}
		return &b
	}
	for i := range s.answered(members{all: true}, randomStart) {
		b.addFamily(i.Addresses, family, i.Lease().Number())
		if b.full() {
			break
		}
	}
	return &b
}

// collectSRV collects an SRV record for each port and target.
func (s *serviceRecords) collectSRV(randomStart bool) *srvBuilder {
	if s.view.Type() == service.ClusterIP {
		b := s.newSRVBuilder(members{})
		b.addService(s.view.Definition.Ports)
		return b
	}
	b := s.newSRVBuilder(members{all: true})
	b.forTransfer = false
	for i := range s.answered(b.sharers, randomStart) {
		b.beginInstance()
		for label := range i.Hosts {
			b.addInstance(label, i, i.Ports)
			if b.full() {
				return b
			}
		}
	}
	return b
}

// fullName returns the full name of a label below the service, or of the service itself if label is
// empty.
func (s *serviceRecords) fullName(label string) string {
	name := s.view.Name
	if label == "" {
		return name.Service + "." + name.Namespace + s.zone.suffix
	}
	return label + "." + name.Service + "." + name.Namespace + s.zone.suffix
}
