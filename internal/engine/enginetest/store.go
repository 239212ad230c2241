package enginetest

import (
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/service"
)

// Store is a store in a map whose troubles the test makes. What it holds outlives the engine:
// another one may be opened on it. The fields are read while no commit is under way.
type Store struct {
	Objects map[service.ID]store.Object
	Batch   store.Batch // the last one
	Closed  bool

	Revision   uint64 // of what it holds
	Unreadable error  // what Load returns

	t       testing.TB
	mu      sync.Mutex
	told    uint64           // revision of the last batch that was said to be kept
	commits int              // how many were tried
	fate    func() Fate      // what becomes of a commit; nil is Keep
	hung    chan chan<- Fate // where it is not nil, each commit is sent there and waits for its fate
}

// Fate is what becomes of a commit.
type Fate int

// The fates.
const (
	Keep          Fate = iota
	Refuse             // nothing is kept, and the error says so
	KeepAndRefuse      // it is kept, and the error says that it may not be
)

// ErrStore is the error of a commit that is refused.
var ErrStore = errors.New("the test's store refuses")

// NewStore returns a store that holds nothing.
func NewStore(t testing.TB) *Store {
	return &Store{t: t, Objects: make(map[service.ID]store.Object)}
}

// Set makes what becomes of the commits from now on.
func (s *Store) Set(f Fate) { s.SetEach(func() Fate { return f }) }

// SetEach has a function say what becomes of each commit from now on; nil is Keep.
func (s *Store) SetEach(f func() Fate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fate = f
}

// Hang has each commit wait until the test takes it off the channel and sends its fate.
func (s *Store) Hang() <-chan chan<- Fate {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hung = make(chan chan<- Fate)
	return s.hung
}

// GoOn ends that for the commits that come.
func (s *Store) GoOn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hung = nil
}

// Tried returns how many commits there were.
func (s *Store) Tried() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commits
}

// Load implements store.Store.
func (s *Store) Load(visit func(store.Object) error) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Closed = false
	if s.Unreadable != nil {
		return 0, s.Unreadable
	}
	for _, o := range s.Objects {
		if err := visit(o); err != nil {
			return 0, err
		}
	}
	return s.Revision, nil
}

// Commit implements store.Store, and fails the test on a batch that no engine should make.
func (s *Store) Commit(b store.Batch) error {
	s.mu.Lock()
	hung, f := s.hung, Keep
	if s.fate != nil {
		f = s.fate()
	}
	s.mu.Unlock()
	if hung != nil {
		wait := make(chan Fate)
		hung <- wait
		f = <-wait
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commits++
	s.Batch = b
	s.check(b)
	if f == Refuse {
		return ErrStore
	}
	for _, o := range b.Put {
		s.Objects[o.ID] = o
	}
	for _, id := range b.Delete {
		delete(s.Objects, id)
	}
	s.Revision = b.Revision
	if f == KeepAndRefuse {
		return ErrStore
	}
	s.told = b.Revision
	return nil
}

func (s *Store) check(b store.Batch) {
	if s.Closed {
		s.t.Error("a commit after Close")
	}
	if b.Revision < s.told {
		s.t.Errorf("a batch of revision %d after one of %d that was kept", b.Revision, s.told)
	}
	seen := make(map[service.ID]bool)
	once := func(id service.ID) {
		if seen[id] {
			s.t.Errorf("%s stands twice in a batch", id)
		}
		seen[id] = true
	}
	for _, o := range b.Put {
		once(o.ID)
	}
	for _, id := range b.Delete {
		once(id)
	}
}

// Snapshot implements store.Store.
func (s *Store) Snapshot(io.Writer) error { return errors.ErrUnsupported }

// Close implements store.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Closed = true
	return nil
}
