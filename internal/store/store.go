// Package store says how the table is kept where it survives the process. What a store
// is held to is the exam in storetest, which every one of them sits.
package store

import (
	"io"
	"time"

	"github.com/coredns-registry/registry/service"
)

// Store keeps the objects of the table. It has one user, who calls Load first and once;
// Commit and Close from one goroutine at a time; Snapshot from any, also beside Commit.
type Store interface {
	// Load yields every object that is kept, in no certain order, and returns the
	// revision of the last batch; 0 where there was none. What it yields is the caller's.
	// An error says that what is kept cannot be read whole and right: it names the place
	// and what to do. visit's own error ends the load and is returned.
	Load(visit func(Object) error) (revision uint64, err error)

	// Commit keeps a batch, all of it or nothing, and returns when it would survive the
	// loss of power. After an error it is open whether the batch is kept; the caller makes
	// that right by having the objects of the batch, as they should be, in the next one.
	// Whatever has failed, Commit may be tried again.
	Commit(Batch) error

	// Snapshot writes a copy of what is kept, as it was between two batches, from which
	// the same store can be opened. Nothing has been written where it returns an error
	// before the first byte.
	Snapshot(w io.Writer) error

	// Close lets go of what is kept. The store is not used afterwards.
	Close() error
}

// Object is an instance, or the definition of a service: then its ID has no ID.
type Object struct {
	ID       service.ID
	Revision uint64

	Instance     *service.Instance // of an instance
	RegisteredAt time.Time         // of an instance, in UTC

	Definition *service.Definition // of a service
}

// Batch is what changes by one commit. No object is named twice in it.
type Batch struct {
	Revision uint64 // of the table with it, never less than that of a batch that was kept
	Put      []Object
	Delete   []service.ID // of instances and of definitions; not to be kept is no fault
}
