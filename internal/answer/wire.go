package answer

import (
	"encoding/binary"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/table"

	"github.com/miekg/dns"
)

// Wire is a reply in wire form, assembled from records that were packed once. It saves what a
// dns.Msg costs for each query: copying records, compressing names, and measuring the message twice
// in CoreDNS; about a third of the time of a query for three addresses. [Reply] builds the same as
// a message, which other plugins can read, and handles replies that do not fit; a test compares the
// two. A Wire belongs to one query.
type Wire struct {
	Request *dns.Msg
	Room    int // most bytes of the reply
	TTL     uint32
	Now     lease.Time
}

// Lengths in a message (RFC 1035, section 4.1).
const (
	headerLen          = 12
	pointerLen         = 2
	ttlAt              = 4      // offset of the TTL in a body
	maxPointerOffset   = 0x3fff // largest offset that a compression pointer holds
	compressionPointer = 0xc0 << 8
)

// questionName is a pointer to the name in the question, which owns all answers.
const questionName = compressionPointer | headerLen

// Append appends the zone's reply to b, which is empty. It reports false if only a Reply can
// express it: aliases, requests with options, and replies that do not fit.
func (r *Wire) Append(b []byte, a *Answer, z *Zone, s *table.State) ([]byte, bool) {
	opt, ok := r.simpleRequest()
	if !ok || a.Outcome == Alias || a.Outcome == NotReady {
		return b, false
	}
	b, ok = r.appendHeader(b, a.Outcome)
	if !ok {
		return b, false
	}
	if a.Outcome == Found {
		b, ok = r.appendAnswer(b, a.set)
	} else {
		b = z.appendSOA(b, s.Serial(), r.TTL)
	}
	if opt != nil {
		b = appendOPT(b, opt)
	}
	return b, ok && len(b) <= min(r.Room, maxPointerOffset)
}

// simpleRequest reports whether the request consists of one question and at most an OPT record
// without options, which it returns.
func (r *Wire) simpleRequest() (opt *dns.OPT, ok bool) {
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

// appendHeader appends the header and the question, in the letter case of the request.
func (r *Wire) appendHeader(b []byte, o Outcome) ([]byte, bool) {
	m, q := r.Request, &r.Request.Question[0]
	flags := uint16(1<<15 | 1<<10) // QR, AA
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

// appendAnswer appends the records of an RRset, beginning with a random instance, and the addresses
// of their targets.
func (r *Wire) appendAnswer(b []byte, s *rrset) ([]byte, bool) {
	if int(s.maxRecords) > (min(r.Room, maxPointerOffset)-len(b))/minRecordBytes { // it cannot fit
		return b, false
	}
	c := s.choose(int(s.maxRecords))
	ttl := ttlFor(s.earliestEnd(c, fullTTLDeadline(r.TTL, r.Now)), r.TTL, r.Now)
	binary.BigEndian.PutUint16(b[6:], uint16(c.n))
	if s.numTargets > 0 {
		return s.appendWithTargets(b, c, ttl), true
	}
	left := s.recordsFrom(c.start)
	for range c.n {
		var body []byte
		body, left = s.nextRecord(left)
		b = appendRecord(b, questionName, body, ttl)
	}
	return b, true
}

// appendWithTargets appends records that have targets, then the addresses of these targets.
func (p *packed) appendWithTargets(b []byte, c choice, ttl uint32) []byte {
	var seen bitset
	var room [16]targetOffset
	targets := room[:0]
	left := p.recordsFrom(c.start)
	for range c.n {
		var body []byte
		var target int
		body, left = p.nextRecord(left)
		target, left = cutTarget(left)
		if seen.add(target, int(p.numTargets)) {
			targets = append(targets, targetOffset{uint32(target), uint32(len(b) + pointerLen + nameAt(body))})
		}
		b = appendRecord(b, questionName, body, ttl)
	}
	extra := binary.BigEndian.Uint16(b[10:])
	for _, t := range targets {
		for left := p.addresses(int(t.target)); len(left) > 0; extra++ {
			var body []byte
			body, left = cutRecord(left)
			b = appendRecord(b, compressionPointer|uint16(t.offset), body, ttl)
		}
	}
	binary.BigEndian.PutUint16(b[10:], extra)
	return b
}

// targetOffset is the number of a target, and the offset of its name in the message.
type targetOffset struct{ target, offset uint32 }

// appendRecord appends an owner and a body, and sets its TTL.
func appendRecord(b []byte, owner uint16, body []byte, ttl uint32) []byte {
	b = binary.BigEndian.AppendUint16(b, owner)
	at := len(b)
	b = append(b, body...)
	binary.BigEndian.PutUint32(b[at+ttlAt:], ttl)
	return b
}

// appendOPT appends the OPT record with which CoreDNS answers one without options: the same, with
// version 0 and without an extended response code.
func appendOPT(b []byte, opt *dns.OPT) []byte {
	b = append(b, 0)
	b = binary.BigEndian.AppendUint16(b, dns.TypeOPT)
	b = binary.BigEndian.AppendUint16(b, opt.Hdr.Class)
	b = binary.BigEndian.AppendUint32(b, opt.Hdr.Ttl&0xff00)
	return binary.BigEndian.AppendUint16(b, 0)
}

// appendSOA appends the zone's SOA record. The message ends with the question, whose name is in the
// zone.
func (z *Zone) appendSOA(b []byte, serial, ttl uint32) []byte {
	if z.originLen == 1 {
		b = append(b, 0) // the root is shorter than a pointer to it
	} else {
		b = binary.BigEndian.AppendUint16(b, compressionPointer|uint16(len(b)-4-z.originLen))
	}
	at := len(b)
	b = append(b, z.soa...)
	binary.BigEndian.PutUint32(b[at+ttlAt:], ttl)
	binary.BigEndian.PutUint32(b[len(b)-20:], serial)
	binary.BigEndian.PutUint32(b[len(b)-4:], ttl)
	return b
}
