package answer

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"

	"github.com/coredns-registry/registry/internal/lease"

	"github.com/miekg/dns"
)

// builder gathers records into a set in which each stands once (RFC 2181, section 5).
type builder struct {
	most    int            // records in one answer; 0 is all
	leases  []*lease.Lease // by the numbers that lenders have
	records []record
	starts  []uint32
	at      map[string]int // key to place, once there are more than a few
	fresh   bool           // the next record is the first of its instance
}

// record is one resource record on its way into a set.
type record struct {
	key     string   // no other record of the set has it
	rest    []byte   // packed, without its owner
	lenders []uint32 // the numbers of the leases of all instances that it stands for
	target  *target  // of an SRV or NS record
}

// target is a name that leads to addresses.
type target struct {
	name    []byte   // in wire form
	glue    []byte   // the records of its addresses, without their owner
	lenders []uint32 // the numbers of the leases that they depend on
}

// newTarget returns a target with the addresses that a builder has gathered.
func newTarget(name []byte, addresses *builder) *target {
	t := &target{name: name}
	for _, r := range addresses.records {
		t.glue = append(t.glue, r.rest...)
		t.lenders = append(t.lenders, r.lenders...)
	}
	return t
}

// begin says that the records that follow are those of another instance.
func (b *builder) begin() { b.fresh = true }

// add appends a record, or lets the one that has the same key stand for this instance
// too: then an answer that is to begin with this instance begins there.
func (b *builder) add(key string, r record) {
	i := b.find(key)
	if i >= 0 {
		b.records[i].lenders = append(b.records[i].lenders, r.lenders...)
	} else {
		i = len(b.records)
		r.key = key
		b.records = append(b.records, r)
		if b.at != nil {
			b.at[key] = i
		}
	}
	if b.fresh {
		b.starts = append(b.starts, uint32(i))
		b.fresh = false
	}
}

// few is how many records are searched one by one.
const few = 16

// find returns the place of the record that has that key; less than 0 where there is none.
func (b *builder) find(key string) int {
	if len(b.records) < few {
		return slices.IndexFunc(b.records, func(r record) bool { return r.key == key })
	}
	if b.at == nil {
		b.at = make(map[string]int)
		for i, r := range b.records {
			b.at[r.key] = i
		}
	}
	if i, known := b.at[key]; known {
		return i
	}
	return -1
}

// addData adds a record of that type and data, which depends on the lease of that number.
func (b *builder) addData(qtype uint16, data []byte, lender int) {
	b.add(string(data), record{rest: newRest(qtype, data), lenders: b.lender(lender)})
}

// static in the place of a lease's number says that there is none.
const static = -1

// lender returns the number of a lease as a list; nil where that is none.
func (b *builder) lender(number int) []uint32 {
	if number < 0 || b.leases == nil || b.leases[number] == nil {
		return nil
	}
	return []uint32{uint32(number)}
}

func (b *builder) addAddress(addr netip.Addr, lender int) {
	qtype := dns.TypeAAAA
	if addr.Is4() {
		qtype = dns.TypeA
	}
	b.addData(qtype, addr.AsSlice(), lender)
}

// addFamily adds those of an instance's addresses that are of a family, as its first
// records.
func (b *builder) addFamily(addrs []netip.Addr, family func(netip.Addr) bool, lender int) {
	b.begin()
	for _, addr := range addrs {
		if family(addr) {
			b.addAddress(addr, lender)
		}
	}
}

// set returns what was gathered.
func (b *builder) set() *set {
	n := len(b.records)
	s := &set{n: n, most: n}
	if b.most > 0 {
		s.most = min(n, b.most)
	}
	if n == 0 {
		return s
	}
	if !b.uniform() {
		s.starts = append([]uint32(nil), b.starts...)
	}
	targets, numbers := b.targets()
	s.packed = b.pack(targets, numbers)
	s.leases, s.lenders = b.lenders(targets)
	s.until.Store(math.MinInt64)
	return s
}

// lone is a set of a single record in one piece of memory, without what a builder takes for
// several. The record is written behind fixed, which has room for all that stands before data.
type lone struct {
	set
	lease [1]*lease.Lease
	fixed [placeLen + dataAt + 64]byte
}

// finish makes a set of the record that b is, of that type. It depends on a lease, or on none.
func (s *lone) finish(b []byte, qtype uint16, l *lease.Lease) *set {
	binary.BigEndian.PutUint32(b, placeLen)
	putFixed(b[placeLen:], qtype)
	s.bytes, s.end = b, len(b)
	s.n, s.most = 1, 1
	if l != nil {
		s.lease[0] = l
		s.leases, s.lenders = s.lease[:], loneLender
		s.until.Store(math.MinInt64)
	}
	return &s.set
}

// loneLender lists the first lease for a single record.
var loneLender = listed([][]uint32{{0}})

// uniform reports whether an answer may begin with every record, each as likely.
func (b *builder) uniform() bool {
	for i, start := range b.starts {
		if int(start) != i {
			return false
		}
	}
	return len(b.starts) == 0 || len(b.starts) == len(b.records)
}

// targets numbers the targets of the records.
func (b *builder) targets() (targets []*target, numbers map[*target]int) {
	for _, r := range b.records {
		if r.target == nil {
			continue
		}
		if _, known := numbers[r.target]; !known {
			if numbers == nil {
				numbers = make(map[*target]int)
			}
			numbers[r.target] = len(targets)
			targets = append(targets, r.target)
		}
	}
	return targets, numbers
}

func (b *builder) pack(targets []*target, numbers map[*target]int) packed {
	size := 0
	for _, r := range b.records {
		size += placeLen + len(r.rest)
		if r.target != nil {
			size += numberLen
		}
	}
	for _, t := range targets {
		size += len(t.glue)
	}
	var p packed
	p.bytes = make([]byte, len(b.records)*placeLen, size)
	for n, r := range b.records {
		binary.BigEndian.PutUint32(p.bytes[n*placeLen:], uint32(len(p.bytes)))
		p.bytes = append(p.bytes, r.rest...)
		if r.target != nil {
			p.bytes = binary.BigEndian.AppendUint32(p.bytes, uint32(numbers[r.target]))
		}
	}
	p.end = len(p.bytes)
	if targets == nil {
		return p
	}
	p.glue = make([]uint32, len(targets)+1)
	for number, t := range targets {
		p.glue[number] = uint32(len(p.bytes))
		p.bytes = append(p.bytes, t.glue...)
	}
	p.glue[len(targets)] = uint32(len(p.bytes))
	return p
}

// lenders returns the leases that the records and their targets depend on; nil where they depend
// on none.
func (b *builder) lenders(targets []*target) ([]*lease.Lease, lenders) {
	leased := false
	lists := make([][]uint32, 0, len(b.records)+len(targets))
	for _, r := range b.records {
		lists = append(lists, r.lenders)
		leased = leased || len(r.lenders) > 0
	}
	for _, t := range targets {
		lists = append(lists, t.lenders)
		leased = leased || len(t.lenders) > 0
	}
	if !leased {
		return nil, nil
	}
	return b.leases, listed(lists)
}
