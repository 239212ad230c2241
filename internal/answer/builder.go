package answer

import (
	"bytes"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// builder collects the records of an RRset, each of them once (RFC 2181, section 5).
type builder struct {
	maxRecords  int          // in an answer; 0 means all
	forTransfer bool         // for a zone transfer, which no message bounds
	wheel       *lease.Wheel // of the leases; nil if all records are static
	records     []record
	bytes       int            // least size of the records in a message
	starts      []int          // indexes of the first record of each instance
	index       map[string]int // rdata to index, past maxLinear records
	newInstance bool           // the next record is the first of its instance
}

// record is a resource record on its way into an RRset.
type record struct {
	body     []byte         // its wire form after the owner: type, class, TTL, length, rdata
	leaseIDs []lease.Number // of all instances that it stands for
	target   *target        // of an SRV or NS record, else nil
}

// target is the host that an SRV or NS record names, with its addresses.
type target struct {
	name     []byte         // in wire form
	glue     []byte         // the bodies of its address records
	leaseIDs []lease.Number // that they depend on

	ports       []service.Port // added last
	firstRecord int            // index of the record of the first of them
}

// newTarget returns a target with the addresses that a builder holds.
func newTarget(name []byte, addresses *builder) *target {
	t := &target{name: name}
	t.setGlue(addresses)
	for _, r := range addresses.records {
		t.leaseIDs = append(t.leaseIDs, r.leaseIDs...)
	}
	return t
}

// setGlue sets the addresses of a target to those that a builder holds.
func (t *target) setGlue(addresses *builder) {
	for _, r := range addresses.records {
		t.glue = append(t.glue, r.body...)
	}
}

// full reports whether the builder holds more records than the largest message can carry. More
// would be of no use: no client could receive them.
func (b *builder) full() bool {
	if b.forTransfer {
		return b.bytes > maxTransferBytes
	}
	return b.bytes > dns.MaxMsgSize
}

// maxTransferBytes bounds an RRset of a transfer, so that offsets into it fit 32 bits. Everything
// beside the records takes a few times their size at most.
const maxTransferBytes = 1 << 28

// beginInstance starts another instance: the records that follow are its own.
func (b *builder) beginInstance() { b.newInstance = true }

// add appends a record and returns its index.
func (b *builder) add(r record) int {
	b.bytes += pointerLen + minBodyBytes(r.body)
	b.records = append(b.records, r)
	return len(b.records) - 1
}

// minBodyBytes returns the least that a record body takes in a message. Names in PTR records are
// compressed (RFC 3597, section 4), to a pointer at best.
func minBodyBytes(body []byte) int {
	if binary.BigEndian.Uint16(body) == dns.TypePTR {
		return rdataAt + pointerLen
	}
	return len(body)
}

// markStart notes that an answer may begin with the record at that index, if it is the first of the
// current instance.
func (b *builder) markStart(at int) {
	if b.newInstance {
		b.starts = append(b.starts, at)
		b.newInstance = false
	}
}

// maxLinear is the number of records up to which a linear search is fast enough.
const maxLinear = 16

// findRdata returns the index of the record with that rdata, or -1.
func (b *builder) findRdata(rdata []byte) int {
	if len(b.records) < maxLinear {
		return slices.IndexFunc(b.records, func(r record) bool { return bytes.Equal(r.body[rdataAt:], rdata) })
	}
	if b.index == nil {
		b.index = make(map[string]int)
		for i, r := range b.records {
			b.index[string(r.body[rdataAt:])] = i
		}
	}
	if i, known := b.index[string(rdata)]; known {
		return i
	}
	return -1
}

// addRdata adds a record that depends on a lease. If the builder holds it already, it stands for
// this instance too, and an answer that begins with this instance begins there.
func (b *builder) addRdata(qtype uint16, rdata []byte, leaseID lease.Number) {
	i := b.findRdata(rdata)
	if i < 0 {
		i = b.add(record{body: newBody(qtype, rdata)})
		if b.index != nil {
			b.index[string(rdata)] = i
		}
	}
	if leaseID != noLease {
		b.records[i].leaseIDs = append(b.records[i].leaseIDs, leaseID)
	}
	b.markStart(i)
}

// noLease is the lease number of static instances.
const noLease lease.Number = 0

func (b *builder) addAddress(addr netip.Addr, leaseID lease.Number) {
	if addr.Is4() {
		four := addr.As4()
		b.addRdata(dns.TypeA, four[:], leaseID)
	} else {
		sixteen := addr.As16()
		b.addRdata(dns.TypeAAAA, sixteen[:], leaseID)
	}
}

// addFamily starts an instance and adds its addresses of one family.
func (b *builder) addFamily(addrs []netip.Addr, family func(netip.Addr) bool, leaseID lease.Number) {
	b.beginInstance()
	for _, addr := range addrs {
		if family(addr) {
			b.addAddress(addr, leaseID)
		}
	}
}

// set returns the RRset of all records.
func (b *builder) set() *rrset {
	s := new(rrset)
	b.fill(s)
	return s
}

// fill fills an empty RRset with all records.
func (b *builder) fill(s *rrset) {
	n := len(b.records)
	s.maxRecords = int32(n)
	if b.maxRecords > 0 {
		s.maxRecords = int32(min(n, b.maxRecords))
	}
	if n > 0 {
		s.packed = b.pack()
	}
	if s.leaseIDsAt > 0 {
		s.wheel = b.wheel
		s.earliestBound.Store(math.MinInt64)
	}
}

// pack lays out all parts of the set, see [packed].
func (b *builder) pack() (p packed) {
	targets, numberOf := b.targets()
	p.numRecords, p.numTargets = int32(len(b.records)), int32(len(targets))

	out := make([]byte, len(b.records)*numberLen, max(1024, len(b.records)*64)) // cloned at the end
	for n, r := range b.records {
		binary.BigEndian.PutUint32(out[n*numberLen:], uint32(len(out)))
		out = append(out, r.body...)
		if r.target != nil {
			out = appendNumber(out, numberOf[r.target])
		}
	}
	p.recordsEnd = int32(len(out))

	if len(targets) > 0 {
		var offsets []int
		for _, t := range targets {
			offsets = append(offsets, len(out))
			out = append(out, t.glue...)
		}
		offsets = append(offsets, len(out))
		p.glueAt = int32(len(out))
		out = appendNumber(out, offsets...)
	}
	if lists, leased := b.leaseIDLists(targets); leased {
		p.leaseIDsAt = int32(len(out))
		at := len(out) + (len(lists)+1)*numberLen
		for _, list := range lists {
			out = appendNumber(out, at)
			at += len(list) * numberLen
		}
		out = appendNumber(out, at)
		for _, list := range lists {
			out = appendNumber(out, list...)
		}
	}
	if !b.uniform() {
		p.startsAt = int32(len(out))
		out = appendNumber(out, b.starts...)
	}
	p.bytes = slices.Clone(out)
	return p
}

// appendNumber appends numbers of 4 bytes each.
func appendNumber[N ~int | ~uint32](b []byte, numbers ...N) []byte {
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	return b
}

// targets returns the targets of the records and the number of each.
func (b *builder) targets() (targets []*target, numberOf map[*target]int) {
	for _, r := range b.records {
		if r.target == nil {
			continue
		}
		if _, known := numberOf[r.target]; !known {
			if numberOf == nil {
				numberOf = make(map[*target]int)
			}
			numberOf[r.target] = len(targets)
			targets = append(targets, r.target)
		}
	}
	return targets, numberOf
}

// leaseIDLists returns the leases of each record, then of each target, and reports whether there
// are any.
func (b *builder) leaseIDLists(targets []*target) (lists [][]lease.Number, leased bool) {
	for _, r := range b.records {
		lists = append(lists, r.leaseIDs)
		leased = leased || len(r.leaseIDs) > 0
	}
	for _, t := range targets {
		lists = append(lists, t.leaseIDs)
		leased = leased || len(t.leaseIDs) > 0
	}
	return lists, leased
}

// uniform reports whether an answer may begin with each record, all equally likely.
func (b *builder) uniform() bool {
	for i, start := range b.starts {
		if start != i {
			return false
		}
	}
	return len(b.starts) == 0 || len(b.starts) == len(b.records)
}

// singleRecord is an RRset of one record in a single allocation.
type singleRecord struct {
	rrset
	room [singleRdataAt + 64]byte
}

// singleRdataAt is the offset of the rdata of a single record: its own offset and the body's header
// come first.
const singleRdataAt = numberLen + rdataAt

// singleLeaseListLen is the size of the list of its only lease: where the list begins, where it
// ends, and the lease.
const singleLeaseListLen = 3 * numberLen

// finish returns the RRset of the record in b, which depends on a lease of the wheel; l is nil if
// it is static.
func (s *singleRecord) finish(b []byte, qtype uint16, l *lease.Lease, wheel *lease.Wheel) *rrset {
	binary.BigEndian.PutUint32(b, numberLen)
	putBodyHeader(b[numberLen:], qtype)
	s.numRecords, s.maxRecords, s.recordsEnd = 1, 1, int32(len(b))
	if l != nil {
		s.wheel, s.leaseIDsAt = wheel, s.recordsEnd
		s.earliestBound.Store(math.MinInt64)
		b = appendNumber(b, len(b)+2*numberLen, len(b)+singleLeaseListLen, int(l.Number()))
	}
	s.bytes = b
	return &s.rrset
}
