package engine

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/prometheus/client_golang/prometheus"
)

// persister commits changes to a store, and remembers which objects the store may not have as
// the table does. Whoever holds the writer semaphore calls it.
type persister struct {
	store    store.Store // nil where the table is in memory only: a store that does nothing would cost a tenth of a change
	now      func() time.Time
	log      Logger
	failures prometheus.Counter

	// dirty are objects that the store may have otherwise than the table: an instance whose
	// lease has expired leaves the table without waiting for the store, and a commit that
	// failed may be in the store all the same. They go along with the next commit.
	dirty         map[service.ID]struct{}
	dirtyRevision bool      // the store does not have the revision that the table began with
	failed        time.Time // when the last commit failed; zero if it succeeded

	failing atomic.Bool // the last commit failed; any goroutine reads it
}

// retryEvery is how soon a store is tried again that has failed.
const retryEvery = 200 * time.Millisecond

// persist returns when the store has what the requests change, as it is in the next snapshot.
func (p *persister) persist(published, next *table.Snapshot, group []*request) error {
	if p.store == nil {
		return nil
	}
	changed := make(map[service.ID]struct{})
	for _, q := range group {
		if q.err == nil {
			for i := range q.events {
				changed[q.events[i].ID] = struct{}{}
			}
		}
	}
	// After a failed commit, first rewrite what the store may hold unacknowledged, from the
	// published table: else that would grow with each attempt, and if it were written from the
	// next snapshot, half of a transaction could be committed.
	if !p.failed.IsZero() && len(changed) > 0 {
		if err := p.write(published, nil); err != nil {
			return err
		}
	}
	return p.write(next, changed)
}

// write commits the changed objects and the dirty ones, as they are in a snapshot.
func (p *persister) write(s *table.Snapshot, changed map[service.ID]struct{}) error {
	if len(changed) == 0 && !p.isDirty() {
		return nil
	}
	if p.isPausing() {
		return fmt.Errorf("last commit failed less than %s ago; not retrying yet", retryEvery)
	}
	for id := range p.dirty {
		if changed == nil {
			changed = make(map[service.ID]struct{})
		}
		changed[id] = struct{}{}
	}
	err := p.store.Commit(batchOf(s, changed))
	switch {
	case err != nil:
		if p.failed.IsZero() {
			p.log.Errorf("Store commit failed; rejecting writes until it recovers: %v", err)
		}
		p.failures.Inc()
		p.failed, p.dirty = p.now(), changed
	default:
		if !p.failed.IsZero() {
			p.log.Infof("Store recovered; accepting writes")
		}
		p.failed, p.dirty, p.dirtyRevision = time.Time{}, nil, false
	}
	p.failing.Store(err != nil)
	return err
}

// markDirty notes that the store may have an object otherwise than the table.
func (p *persister) markDirty(id service.ID) {
	if p.store == nil {
		return
	}
	if p.dirty == nil {
		p.dirty = make(map[service.ID]struct{})
	}
	p.dirty[id] = struct{}{}
}

func (p *persister) isDirty() bool { return len(p.dirty) > 0 || p.dirtyRevision }

// isPausing reports whether the store has just failed and is not to be tried again yet.
func (p *persister) isPausing() bool {
	return !p.failed.IsZero() && p.now().Sub(p.failed) < retryEvery
}

// load yields what the store holds, see store.Store.
func (p *persister) load(visit func(store.Object) error) (revision uint64, err error) {
	if p.store == nil {
		return 0, nil
	}
	return p.store.Load(visit)
}

// close closes the store. Changes are refused afterwards.
func (p *persister) close() (err error) {
	if p.store != nil {
		err = p.store.Close()
	}
	p.store = closedStore{}
	return err
}

type closedStore struct{ store.Store }

func (closedStore) Commit(store.Batch) error { return errors.New("the store is closed") }

// batchOf returns the batch that makes the objects in the store what they are in the
// snapshot.
func batchOf(s *table.Snapshot, ids map[service.ID]struct{}) store.Batch {
	b := store.Batch{Revision: s.Revision}
	for id := range ids {
		if o, ok := objectOf(s, id); ok {
			b.Put = append(b.Put, o)
		} else {
			b.Delete = append(b.Delete, id)
		}
	}
	return b
}

// objectOf returns the object of that id in a snapshot; false where there is none.
func objectOf(s *table.Snapshot, id service.ID) (store.Object, bool) {
	if id.ID == "" {
		view := s.Service(id.Name)
		if view == nil || view.Definition == nil {
			return store.Object{}, false
		}
		return store.Object{ID: id, Revision: view.Revision, Definition: view.Definition}, true
	}
	i := s.Instance(id)
	if i == nil {
		return store.Object{}, false
	}
	said := i.Said()
	return store.Object{ID: id, Revision: i.Revision, Instance: &said, RegisteredAt: i.RegisteredAt()}, true
}
