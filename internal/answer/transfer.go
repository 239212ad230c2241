package answer

import (
	"net/netip"
	"slices"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// All yields every record of the zone but its SOA, as a transfer sends them: a name and
// a type at a time, with no bound on their number. Nothing of it is kept.
func (z *Zone) All(s *table.State, ttl uint32, now lease.Time) func(yield func([]dns.RR) bool) {
	return func(yield func([]dns.RR) bool) {
		for owner, set := range z.every(s.Snapshot) {
			if set == nil || set.n == 0 || !fits(owner) {
				continue
			}
			r := Reply{Msg: new(dns.Msg), Room: smallest * int(set.n), TTL: ttl, Now: now}
			r.Add(owner, Answer{set: set})
			r.stamp()
			if !yield(r.Msg.Answer) {
				return
			}
		}
	}
}

// every yields the sets of the zone with their owners. Some are nil or empty.
func (z *Zone) every(s *table.Snapshot) func(yield func(string, *set) bool) {
	return func(yield func(string, *set) bool) {
		for _, own := range []struct {
			owner string
			kind  kind
		}{{z.Origin, apex}, {z.under("ns.dns"), nameServer}, {z.under("dns-version"), version}} {
			if z.reverse && own.kind == version {
				continue
			}
			for _, set := range z.own[own.kind] {
				if !yield(own.owner, set) {
					return
				}
			}
		}
		whole := &Zone{Origin: z.Origin, suffix: z.suffix, services: z.services, pointed: z.pointed} // all of each set
		if z.reverse {
			whole.everyPointer(s, yield)
			return
		}
		for view := range s.Services(service.Name{}) {
			if !(&sets{zone: whole, view: view}).every(yield) {
				return
			}
		}
	}
}

// every yields the sets of one service; false says that no more are wanted.
func (s *sets) every(yield func(string, *set) bool) bool {
	if s.view.Type() == service.ExternalName {
		return yield(s.fullName(""), alias(s.view))
	}
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV} {
		if !yield(s.fullName(""), s.own(qtype)) {
			return false
		}
	}
	ports := s.ports().all
	for n := range ports {
		if !yield(s.fullName(ports[n].label), &ports[n].set) {
			return false
		}
	}
	for left := s.hosts(); len(left) > 0; {
		h := left.at(left[0].label)
		left = left[len(h):]
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeTXT} {
			if !yield(s.fullName(h[0].label), s.host(h, qtype)) {
				return false
			}
		}
	}
	return true
}

func (z *Zone) everyPointer(s *table.Snapshot, yield func(string, *set) bool) {
	all, ok := reverseRange(z.Origin)
	if !ok {
		return
	}
	var last netip.Addr
	for addr := range s.Addresses(all.Addr()) {
		if !all.Contains(addr) {
			return
		}
		if addr == last {
			continue // its other holders were told with the first
		}
		last = addr
		owner, err := dns.ReverseAddr(addr.String())
		if err == nil && !yield(owner, z.pointers(s, addr)) {
			return
		}
	}
}

// Names returns the names in the zone that lead to an instance as it stands, a reverse
// zone's none. They are empty while it is not answered, and where view is nil because the
// service is gone.
func (z *Zone) Names(view *table.View, i *table.Instance) []string {
	if z.reverse || view == nil || !view.Answers(i) {
		return nil
	}
	s := &sets{zone: z, view: view}
	var names []string
	if view.Type() == service.Headless {
		names = append(names, s.fullName(""))
		for _, p := range i.Ports {
			if p.Name != "" {
				names = append(names, s.fullName(portLabel(p)))
			}
		}
	}
	for label := range i.Hosts {
		names = append(names, s.fullName(label))
	}
	return slices.DeleteFunc(names, func(name string) bool { return !fits(name) })
}
