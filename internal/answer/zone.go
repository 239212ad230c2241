// Package answer says what the table gives for a name and a type: the rules of the
// Kubernetes DNS-Based Service Discovery Specification 1.1.0, over a table.Snapshot.
//
// The records of a service are prepared when one of them is first asked, kept with the
// service's view, and go with it when the service changes. A query chooses among them,
// copies what it chose and stamps it with a TTL.
package answer

import (
	"net/netip"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// specification is the version of the rules, told at dns-version.Z.
const specification = "1.1.0"

// Zone answers for one zone. It is immutable and safe for concurrent use.
type Zone struct {
	Origin string // in lower case, fully qualified

	primary string // the zone that PTR records lead into
	most    int    // records in one answer; 0 is all
	reverse bool
	key     any // of what is prepared of a view: says all it depends on
	own     map[kind]map[uint16]*set

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
		primary: primary,
		most:    most,
		reverse: IsReverse(origin),
		key:     preparedKey{origin, most},
	}
	var glue []record
	at := map[uint16][]record{}
	for _, addr := range nameServers {
		r := addressRecord("", addr)
		glue = append(glue, r)
		at[r.rr.Header().Rrtype] = append(at[r.rr.Header().Rrtype], r)
	}
	server := newHost(z.under("ns.dns"), 0, glue)
	ns := &dns.NS{Hdr: header("", dns.TypeNS), Ns: z.under("ns.dns")}
	txt := &dns.TXT{Hdr: header("", dns.TypeTXT), Txt: []string{specification}}
	z.own = map[kind]map[uint16]*set{
		apex: {dns.TypeNS: newSet([]record{{rr: ns, host: server}}, nil)},
		nameServer: {
			dns.TypeA:    newSet(at[dns.TypeA], nil),
			dns.TypeAAAA: newSet(at[dns.TypeAAAA], nil),
		},
		version: {dns.TypeTXT: newSet([]record{{rr: txt}}, nil)},
	}
	z.soa = packRest(z.startOfAuthority(origin, 0, 0))
	z.originLen = wireLen(origin)
	return z
}

// under returns the full name of a name in the zone.
func (z *Zone) under(name string) string {
	if z.Origin == "." {
		return name + "."
	}
	return name + "." + z.Origin
}

// Covers reports whether a name, fully qualified and in lower case, is in the zone.
func (z *Zone) Covers(name string) bool {
	_, ok := below(name, z.Origin)
	return ok
}

// SOA returns the zone's start of authority at a revision, with owner as its owner.
// It is also what a negative answer is cached by, for the same ttl (RFC 2308).
func (z *Zone) SOA(owner string, s *table.State, ttl uint32) *dns.SOA {
	return z.startOfAuthority(owner, s.Serial(), ttl)
}

func (z *Zone) startOfAuthority(owner string, serial, ttl uint32) *dns.SOA {
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

// Answer is what a zone says to a question.
type Answer struct {
	Outcome Outcome
	Target  string       // of an alias: the full name, in lower case
	Service service.Name // that the name belongs to, if it does

	set  *set
	most int
}

// Lookup answers a question: the name in lower case, fully qualified and in the zone.
// The apex's SOA is not among the answers, see [Zone.SOA].
func (z *Zone) Lookup(s *table.Snapshot, name string, qtype uint16) Answer {
	p := z.parse(name)
	a := Answer{Service: p.service, most: z.most}
	switch p.kind {
	case noName:
		return a
	case nonTerminal:
		a.Outcome = NoData
		return a
	case apex, nameServer, version:
		return a.found(z.own[p.kind][qtype])
	case namespaceName:
		if _, ok := s.Namespace(p.service.Namespace); ok {
			a.Outcome = NoData
		}
		return a
	case reverseName:
		return z.lookupReverse(s, a, p.addr, qtype)
	}
	view := s.Service(p.service)
	if view == nil {
		return a
	}
	return z.lookupService(s, a, view, p, qtype)
}

func (z *Zone) parse(name string) parsed {
	if z.reverse {
		return parseReverse(name, z.Origin)
	}
	return parse(name, z.Origin)
}

// found completes the answer of a name that exists.
func (a Answer) found(set *set) Answer {
	a.Outcome, a.set = Found, set
	if set == nil || set.n == 0 {
		a.Outcome = NoData
	}
	return a
}

func header(owner string, qtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: owner, Rrtype: qtype, Class: dns.ClassINET}
}

func addressRecord(owner string, addr netip.Addr) record {
	if addr.Is4() {
		return record{rr: &dns.A{Hdr: header(owner, dns.TypeA), A: addr.AsSlice()}}
	}
	return record{rr: &dns.AAAA{Hdr: header(owner, dns.TypeAAAA), AAAA: addr.AsSlice()}}
}
