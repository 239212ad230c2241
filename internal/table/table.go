package table

import (
	"sync"
	"sync/atomic"
	"time"
)

// keptEvents is how many changes are kept for watchers to resume from, at least
// (contract, section 3).
const keptEvents = 10_000

// Table publishes snapshots. Load, Settle and what they return may be used from any goroutine;
// Open and Publish only by one writer at a time. The zero value is not loaded.
type Table struct {
	state atomic.Pointer[State]
	kept  int // events between the oldest commit and the newest

	waiters waiters

	mu       sync.Mutex // held while a state, or the version of one, is replaced
	calendar calendar   // guarded by mu
}

// State is what is published at one moment: the snapshot, and the place of its
// revision in the history. The two always agree.
type State struct {
	*Snapshot
	newest *Commit // the one that made the snapshot
	oldest *Commit // the earliest that can be resumed from
	table  *Table

	second  int64 // of the newest change, in Unix time
	version atomic.Pointer[Version]
}

// Commit is one revision in the history: a link of a chain that grows at its end.
// Whoever holds a commit can follow everything after it; what nobody holds is freed.
type Commit struct {
	Revision uint64
	Events   []Event

	next  *Commit       // may be read once grown is closed
	grown chan struct{} // closed when there is a next
}

// Open publishes the first snapshot, which is also the first version. The history begins
// after it.
func (t *Table) Open(s *Snapshot, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	begin := &Commit{Revision: s.Revision, grown: make(chan struct{})}
	state := &State{Snapshot: s, newest: begin, oldest: begin, table: t, second: t.calendar.read(now)}
	state.version.Store(newVersion(s, state.second))
	t.state.Store(state)
}

// Load returns what is published now; nil until the table is loaded.
func (t *Table) Load() *State { return t.state.Load() }

// Publish replaces what is published by the snapshot of the last of the drafts, of which
// there is at least one, each begun on the one before and the first on what is published.
// Queries see them from here on; then those who wait for a service are woken, and watchers are
// told the events of one draft after the other.
func (t *Table) Publish(now time.Time, drafts ...*Draft) {
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
	t.replace(was, &State{Snapshot: drafts[len(drafts)-1].next, newest: newest, oldest: oldest, table: t}, now)
	t.waiters.wake(drafts)
	for c := was.newest; c != newest; c = c.next {
		close(c.grown)
	}
}

// replace publishes a state in the place of another.
func (t *Table) replace(was, is *State, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	second := t.calendar.read(now)
	was.settle(second)
	version := was.Version()
	is.second = max(second, version.second+1) // what is transferred already stays as it is
	is.version.Store(version)
	t.state.Store(is)
}

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
