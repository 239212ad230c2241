package engine

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/prometheus/client_golang/prometheus"
)

// keeper has a store keep what changes, and remembers what it may not have kept. It is
// guarded by the lane.
type keeper struct {
	store    store.Store // nil where the table is in memory only
	now      func() time.Time
	log      Logger
	failures prometheus.Counter

	// unsettled are objects of which the store may have something else than the table: an
	// instance whose lease has ended leaves the table at once, and a commit that failed may
	// have been kept all the same. They go along with the next commit.
	unsettled map[service.ID]struct{}
	behind    bool      // the store has yet to hear of the revision that the table began with
	failed    time.Time // when the last commit failed; zero if it did not

	failing atomic.Bool // the last commit failed; anybody reads it
}

// retryEvery is how soon a store is tried again that has failed.
const retryEvery = 200 * time.Millisecond

// keep returns when the store has what the group changes, as it is in the next snapshot.
func (k *keeper) keep(published, next *table.Snapshot, group []*pending) error {
	if k.store == nil {
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
	// A store that fails is asked for what it owes first: else what it may have kept
	// without our knowing would grow with each attempt. It is told of that as it stands, not
	// as the group would have it: no part of a transaction may be kept by itself.
	if !k.failed.IsZero() && len(changed) > 0 {
		if err := k.settle(published, nil); err != nil {
			return err
		}
	}
	return k.settle(next, changed)
}

// settle has the store keep the changed objects and the unsettled ones.
func (k *keeper) settle(s *table.Snapshot, changed map[service.ID]struct{}) error {
	if len(changed) == 0 && len(k.unsettled) == 0 && !k.behind {
		return nil
	}
	if !k.failed.IsZero() && k.now().Sub(k.failed) < retryEvery {
		return fmt.Errorf("it failed less than %s ago", retryEvery)
	}
	for id := range k.unsettled {
		if changed == nil {
			changed = make(map[service.ID]struct{})
		}
		changed[id] = struct{}{}
	}
	err := k.store.Commit(batchOf(s, changed))
	switch {
	case err != nil:
		if k.failed.IsZero() {
			k.log.Errorf("The store cannot keep changes, they are refused until it can: %v", err)
		}
		k.failures.Inc()
		k.failed, k.unsettled = k.now(), changed
		k.failing.Store(true)
	default:
		if !k.failed.IsZero() {
			k.log.Infof("The store keeps changes again")
		}
		k.failed, k.unsettled, k.behind = time.Time{}, nil, false
		k.failing.Store(false)
	}
	return err
}

// owe notes that the store may have something else of an object than the table.
func (k *keeper) owe(id service.ID) {
	if k.store == nil {
		return
	}
	if k.unsettled == nil {
		k.unsettled = make(map[service.ID]struct{})
	}
	k.unsettled[id] = struct{}{}
}

// owes reports whether there is anything to be settled now.
func (k *keeper) owes() bool {
	return (len(k.unsettled) > 0 || k.behind) && (k.failed.IsZero() || k.now().Sub(k.failed) >= retryEvery)
}

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

// objectOf returns what a snapshot has of that id; false where it has nothing.
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
