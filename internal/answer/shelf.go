package answer

import (
	"sync"
	"sync/atomic"
)

// shelf keeps sets, each of which is built when it is first asked for, by one goroutine: the
// others wait for it. Of a set that is larger than any message it keeps a part, and now and then
// another in its place; while that is built the others go on with the part before.
// The zero value is empty.
type shelf struct {
	slots    atomic.Pointer[[]slot] // a list that is replaced, and never changed
	building sync.Mutex

	// The first list, and the first set: then there is one place in memory to look at.
	one  []slot
	room [1]slot
	only set
	used bool // only is; building guards it
}

// slot is a set, by what it is asked for.
type slot struct {
	label string
	qtype uint16
	set   *set
}

// mostSlots is how many sets a shelf has at the most: one that is full is emptied.
const mostSlots = 64

// gathered are records of which a set can be made.
type gathered interface {
	full() bool // there are more than were gathered
	fill(*set)
}

// find returns the set of a label and a type; nil where there is none.
func (s *shelf) find(label string, qtype uint16) *set {
	slots := s.slots.Load()
	if slots == nil {
		return nil
	}
	for n := range *slots {
		if at := &(*slots)[n]; at.qtype == qtype && at.label == label {
			return at.set
		}
	}
	return nil
}

// get returns the set of a label and a type. It is made of what gather returns: records from
// the first on or, of more than a message holds, from those of an instance picked by chance.
func (s *shelf) get(label string, qtype uint16, gather func(anywhere bool) gathered) *set {
	was := s.find(label, qtype)
	switch {
	case was == nil:
		s.building.Lock()
	case !was.worn() || !s.building.TryLock():
		return was
	}
	defer s.building.Unlock()
	if now := s.find(label, qtype); now != nil && now != was {
		return now // another has built it meanwhile
	}
	records := gather(was != nil)
	if was == nil && records.full() {
		records = gather(true)
	}
	made := &s.only
	if s.used {
		made = new(set)
	}
	s.used = true
	records.fill(made)
	if records.full() {
		made.answers.Store(1)
	}
	s.put(slot{label, qtype, made})
	return made
}

// put places a set, in the place of the one of the same label and type. The caller is building.
func (s *shelf) put(new slot) {
	was := s.slots.Load()
	if was == nil {
		s.room[0] = new
		s.one = s.room[:]
		s.slots.Store(&s.one)
		return
	}
	slots := make([]slot, 0, len(*was)+1)
	for _, other := range *was {
		if other.label != new.label || other.qtype != new.qtype {
			slots = append(slots, other)
		}
	}
	if len(slots) == mostSlots {
		slots = slots[:0]
	}
	slots = append(slots, new)
	s.slots.Store(&slots)
}
