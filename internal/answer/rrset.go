package answer

import (
	"math"
	"math/rand/v2"
	"sync/atomic"

	"github.com/coredns-registry/registry/internal/lease"
)

// rrset is the RRset of one name and type, prepared once and shared by all queries. It is kept
// packed, its smallest form: replies are assembled from that.
type rrset struct {
	packed
	maxRecords int32 // in an answer

	// served counts the answers that used this RRset, from 1, if it is only a part; it is 0 if it
	// is whole.
	served atomic.Int32

	// earliestBound is a time before which no lease of the RRset ends. Deadlines only move forward,
	// so it stays true. While it is far enough away, the leases need not be read one by one.
	earliestBound atomic.Int64
	wheel         *lease.Wheel // of the leases; nil if all records are static
}

// answersPerPart is the number of answers that use one part of an RRset before another part
// replaces it. Building a part costs about as much as a thousand answers.
const answersPerPart = 1000

// isPart reports whether there are more records than these.
func (s *rrset) isPart() bool { return s.served.Load() > 0 }

// exhausted reports whether a part has served its number of answers, and counts one more.
func (s *rrset) exhausted() bool {
	return s.served.Load() > 0 && s.served.Add(1) > answersPerPart+1
}

// choice is a run of records, from start on and around the end.
type choice struct{ start, n int }

// choose picks at most limit records, beginning with a random instance: each comes first equally
// often.
func (s *rrset) choose(limit int) choice {
	c := choice{n: min(int(s.maxRecords), limit)}
	if n := s.starts(); n > 0 && s.numRecords > 1 {
		c.start = s.start(rand.IntN(n))
	}
	return c
}

// chooseFor picks the records that a transfer sends under a serial: always the same for one serial,
// others for the next.
func (s *rrset) chooseFor(serial uint32) choice {
	c := choice{n: int(s.maxRecords)}
	if n := s.starts(); n > 0 && s.numRecords > 1 {
		c.start = s.start(pickBySerial(serial, n))
	}
	return c
}

// pickBySerial picks one of n by a zone's serial.
func pickBySerial(serial uint32, n int) int {
	return rand.New(rand.NewPCG(uint64(serial), 0)).IntN(n)
}

// chosen yields the indexes of the chosen records in order.
func (s *rrset) chosen(c choice) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for i := range c.n {
			if !yield((c.start + i) % int(s.numRecords)) {
				return
			}
		}
	}
}

// earliestEnd returns when the first lease ends that the chosen records depend on, or the end of
// time if all are static. If it knows that none ends before enough, it may return any such time.
func (s *rrset) earliestEnd(c choice, enough lease.Time) lease.Time {
	if s.wheel == nil {
		return math.MaxInt64
	}
	if until := lease.Time(s.earliestBound.Load()); until >= enough {
		return until
	}
	return s.findEarliestEnd(c)
}

func (s *rrset) findEarliestEnd(c choice) lease.Time {
	earliest := lease.Time(math.MaxInt64)
	visit := func(k int) {
		for number := range s.leaseIDs(k) {
			if t, ok := s.wheel.Lease(lease.Number(number)).Deadline(); ok {
				earliest = min(earliest, t)
			}
		}
	}
	for n := range s.chosen(c) {
		visit(n)
		if target, ok := s.targetOf(n); ok {
			visit(int(s.numRecords) + target)
		}
	}
	if c.n == int(s.numRecords) {
		s.earliestBound.Store(int64(earliest))
	}
	return earliest
}
