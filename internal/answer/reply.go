package answer

import (
	"math"
	"slices"
	"time"

	"github.com/coredns-registry/registry/internal/lease"

	"github.com/miekg/dns"
)

// minRecordBytes is the least size of a record in a message: a compressed owner and the fixed part
// (RFC 1035, sections 4.1.3 and 4.1.4).
const minRecordBytes = 2 + 10

// transit is the longest time that an answer is assumed to travel. A TTL is shorter than the lease
// by that much, so that it does not outlast the lease at the client either.
const transit = 100 * time.Millisecond

// Reply appends answers to a message. It belongs to one query.
type Reply struct {
	Msg  *dns.Msg
	Room int    // most bytes of the message without its OPT record
	TTL  uint32 // in seconds, unless a lease ends earlier
	Now  lease.Time

	FitLater bool // a later writer makes the complete message fit

	parts      []part
	firstParts [2]part // room for parts; most replies need no more
}

// part is the records of one RRset in the answer section, from start on.
type part struct {
	set    *rrset
	choice choice
	start  int
}

// Add appends the records of an answer, with their owner, and the addresses of their targets.
func (r *Reply) Add(owner string, a Answer) {
	if a.set == nil {
		return
	}
	r.add(owner, a.set, a.set.choose(r.Room/minRecordBytes+1)) // one more than fits, so that TC is set
}

// add appends the chosen records of an RRset.
func (r *Reply) add(owner string, set *rrset, c choice) {
	if r.parts == nil {
		r.parts = r.firstParts[:0]
	}
	r.parts = append(r.parts, part{set, c, len(r.Msg.Answer)})

	// The rest of a part that is sent whole is missing, even if the records become shorter later, as
	// *rewrite* may have it.
	if set.isPart() && c.n == int(set.numRecords) {
		r.Msg.Truncated = true
	}
	r.Msg.Answer = slices.Grow(r.Msg.Answer, c.n)
	if set.numTargets > 0 {
		r.Msg.Extra = slices.Grow(r.Msg.Extra, c.n)
	}
	var seen bitset
	for n := range set.chosen(c) {
		rr := set.record(n, owner)
		r.Msg.Answer = append(r.Msg.Answer, rr)
		if target, ok := set.targetOf(n); ok && seen.add(target, int(set.numTargets)) {
			r.Msg.Extra = set.appendGlue(r.Msg.Extra, target, TargetName(rr))
		}
	}
}

// Finish makes the reply fit, see [Fit], and sets the TTL of its records.
func (r *Reply) Finish() {
	if !r.FitLater {
		Fit(r.Msg, r.Room)
	}
	r.stamp()
}

// stamp sets the TTL of the records of this zone. Records that others added keep theirs.
func (r *Reply) stamp() {
	ttl := r.ttl()
	for _, p := range r.parts {
		for _, rr := range p.in(r.Msg.Answer) {
			rr.Header().Ttl = ttl
		}
	}
	for _, rr := range r.Msg.Extra {
		rr.Header().Ttl = ttl
	}
}

// in returns the records of the part that are still in the answer section.
func (p part) in(answer []dns.RR) []dns.RR {
	from := min(p.start, len(answer))
	return answer[from:min(p.start+p.choice.n, len(answer))]
}

// ttl returns the TTL of all records: no cache may keep one past the end of a lease that the reply
// depends on.
func (r *Reply) ttl() uint32 {
	earliest := lease.Time(math.MaxInt64)
	for _, p := range r.parts {
		p.choice.n = len(p.in(r.Msg.Answer))
		earliest = min(earliest, p.set.earliestEnd(p.choice, fullTTLDeadline(r.TTL, r.Now)))
	}
	return ttlFor(earliest, r.TTL, r.Now)
}

// fullTTLDeadline returns the earliest end of a lease that leaves records their full TTL.
func fullTTLDeadline(ttl uint32, now lease.Time) lease.Time {
	return now.Add(time.Duration(ttl)*time.Second + transit)
}

// ttlFor returns the TTL of records whose earliest lease ends then.
func ttlFor(earliest lease.Time, ttl uint32, now lease.Time) uint32 {
	switch {
	case earliest >= fullTTLDeadline(ttl, now):
		return ttl
	case earliest < now:
		return 0
	}
	return uint32(max(earliest.Sub(now)-transit, 0) / time.Second)
}

// bitset is a set of small numbers. Up to 256 of them need no allocation.
type bitset struct {
	small [4]uint64
	large []uint64
}

// add adds n, which is below size, and reports whether it was not in the set before.
func (b *bitset) add(n, size int) bool {
	words := b.small[:]
	if size > 64*len(words) {
		if b.large == nil {
			b.large = make([]uint64, (size+63)/64)
		}
		words = b.large
	}
	word, bit := &words[n/64], uint64(1)<<(n%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}
