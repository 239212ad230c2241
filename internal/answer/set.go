package answer

import (
	"math"
	"math/rand/v2"
	"sync/atomic"

	"github.com/coredns-registry/registry/internal/lease"
)

// set is the records that one name and one type give, prepared once and shared by all
// who ask. They are kept packed, which is the smallest form there is: what goes out is put
// together from that.
type set struct {
	packed
	most int32 // how many records an answer holds at the most

	// answers counts those of a set that is a part of what there is, from 1; 0 is a set that
	// is whole.
	answers atomic.Int32

	// until bounds the leases of the whole set from below: none ends before. Deadlines
	// of a set only move forward, so it stays true; while it is far enough away nobody
	// need look at the leases one by one.
	until  atomic.Int64
	leases *lease.Wheel // of the lenders; nil where all are static
}

// partAnswers is how many answers come of one part of a set before another takes its place. To
// build a part costs about as much as a thousand answers.
const partAnswers = 1000

// worn reports whether a set has given as many answers as it may, and counts one more.
func (s *set) worn() bool {
	return s.answers.Load() > 0 && s.answers.Add(1) > partAnswers+1
}

// choice is a run of a set's records, from start on and around the end.
type choice struct{ start, n int }

// choose picks the records to answer, most at the most, beginning with those of an
// instance picked by chance: each instance comes first equally often.
func (s *set) choose(most int) choice {
	c := choice{n: min(int(s.most), most)}
	if n := s.starts(); n > 0 && s.n > 1 {
		c.start = s.start(rand.IntN(n))
	}
	return c
}

// chooseBy picks the records that go under a zone's serial: the same ones each time, and others
// under the next.
func (s *set) chooseBy(serial uint32) choice {
	c := choice{n: int(s.most)}
	if n := s.starts(); n > 0 && s.n > 1 {
		c.start = s.start(turn(serial, n))
	}
	return c
}

// turn returns whose turn it is of n under a zone's serial.
func turn(serial uint32, n int) int {
	return rand.New(rand.NewPCG(uint64(serial), 0)).IntN(n)
}

// chosen yields the places of the records of a choice in order.
func (s *set) chosen(c choice) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for i := range c.n {
			if !yield((c.start + i) % int(s.n)) {
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
		for number := range s.lenders(k) {
			if t, ok := s.leases.Lease(lease.Number(number)).Deadline(); ok {
				earliest = min(earliest, t)
			}
		}
	}
	for n := range s.chosen(c) {
		look(n)
		if target, ok := s.targetOf(n); ok {
			look(int(s.n) + target)
		}
	}
	if c.n == int(s.n) {
		s.until.Store(int64(earliest))
	}
	return earliest
}
