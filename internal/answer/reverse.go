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

// pointers returns the PTR records of an address. Those of an address that one instance has are
// made anew each time: a table has many. The others are kept with those who share the address.
func (z *Zone) pointers(s *table.Snapshot, addr netip.Addr) *set {
	if host, ok := s.SoleHost(addr); ok {
		return z.pointer(host, addr)
	}
	kept, shared := s.PreparedAt(addr, z.key, func() *table.Preparation {
		p := new(pointers)
		p.Value = p
		return &p.Preparation
	})
	if !shared {
		return &set{}
	}
	return kept.(*pointers).get("", dns.TypePTR, func(anywhere bool) gathered { return z.gatherPointers(s, addr, anywhere) })
}

// pointers are the PTR records of an address that several share.
type pointers struct {
	table.Preparation
	shelf
}

func (z *Zone) gatherPointers(s *table.Snapshot, addr netip.Addr, anywhere bool) *builder {
	b := builder{most: z.most, whole: z.whole, leases: s.Leases()}
	from := 0
	if anywhere {
		from = anyOf(s.Sharers(addr), func(k int) bool {
			for holder := range s.HoldersFrom(addr, k) {
				return holder.Instance == nil || s.Answers(holder.Instance)
			}
			return false
		})
	}
	for holder := range s.HoldersFrom(addr, from) {
		z.addPointer(&b, s, holder, addr)
		if b.full() {
			break
		}
	}
	return &b
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
