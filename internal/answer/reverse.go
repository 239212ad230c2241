package answer

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// lookupReverse answers for the reverse name of an address: each instance that is
// answered and each service by its cluster IP.
func (z *Zone) lookupReverse(s *table.Snapshot, addr netip.Addr, qtype uint16) Answer {
	all := z.pointers(s, addr)
	switch {
	case all.n == 0:
		return Answer{}
	case qtype != dns.TypePTR:
		return found(nil)
	}
	return found(all)
}

// mostPointers bounds the PTR records of one address: no more fit in a message, so a
// query costs no more however many instances share the address.
const mostPointers = dns.MaxMsgSize / (smallest + 2)

// pointers returns the PTR records of an address. They are made anew each time: mostly it is
// one, and a table has many addresses.
func (z *Zone) pointers(s *table.Snapshot, addr netip.Addr) *set {
	if i := s.SoleHolder(addr); i != nil {
		return z.pointer(s, i, addr)
	}
	b := builder{most: z.most, leases: s.Leases()}
	for holder := range s.Holders(addr) {
		if len(b.records) == mostPointers {
			break
		}
		z.addPointer(&b, s, holder, addr)
	}
	return b.set()
}

// pointer returns the record that leads from an address to the instance that alone has it.
func (z *Zone) pointer(s *table.Snapshot, i *table.Instance, addr netip.Addr) *set {
	if !s.Answers(i) {
		return &set{}
	}
	var room [64]byte
	label := appendHostLabel(room[:0], i, addr)
	lone := new(lone)
	b, ok := appendBelow(lone.room[:loneData], z.pointed, string(label), i.Name().Service, i.Name().Namespace)
	if !ok {
		return &set{}
	}
	return lone.finish(b, dns.TypePTR, i.Lease(), s.Leases())
}

// addPointer adds the record that leads from an address to an instance, or where that is
// nil, to a service by its cluster IP. It is left out where the name is too long for a message.
func (z *Zone) addPointer(b *builder, s *table.Snapshot, to table.Holder, addr netip.Addr) {
	lender := static
	labels := []string{to.Service.Service, to.Service.Namespace}
	if i := to.Instance; i != nil {
		if !s.Answers(i) {
			return
		}
		labels = slices.Insert(labels, 0, string(appendHostLabel(nil, i, addr)))
		lender = i.Lease().Number()
	}
	b.begin()
	if target, ok := packBelow(z.pointed, labels...); ok {
		b.addData(dns.TypePTR, target, lender)
	}
}

// appendHostLabel appends the label that leads to an address of the instance.
func appendHostLabel(b []byte, i *table.Instance, addr netip.Addr) []byte {
	if i.Hostname != "" {
		return append(b, strings.ToLower(i.Hostname)...)
	}
	return service.AppendDashed(b, addr)
}
