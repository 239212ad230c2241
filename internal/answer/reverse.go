package answer

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// lookupReverse answers for the reverse name of an address: with each answered instance there, and
// each service with that cluster IP.
func (z *Zone) lookupReverse(s *table.Snapshot, addr netip.Addr, qtype uint16) Answer {
	all := z.ptrSet(s, addr)
	switch {
	case all.numRecords == 0:
		return Answer{}
	case qtype != dns.TypePTR:
		return found(nil)
	}
	return found(all)
}

// ptrSet returns the PTR records of an address. If one instance alone has the address, they are
// built for each query, since a table has many such addresses; otherwise they are cached with the
// address.
func (z *Zone) ptrSet(s *table.Snapshot, addr netip.Addr) *rrset {
	if host, ok := s.SoleHost(addr); ok {
		return z.singlePTR(host, addr)
	}
	kept, shared := s.PreparedAt(addr, z.key, func() *table.Preparation {
		p := new(sharedPTR)
		p.Value = p
		return &p.Preparation
	})
	if !shared {
		return &rrset{}
	}
	return kept.(*sharedPTR).get("", dns.TypePTR, func(randomStart bool) recordSource { return z.collectPTR(s, addr, randomStart) })
}

// sharedPTR caches the PTR records of an address that several share.
type sharedPTR struct {
	table.Preparation
	rrsetCache
}

func (z *Zone) collectPTR(s *table.Snapshot, addr netip.Addr, randomStart bool) *builder {
	b := builder{maxRecords: z.maxRecords, forTransfer: z.forTransfer, wheel: s.Leases()}
	from := 0
	if randomStart {
		from = pickRandom(s.Sharers(addr), func(k int) bool {
			for holder := range s.HoldersFrom(addr, k) {
				return holder.Instance == nil || s.Answers(holder.Instance)
			}
			return false
		})
	}
	for holder := range s.HoldersFrom(addr, from) {
		z.addPTR(&b, s, holder, addr)
		if b.full() {
			break
		}
	}
	return &b
}

// singlePTR returns the PTR record of an address that one instance alone has.
func (z *Zone) singlePTR(to table.Host, addr netip.Addr) *rrset {
	if !to.Answers() {
		return &rrset{}
	}
	single := new(singleRecord)
	b := append(single.room[:singleRdataAt], 0)
	b = appendHostLabel(b, to.Hostname, addr)
	b[singleRdataAt] = byte(len(b) - singleRdataAt - 1)
	b, ok := appendBelow(b, z.ptrSuffix, to.Service.Name.Service, to.Service.Namespace)
	if !ok || len(b)-singleRdataAt > longestName {
		return &rrset{}
	}
	return single.finish(b, dns.TypePTR, to.Lease, to.Service.Leases())
}

// addPTR adds the PTR record that leads to an instance or, if that is nil, to a service with the
// address as its cluster IP. It adds none if the name is too long for a message.
func (z *Zone) addPTR(b *builder, s *table.Snapshot, to table.Holder, addr netip.Addr) {
	leaseID := noLease
	labels := []string{to.Service.Service, to.Service.Namespace}
	if i := to.Instance; i != nil {
		if !s.Answers(i) {
			return
		}
		labels = slices.Insert(labels, 0, string(appendHostLabel(nil, i.Hostname, addr)))
		leaseID = i.Lease().Number()
	}
	b.beginInstance()
	if target, ok := packBelow(z.ptrSuffix, labels...); ok {
		b.addRdata(dns.TypePTR, target, leaseID)
	}
}

// appendHostLabel appends the label that leads to an address of an instance.
func appendHostLabel(b []byte, hostname string, addr netip.Addr) []byte {
	if hostname != "" {
		return append(b, strings.ToLower(hostname)...)
	}
	return service.AppendDashed(b, addr)
}
