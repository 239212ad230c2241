// Package answer says what the table gives for a name and a type: the rules of the
// Kubernetes DNS-Based Service Discovery Specification 1.1.0, over a table.Snapshot.
//
// The records of a service are prepared when they are first asked for, kept with the
// service's view, and go with it when the service changes. A query chooses among them,
// copies what it chose and stamps it with a TTL. Those of a single instance, at its own name
// or at its address, are made when they are asked: they cost little, and would be many.
//
// No more records are prepared than the largest message holds. Of a service that has more, a
// part is prepared that begins with an instance picked by chance, and later another part.
package answer

import (
	"net/netip"
	"unique"

	"github.com/coredns-registry/registry/internal/table"

	"github.com/miekg/dns"
)

// specification is the version of the rules, told at dns-version.Z.
const specification = "1.1.0"

// Zone answers for one zone. It is immutable and safe for concurrent use.
type Zone struct {
	Origin string // in lower case, fully qualified

	suffix   string // of the full names of services: ".svc.cluster.local."
	services []byte // what stands above services, in wire form; nil where that is too long
	pointed  []byte // the same for those that PTR records lead to, in another zone
	most     int    // records in one answer; 0 is all
	reverse  bool
	whole    bool   // for a transfer: sets are bounded by nothing but most
	serial   uint32 // of a transfer
	key      any    // of what is prepared of a view: says all it depends on
	own      map[kind]map[uint16]*set

	soa       []byte // packed, without its owner and with zeros for what changes
	originLen int    // bytes of the origin in a message
}

// preparedKey tells apart what zones prepare of the same view.
type preparedKey struct {
	origin string
	most   int
}

// Zones returns a Zone for each origin, in their order. Reverse zones lead into the first
// one that is none; there must be such. Each zone has the name servers'
// addresses at ns.dns, and gives at most so many records in one answer, or all if most
// is 0.
func Zones(origins []string, nameServers []netip.Addr, most int) []*Zone {
	var zones []*Zone
	for _, origin := range origins {
		zones = append(zones, newZone(origin, Primary(origins), nameServers, most))
	}
	return zones
}

// Primary returns the first of the zones that is no reverse zone, empty if all are.
func Primary(origins []string) string {
	for _, origin := range origins {
		if !IsReverse(origin) {
			return origin
		}
	}
	return ""
}

func newZone(origin, primary string, nameServers []netip.Addr, most int) *Zone {
	z := &Zone{
		Origin:  origin,
		most:    most,
		reverse: IsReverse(origin),
		key:     unique.Make(preparedKey{origin, most}), // compared as a pointer is
	}
	z.suffix = "." + z.under("svc")
	z.services, _ = packName(z.under("svc"))
	z.pointed, _ = packName(under("svc", primary))
	server, _ := packName(z.under("ns.dns"))
	var glue, v4, v6, ns, txt builder
	for _, addr := range nameServers {
		glue.addAddress(addr, static)
		v4.addFamily([]netip.Addr{addr}, netip.Addr.Is4, static)
		v6.addFamily([]netip.Addr{addr}, netip.Addr.Is6, static)
	}
	if server != nil {
		ns.add(record{rest: newRest(dns.TypeNS, server), target: newTarget(server, &glue)})
	}
	txt.addData(dns.TypeTXT, appendText(nil, specification), static)
	z.own = map[kind]map[uint16]*set{
		apex:       {dns.TypeNS: ns.set()},
		nameServer: {dns.TypeA: v4.set(), dns.TypeAAAA: v6.set()},
		version:    {dns.TypeTXT: txt.set()},
	}
	z.soa = packRest(z.SOA(origin, 0, 0))
	name, _ := packName(origin)
	z.originLen = len(name)
	return z
}

// under returns the full name of a name in the zone.
func (z *Zone) under(name string) string { return under(name, z.Origin) }

// under returns the full name of a name in a zone.
func under(name, zone string) string {
	if zone == "." {
		return name + "."
	}
	return name + "." + zone
}

// Covers reports whether a name, fully qualified and in lower case, is in the zone.
func (z *Zone) Covers(name string) bool {
	_, ok := below(name, z.Origin)
	return ok
}

