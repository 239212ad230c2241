package answer

import (
	"encoding/binary"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/table"

	"github.com/miekg/dns"
)

// Wire is a reply in wire form, put together from records that were packed once. It saves
// what a dns.Msg costs each time: copies of the records, the names to be compressed, and
// CoreDNS measuring the message twice to make it fit; about a third of all that a query for
// three addresses takes. [Reply] says the same in a message, is what other plugins can read,
// and knows what to do when not all fits: a test holds the two against each other.
// It belongs to one query.
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
func (r *Wire) Append(b []byte, a *Answer, z *Zone, s *table.State) ([]byte, bool) {
	opt, ok := r.plain()
	if !ok || a.Outcome == Alias || a.Outcome == NotReady {
		return b, false
	}
	b, ok = r.begin(b, a.Outcome)
	if !ok {
		return b, false
	}
	if a.Outcome == Found {
		b, ok = r.found(b, a.set)
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
// and the addresses of their targets.
func (r *Wire) found(b []byte, s *set) ([]byte, bool) {
	if int(s.most) > (min(r.Room, farthest)-len(b))/smallest { // before any work: it will not fit
		return b, false
	}
	of := s.choose(int(s.most))
	ttl := ttlUntil(s.ends(of, enough(r.TTL, r.Now)), r.TTL, r.Now)
	binary.BigEndian.PutUint16(b[6:], uint16(of.n))
	if s.targets > 0 {
		return s.appendPointing(b, of, ttl), true
	}
	left := s.from(of.start)
	for range of.n {
		var rest []byte
		rest, left = s.next(left)
		b = appendRecord(b, questionAt, rest, ttl)
	}
	return b, true
}

// appendPointing appends records that have targets, and the addresses of those.
func (p *packed) appendPointing(b []byte, of choice, ttl uint32) []byte {
	var seen bitset
	var room [16]targetAt
	targets := room[:0]
	left := p.from(of.start)
	for range of.n {
		var rest []byte
		var target int
		rest, left = p.next(left)
		target, left = cutTarget(left)
		if seen.add(target, int(p.targets)) {
			targets = append(targets, targetAt{uint32(target), uint32(len(b) + pointerLen + nameAt(rest))})
		}
		b = appendRecord(b, questionAt, rest, ttl)
	}
	extra := binary.BigEndian.Uint16(b[10:])
	for _, t := range targets {
		for left := p.addresses(int(t.target)); len(left) > 0; extra++ {
			var rest []byte
			rest, left = cut(left)
			b = appendRecord(b, pointer|uint16(t.at), rest, ttl)
		}
	}
	binary.BigEndian.PutUint16(b[10:], extra)
	return b
}

// targetAt is the number of a target, and where in the message its name stands.
type targetAt struct{ target, at uint32 }

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
