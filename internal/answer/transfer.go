package answer

import (
	"math"
	"net/netip"
	"slices"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// All yields every record of the zone but its SOA, as a transfer sends them: some of a name and
// a type at a time, in all at most so many of those, or all if most is 0. Which ones the serial
// says. Nothing of it is kept.
func (z *Zone) All(v *table.Version, ttl uint32, now lease.Time, most int) func(yield func([]dns.RR) bool) {
	return func(yield func([]dns.RR) bool) {
		for t := range z.every(v, most) {
			if t.set == nil || t.set.n == 0 || !fits(t.owner) {
				continue
			}
			r := Reply{Msg: new(dns.Msg), TTL: ttl, Now: now}
			if t.ends != nil {
				r.TTL = ttlUntil(*t.ends, ttl, now)
			}
			of := t.set.chooseBy(v.Serial())
			if t.most > 0 {
				of.n = min(of.n, t.most)
			}
			r.add(t.owner, t.set, of)
			r.stamp()
			if !yield(r.Msg.Answer) {
				return
			}
		}
	}
}

// told is what a transfer tells of a name and a type: all there is or, of very much, a part.
type told struct {
	owner string
	set   *set
	ends  *lease.Time // of a part: when the first lease does that any part depends on
	most  int         // of a part: how many of its records go; 0 is all
}

// every yields the sets of the zone. Some are nil or empty.
func (z *Zone) every(v *table.Version, most int) func(yield func(told) bool) {
	return func(yield func(told) bool) {
		for _, own := range []struct {
			owner string
			kind  kind
		}{{z.Origin, apex}, {z.under("ns.dns"), nameServer}, {z.under("dns-version"), version}} {
			if z.reverse && own.kind == version {
				continue
			}
			for _, set := range z.own[own.kind] {
				if !yield(told{owner: own.owner, set: set}) {
					return
				}
			}
		}
		// All of each set, or another bound than that of answers.
		whole := &Zone{Origin: z.Origin, suffix: z.suffix, services: z.services, pointed: z.pointed, whole: true, most: most, serial: v.Serial()}
		if z.reverse {
			whole.everyPointer(v.Snapshot, yield)
			return
		}
		for view := range v.Services(service.Name{}) {
			if !(&sets{zone: whole, view: view}).every(yield) {
				return
			}
		}
	}
}

// every yields the sets of one service; false says that no more are wanted.
func (s *sets) every(yield func(told) bool) bool {
	if s.view.Type() == service.ExternalName {
		return yield(told{owner: s.fullName(""), set: alias(s.view)})
	}
	for n := range recordTypes {
		if t := &recordTypes[n]; t.service != nil && !s.everyOf(s.fullName(""), t.service(s, false), allPorts, yield) {
			return false
		}
	}
	for _, of := range s.ports().all {
		for n := range recordTypes {
			if t := &recordTypes[n]; t.port != nil && !s.everyOf(s.fullName(of.label), t.port(s, of, false), of.in, yield) {
				return false
			}
		}
	}
	for left := s.hosts(); len(left) > 0; {
		h := left.at(left[0].label)
		left = left[len(h):]
		for n := range recordTypes {
			if !yield(told{owner: s.fullName(h[0].label), set: s.host(h, &recordTypes[n])}) {
				return false
			}
		}
	}
	return true
}

// everyOf yields the set of one name and type.
func (s *sets) everyOf(owner string, records gathered, wanted func([]service.Port) []service.Port, yield func(told) bool) bool {
	if srv, ok := records.(*srvBuilder); ok {
		return s.everyService(owner, srv, wanted, yield)
	}
	made := new(set)
	records.fill(made)
	return yield(told{owner: owner, set: made})
}

// everyService yields the SRV records at a name: those that were gathered where that is all of
// them, else those of one host after the other, as many as are wanted. There may be a million times as many of them as
// instances.
func (s *sets) everyService(owner string, gathered *srvBuilder, wanted func([]service.Port) []service.Port, yield func(told) bool) bool {
	if s.view.Type() == service.ClusterIP || !gathered.full() {
		return yield(told{owner: owner, set: gathered.set()})
	}
	ends := lease.Time(math.MaxInt64)
	for i := range s.some(members{all: true}, false) {
		if t, leased := i.Lease().Deadline(); leased && len(wanted(i.Ports)) > 0 {
			ends = min(ends, t)
		}
	}
	wants := s.zone.most // records that are still to go; 0 is all
	for h := range s.hostsBy(s.zone.serial) {
		of := s.hostServices(h, wanted, false)
		of.of = len(gathered.records)
		part := told{owner, of.set(), &ends, wants}
		if !yield(part) {
			return false
		}
		if s.zone.most > 0 {
			if wants -= min(wants, int(part.set.n)); wants == 0 {
				break
			}
		}
	}
	return true
}

// hostsBy yields the hosts of the service, each with all that share it, from one on that the
// serial says and around the end.
func (s *sets) hostsBy(serial uint32) func(yield func(hosts) bool) {
	return func(yield func(hosts) bool) {
		all := s.hosts()
		if len(all) == 0 {
			return
		}
		label := all[turn(serial, len(all))].label
		from := slices.IndexFunc(all, func(h host) bool { return h.label == label })
		for _, left := range []hosts{all[from:], all[:from]} {
			for len(left) > 0 {
				h := left.at(left[0].label)
				left = left[len(h):]
				if !yield(h) {
					return
				}
			}
		}
	}
}

func (z *Zone) everyPointer(s *table.Snapshot, yield func(told) bool) {
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
		if err == nil && !yield(told{owner: owner, set: z.everyHolder(s, addr)}) {
			return
		}
	}
}

// everyHolder returns all the PTR records of an address.
func (z *Zone) everyHolder(s *table.Snapshot, addr netip.Addr) *set {
	if host, ok := s.SoleHost(addr); ok {
		return z.pointer(host, addr)
	}
	return z.gatherPointers(s, addr, false).set()
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
