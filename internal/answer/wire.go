package answer

import (
	"encoding/binary"
	"slices"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/table"

	"github.com/miekg/dns"
)

// Wire is a reply in wire form, put together from records that were packed once. It saves
// what a dns.Msg costs each time: copies of the records, the names to be compressed, and
// CoreDNS measuring the message twice to make it fit; about a third of all that a query for
// three addresses takes. [Reply] says the same in a message, is what other plugins can read,
// and knows what to do when not all fits: a test holds the two against each other.
//
// The zero value but for its fields is ready. It belongs to one query.
type Wire struct {
	Request *dns.Msg
	Room    int // bytes that the reply may take
	TTL     uint32
	Now     lease.Time
}

// Lengths in a message (RFC 1035, section 4.1).
const (
	headerLen  = 12
	pointerLen = 2
	ttlAt      = 4      // of what follows the owner of a record
	farthest   = 0x3fff // that a pointer reaches
	pointer    = 0xc0 << 8
)

// questionAt is a pointer to the name in the question, the owner of all that is answered.
const questionAt = pointer | headerLen

// Append appends the reply to b, which is empty: what the zone answers from a state. It reports
// false where only a Reply can say it: aliases, questions with options, and what does not fit.
func (r *Wire) Append(b []byte, a Answer, z *Zone, s *table.State) ([]byte, bool) {
	opt, ok := r.plain()
	if !ok || a.Outcome == Alias || a.Outcome == NotReady {
		return b, false
	}
	b, ok = r.begin(b, a.Outcome)
	if !ok {
		return b, false
	}
	if a.Outcome == Found {
		b, ok = r.found(b, a)
	} else {
		b = z.appendSOA(b, s.Serial(), r.TTL)
	}
	if opt != nil {
		b = appendOPT(b, opt)
	}
	return b, ok && len(b) <= min(r.Room, farthest)
}

// plain reports whether the request is one question and nothing else, but for an OPT record
// without options.
func (r *Wire) plain() (opt *dns.OPT, ok bool) {
	m := r.Request
	if len(m.Question) != 1 || len(m.Answer)+len(m.Ns) > 0 || len(m.Extra) > 1 {
		return nil, false
	}
	if len(m.Extra) == 0 {
		return nil, true
	}
	opt, ok = m.Extra[0].(*dns.OPT)
	return opt, ok && len(opt.Option) == 0
}

