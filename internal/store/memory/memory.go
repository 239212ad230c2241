// Package memory is the store that keeps nothing beyond the process. A table that need
// not survive does not want a store at all; this one is for tests, as the plainest thing
// that passes the exam.
package memory

import (
	"errors"
	"io"
	"sync"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/service"
)

// Store is a [store.Store] in a map. The zero value is an empty one. It may be used again
// after Close: that stands for another process that opens it.
type Store struct {
	mu       sync.Mutex
	revision uint64
	objects  map[service.ID]store.Object
}

var _ store.Store = (*Store)(nil)

// ErrNoSnapshot is the answer of Snapshot.
var ErrNoSnapshot = errors.New("a table in memory has no snapshot: export it")

// Load yields the objects as they were committed.
func (s *Store) Load(visit func(store.Object) error) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.objects {
		if err := visit(o); err != nil {
			return 0, err
		}
	}
	return s.revision, nil
}

// Commit never fails.
func (s *Store) Commit(b store.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.objects == nil {
		s.objects = map[service.ID]store.Object{}
	}
	for _, id := range b.Delete {
		delete(s.objects, id)
	}
	for _, o := range b.Put {
		s.objects[o.ID] = o
	}
	s.revision = b.Revision
	return nil
}

// Snapshot returns ErrNoSnapshot: nothing could be opened from one.
func (s *Store) Snapshot(io.Writer) error { return ErrNoSnapshot }

// Close does nothing.
func (s *Store) Close() error { return nil }
