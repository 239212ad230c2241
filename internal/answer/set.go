package answer

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"github.com/coredns-registry/registry/internal/lease"

	"github.com/miekg/dns"
)

// set is the records that one name and one type give, prepared once and shared by all
// who ask. They are kept packed, which is the smallest form there is: what goes out is put
// together from that.
type set struct {
	packed
	n      int      // how many records there are
	owners []string // the names of the hosts that the records point to, by their numbers

	// starts are where the records of each instance begin. An answer begins at one of
	// them, each as likely, so that each instance comes first equally often.
	starts  []int
	uniform bool // every record is where one begins

	// leases are those that each record depends on, and the addresses of its host; nil
	// where all are static.
	leases [][]*lease.Lease

	// until bounds the leases of the whole set from below: none ends before. Deadlines
	// of a set only move forward, so it stays true; while it is far enough away nobody
	// need look at the leases one by one.
	until atomic.Int64
}

// record is one resource record on its way into a set.
type record struct {
	rr     dns.RR         // its owner is empty where that is the name asked, its TTL is not set
	leases []*lease.Lease // of all instances it stands for
	host   *host          // that an SRV or NS record points to
}

// host is a label below a service that leads to addresses.
type host struct {
	name   string
	number int            // of those of its service, from 0
	glue   []byte         // its addresses, packed without their owner
	leases []*lease.Lease // that they depend on
}

// newHost returns a host with these addresses.
func newHost(name string, number int, addresses []record) *host {
	h := &host{name: name, number: number}
	for n := range addresses {
		h.glue = append(h.glue, packRest(addresses[n].rr)...) // which an address always can be
		for _, l := range addresses[n].leases {
			if !slices.Contains(h.leases, l) {
				h.leases = append(h.leases, l)
			}
		}
	}
	return h
}

// choice is a run of a set's records, from start on and around the end.
type choice struct{ start, n int }

// choose picks the records to answer, most at the most, beginning with those of an
// instance picked by chance.
func (s *set) choose(most int) choice {
	c := choice{n: min(s.n, most)}
	switch {
	case s.uniform:
		c.start = rand.IntN(s.n)
	case len(s.starts) > 1:
		c.start = s.starts[rand.IntN(len(s.starts))]
	}
	return c
}

// chosen yields the places of the records of a choice in order.
func (s *set) chosen(c choice) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for i := range c.n {
			if !yield((c.start + i) % s.n) {
				return
			}
		}
	}
}

// ends reports when the earliest lease that the chosen records depend on ends; the end of
// time where all are static. Where it is known that none ends before enough, it may return that.
func (s *set) ends(c choice, enough lease.Time) lease.Time {
	earliest := lease.Time(math.MaxInt64)
	if s.leases == nil {
		return earliest
	}
	if until := lease.Time(s.until.Load()); until >= enough {
		return until
	}
	for n := range s.chosen(c) {
		for _, l := range s.leases[n] {
			if t, ok := l.Deadline(); ok {
				earliest = min(earliest, t)
			}
		}
	}
	if c.n == s.n {
		s.until.Store(int64(earliest))
	}
	return earliest
}

// builder gathers records into a set in which each stands once (RFC 2181, section 5).
type builder struct {
	records []record
	starts  []int
	at      map[string]int // key to index
	fresh   bool           // the next record is the first of its instance
}

// begin says that the records that follow are those of another instance.
func (b *builder) begin() { b.fresh = true }

// add appends a record, or lets the one that has the same key stand for this instance
// too: then an answer that is to begin with this instance begins there.
func (b *builder) add(key string, r record) {
	i, known := b.at[key]
	if known {
		b.records[i].leases = append(b.records[i].leases, r.leases...)
	} else {
		i = len(b.records)
		b.records = append(b.records, r)
		if b.at == nil {
			b.at = make(map[string]int)
		}
		b.at[key] = i
	}
	if b.fresh {
		b.starts = append(b.starts, i)
		b.fresh = false
	}
}

func (b *builder) set() *set { return newSet(b.records, b.starts) }

// newSet packs records into a set. One that cannot be packed nobody could be sent, nor any
// message that it is in: then the set is empty. Names and texts are checked when they are
// registered, so that it does not come to that.
func newSet(records []record, starts []int) *set {
	s := &set{n: len(records), starts: slices.Clone(starts), uniform: len(records) > 0 && len(starts) == len(records)}
	for i, start := range starts {
		s.uniform = s.uniform && start == i
	}
	s.until.Store(math.MinInt64)
	var ok bool
	if s.packed, s.owners, ok = pack(records); !ok {
		return &set{}
	}
	for n := range records {
		leases := records[n].all()
		if s.leases == nil && len(leases) > 0 {
			s.leases = make([][]*lease.Lease, len(records))
		}
		if s.leases != nil {
			s.leases[n] = leases
		}
	}
	return s
}

// all returns the leases that a record depends on: those of the instances it stands for, and
// of those that have the addresses of its host.
func (r *record) all() []*lease.Lease {
	leases := r.leases
	if r.host == nil {
		return leases
	}
	for _, l := range r.host.leases {
		if !slices.Contains(leases, l) {
			leases = append(slices.Clip(leases), l)
		}
	}
	return leases
}
