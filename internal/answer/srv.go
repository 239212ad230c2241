package answer

import (
	"encoding/binary"
	"net/netip"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// srvBuilder collects SRV records of a service. Records without a weight of their own share 100
// among the records of an answer, so their weight is known only at the end.
//
// A record depends on the leases of its target, which include those of all instances that it stands
// for.
type srvBuilder struct {
	builder
	service    *serviceRecords
	sharers    members            // all instances that may share a target
	targets    map[string]*target // by label; empty for the service itself
	positions  map[srvKey]int     // index of each record
	unweighted [][]byte           // bodies of the records without a weight
	total      int                // number of records at the name, if these are only a part
}

// srvKey identifies a record within an RRset.
type srvKey struct {
	target *target
	port   uint16
}

// newSRVBuilder returns a builder of records at the hosts of some instances. The sharers include
// every instance that shares one of these hosts.
func (s *serviceRecords) newSRVBuilder(sharers members) *srvBuilder {
	return &srvBuilder{
		builder:   s.newBuilder(),
		service:   s,
		sharers:   sharers,
		targets:   make(map[string]*target),
		positions: make(map[srvKey]int),
	}
}

// addInstance adds the records of some of an instance's ports at a host.
func (b *srvBuilder) addInstance(label string, i *table.Instance, ports []service.Port) {
	if len(ports) == 0 {
		return
	}
	if t := b.target(label); t != nil {
		if l := i.Lease(); l != nil {
			t.leaseIDs = append(t.leaseIDs, l.Number())
		}
		if len(t.ports) == len(ports) && &t.ports[0] == &ports[0] {
			b.markStart(t.firstRecord) // equal instances share their lists
			return
		}
		for n, p := range ports {
			at := b.addPort(t, p, i.Priority, i.Weight)
			if n == 0 {
				t.firstRecord = at
			}
		}
		t.ports = ports
	}
}

// addService adds the records of some ports of a service with cluster IPs, whose own name is the
// target.
func (b *srvBuilder) addService(ports []service.Port) {
	if t := b.target(""); t != nil {
		for _, p := range ports {
			b.beginInstance()
			b.addPort(t, p, 0, nil)
		}
	}
}

// target returns the target at a label, or nil if its name is too long for a message.
func (b *srvBuilder) target(label string) *target {
	t, known := b.targets[label]
	if !known {
		if name, ok := b.service.targetName(label); ok {
			t = &target{name: name}
		}
		b.targets[label] = t
	}
	return t
}

// targetName returns the name of a target; ok is false if it is too long for a message.
func (s *serviceRecords) targetName(label string) (name []byte, ok bool) {
	if label == "" {
		return packBelow(s.zone.wireSuffix, s.view.Service, s.view.Namespace)
	}
	return packBelow(s.zone.wireSuffix, label, s.view.Service, s.view.Namespace)
}

// addPort adds the record of a port at a target, unless it exists, and returns its index.
func (b *srvBuilder) addPort(t *target, p service.Port, priority uint16, weight *uint16) (at int) {
	at, known := b.positions[srvKey{t, p.Number}]
	if !known {
		var fixed [6]byte
		binary.BigEndian.PutUint16(fixed[:], priority)
		binary.BigEndian.PutUint16(fixed[4:], p.Number)
		body := newBody(dns.TypeSRV, fixed[:], t.name)
		if weight == nil {
			b.unweighted = append(b.unweighted, body)
		} else {
			setWeight(body, *weight)
		}
		at = b.add(record{body: body, target: t})
		b.positions[srvKey{t, p.Number}] = at
	}
	b.markStart(at)
	return at
}

func setWeight(body []byte, weight uint16) { binary.BigEndian.PutUint16(body[rdataAt+2:], weight) }

func (b *srvBuilder) set() *rrset {
	s := new(rrset)
	b.fill(s)
	return s
}

func (b *srvBuilder) fill(s *rrset) {
	n := max(len(b.records), b.total)
	if b.maxRecords > 0 {
		n = min(n, b.maxRecords)
	}
	for _, body := range b.unweighted {
		setWeight(body, uint16(max(100/max(n, 1), 1)))
	}
	b.addGlue()
	b.builder.fill(s)
}

// addGlue gives each target all its addresses, if a message can hold them beside the answers: a
// reply carries all of them or none, see [Reply.Finish].
func (b *srvBuilder) addGlue() {
	all := b.maxRecords == 0 || len(b.records) <= b.maxRecords // whether one answer holds all records
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
			t.leaseIDs = t.leaseIDs[:0]
		}
		if l != nil {
			t.leaseIDs = append(t.leaseIDs, l.Number())
		}
		if b.forTransfer || addresses.full() || all && room < 0 {
			return // no client could receive more
		}
		before := addresses.bytes
		for _, addr := range addrs {
			addresses.addAddress(addr, noLease)
		}
		room -= addresses.bytes - before
	}
	if def := b.service.view.Definition; def != nil && def.Type == service.ClusterIP {
		add("", def.ClusterIPs, nil)
	}
	for i := range b.service.answered(b.sharers, false) {
		for label, addrs := range i.Hosts {
			add(label, addrs, i.Lease())
		}
	}
	if b.forTransfer || all && room < 0 {
		return
	}
	for t, addresses := range glue {
		t.setGlue(addresses)
	}
}
