package answer

import (
	"sync"
	"sync/atomic"
)

// rrsetCache holds RRsets. Each is built when it is first asked for, by one goroutine while others
// wait for it. Of an RRset larger than any message it holds a part, and replaces that part now and
// then; meanwhile others use the old one. The zero value is empty.
type rrsetCache struct {
	entries  atomic.Pointer[[]cacheEntry] // replaced, never changed
	building sync.Mutex

	// The first list and the first RRset lie here, so that a lookup touches one place in memory.
	firstList  []cacheEntry
	firstEntry [1]cacheEntry
	firstSet   rrset
	firstUsed  bool // guarded by building
}

// cacheEntry is an RRset and its key.
type cacheEntry struct {
	label string
	qtype uint16
	set   *rrset
}

// maxEntries bounds a cache. A full one is emptied.
const maxEntries = 64

// recordSource is a list of records that fills an RRset.
type recordSource interface {
	full() bool // there are more records than it holds
	fill(*rrset)
}

// find returns the RRset of a label and a type, or nil.
func (s *rrsetCache) find(label string, qtype uint16) *rrset {
	entries := s.entries.Load()
	if entries == nil {
		return nil
	}
	for n := range *entries {
		if at := &(*entries)[n]; at.qtype == qtype && at.label == label {
			return at.set
		}
	}
	return nil
}

// get returns the RRset of a label and a type, built from what collect returns: all records or, if
// a message cannot hold them, those from a random instance on.
func (s *rrsetCache) get(label string, qtype uint16, collect func(randomStart bool) recordSource) *rrset {
	prev := s.find(label, qtype)
	switch {
	case prev == nil:
		s.building.Lock()
	case !prev.exhausted() || !s.building.TryLock():
		return prev
	}
	defer s.building.Unlock()
	if next := s.find(label, qtype); next != nil && next != prev {
		return next // another goroutine has built it meanwhile
	}
	records := collect(prev != nil)
	if prev == nil && records.full() {
		records = collect(true)
	}
	next := &s.firstSet
	if s.firstUsed {
		next = new(rrset)
	}
	s.firstUsed = true
	records.fill(next)
	if records.full() {
		next.served.Store(1)
	}
	s.put(cacheEntry{label, qtype, next})
	return next
}

// put stores an entry and replaces the one with its key. The caller holds building.
func (s *rrsetCache) put(entry cacheEntry) {
	prev := s.entries.Load()
	if prev == nil {
		s.firstEntry[0] = entry
		s.firstList = s.firstEntry[:]
		s.entries.Store(&s.firstList)
		return
	}
	next := make([]cacheEntry, 0, len(*prev)+1)
	for _, other := range *prev {
		if other.label != entry.label || other.qtype != entry.qtype {
			next = append(next, other)
		}
	}
	if len(next) == maxEntries {
		next = next[:0]
	}
	next = append(next, entry)
	s.entries.Store(&next)
}