// begin appends the header and the question, in the question's own case.
func (r *Wire) begin(b []byte, o Outcome) ([]byte, bool) {
	m, q := r.Request, &r.Request.Question[0]
	flags := uint16(1<<15 | 1<<10) // a response, authoritative
	if m.RecursionDesired {
		flags |= 1 << 8
	}
	if m.CheckingDisabled {
		flags |= 1 << 4
	}
	var counts [4]uint16
	counts[0] = 1
	if o != Found {
		counts[2] = 1
	}
	if o == NoName {
		flags |= dns.RcodeNameError
	}
	if len(m.Extra) > 0 {
		counts[3] = 1
	}
	b = binary.BigEndian.AppendUint16(b, m.Id)
	b = binary.BigEndian.AppendUint16(b, flags)
	for _, n := range counts {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	end, err := dns.PackDomainName(q.Name, b[:cap(b)], len(b), nil, false)
	if err != nil {
		return b, false
	}
	b = binary.BigEndian.AppendUint16(b[:end], q.Qtype)
	return binary.BigEndian.AppendUint16(b, q.Qclass), true
}

// found appends the records of a set, beginning with those of an instance picked by chance,
// and the addresses of the hosts that they point to.
func (r *Wire) found(b []byte, a Answer) ([]byte, bool) {
	all := len(a.set.records)
	if a.most > 0 {
		all = min(all, a.most)
	}
	if all > (r.Room-len(b))/smallest { // before any work: it will not fit
		return b, false
	}
	p := a.set.packed()
	if p == nil {
		return b, false
	}
	of := a.set.choose(all)
	ttl := ttlUntil(a.set.ends(of, enough(r.TTL, r.Now)), r.TTL, r.Now)
	binary.BigEndian.PutUint16(b[6:], uint16(of.n))
	if p.glue != nil {
		return p.appendPointing(b, of, ttl), true
	}
	at := p.place(of.start)
	for range of.n {
		if at == len(p.records) {
			at = p.place(0)
		}
		rest := restAt(p.records, at)
		b = appendRecord(b, questionAt, rest, ttl)
		at += len(rest)
	}
	return b, true
}

// appendPointing appends records that point to hosts, and the addresses of those.
func (p *packed) appendPointing(b []byte, of choice, ttl uint32) []byte {
	var seen bitset
	var room [16]hostAt
	hosts := room[:0]
	at := p.place(of.start)
	for range of.n {
		if at == len(p.records) {
			at = p.place(0)
		}
		rest := restAt(p.records, at)
		begin := len(b) + pointerLen
		b = appendRecord(b, questionAt, rest, ttl)
		at += len(rest)
		host := int(binary.BigEndian.Uint32(p.records[at:]))
		if seen.add(host, len(p.first)-1) {
			hosts = append(hosts, hostAt{host, begin + int(binary.BigEndian.Uint16(p.records[at+4:]))})
		}
		at += targetLen
	}
	extra := binary.BigEndian.Uint16(b[10:])
	for _, h := range hosts {
		for at, end := int(p.first[h.host]), int(p.first[h.host+1]); at < end; extra++ {
			rest := restAt(p.glue, at)
			b = appendRecord(b, pointer|uint16(h.at), rest, ttl)
			at += len(rest)
		}
	}
	binary.BigEndian.PutUint16(b[10:], extra)
	return b
}

// hostAt is the number of a host, and where in the message its name stands.
type hostAt struct{ host, at int }

// appendRecord appends a record: its owner, and what follows that, with its TTL.
func appendRecord(b []byte, owner uint16, rest []byte, ttl uint32) []byte {
	b = binary.BigEndian.AppendUint16(b, owner)
	at := len(b)
	b = append(b, rest...)
	binary.BigEndian.PutUint32(b[at+ttlAt:], ttl)
	return b
}

// appendOPT appends the OPT record with which CoreDNS answers one without options: as it
// came, but without an extended response code and of version 0.
func appendOPT(b []byte, opt *dns.OPT) []byte {
	b = append(b, 0)
	b = binary.BigEndian.AppendUint16(b, dns.TypeOPT)
	b = binary.BigEndian.AppendUint16(b, opt.Hdr.Class)
	b = binary.BigEndian.AppendUint32(b, opt.Hdr.Ttl&0xff00)
	return binary.BigEndian.AppendUint16(b, 0)
}

// packed is a set in wire form. It is all in one piece, or three where there are hosts: in a
// large table each piece is one that the processor has to fetch.
type packed struct {
	// records begins with a place for each record, 4 bytes that say where in it that stands.
	// Then come the records without their owners, one after the other; each that points to a
	// host is followed by the host's number, and by where its name begins in the record.
	records []byte

	glue  []byte   // the addresses of the hosts in the same way, those of each together; nil without hosts
	first []uint32 // by a host's number, where in glue its addresses begin; one more at the end
}

const (
	placeLen  = 4
	targetLen = 4 + 2
	dataAt    = 10 // of a record without its owner, behind the length of its data
)

// place returns where a record stands.
func (p *packed) place(n int) int {
	return int(binary.BigEndian.Uint32(p.records[n*placeLen:]))
}

// restAt returns the record without its owner that stands there.
func restAt(b []byte, at int) []byte {
	return b[at : at+dataAt+int(binary.BigEndian.Uint16(b[at+dataAt-2:]))]
}

// packed returns the set in wire form; nil where it has none.
func (s *set) packed() *packed {
	p := s.wire.get(s.pack)
	if p.records == nil {
		return nil
	}
	return p
}

func (s *set) pack() *packed {
	p := &packed{records: make([]byte, len(s.records)*placeLen)}
	hosts := make([]*host, s.hosts)
	for n := range s.records {
		r := &s.records[n]
		binary.BigEndian.PutUint32(p.records[n*placeLen:], uint32(len(p.records)))
		rest := packRest(r.rr)
		if rest == nil {
			return &packed{}
		}
		p.records = append(p.records, rest...)
		if s.hosts == 0 {
			continue
		}
		hosts[r.host.number] = r.host
		p.records = binary.BigEndian.AppendUint32(p.records, uint32(r.host.number))
		name := len(rest) - wireLen(targetOf(r.rr)) // it stands at the end, and is not compressed
		p.records = binary.BigEndian.AppendUint16(p.records, uint16(name))
	}
	if s.hosts > 0 && !p.packGlue(hosts) {
		return &packed{}
	}
	p.records = slices.Clone(p.records)
	return p
}

// packGlue packs the addresses of hosts; nil is one that no record points to. It reports
// false where one cannot be packed.
func (p *packed) packGlue(hosts []*host) bool {
	p.glue = []byte{}
	for _, h := range hosts {
		p.first = append(p.first, uint32(len(p.glue)))
		if h == nil {
			continue
		}
		for n := range h.glue {
			rest := packRest(h.glue[n].rr)
			if rest == nil {
				return false
			}
			p.glue = append(p.glue, rest...)
		}
	}
	p.first = append(p.first, uint32(len(p.glue)))
	return true
}

// targetOf returns the name of the host that a record points to.
func targetOf(rr dns.RR) string {
	if srv, ok := rr.(*dns.SRV); ok {
		return srv.Target
	}
	return rr.(*dns.NS).Ns
}

// wireLen is how many bytes a name takes when it is not compressed.
func wireLen(name string) int {
	n, err := dns.PackDomainName(name, make([]byte, longestName+1), 0, nil, false)
	if err != nil {
		return 0
	}
	return n
}

// appendSOA appends the zone's start of authority. The name asked is in the zone, and the
// message ends with the question.
func (z *Zone) appendSOA(b []byte, serial, ttl uint32) []byte {
	if z.originLen == 1 {
		b = append(b, 0) // the root is shorter than a pointer to it
	} else {
		b = binary.BigEndian.AppendUint16(b, pointer|uint16(len(b)-4-z.originLen))
	}
	at := len(b)
	b = append(b, z.soa...)
	binary.BigEndian.PutUint32(b[at+ttlAt:], ttl)
	binary.BigEndian.PutUint32(b[len(b)-20:], serial)
	binary.BigEndian.PutUint32(b[len(b)-4:], ttl)
	return b
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
