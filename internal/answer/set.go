package answer

import (
	"math"
	"math/rand/v2"
	"sync/atomic"

	"github.com/coredns-registry/registry/internal/lease"
)

// set is the records that one name and one type give, prepared once and shared by all
// who ask. They are kept packed, which is the smallest form there is: what goes out is put
// together from that. Of a table's sets hardly anything but this is a pointer, so that they
// cost the garbage collector little.
type set struct {
	packed
	n    int // how many records there are
	most int // how many of them an answer holds at the most

	// until bounds the leases of the whole set from below: none ends before. Deadlines
	// of a set only move forward, so it stays true; while it is far enough away nobody
	// need look at the leases one by one.
	until atomic.Int64

	// starts are where the records of each instance begin; nil where each record is such
	// a place. An answer begins at one of them, each as likely, so that each instance
	// comes first equally often.
	starts []uint32

	// leases are those of the whole service, or of all that have an address; nil where all
	// are static.
	leases  []*lease.Lease
	lenders lenders
}

// lenders say by their numbers which leases each record of a set depends on, and then each
// target: where its list begins, one more place at the end, and the lists.
type lenders []uint32

// of returns the list of the k-th.
func (l lenders) of(k int) []uint32 { return l[l[k]:l[k+1]] }

// listed returns lists as lenders.
func listed(lists [][]uint32) lenders {
	all := make(lenders, len(lists)+1)
	for k, list := range lists {
		all[k] = uint32(len(all))
		all = append(all, list...)
	}
	all[len(lists)] = uint32(len(all))
	return all
}

// choice is a run of a set's records, from start on and around the end.
type choice struct{ start, n int }

// choose picks the records to answer, most at the most, beginning with those of an
// instance picked by chance.
func (s *set) choose(most int) choice {
	c := choice{n: min(s.most, most)}
	switch {
	case s.starts != nil:
		c.start = int(s.starts[rand.IntN(len(s.starts))])
	case s.n > 1:
		c.start = rand.IntN(s.n)
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
	if s.leases == nil {
		return math.MaxInt64
	}
	if until := lease.Time(s.until.Load()); until >= enough {
		return until
	}
	return s.earliest(c)
}

func (s *set) earliest(c choice) lease.Time {
	earliest := lease.Time(math.MaxInt64)
	look := func(k int) {
		for _, number := range s.lenders.of(k) {
			if t, ok := s.leases[number].Deadline(); ok {
				earliest = min(earliest, t)
			}
		}
	}
	for n := range s.chosen(c) {
		look(n)
		if target, ok := s.targetOf(n); ok {
			look(s.n + target)
		}
	}
	if c.n == s.n {
		s.until.Store(int64(earliest))
	}
	return earliest
}
