package answer

import (
	"encoding/binary"
	"net/netip"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// targets are what SRV records of a service may point to, by label, with all the addresses
// that each leads to: instances that share a host share them. The service itself has no label.
type targets map[string]*target

// targets returns what the SRV records of these instances may point to. They are all that
// share a host, if any of them is.
func (s *sets) targets(instances func(yield func(*table.Instance) bool)) targets {
	builders := make(map[string]*builder)
	add := func(label string, addrs []netip.Addr, lender lease.Number) {
		b := builders[label]
		if b == nil {
			b = new(builder)
			builders[label] = b
		}
		for _, addr := range addrs {
			b.addAddress(addr, lender)
		}
	}
	if s.view.Type() == service.ClusterIP {
		add("", s.view.Definition.ClusterIPs, static)
	}
	for i := range instances {
		for label, addrs := range i.Hosts {
			add(label, addrs, i.Lease().Number())
		}
	}
	all := make(targets, len(builders))
	for label, b := range builders {
		if name, ok := s.target(label); ok {
			all[label] = newTarget(name, b)
		}
	}
	return all
}

// target returns the name of a target; false where it has no place in a message.
func (s *sets) target(label string) (name []byte, ok bool) {
	if label == "" {
		return packBelow(s.zone.services, s.view.Service, s.view.Namespace)
	}
	return packBelow(s.zone.services, label, s.view.Service, s.view.Namespace)
}

// srvBuilder gathers SRV records. Those that set no weight share 100 among the records
// of an answer, so it is known only at the end.
type srvBuilder struct {
	builder
	targets targets
	shares  [][]byte // records without a weight
}

func (s *sets) newSRVBuilder(t targets) *srvBuilder {
	return &srvBuilder{builder: s.builder(), targets: t}
}

// addInstance adds the records of some of an instance's ports at a host.
func (b *srvBuilder) addInstance(label string, i *table.Instance, ports []service.Port) {
	for _, p := range ports {
		b.addPort(label, p, i.Priority, i.Weight, i.Lease().Number())
	}
}

// addService adds the records of some ports of a service that has cluster IPs: its own
// name is the target.
func (b *srvBuilder) addService(ports []service.Port) {
	for _, p := range ports {
		b.begin()
		b.addPort("", p, 0, nil, static)
	}
}

// addPort adds the record of a port at a target. It is left out where the target's name is
// longer than a message can hold.
func (b *srvBuilder) addPort(label string, p service.Port, priority uint16, weight *uint16, lender lease.Number) {
	target := b.targets[label]
	if target == nil {
		return
	}
	var fixed [6]byte
	binary.BigEndian.PutUint16(fixed[:], priority)
	binary.BigEndian.PutUint16(fixed[4:], p.Number)
	rest := newRest(dns.TypeSRV, fixed[:], target.name)
	if weight == nil {
		b.shares = append(b.shares, rest)
	} else {
		setWeight(rest, *weight)
	}
	const portAt = dataAt + 4 // two records differ by port and target
	b.add(string(rest[portAt:]), record{rest: rest, target: target, lenders: lenders(lender)})
}

func setWeight(rest []byte, weight uint16) { binary.BigEndian.PutUint16(rest[dataAt+2:], weight) }

func (b *srvBuilder) set() *set {
	s := new(set)
	b.fill(s)
	return s
}

func (b *srvBuilder) fill(s *set) {
	n := len(b.records)
	if b.most > 0 {
		n = min(n, b.most)
	}
	for _, rest := range b.shares {
		setWeight(rest, uint16(max(100/max(n, 1), 1)))
	}
	b.builder.fill(s)
}
