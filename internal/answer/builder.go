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

// builder gathers records into a set in which each stands once (RFC 2181, section 5).
type builder struct {
	most    int          // records in one answer; 0 is all
	whole   bool         // it is for a transfer, which messages do not bound
	leases  *lease.Wheel // that lenders are on; nil where all are static
	records []record
	bytes   int // that the records take in a message, at the least
	starts  []int
	at      map[string]int // data to place, once there are more than a few
	fresh   bool           // the next record is the first of its instance
}

// record is one resource record on its way into a set.
type record struct {
	rest    []byte         // packed, without its owner
	lenders []lease.Number // the leases of all instances that it stands for
	target  *target        // of an SRV or NS record
}

// target is a name that leads to addresses.
type target struct {
	name    []byte         // in wire form
	glue    []byte         // the records of its addresses, without their owner
	lenders []lease.Number // the leases that they depend on

	ports []service.Port // that were added last
	first int            // the record of the first of them
}

// newTarget returns a target with the addresses that a builder has gathered.
func newTarget(name []byte, addresses *builder) *target {
	t := &target{name: name}
	t.setGlue(addresses)
	for _, r := range addresses.records {
		t.lenders = append(t.lenders, r.lenders...)
	}
	return t
}

// setGlue gives a target the addresses that a builder has gathered.
func (t *target) setGlue(addresses *builder) {
	for _, r := range addresses.records {
		t.glue = append(t.glue, r.rest...)
	}
}

// full reports whether there are more records than the largest message holds: then nobody can
// be sent them all, and it is no use to gather more.
func (b *builder) full() bool {
	if b.whole {
		return b.bytes > longestSet
	}
	return b.bytes > dns.MaxMsgSize
}

// longestSet bounds the sets of a transfer, so that places in them have 32 bits: what stands
// beside the records takes a few times as much at the most.
const longestSet = 1 << 28

// begin says that the records that follow are those of another instance.
func (b *builder) begin() { b.fresh = true }

// add appends a record, and returns its place.
func (b *builder) add(r record) int {
	b.bytes += pointerLen + shortest(r.rest)
	b.records = append(b.records, r)
	return len(b.records) - 1
}

// shortest returns the least that a record without its owner takes in a message: names of PTR
// records are compressed (RFC 3597, section 4), at the best to a pointer.
func shortest(rest []byte) int {
	if binary.BigEndian.Uint16(rest) == dns.TypePTR {
		return dataAt + pointerLen
	}
	return len(rest)
}

// start says that the record at a place is one of the instance: the first may begin an answer.
func (b *builder) start(at int) {
	if b.fresh {
		b.starts = append(b.starts, at)
		b.fresh = false
	}
}

// few is how many records are searched one by one.
const few = 16

// find returns the place of the record that has that data; less than 0 where there is none.
func (b *builder) find(data []byte) int {
	if len(b.records) < few {
		return slices.IndexFunc(b.records, func(r record) bool { return bytes.Equal(r.rest[dataAt:], data) })
	}
	if b.at == nil {
		b.at = make(map[string]int)
		for i, r := range b.records {
			b.at[string(r.rest[dataAt:])] = i
		}
	}
	if i, known := b.at[string(data)]; known {
		return i
	}
	return -1
}

// addData adds a record of that type and data, which depends on the lease of that number. One that
// is there stands for this instance too: then an answer that is to begin with this instance
// begins there.
func (b *builder) addData(qtype uint16, data []byte, lender lease.Number) {
	i := b.find(data)
	if i < 0 {
		i = b.add(record{rest: newRest(qtype, data)})
		if b.at != nil {
			b.at[string(data)] = i
		}
	}
	if lender != static {
		b.records[i].lenders = append(b.records[i].lenders, lender)
	}
	b.start(i)
}

// static in the place of a lease's number says that there is none.
const static lease.Number = 0

func (b *builder) addAddress(addr netip.Addr, lender lease.Number) {
	if addr.Is4() {
		four := addr.As4()
		b.addData(dns.TypeA, four[:], lender)
	} else {
		sixteen := addr.As16()
		b.addData(dns.TypeAAAA, sixteen[:], lender)
	}
}