// SOA returns the zone's start of authority, with owner as its owner. It is also what a
// negative answer is cached by, for the same ttl (RFC 2308).
func (z *Zone) SOA(owner string, serial, ttl uint32) *dns.SOA {
	hdr := header(owner, dns.TypeSOA)
	hdr.Ttl = ttl
	return &dns.SOA{
		Hdr:     hdr,
		Ns:      z.under("ns.dns"),
		Mbox:    z.under("hostmaster"),
		Serial:  serial,
		Refresh: 7200,
		Retry:   1800,
		Expire:  86400,
		Minttl:  ttl,
	}
}

// Outcome is what there is to say of a name and a type.
type Outcome uint8

// The outcomes of a question.
const (
	NoName   Outcome = iota // the name does not exist
	NoData                  // it does, without records of the type
	Found                   // there are records
	Alias                   // there is a CNAME, and what was asked is at its target
	NotReady                // the table is not loaded; nothing can be said
)

func (o Outcome) String() string {
	return [...]string{"noname", "nodata", "found", "alias", "notready"}[o]
}

// Outcomes are all there are.
var Outcomes = []Outcome{NoName, NoData, Found, Alias, NotReady}

// Answer is what a zone says to a question. The zero value says that the name does not exist.
type Answer struct {
	Outcome Outcome
	Target  string // of an alias: the full name, in lower case

	set    *set
	absent bool // the name exists by its zone alone
}

// Absent reports whether the table has nothing at the name. Another plugin may.
func (a *Answer) Absent() bool { return a.Outcome == NoName || a.absent }

// Lookup answers a question: the name in lower case, fully qualified and in the zone.
// The apex's SOA is not among the answers, see [Zone.SOA].
func (z *Zone) Lookup(s *table.Snapshot, name string, qtype uint16) Answer {
	p := z.parse(name)
	switch p.kind {
	case noName:
		return Answer{}
	case nonTerminal:
		return found(nil)
	case apex:
		return z.lookupApex(s, p.addr, qtype)
	case nameServer, version:
		return found(z.own[p.kind][qtype])
	case namespaceName:
		if _, ok := s.Namespace(p.service.Namespace); ok {
			return found(nil)
		}
		return Answer{}
	case reverseName:
		return z.lookupReverse(s, p.addr, qtype)
	}
	view := s.Service(p.service)
	if view == nil {
		return Answer{}
	}
	return z.lookupService(view, p, qtype)
}

// lookupApex answers for the zone's own name. That may be the reverse name of an address: where
// a network does not end at a label, CoreDNS makes a zone of each address in it.
func (z *Zone) lookupApex(s *table.Snapshot, addr netip.Addr, qtype uint16) Answer {
	if own := z.own[apex][qtype]; own != nil || !addr.IsValid() {
		return found(own)
	}
	a := z.lookupReverse(s, addr, qtype)
	if a.Outcome == NoName {
		return z.Vacant(z.Origin)
	}
	return a
}

// Vacant returns what the zone answers for a name at which the table has nothing.
func (z *Zone) Vacant(name string) Answer {
	if name == z.Origin {
		return Answer{Outcome: NoData, absent: true} // the zone has its SOA there
	}
	return Answer{}
}

func (z *Zone) parse(name string) parsed {
	if z.reverse {
		return parseReverse(name, z.Origin)
	}
	return parse(name, z.Origin)
}

// found answers for a name that exists, with the records of the type asked for.
func found(set *set) Answer {
	if set == nil || set.n == 0 {
		return Answer{Outcome: NoData}
	}
	return Answer{Outcome: Found, set: set}
}

func header(owner string, qtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: owner, Rrtype: qtype, Class: dns.ClassINET}
}

// packRest packs a record without its owner; nil where that cannot be.
func packRest(rr dns.RR) []byte {
	rr = dns.Copy(rr)
	rr.Header().Name = "."
	b := make([]byte, dns.Len(rr))
	end, err := dns.PackRR(rr, b, 0, nil, false)
	if err != nil {
		return nil
	}
	return b[1:end:end]
}
