package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/internal/tuning"
)

// revisionGap is by how much a loaded table's revision is ahead of the store's. An instance that
// expires takes a revision without waiting for the store; after a crash that number must not
// stand for another change. At one expiry in each tick the gap lasts a day in which the store
// fails all the time.
const revisionGap = 1 << 20

// progressEvery is how often a load that takes long logs how far it is.
const progressEvery = time.Second

// ErrStopped is the error of a load that StopLoading ended.
var ErrStopped = errors.New("the registry is being closed")

// StopLoading ends the load that is under way.
func (e *Engine) StopLoading() { e.stopped.Store(true) }

// Load fills the table from the store. Until it returns the engine answers nothing. Leases begin
// anew at their full length: while nobody could be heard, no heartbeat was missed.
func (e *Engine) Load() error {
	defer tuning.WhileLoading()()
	var b table.Builder
	began := e.now()
	logged, objects := began, 0
	revision, err := e.persister.load(func(o store.Object) error {
		if e.stopped.Load() {
			return ErrStopped
		}
		if objects++; objects%1000 == 0 {
			if now := e.now(); now.Sub(logged) >= progressEvery {
				logged = now
				e.log.Infof("Loading the table: %d objects so far", objects)
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
	lasting := e.persister.store != nil
	if revision == 0 {
		revision = uint64(e.now().UnixMilli())
	}
	if lasting {
		revision += revisionGap
	}
	e.writer.acquire()
	defer e.writer.release()
	s := b.Done(revision)
	s.Leases().AddAll(e.clock.Now())
	e.table.Open(s, e.now())
	e.persister.dirtyRevision = lasting // so that the next start is ahead of this one, whatever else is committed
	if lasting {
		_, services, instances := s.Totals()
		e.log.Infof("Loaded %d services with %d instances in %s", services, instances, e.now().Sub(began).Round(time.Millisecond))
	}
	return nil
}
