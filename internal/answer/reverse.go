package answer

import (
	"net/netip"
	"strings"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// lookupReverse answers for the reverse name of an address: each instance that is
// answered and each service by its cluster IP.
func (z *Zone) lookupReverse(s *table.Snapshot, a Answer, addr netip.Addr, qtype uint16) Answer {
	var all *set
	if view := soleHolder(s, addr); view != nil {
		all = z.setsOf(s, view).pointers(addr)
	} else {
		all = z.pointers(s, addr)
	}
	switch {
	case all == nil || all.n == 0:
		return a
	case qtype != dns.TypePTR:
		return a.found(nil)
	}
	return a.found(all)
}

// soleHolder returns the service that an address belongs to, by its instances or as its
// cluster IP; nil where it belongs to none or to several.
func soleHolder(s *table.Snapshot, addr netip.Addr) *table.View {
	var name service.Name
	for at, holder := range s.Addresses(addr) {
		if at != addr {
			break
		}
		if name.Service != "" && name != holder.Service {
			return nil
		}
		name = holder.Service
	}
	if name.Service == "" {
		return nil
	}
	return s.Service(name)
}

// mostPointers bounds the PTR records of one address: no more fit in a message, so a
// query costs no more however many instances share the address.
const mostPointers = dns.MaxMsgSize / (smallest + 2)

// pointers returns the PTR records of an address, of whichever services hold it.
func (z *Zone) pointers(s *table.Snapshot, addr netip.Addr) *set {
	var b builder
	for at, holder := range s.Addresses(addr) {
		if at != addr || len(b.records) == mostPointers {
			break
		}
		if i := holder.Instance; i == nil || s.Service(holder.Service).Answers(i) {
			z.addPointer(&b, holder.Service, i, addr)
		}
	}
	return b.set()
}

// pointers returns the PTR records of an address that the service alone holds.
func (s asked) pointers(addr netip.Addr) *set {
	return (*s.reverse.get(func() *map[netip.Addr]*set {
		builders := make(map[netip.Addr]*builder)
		add := func(addr netip.Addr, i *table.Instance) {
			b := builders[addr]
			if b == nil {
				b = &builder{}
				builders[addr] = b
			}
			if len(b.records) < mostPointers {
				s.zone.addPointer(b, s.view.Name, i, addr)
			}
		}
		if def := s.view.Definition; def != nil {
			for _, addr := range def.ClusterIPs {
				add(addr, nil)
			}
		}
		for i := range s.instances {
			for _, addr := range i.Addresses {
				add(addr, i)
			}
		}
		sets := make(map[netip.Addr]*set, len(builders))
		for addr, b := range builders {
			sets[addr] = b.set()
		}
		return &sets
	}))[addr]
}

// addPointer adds the record that leads from an address to an instance, or where that is
// nil, to a service by its cluster IP.
func (z *Zone) addPointer(b *builder, name service.Name, i *table.Instance, addr netip.Addr) {
	b.begin()
	target := name.String() + ".svc." + z.primary
	if z.primary == "." {
		target = name.String() + ".svc."
	}
	var r record
	if i != nil {
		target = hostLabel(i, addr) + "." + target
		r = leased(i)
	}
	if len(target) <= longestName {
		r.rr = &dns.PTR{Hdr: header("", dns.TypePTR), Ptr: target}
		b.add(target, r)
	}
}

// hostLabel returns the label that leads to an address of the instance.
func hostLabel(i *table.Instance, addr netip.Addr) string {
	if i.Hostname != "" {
		return strings.ToLower(i.Hostname)
	}
	return service.DashedAddress(addr)
}
