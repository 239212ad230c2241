package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/internal/tuning"
)

// revisionsApart is by how much a loaded table's revisions are ahead of the store's. An
// instance that expires takes a revision without waiting for the store; after a crash no
// such number may stand for another change. At one expiry in each tick it lasts a day
// of a store that fails all the time.
const revisionsApart = 1 << 20

// progressEvery is how often a load that takes long says how far it is.
const progressEvery = time.Second

// ErrStopped ends a load that nobody waits for any more.
var ErrStopped = errors.New("the registry is being closed")

// StopLoading ends a load that is under way: it returns ErrStopped.
func (r *Engine) StopLoading() { r.stopped.Store(true) }

// Load fills the table from the store. Until it returns the registry answers nothing.
// Leases begin anew at their full length: who could not be heard has missed nothing.
func (r *Engine) Load() error {
	defer tuning.WhileLoading()()
	var b table.Builder
	began := r.now()
	said, objects := began, 0
	revision, err := r.store.store.Load(func(o store.Object) error {
		if r.stopped.Load() {
			return ErrStopped
		}
		if objects++; objects%1000 == 0 {
			if now := r.now(); now.Sub(said) >= progressEvery {
				said = now
				r.log.Infof("Loading the table: %d objects so far", objects)
			}
		}
		if o.Instance == nil {
			b.Define(o.ID.Name, o.Definition)
			return nil
		}
		i := table.NewInstance(o.ID, *o.Instance, o.RegisteredAt, 0)
		i.Revision = o.Revision
		b.Put(i)
		return nil
	})
	if err != nil {
		return fmt.Errorf("load the table: %w", err)
	}
	if revision == 0 {
		revision = uint64(r.now().UnixMilli())
	}
	r.lane.enter()
	defer r.lane.leave()
	s := b.Done(revision + revisionsApart)
	s.Leases().AddAll(r.clock.Now())
	r.table.Open(s, r.now())
	r.store.behind = true // so that the next start is ahead of this one, whatever this one keeps
	_, services, instances := s.Totals()
	r.log.Infof("Loaded %d services with %d instances in %s", services, instances, r.now().Sub(began).Round(time.Millisecond))
	return nil
}
