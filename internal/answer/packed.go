package answer

import (
	"encoding/binary"
	"slices"

	"github.com/miekg/dns"
)

// packed is an RRset in wire form with what belongs to it, in one allocation: in a large table each
// allocation costs a cache miss and work for the garbage collector. Its parts follow each other in
// bytes; numbers and offsets into bytes take 4 bytes each:
//
//	offsets    of the records
//	records    their bodies, each followed by the number of its target if it has one
//	glue       the bodies of the targets' address records
//	glueAt     the offset of each target's glue, then that of the end
//	leaseIDsAt the offset of each record's lease list, of each target's, and of the end;
//	           then the lists: numbers of the leases that the record or target depends on
//	startsAt   the indexes of the records that are the first of an instance
//
// The offset of a part that is absent is 0.
type packed struct {
	bytes                        []byte
	numRecords, numTargets       int32
	recordsEnd                   int32
	glueAt, leaseIDsAt, startsAt int32
}

const (
	numberLen = 4
	rdataAt   = 10 // offset of the rdata in a body, after its length
)

// number returns the i-th of the numbers at an offset.
func (p *packed) number(at int32, i int) int {
	return int(binary.BigEndian.Uint32(p.bytes[int(at)+i*numberLen:]))
}

// record unpacks a record, with an owner.
func (p *packed) recordsFrom(n int) []byte { return p.bytes[p.number(0, n):p.recordsEnd] }

// nextRecord cuts the first record off the remaining ones, and starts again when none remain.
func (p *packed) nextRecord(left []byte) (body, after []byte) {
	if len(left) == 0 {
		left = p.recordsFrom(0)
	}
	return cutRecord(left)
}

// cutRecord cuts the first body off b.
func cutRecord(b []byte) (body, after []byte) {
	n := rdataAt + int(binary.BigEndian.Uint16(b[rdataAt-2:]))
	return b[:n], b[n:]
}

// cutTarget cuts the target number off that follows a body.
func cutTarget(b []byte) (target int, after []byte) {
	return int(binary.BigEndian.Uint32(b)), b[numberLen:]
}

// targetOf returns the number of a record's target; ok is false if it has none.
func (p *packed) targetOf(n int) (target int, ok bool) {
	if p.numTargets == 0 {
		return 0, false
	}
	_, after := cutRecord(p.recordsFrom(n))
	target, _ = cutTarget(after)
	return target, true
}

// addresses returns the bodies of a target's address records.
func (p *packed) addresses(target int) []byte {
	return p.bytes[p.number(p.glueAt, target):p.number(p.glueAt, target+1)]
}

// leaseIDs yields the leases that the k-th entry depends on. Entries are the records, then the
// targets.
func (p *packed) leaseIDs(k int) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for at, end := p.number(p.leaseIDsAt, k), p.number(p.leaseIDsAt, k+1); at < end; at += numberLen {
			if !yield(p.number(int32(at), 0)) {
				return
			}
		}
	}
}

// starts returns the number of records that an answer may begin with.
func (p *packed) starts() int {
	if p.startsAt == 0 {
		return int(p.numRecords)
	}
	return (len(p.bytes) - int(p.startsAt)) / numberLen
}

// start returns the index of the i-th of them.
func (p *packed) start(i int) int {
	if p.startsAt == 0 {
		return i
	}
	return p.number(p.startsAt, i)
}

// nameAt returns the offset, in a body, of the name that its rdata ends with.
func nameAt(body []byte) int {
	if binary.BigEndian.Uint16(body) == dns.TypeSRV {
		return rdataAt + 6
	}
	return rdataAt
}

// record returns a record of the set, owned by owner.
func (p *packed) record(n int, owner string) dns.RR {
	body, _ := cutRecord(p.recordsFrom(n))
	return unpack(owner, body)
}

// appendGlue appends the address records of a target, which has that name.
func (p *packed) appendGlue(rrs []dns.RR, target int, name string) []dns.RR {
	for left := p.addresses(target); len(left) > 0; {
		var body []byte
		body, left = cutRecord(left)
		rrs = append(rrs, unpack(name, body))
	}
	return rrs
}

// TargetName returns the name of the host that an SRV, NS or PTR record leads to, or "".
func TargetName(rr dns.RR) string {
	switch rr := rr.(type) {
	case *dns.SRV:
		return rr.Target
	case *dns.NS:
		return rr.Ns
	case *dns.PTR:
		return rr.Ptr
	}
	return ""
}

// unpack unpacks a body. The most frequent types skip the general decoder, which costs far more.
// The address is not copied: nobody changes one in place.
func unpack(owner string, body []byte) dns.RR {
	hdr, rdata := header(owner, binary.BigEndian.Uint16(body)), body[rdataAt:]
	switch hdr.Rrtype {
	case dns.TypeA:
		return &dns.A{Hdr: hdr, A: rdata[:4:4]}
	case dns.TypeAAAA:
		return &dns.AAAA{Hdr: hdr, AAAA: rdata[:16:16]}
	case dns.TypeSRV:
		srv := &dns.SRV{
			Hdr:      hdr,
			Priority: binary.BigEndian.Uint16(rdata),
			Weight:   binary.BigEndian.Uint16(rdata[2:]),
			Port:     binary.BigEndian.Uint16(rdata[4:]),
		}
		srv.Target, _, _ = dns.UnpackDomainName(rdata, 6) // cannot fail: packed by the same library
		return srv
	}
	rr, _, err := dns.UnpackRR(append([]byte{0}, body...), 0)
	if err != nil { // likewise
		return &dns.RFC3597{Hdr: hdr}
	}
	rr.Header().Name = owner
	rr.Header().Rdlength = 0
	return rr
}

// newBody packs a record without its owner, of class IN and with a TTL of 0.
func newBody(qtype uint16, rdata ...[]byte) []byte {
	n := rdataAt
	for _, part := range rdata {
		n += len(part)
	}
	b := make([]byte, rdataAt, n)
	for _, part := range rdata {
		b = append(b, part...)
	}
	putBodyHeader(b, qtype)
	return b
}

// putBodyHeader writes what precedes the rdata in a body.
func putBodyHeader(body []byte, qtype uint16) {
	binary.BigEndian.PutUint16(body, qtype)
	binary.BigEndian.PutUint16(body[2:], dns.ClassINET)
	binary.BigEndian.PutUint32(body[ttlAt:], 0)
	binary.BigEndian.PutUint16(body[rdataAt-2:], uint16(len(body)-rdataAt))
}

// longestName is the largest size of a name in a message (RFC 1035, section 3.1).
const longestName = 255

// packName returns a fully qualified name in wire form, uncompressed; ok is false if it is too
// long.
func packName(name string) (wire []byte, ok bool) {
	b := make([]byte, longestName+1)
	end, err := dns.PackDomainName(name, b, 0, nil, false)
	if err != nil || end > longestName {
		return nil, false
	}
	return slices.Clone(b[:end]), true
}

// packBelow returns the name of some labels below a name; ok is false if it is too long. The labels
// hold no escapes.
func packBelow(name []byte, labels ...string) (wire []byte, ok bool) {
	n := len(name)
	for _, label := range labels {
		n += 1 + len(label)
	}
	return appendBelow(make([]byte, 0, n), name, labels...)
}

// appendBelow appends what packBelow returns.
func appendBelow(b, name []byte, labels ...string) ([]byte, bool) {
	n := len(b)
	for _, label := range labels {
		b = append(append(b, byte(len(label))), label...)
	}
	b = append(b, name...)
	return b, len(name) > 0 && len(b)-n <= longestName
}
