package answer

import (
	"math"
	"slices"
	"time"

	"github.com/coredns-registry/registry/internal/lease"

	"github.com/miekg/dns"
)

// smallest is the least that a record takes in a message, in bytes: a compressed owner
// and the fixed part (RFC 1035, sections 4.1.3 and 4.1.4).
const smallest = 2 + 10

// transit is how long an answer may take to reach who asked. A TTL is that much
// shorter than the lease, so that also there it does not pass the lease's end.
const transit = 100 * time.Millisecond

// Reply is an answer on its way into a message. It belongs to one query.
type Reply struct {
	Msg  *dns.Msg
	Room int    // bytes that the message may take, without the OPT record
	TTL  uint32 // of records that no lease shortens, in seconds
	Now  lease.Time

	FitLater bool // whoever else adds to the message has it fit when it is complete

	parts []part
	store [2]part // most replies have no more
}

// part says which records of a set stand in the answer section, from where on.
type part struct {
	set  *set
	of   choice
	from int
}

// Add appends the records of an answer, owned by owner, and the addresses of their targets.
func (r *Reply) Add(owner string, a Answer) {
	if a.set == nil {
		return
	}
	r.add(owner, a.set, a.set.choose(r.Room/smallest+1)) // one more than can fit, so that it shows
}

// add appends the chosen records of a set.
func (r *Reply) add(owner string, set *set, of choice) {
	if r.parts == nil {
		r.parts = r.store[:0]
	}
	r.parts = append(r.parts, part{set, of, len(r.Msg.Answer)})

	r.Msg.Answer = slices.Grow(r.Msg.Answer, of.n)
	if set.targets > 0 {
		r.Msg.Extra = slices.Grow(r.Msg.Extra, of.n)
	}
	var seen bitset
	for n := range set.chosen(of) {
		rr := set.record(n, owner)
		r.Msg.Answer = append(r.Msg.Answer, rr)
		if target, ok := set.targetOf(n); ok && seen.add(target, int(set.targets)) {
			r.Msg.Extra = set.appendGlue(r.Msg.Extra, target, targetName(rr))
		}
	}
}

// Finish makes the reply fit, see [Fit], and stamps its records with their TTL.
func (r *Reply) Finish() {
	if !r.FitLater {
		Fit(r.Msg, r.Room)
	}
	r.stamp()
}

// stamp gives the records of the sets their TTL; what others added keeps its own.
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

// in returns those of the part's records that are left in the answer section.
func (p part) in(answer []dns.RR) []dns.RR {
	from := min(p.from, len(answer))
	return answer[from:min(p.from+p.of.n, len(answer))]
}

// ttl returns what all the records get: nobody may keep one past the end of a lease
// that the reply depends on.
func (r *Reply) ttl() uint32 {
	earliest := lease.Time(math.MaxInt64)
	for _, p := range r.parts {
		p.of.n = len(p.in(r.Msg.Answer))
		earliest = min(earliest, p.set.ends(p.of, enough(r.TTL, r.Now)))
	}
	return ttlUntil(earliest, r.TTL, r.Now)
}

// enough is when a lease must end, or later, for records to get the TTL whole.
func enough(ttl uint32, now lease.Time) lease.Time {
	return now.Add(time.Duration(ttl)*time.Second + transit)
}

// ttlUntil returns the TTL of records that depend on leases of which the first ends then.
func ttlUntil(earliest lease.Time, ttl uint32, now lease.Time) uint32 {
	switch {
	case earliest >= enough(ttl, now):
		return ttl
	case earliest < now:
		return 0
	}
	return uint32(max(earliest.Sub(now)-transit, 0) / time.Second)
}

// bitset remembers small numbers; up to 256 of them without allocating.
type bitset struct {
	small [4]uint64
	large []uint64
}

// add reports whether n, one of the numbers below size, was not yet in the set, and
// adds it.
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
