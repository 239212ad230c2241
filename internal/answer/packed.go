package answer

import (
	"encoding/binary"
	"slices"

	"github.com/miekg/dns"
)

// packed is records in wire form and what there is to know of them, all in one piece: in a
// large table each piece is one that the processor has to fetch, and the garbage collector
// to mark. These follow each other in bytes, numbers and places in bytes with 4 bytes each:
//
//	places    of the records
//	records   without their owners; behind each that has a target the target's number
//	glue      the records of the targets' addresses, also without their owners
//	glueAt    where the addresses of each target begin, and one more place for the end
//	lendersAt where the list of each record begins, then that of each target, and the end
//	          of the last; then the lists: numbers of the leases that it depends on
//	startsAt  the numbers of the records that those of an instance begin with
//
// A part that is not there is at 0.
type packed struct {
	bytes                       []byte
	n, targets                  int32 // how many records there are, and targets
	end                         int32 // of the records
	glueAt, lendersAt, startsAt int32
}

const (
	numberLen = 4
	dataAt    = 10 // of a record without its owner, behind the length of its data
)

// number returns the i-th of the numbers that begin there.
func (p *packed) number(at int32, i int) int {
	return int(binary.BigEndian.Uint32(p.bytes[int(at)+i*numberLen:]))
}

// from returns the records from the n-th to the last.
func (p *packed) from(n int) []byte { return p.bytes[p.number(0, n):p.end] }

// next cuts the first record off those that are left; after the last comes the first.
func (p *packed) next(left []byte) (rest, after []byte) {
	if len(left) == 0 {
		left = p.from(0)
	}
	return cut(left)
}

// cut cuts the first record, which has no owner, off some.
func cut(b []byte) (rest, after []byte) {
	n := dataAt + int(binary.BigEndian.Uint16(b[dataAt-2:]))
	return b[:n], b[n:]
}

// cutTarget cuts the number of a target off that stands behind a record.
func cutTarget(b []byte) (target int, after []byte) {
	return int(binary.BigEndian.Uint32(b)), b[numberLen:]
}

// targetOf returns the number of a record's target; false where it has none.
func (p *packed) targetOf(n int) (target int, ok bool) {
	if p.targets == 0 {
		return 0, false
	}
	_, after := cut(p.from(n))
	target, _ = cutTarget(after)
	return target, true
}

// addresses returns the records of a target's addresses.
func (p *packed) addresses(target int) []byte {
	return p.bytes[p.number(p.glueAt, target):p.number(p.glueAt, target+1)]
}

// lenders yields the numbers of the leases that the k-th depends on: records first, then
// targets.
func (p *packed) lenders(k int) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for at, end := p.number(p.lendersAt, k), p.number(p.lendersAt, k+1); at < end; at += numberLen {
			if !yield(p.number(int32(at), 0)) {
				return
			}
		}
	}
}

// starts returns how many places there are for an answer to begin.
func (p *packed) starts() int {
	if p.startsAt == 0 {
		return int(p.n)
	}
	return (len(p.bytes) - int(p.startsAt)) / numberLen
}

// start returns the i-th of those places.
func (p *packed) start(i int) int {
	if p.startsAt == 0 {
		return i
	}
	return p.number(p.startsAt, i)
}

// nameAt returns where the name begins that a record without its owner ends with.
func nameAt(rest []byte) int {
	if binary.BigEndian.Uint16(rest) == dns.TypeSRV {
		return dataAt + 6
	}
	return dataAt
}

// record returns a record of the set, owned by owner.
func (p *packed) record(n int, owner string) dns.RR {
	rest, _ := cut(p.from(n))
	return unpack(owner, rest)
}

// appendGlue appends the addresses of a target, which has that name.
func (p *packed) appendGlue(rrs []dns.RR, target int, name string) []dns.RR {
	for left := p.addresses(target); len(left) > 0; {
		var rest []byte
		rest, left = cut(left)
		rrs = append(rrs, unpack(name, rest))
	}
	return rrs
}

// targetName returns the name of a record's target; empty where it has none.
func targetName(rr dns.RR) string {
	switch rr := rr.(type) {
	case *dns.SRV:
		return rr.Target
	case *dns.NS:
		return rr.Ns
	}
	return ""
}

// unpack returns the record that was packed without its owner. The commonest types are taken
// apart here, which saves most of what the general way costs: an address is not even copied,
// since nobody changes one in place.
func unpack(owner string, rest []byte) dns.RR {
	hdr, data := header(owner, binary.BigEndian.Uint16(rest)), rest[dataAt:]
	switch hdr.Rrtype {
	case dns.TypeA:
		return &dns.A{Hdr: hdr, A: data[:4:4]}
	case dns.TypeAAAA:
		return &dns.AAAA{Hdr: hdr, AAAA: data[:16:16]}
	case dns.TypeSRV:
		srv := &dns.SRV{
			Hdr:      hdr,
			Priority: binary.BigEndian.Uint16(data),
			Weight:   binary.BigEndian.Uint16(data[2:]),
			Port:     binary.BigEndian.Uint16(data[4:]),
		}
		srv.Target, _, _ = dns.UnpackDomainName(data, 6) // it was packed by the same library
		return srv
	}
	rr, _, err := dns.UnpackRR(append([]byte{0}, rest...), 0)
	if err != nil { // as above
		return &dns.RFC3597{Hdr: hdr}
	}
	rr.Header().Name = owner
	rr.Header().Rdlength = 0
	return rr
}

// newRest packs a record of the Internet without its owner, and with a TTL of 0.
func newRest(qtype uint16, data ...[]byte) []byte {
	n := dataAt
	for _, part := range data {
		n += len(part)
	}
	b := make([]byte, dataAt, n)
	for _, part := range data {
		b = append(b, part...)
	}
	putFixed(b, qtype)
	return b
}

// putFixed writes what stands before the data of a record that has no owner.
func putFixed(rest []byte, qtype uint16) {
	binary.BigEndian.PutUint16(rest, qtype)
	binary.BigEndian.PutUint16(rest[2:], dns.ClassINET)
	binary.BigEndian.PutUint32(rest[ttlAt:], 0)
	binary.BigEndian.PutUint16(rest[dataAt-2:], uint16(len(rest)-dataAt))
}

// longestName is the most bytes that a name takes in a message (RFC 1035, section 3.1).
const longestName = 255

// packName returns a name, fully qualified, as it stands in a message that is not compressed;
// false where it has no place in one.
func packName(name string) (wire []byte, ok bool) {
	b := make([]byte, longestName+1)
	end, err := dns.PackDomainName(name, b, 0, nil, false)
	if err != nil || end > longestName {
		return nil, false
	}
	return slices.Clone(b[:end]), true
}

// packBelow returns the name of some labels, in which nothing is escaped, below a name; false
// where it has no place in a message.
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
