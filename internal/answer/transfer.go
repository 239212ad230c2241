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

// All yields every record of the zone but its SOA, as a zone transfer sends them, some records of
// one name and type at a time. It yields at most maxRecords of each name and type, or all if
// maxRecords is 0; the serial determines which. Nothing is cached.
func (z *Zone) All(v *table.Version, ttl uint32, now lease.Time, maxRecords int) func(yield func([]dns.RR) bool) {
	return func(yield func([]dns.RR) bool) {
		for t := range z.rrsets(v, maxRecords) {
			if t.set == nil || t.set.numRecords == 0 || !fitsMessage(t.owner) {
				continue
			}
			r := Reply{Msg: new(dns.Msg), TTL: ttl, Now: now}
			if t.earliestEnd != nil {
				r.TTL = ttlFor(*t.earliestEnd, ttl, now)
			}
			c := t.set.chooseFor(v.Serial())
			if t.maxRecords > 0 {
				c.n = min(c.n, t.maxRecords)
			}
			r.add(t.owner, t.set, c)
			r.stamp()
			if !yield(r.Msg.Answer) {
				return
			}
		}
	}
}

// transferSet is the RRset of a name and type in a transfer, or a part of a very large one.
type transferSet struct {
	owner       string
	set         *rrset
	earliestEnd *lease.Time // of a part: when the first lease of all parts ends
	maxRecords  int         // of a part: how many records to send; 0 means all
}

// rrsets yields the RRsets of the zone. Some are nil or empty.
func (z *Zone) rrsets(v *table.Version, maxRecords int) func(yield func(transferSet) bool) {
	return func(yield func(transferSet) bool) {
		for _, own := range []struct {
			owner string
			kind  kind
		}{{z.Origin, apex}, {z.under("ns.dns"), nameServer}, {z.under("dns-version"), version}} {
			if z.reverse && own.kind == version {
				continue
			}
			for _, set := range z.ownSets[own.kind] {
				if !yield(transferSet{owner: own.owner, set: set}) {
					return
				}
			}
		}
		// A transfer has another bound than answers, or none.
		unbounded := &Zone{Origin: z.Origin, suffix: z.suffix, wireSuffix: z.wireSuffix, ptrSuffix: z.ptrSuffix, forTransfer: true, maxRecords: maxRecords, serial: v.Serial()}
		if z.reverse {
			unbounded.ptrSets(v.Snapshot, yield)
			return
		}
		for view := range v.Services(service.Name{}) {
			if !(&serviceRecords{zone: unbounded, view: view}).rrsets(yield) {
				return
			}
		}
	}
}

// rrsets yields the RRsets of one service. It returns false if yield does.
func (s *serviceRecords) rrsets(yield func(transferSet) bool) bool {
	if s.view.Type() == service.ExternalName {
		return yield(transferSet{owner: s.fullName(""), set: cnameSet(s.view)})
	}
	for n := range recordTypes {
		if t := &recordTypes[n]; t.service != nil && !s.yieldRecords(s.fullName(""), t.service(s, false), allPorts, yield) {
			return false
		}
	}
	for _, port := range s.ports().all {
		for n := range recordTypes {
			if t := &recordTypes[n]; t.port != nil && !s.yieldRecords(s.fullName(port.label), t.port(s, port, false), port.portsIn, yield) {
				return false
			}
		}
	}
	for left := s.hosts(); len(left) > 0; {
		h := left.withLabel(left[0].label)
		left = left[len(h):]
		for n := range recordTypes {
			if !yield(transferSet{owner: s.fullName(h[0].label), set: s.hostSet(h, &recordTypes[n])}) {
				return false
			}
		}
	}
	return true
}

// yieldRecords yields the RRset of one name and type.
func (s *serviceRecords) yieldRecords(owner string, records recordSource, selectPorts func([]service.Port) []service.Port, yield func(transferSet) bool) bool {
	if srv, ok := records.(*srvBuilder); ok {
		return s.yieldSRV(owner, srv, selectPorts, yield)
	}
	set := new(rrset)
	records.fill(set)
	return yield(transferSet{owner: owner, set: set})
}

// yieldSRV yields the SRV records at a name: those collected if they are all, else those of one
// host after the other, up to the maximum. There may be a million times as many records as
// instances.
func (s *serviceRecords) yieldSRV(owner string, collected *srvBuilder, selectPorts func([]service.Port) []service.Port, yield func(transferSet) bool) bool {
	if s.view.Type() == service.ClusterIP || !collected.full() {
		return yield(transferSet{owner: owner, set: collected.set()})
	}
	ends := lease.Time(math.MaxInt64)
	for i := range s.answered(members{all: true}, false) {
		if t, leased := i.Lease().Deadline(); leased && len(selectPorts(i.Ports)) > 0 {
			ends = min(ends, t)
		}
	}
	left := s.zone.maxRecords // records still to send; 0 means all
	for h := range s.hostsFrom(s.zone.serial) {
		srv := s.collectHostSRV(h, selectPorts, false)
		srv.total = len(collected.records)
		part := transferSet{owner, srv.set(), &ends, left}
		if !yield(part) {
			return false
		}
		if s.zone.maxRecords > 0 {
			if left -= min(left, int(part.set.numRecords)); left == 0 {
				break
			}
		}
	}
	return true
}

// hostsFrom yields the hosts of the service, each with all instances that share it, from the one
// that the serial selects on and around the end.
func (s *serviceRecords) hostsFrom(serial uint32) func(yield func(hosts) bool) {
	return func(yield func(hosts) bool) {
		all := s.hosts()
		if len(all) == 0 {
			return
		}
		label := all[pickBySerial(serial, len(all))].label
		from := slices.IndexFunc(all, func(h host) bool { return h.label == label })
		for _, left := range []hosts{all[from:], all[:from]} {
			for len(left) > 0 {
				h := left.withLabel(left[0].label)
				left = left[len(h):]
				if !yield(h) {
					return
				}
			}
		}
	}
}

// ptrSets yields the PTR records of a reverse zone.
func (z *Zone) ptrSets(s *table.Snapshot, yield func(transferSet) bool) {
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
			continue // PTR records of its other holders are in the same RRset
		}
		last = addr
		owner, err := dns.ReverseAddr(addr.String())
		if err == nil && !yield(transferSet{owner: owner, set: z.allPTR(s, addr)}) {
			return
		}
	}
}

// allPTR returns all PTR records of an address.
func (z *Zone) allPTR(s *table.Snapshot, addr netip.Addr) *rrset {
	if host, ok := s.SoleHost(addr); ok {
		return z.singlePTR(host, addr)
	}
	return z.collectPTR(s, addr, false).set()
}

// Names returns the names in the zone that lead to an instance; none in a reverse zone, none while
// the instance is not answered, and none if view is nil because the service is gone.
func (z *Zone) Names(view *table.View, i *table.Instance) []string {
	if z.reverse || view == nil || !view.Answers(i) {
		return nil
	}
	s := &serviceRecords{zone: z, view: view}
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
	return slices.DeleteFunc(names, func(name string) bool { return !fitsMessage(name) })
}
