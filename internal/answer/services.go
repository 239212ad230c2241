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
	s := z.setsOf(view)
	switch p.kind {
	case serviceName:
		return found(s.own(typeOf(qtype)))
	case portName:
		return s.port(p.label, typeOf(qtype))
	case hostName:
		if h := s.hosts().at(p.label); len(h) > 0 {
			return found(s.host(h, typeOf(qtype)))
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

	shelf  // of the service itself, of its ports, and of hosts that many share
	named  lazy[ports]
	labels lazy[hosts]
}

// lazy is a value that is made by the first who asks. The others wait.
type lazy[T any] struct{ value atomic.Pointer[T] }

func (l *lazy[T]) get(making *sync.Mutex, make func() *T) *T {
	if v := l.value.Load(); v != nil {
		return v
	}
	making.Lock()
	defer making.Unlock()
	if l.value.Load() == nil {
		l.value.Store(make())
	}
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

// builder returns one for records of the service.
func (s *sets) builder() builder {
	return builder{most: s.zone.most, whole: s.zone.whole, leases: s.view.Leases()}
}

// members are some instances of a service by their numbers, or all of them, or none.
type members struct {
	numbers []int32
	all     bool
}

// some yields those of the members that are answered, from the first on or from one picked by
// chance.
func (s *sets) some(m members, anywhere bool) func(yield func(*table.Instance) bool) {
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
		if anywhere {
			from = anyOf(n, func(k int) bool { return s.view.Answers(at(k)) })
		}
		for k := range n {
			if i := at((from + k) % n); s.view.Answers(i) && !yield(i) {
				return
			}
		}
	}
}

// anyOf picks one of n by chance, of those that will do. Where hardly one does it may pick another.
func anyOf(n int, do func(k int) bool) int {
	for range min(100*n, 100) {
		if k := rand.IntN(n); do(k) {
			return k
		}
	}
	return 0
}

// own returns the set of the service's own name; nil for a type it never has.
func (s *sets) own(t *recordType) *set {
	if t.service == nil {
		return nil
	}
	return s.get("", t.qtype, func(anywhere bool) gathered { return t.service(s, anywhere) })
}

func (s *sets) addresses(family func(netip.Addr) bool, anywhere bool) *builder {
	b := s.builder()
	if s.view.Type() == service.ClusterIP {
		for _, addr := range s.view.Definition.ClusterIPs {
			b.addFamily([]netip.Addr{addr}, family, static)
		}
		return &b
	}
	for i := range s.some(members{all: true}, anywhere) {
		b.addFamily(i.Addresses, family, i.Lease().Number())
		if b.full() {
			break
		}
	}
	return &b
}

// services gathers an SRV record for each port and target.
func (s *sets) services(anywhere bool) *srvBuilder {
	if s.view.Type() == service.ClusterIP {
		b := s.newSRVBuilder(members{})
		b.addService(s.view.Definition.Ports)
		return b
	}
	b := s.newSRVBuilder(members{all: true})
	b.whole = false
	for i := range s.some(b.among, anywhere) {
		b.begin()
		for label := range i.Hosts {
			b.addInstance(label, i, i.Ports)
			if b.full() {
				return b
			}
		}
	}
	return b
}

// fullName returns the full name of a label below the service, or of the service itself.
func (s *sets) fullName(label string) string {
	name := s.view.Name
	if label == "" {
		return name.Service + "." + name.Namespace + s.zone.suffix
	}
	return label + "." + name.Service + "." + name.Namespace + s.zone.suffix
}