// addFamily adds those of an instance's addresses that are of a family, as its first
// records.
func (b *builder) addFamily(addrs []netip.Addr, family func(netip.Addr) bool, lender lease.Number) {
	b.begin()
	for _, addr := range addrs {
		if family(addr) {
			b.addAddress(addr, lender)
		}
	}
}

// set returns what was gathered.
func (b *builder) set() *set {
	s := new(set)
	b.fill(s)
	return s
}

// fill puts what was gathered into a set that is empty.
func (b *builder) fill(s *set) {
	n := len(b.records)
	s.most = int32(n)
	if b.most > 0 {
		s.most = int32(min(n, b.most))
	}
	if n > 0 {
		s.packed = b.pack()
	}
	if s.lendersAt > 0 {
		s.leases = b.leases
		s.until.Store(math.MinInt64)
	}
}

// pack packs all the parts of the set.
func (b *builder) pack() (p packed) {
	targets, numberOf := b.targets()
	p.n, p.targets = int32(len(b.records)), int32(len(targets))

	to := make([]byte, len(b.records)*numberLen, max(1024, len(b.records)*64)) // it is not kept
	for n, r := range b.records {
		binary.BigEndian.PutUint32(to[n*numberLen:], uint32(len(to)))
		to = append(to, r.rest...)
		if r.target != nil {
			to = appendNumber(to, numberOf[r.target])
		}
	}
	p.end = int32(len(to))

	if len(targets) > 0 {
		var places []int
		for _, t := range targets {
			places = append(places, len(to))
			to = append(to, t.glue...)
		}
		places = append(places, len(to))
		p.glueAt = int32(len(to))
		to = appendNumber(to, places...)
	}
	if lists, leased := b.lenders(targets); leased {
		p.lendersAt = int32(len(to))
		at := len(to) + (len(lists)+1)*numberLen
		for _, list := range lists {
			to = appendNumber(to, at)
			at += len(list) * numberLen
		}
		to = appendNumber(to, at)
		for _, list := range lists {
			to = appendNumber(to, list...)
		}
	}
	if !b.uniform() {
		p.startsAt = int32(len(to))
		to = appendNumber(to, b.starts...)
	}
	p.bytes = slices.Clone(to)
	return p
}

func appendNumber[N ~int | ~uint32](b []byte, numbers ...N) []byte {
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint32(b, uint32(n))
	}
	return b
}

// targets returns the targets of the records, and their numbers.
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

// lenders returns the lists of the records and then of the targets, and reports whether there
// is anything in them.
func (b *builder) lenders(targets []*target) (lists [][]lease.Number, leased bool) {
	for _, r := range b.records {
		lists = append(lists, r.lenders)
		leased = leased || len(r.lenders) > 0
	}
	for _, t := range targets {
		lists = append(lists, t.lenders)
		leased = leased || len(t.lenders) > 0
	}
	return lists, leased
}

// uniform reports whether an answer may begin with every record, each as likely.
func (b *builder) uniform() bool {
	for i, start := range b.starts {
		if start != i {
			return false
		}
	}
	return len(b.starts) == 0 || len(b.starts) == len(b.records)
}

// lone is a set of a single record in one piece of memory, without what a builder takes for
// several.
type lone struct {
	set
	room [loneData + 64]byte
}

// loneData is where the data of a single record stands, behind its place and its fixed part.
const loneData = numberLen + dataAt

// loneLenders are the list of the only lease, and where it begins and ends in the bytes of the set.
const loneLenders = 3 * numberLen

// finish makes a set of the record that b is, of that type. It depends on a lease of the wheel,
// or on none.
func (s *lone) finish(b []byte, qtype uint16, l *lease.Lease, on *lease.Wheel) *set {
	binary.BigEndian.PutUint32(b, numberLen)
	putFixed(b[numberLen:], qtype)
	s.n, s.most, s.end = 1, 1, int32(len(b))
	if l != nil {
		s.leases, s.lendersAt = on, s.end
		s.until.Store(math.MinInt64)
		b = appendNumber(b, len(b)+2*numberLen, len(b)+loneLenders, int(l.Number()))
	}
	s.bytes = b
	return &s.set
}
