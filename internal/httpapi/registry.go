package httpapi

import (
	"io"
	"time"

	"github.com/coredns-registry/registry/internal/engine"
	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

// Registry is what the endpoint needs of the registry. All of it may be called from
// many goroutines at once.
type Registry interface {
	// State returns the published table, nil until it is loaded.
	State() *table.State

	// Apply makes all the changes, as one transaction with one revision, or none and
	// returns an error: *service.Invalid names every fault, with the change it is in;
	// service.ErrNotLoaded says to try again. When it returns, DNS answers by the
	// changes. arrived is when the request came in. The results stand in the order of
	// the changes; the revision is that of the table with them.
	Apply(by service.Caller, changes []service.Change, arrived time.Time) (results []table.Result, revision uint64, err error)

	// Check returns everything that is wrong with a change whatever the table holds: for
	// bodies that have other faults besides, so that all are told at once.
	Check(c *service.Change) []service.Fault

	// Renew gives an instance's lease its full length: service.ErrNotFound where there is
	// no such instance, service.ErrNotOwner, service.ErrPrecondition, service.ErrNotLoaded.
	Renew(by service.Caller, id service.ID, unless service.Precondition) error

	// ExpiresAt returns when a lease ends unless it is renewed; the zero time for a nil
	// lease, which never ends.
	ExpiresAt(l *lease.Lease) time.Time

	// Names returns the DNS names that lead to an instance of the service now.
	Names(view *table.View, i *table.Instance) []string

	// Explain says what DNS would answer, and why, as far as it is of services that may be
	// read; false where the name itself is of one that may not.
	Explain(name string, qtype uint16, may func(service.Name) bool) (e Explanation, ok bool)

	// Version and Store name the build and the store, for the status. StoreFailing reports
	// whether the store cannot keep changes now.
	Version() string
	Store() string
	StoreFailing() bool

	// Evictions says what the eviction budget holds back.
	Evictions() Evictions

	// Snapshot writes a copy of the store: service.ErrNoSnapshot where the table is in
	// memory only, service.ErrNotLoaded. An error before the first byte has written
	// nothing.
	Snapshot(w io.Writer) error

	// Differs reports whether the object of a change, which is Register or Define and has
	// nothing wrong with it, is otherwise in the snapshot than the change would have it.
	Differs(by service.Caller, c *service.Change, s *table.Snapshot) bool
}

// Evictions is the state of the eviction budget, and HeldService one of the services in it.
type (
	Evictions   = engine.Evictions
	HeldService = engine.HeldService
)

// Explanation is what DNS answers to a question, and for each instance of the service
// that the name belongs to whether it is in the answer and why.
type Explanation struct {
	Zone       string // that answers; empty where none does
	Outcome    string // as in the metrics: found, nodata, noname, alias, notready, notserved
	Rcode      string // "NOERROR"
	Answer     []string
	Authority  []string
	Additional []string
	Instances  []ExplainedInstance
}

// ExplainedInstance is one instance of the service that was asked for.
type ExplainedInstance struct {
	ID       service.ID
	Answered bool
	Reason   string
}
