// Package answer answers DNS questions from the table, by the rules of the Kubernetes DNS-Based
// Service Discovery Specification 1.1.0.
//
// The records of a service are prepared when they are first asked for, cached with the service's
// view, and dropped with it when the service changes. A query chooses among them, copies its choice
// and sets the TTL. The records of a single instance, at its own name or address, are built for
// each query: that costs little, and caching them would cost much memory.
//
// No more records are prepared than the largest message holds. Of a larger RRset a part is
// prepared, from a random instance on, and replaced by another part after some answers.
package answer

import (
	"net/netip"
	"unique"

	"github.com/coredns-registry/registry/internal/table"

	"github.com/miekg/dns"
)

// specification is the version of the specification, as dns-version.Z tells it.
const specification = "1.1.0"

// Zone answers for one zone. It is immutable and safe for concurrent use.
type Zone struct {
	Origin string // in lower case, fully qualified

	suffix      string // of the names of services: ".svc.cluster.local."
	wireSuffix  []byte // the same in wire form, without the first dot; nil if too long
	ptrSuffix   []byte // the same of the zone that PTR records point into
	maxRecords  int    // in an answer; 0 means all
	reverse     bool
	forTransfer bool   // RRsets are bounded by maxRecords alone
	serial      uint32 // of the transfer
	key         any    // of what the zone prepares of a view, see preparedKey
	ownSets     map[kind]map[uint16]*rrset

	soa       []byte // its body, with zeros for what changes
	originLen int    // size of the origin in wire form
}

// preparedKey identifies what a zone prepares of a view.
type preparedKey struct {
	origin     string
	maxRecords int
}

// Zones returns a Zone for each origin, in order. PTR records in reverse zones point into the first
// forward zone; at least one is required. Each zone has the name servers' addresses at ns.dns. An
// answer has at most maxRecords records, or all if that is 0.
func Zones(origins []string, nameServers []netip.Addr, maxRecords int) []*Zone {
	var zones []*Zone
	for _, origin := range origins {
		zones = append(zones, newZone(origin, Primary(origins), nameServers, maxRecords))
	}
	return zones
}

// Primary returns the first origin that is not a reverse zone, or "" if all are.
func Primary(origins []string) string {
	for _, origin := range origins {
		if !IsReverse(origin) {
			return origin
		}
	}
	return ""
}

func newZone(origin, primary string, nameServers []netip.Addr, maxRecords int) *Zone {
	z := &Zone{
		Origin:     origin,
		maxRecords: maxRecords,
		reverse:    IsReverse(origin),
		key:        unique.Make(preparedKey{origin, maxRecords}), // a unique.Handle compares like a pointer
	}
	z.suffix = "." + z.under("svc")
	z.wireSuffix, _ = packName(z.under("svc"))
	z.ptrSuffix, _ = packName(under("svc", primary))
	server, _ := packName(z.under("ns.dns"))
	var glue, v4, v6, ns, txt builder
	for _, addr := range nameServers {
		glue.addAddress(addr, noLease)
		v4.addFamily([]netip.Addr{addr}, netip.Addr.Is4, noLease)
		v6.addFamily([]netip.Addr{addr}, netip.Addr.Is6, noLease)
	}
	if server != nil {
		ns.add(record{body: newBody(dns.TypeNS, server), target: newTarget(server, &glue)})
	}
	txt.addRdata(dns.TypeTXT, appendText(nil, specification), noLease)
	z.ownSets = map[kind]map[uint16]*rrset{
		apex:       {dns.TypeNS: ns.set()},
		nameServer: {dns.TypeA: v4.set(), dns.TypeAAAA: v6.set()},
		version:    {dns.TypeTXT: txt.set()},
	}
	z.soa = packBody(z.SOA(origin, 0, 0))
	name, _ := packName(origin)
	z.originLen = len(name)
	return z
}

// under returns the full name of a name relative to the zone.
func (z *Zone) under(name string) string { return under(name, z.Origin) }

// under returns the full name of a name relative to a zone.
func under(name, zone string) string {
	if zone == "." {
		return name + "."
	}
	return name + "." + zone
}

// Covers reports whether a fully qualified name in lower case is in the zone.
func (z *Zone) Covers(name string) bool {
	_, ok := below(name, z.Origin)
	return ok
}

// SOA returns the zone's SOA record, with an owner. Negative answers carry it too; they are cached
// for the same ttl (RFC 2308).
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

// Outcome is the kind of an answer.
type Outcome uint8

// The outcomes of a question.
const (
	NoName   Outcome = iota // the name does not exist
	NoData                  // the name exists, without records of the type
	Found                   // there are records
	Alias                   // there is a CNAME, whose target has what was asked
	NotReady                // the table is not loaded yet
)

func (o Outcome) String() string {
	return [...]string{"noname", "nodata", "found", "alias", "notready"}[o]
}

// Outcomes are all outcomes.
var Outcomes = []Outcome{NoName, NoData, Found, Alias, NotReady}

// Answer is the answer to a question. The zero value says that the name does not exist.
type Answer struct {
	Outcome Outcome
	Target  string // of an alias: its target, in lower case

	set    *rrset
	absent bool // the name exists only because it is the apex
}

// Absent reports whether the table has nothing at the name. Another plugin may have.
func (a *Answer) Absent() bool { return a.Outcome == NoName || a.absent }

// Lookup answers a question. The name is in lower case, fully qualified and in the zone. The SOA
// record of the apex is not among the answers, see [Zone.SOA].
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
		return found(z.ownSets[p.kind][qtype])
	case namespaceName:
		if s.HasNamespace(p.service.Namespace) {
			return found(nil)
		}
		return Answer{}
	case reverseName:
		return z.lookupReverse(s, p.addr, qtype)
	}
	view := s.Service(p.service)
	if view == nil || !view.Exists() {
		return Answer{}
	}
	return z.lookupService(view, p, qtype)
}

// lookupApex answers for the zone's own name. That may be the reverse name of an address: if a
// network does not end at a label, CoreDNS serves a zone for each of its addresses.
func (z *Zone) lookupApex(s *table.Snapshot, addr netip.Addr, qtype uint16) Answer {
	if own := z.ownSets[apex][qtype]; own != nil || !addr.IsValid() {
		return found(own)
	}
	a := z.lookupReverse(s, addr, qtype)
	if a.Outcome == NoName {
		return z.Vacant(z.Origin)
	}
	return a
}

// Vacant returns the answer for a name at which the table has nothing.
func (z *Zone) Vacant(name string) Answer {
	if name == z.Origin {
		return Answer{Outcome: NoData, absent: true} // the SOA is there
	}
	return Answer{}
}

func (z *Zone) parse(name string) parsed {
	if z.reverse {
		return parseReverse(name, z.Origin)
	}
	return parse(name, z.Origin)
}

// found returns the answer for a name that exists, with the records of the type asked for.
func found(set *rrset) Answer {
	if set == nil || set.numRecords == 0 {
		return Answer{Outcome: NoData}
	}
	return Answer{Outcome: Found, set: set}
}

func header(owner string, qtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: owner, Rrtype: qtype, Class: dns.ClassINET}
}

// packBody packs a record without its owner; nil if that fails.
func packBody(rr dns.RR) []byte {
	rr = dns.Copy(rr)
	rr.Header().Name = "."
	b := make([]byte, dns.Len(rr))
	end, err := dns.PackRR(rr, b, 0, nil, false)
	if err != nil {
		return nil
	}
	return b[1:end:end]
}
