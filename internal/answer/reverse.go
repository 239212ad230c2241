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
	if host, ok := s.SoleHost(addr); ok {
		return z.pointer(host, addr)
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
func (z *Zone) pointer(to table.Host, addr netip.Addr) *set {
	if !to.Answers() {
		return &set{}
	}
	lone := new(lone)
	b := append(lone.room[:loneData], 0)
	b = appendHostLabel(b, to.Hostname, addr)
	b[loneData] = byte(len(b) - loneData - 1)
	b, ok := appendBelow(b, z.pointed, to.Service.Name.Service, to.Service.Namespace)
	if !ok || len(b)-loneData > longestName {
		return &set{}
	}
	return lone.finish(b, dns.TypePTR, to.Lease, to.Service.Leases())
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
		labels = slices.Insert(labels, 0, string(appendHostLabel(nil, i.Hostname, addr)))
		lender = i.Lease().Number()
	}
	b.begin()
	if target, ok := packBelow(z.pointed, labels...); ok {
		b.addData(dns.TypePTR, target, lender)
	}
}

// appendHostLabel appends the label that leads to an address of an instance.
func appendHostLabel(b []byte, hostname string, addr netip.Addr) []byte {
	if hostname != "" {
		return append(b, strings.ToLower(hostname)...)
	}
	return service.AppendDashed(b, addr)
}
