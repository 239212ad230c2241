package table

import "sync/atomic"

// keptEvents is how many changes are kept for watchers to resume from, at least
// (contract, section 3).
const keptEvents = 10_000

// Table publishes snapshots. Load and what it returns may be used from any goroutine;
// Open and Publish only by one writer at a time. The zero value is not loaded.
type Table struct {
	state atomic.Pointer[State]
	kept  int // events between the oldest commit and the newest
}

// State is what is published at one moment: the snapshot, and the place of its
// revision in the history. The two always agree.
type State struct {
	*Snapshot
	offset uint64  // of the serial number from the revision
	newest *Commit // the one that made the snapshot
	oldest *Commit // the earliest that can be resumed from
}

// Commit is one revision in the history: a link of a chain that grows at its end.
// Whoever holds a commit can follow everything after it; what nobody holds is freed.
type Commit struct {
	Revision uint64
	Events   []Event

	next  *Commit       // may be read once grown is closed
	grown chan struct{} // closed when there is a next
}

// Open publishes the first snapshot. The history begins after it. lasting says that
// revisions go on over a restart; else a table begins at the time in milliseconds.
func (t *Table) Open(s *Snapshot, lasting bool) {
	begin := &Commit{Revision: s.Revision, grown: make(chan struct{})}
	state := &State{Snapshot: s, newest: begin, oldest: begin}
	if !lasting {
		state.offset = s.Revision - s.Revision/100
	}
	t.state.Store(state)
}

// Load returns what is published now; nil until the table is loaded.
func (t *Table) Load() *State { return t.state.Load() }

// Publish replaces what is published by the snapshot of the last of the drafts, of which
// there is at least one, each begun on the one before and the first on what is published.
// Queries see them from here on; then watchers are told the events of one after the other.
func (t *Table) Publish(drafts ...*Draft) {
	was := t.state.Load()
	newest, oldest := was.newest, was.oldest
	for _, d := range drafts {
		t.kept += len(d.events)
		newest.next = &Commit{Revision: d.next.Revision, Events: d.events, grown: make(chan struct{})}
		newest = newest.next // before it may become the oldest
		for oldest.next != nil && t.kept-len(oldest.next.Events) >= keptEvents {
			oldest = oldest.next
			t.kept -= len(oldest.Events)
		}
	}
	last := drafts[len(drafts)-1].next
	t.state.Store(&State{Snapshot: last, offset: was.offset, newest: newest, oldest: oldest})
	for c := was.newest; c != newest; c = c.next {
		close(c.grown)
	}
}

// Serial returns the revision as the serial number of a zone, which has 32 bits and is
// compared by RFC 1982: a step of more than 2³¹ goes backwards. For a table that begins
// at the time in milliseconds a restart after 25 days would be such a step. Counted from
// tenths of a second it takes seven years, and the serial still grows by one with each
// change, and over a restart as long as changes are fewer than ten a second.
func (s *State) Serial() uint32 { return uint32(s.Revision - s.offset) }

// Last returns the commit that made the state's snapshot. Following it tells all that
// changes afterwards.
func (s *State) Last() *Commit { return s.newest }

// Since returns the commit of that revision; false where the history does not reach
// back to it, or it has not been yet.
func (s *State) Since(revision uint64) (*Commit, bool) {
	if revision < s.oldest.Revision || revision > s.Revision {
		return nil, false
	}
	c := s.oldest
	for c.Revision < revision {
		c = c.next
	}
	return c, true
}

// Keeps reports whether the history still reaches back to the commit. A watcher whose
// commit is not kept is too slow.
func (s *State) Keeps(c *Commit) bool { return c.Revision >= s.oldest.Revision }

// Grown is closed when there is a commit after this one; then Next returns it.
func (c *Commit) Grown() <-chan struct{} { return c.grown }

// Next returns the commit after this one. It must not be called before Grown is closed.
func (c *Commit) Next() *Commit { return c.next }
