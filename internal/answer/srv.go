package answer

import (
	"encoding/binary"
	"net/netip"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// srvBuilder gathers SRV records of a service. Those that set no weight share 100 among the
// records of an answer, so it is known only at the end.
//
// A record depends on the leases of its target alone, on which are all instances that it stands
// for.
type srvBuilder struct {
	builder
	sets    *sets
	among   members            // who may share the hosts that are pointed to
	targets map[string]*target // what records point to, by label; the service itself has none
	places  map[place]int      // of the records
	shares  [][]byte           // records without a weight
	of      int                // records of the set that these are a part of, where it has more
}

// place tells the records of a set apart.
type place struct {
	target *target
	port   uint16
}

// newSRVBuilder returns a builder of records at the hosts of some instances. They are all that
// share a host, if any of them is.
func (s *sets) newSRVBuilder(among members) *srvBuilder {
	return &srvBuilder{
		builder: s.builder(),
		sets:    s,
		among:   among,
		targets: make(map[string]*target),
		places:  make(map[place]int),
	}
}

// addInstance adds the records of some of an instance's ports at a host.
func (b *srvBuilder) addInstance(label string, i *table.Instance, ports []service.Port) {
	if len(ports) == 0 {
		return
	}
	if t := b.target(label); t != nil {
		if l := i.Lease(); l != nil {
			t.lenders = append(t.lenders, l.Number())
		}
		if len(t.ports) == len(ports) && &t.ports[0] == &ports[0] {
			b.start(t.first) // instances that say the same share their lists
			return
		}
		for n, p := range ports {
			at := b.addPort(t, p, i.Priority, i.Weight)
			if n == 0 {
				t.first = at
			}
		}
		t.ports = ports
	}
}

// addService adds the records of some ports of a service that has cluster IPs: its own
// name is the target.
func (b *srvBuilder) addService(ports []service.Port) {
	if t := b.target(""); t != nil {
		for _, p := range ports {
			b.begin()
			b.addPort(t, p, 0, nil)
		}
	}
}

// target returns what a label leads to; nil where the name is longer than a message can hold.
func (b *srvBuilder) target(label string) *target {
	t, known := b.targets[label]
	if !known {
		if name, ok := b.sets.target(label); ok {
			t = &target{name: name}
		}
		b.targets[label] = t
	}
	return t
}

// target returns the name of a target; false where it has no place in a message.
func (s *sets) target(label string) (name []byte, ok bool) {
	if label == "" {
		return packBelow(s.zone.services, s.view.Service, s.view.Namespace)
	}
	return packBelow(s.zone.services, label, s.view.Service, s.view.Namespace)
}

// addPort adds the record of a port at a target, unless it is there, and returns its place.
func (b *srvBuilder) addPort(t *target, p service.Port, priority uint16, weight *uint16) (at int) {
	at, known := b.places[place{t, p.Number}]
	if !known {
		var fixed [6]byte
		binary.BigEndian.PutUint16(fixed[:], priority)
		binary.BigEndian.PutUint16(fixed[4:], p.Number)
		rest := newRest(dns.TypeSRV, fixed[:], t.name)
		if weight == nil {
			b.shares = append(b.shares, rest)
		} else {
			setWeight(rest, *weight)
		}
		at = b.add(record{rest: rest, target: t})
		b.places[place{t, p.Number}] = at
	}
	b.start(at)
	return at
}

func setWeight(rest []byte, weight uint16) { binary.BigEndian.PutUint16(rest[dataAt+2:], weight) }

func (b *srvBuilder) set() *set {
	s := new(set)
	b.fill(s)
	return s
}

func (b *srvBuilder) fill(s *set) {
	n := max(len(b.records), b.of)
	if b.most > 0 {
		n = min(n, b.most)
	}
	for _, rest := range b.shares {
		setWeight(rest, uint16(max(100/max(n, 1), 1)))
	}
	b.lead()
	b.builder.fill(s)
}

// lead gives each target all the addresses that it leads to, as far as there is a message that
// holds them beside the answers. Answers say them all or none: see [Reply.Finish].
func (b *srvBuilder) lead() {
	all := b.most == 0 || len(b.records) <= b.most // stand in one answer
	if b.full() && all || len(b.records) == 0 {
		return
	}
	glue := make(map[*target]*builder, len(b.targets))
	room := dns.MaxMsgSize - b.bytes
	add := func(label string, addrs []netip.Addr, l *lease.Lease) {
		t := b.targets[label]
		if t == nil {
			return
		}
		addresses := glue[t]
		if addresses == nil {
			addresses = new(builder)
			glue[t] = addresses
			t.lenders = t.lenders[:0]
		}
		if l != nil {
			t.lenders = append(t.lenders, l.Number())
		}
		if b.whole || addresses.full() || all && room < 0 {
			return // nobody could be sent more
		}
		before := addresses.bytes
		for _, addr := range addrs {
			addresses.addAddress(addr, static)
		}
		room -= addresses.bytes - before
	}
	if def := b.sets.view.Definition; def != nil && def.Type == service.ClusterIP {
		add("", def.ClusterIPs, nil)
	}
	for i := range b.sets.some(b.among, false) {
		for label, addrs := range i.Hosts {
			add(label, addrs, i.Lease())
		}
	}
	if b.whole || all && room < 0 {
		return
	}
	for t, addresses := range glue {
		t.setGlue(addresses)
	}
}
