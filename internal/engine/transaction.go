package engine

import (
	"errors"
	"fmt"
	"time"
	"unique"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

// transaction is a list of changes being made on a draft. Nothing of it is visible, and
// nothing outside it has changed, until it is published.
type transaction struct {
	by    service.Caller
	rules *rules
	draft *table.Draft
	at    lease.Time // when it happens, on the clock of leases
	wall  time.Time  // and on the wall's

	results []table.Result
	faults  []service.Fault

	events           []table.Event
	renewed          []*lease.Lease
	granted, dropped []*lease.Lease // that begin and end with it

	registrations, deregistrations int // of instances, for the metrics
}

func (e *Engine) begin(d *table.Draft, by service.Caller) *transaction {
	return &transaction{
		by:    by,
		rules: e.rules.Load(),
		draft: d,
		at:    e.clock.Now(),
		wall:  e.now().UTC(),
	}
}

// revision returns that of the table with the transaction.
func (t *transaction) revision() uint64 {
	if t.draft.Changed() {
		return t.draft.Revision()
	}
	return t.draft.Revision() - 1
}

// apply makes one change, or notes what is wrong with it and makes none. Later changes
// are judged as if a wrong one were not there.
func (t *transaction) apply(n int, c *service.Change) {
	faults := t.check(c)
	if len(faults) > 0 {
		for _, f := range faults {
			f.Change = n
			t.faults = append(t.faults, f)
		}
		return
	}
	result, err := t.do(c)
	if err != nil {
		t.faults = append(t.faults, service.Fault{Change: n, Message: err.Error(), Err: sentinel(err)})
		return
	}
	t.results = append(t.results, result)
}

// check returns what is wrong with a change whatever the table holds.
func (t *transaction) check(c *service.Change) []service.Fault {
	faults := append(c.Check(), t.rules.checkPlace(c)...)
	if c.Op != service.Register || !c.Instance.Lease.Given || c.Instance.Lease.Static() {
		return faults
	}
	if d, r := c.Instance.Lease.Duration(), t.rules.Leases; d < r.Min || d > r.Max {
		faults = append(faults, service.Fault{Field: "leaseSeconds", Message: fmt.Sprintf(
			"%d is out of range: it is 0 for a static instance, or %d to %d",
			c.Instance.Lease.Seconds, seconds(r.Min), seconds(r.Max))})
	}
	return faults
}

func seconds(d time.Duration) int32 { return int32(d / time.Second) }

func (t *transaction) do(c *service.Change) (table.Result, error) {
	switch c.Op {
	case service.Register:
		return t.register(c)
	case service.Deregister:
		return t.deregister(c)
	case service.Renew:
		return t.renew(c)
	case service.SetStatus:
		return t.setStatus(c)
	case service.Define:
		return t.define(c)
	case service.Undefine:
		return t.undefine(c)
	}
	return table.Result{}, fmt.Errorf("no operation %d", c.Op)
}

// register puts an instance there. A registration that says what is known already renews the
// lease and changes nothing.
func (t *transaction) register(c *service.Change) (table.Result, error) {
	prev := t.draft.Instance(c.ID)
	if err := t.mayChange(c, prev); err != nil {
		return table.Result{}, err
	}
	wanted, registered := t.resolve(c, prev), t.wall
	if prev != nil {
		if prev.Says(&wanted) {
			t.renewed = append(t.renewed, prev.Lease())
			return t.instance(prev), nil
		}
		registered = prev.RegisteredAt()
	}
	if !t.draft.Has(c.ID) { // what is there has room already
		if err := t.rules.Limits.checkQuota(t.draft, c.ID); err != nil {
			return table.Result{}, err
		}
	}
	next := table.NewInstance(c.ID, wanted, registered, t.at)
	t.dropped = append(t.dropped, t.draft.Put(next))
	t.granted = append(t.granted, next.Lease())
	t.registrations++
	result := t.instance(next)
	result.Created, result.Changed = prev == nil, true
	return result, nil
}

// onlyRenews reports whether a change does no more to a known instance than to renew its lease.
// Most do more, and are made by the writer: so what tells them apart comes first.
func (t *transaction) onlyRenews(c *service.Change, known *table.Instance) bool {
	switch c.Op {
	case service.Renew:
	case service.Register:
		if wanted := t.resolve(c, known); !known.Says(&wanted) {
			return false
		}
	default:
		return false
	}
	return t.mayChange(c, known) == nil && len(t.check(c)) == 0
}

// resolve fills in what the client left open: by what is known, else by the rules.
func (t *transaction) resolve(c *service.Change, prev *table.Instance) service.Instance {
	next := *c.Instance
	if next.Hostname == "" && service.IsLabel(c.ID.ID) {
		next.Hostname = c.ID.ID
	}
	if !next.Lease.Given {
		next.Lease = service.LeaseOf(seconds(t.rules.Leases.Default))
	}
	if next.Status == service.Unset {
		next.Status = service.Up
		if prev != nil {
			next.Status = prev.Status
		}
	}
	next.Owner = t.ownerOf(c, prev)
	return next
}

// ownerOf returns the owner of an instance that is registered: the first who did so. Only an
// administrator can name another, as an import does.
func (t *transaction) ownerOf(c *service.Change, prev *table.Instance) string {
	switch {
	case t.by.Admin && c.Instance.Owner != "":
		return c.Instance.Owner
	case prev != nil && prev.Owner != "":
		return prev.Owner
	}
	return unique.Make(t.by.Name).Value() // a million instances may have the same
}

func (t *transaction) deregister(c *service.Change) (table.Result, error) {
	prev, err := t.existing(c)
	if err != nil {
		return table.Result{}, err
	}
	t.draft.Remove(prev.ID())
	t.deregistrations++
	t.dropped = append(t.dropped, prev.Lease())
	return table.Result{
		Changed:      true,
		Revision:     t.draft.Revision(),
		SafeToStopAt: t.safeToStopAt(),
	}, nil
}

// safeToStopAt returns the first whole second at which no cache holds an answer that
// prev given before the transaction.
func (t *transaction) safeToStopAt() time.Time {
	at := t.wall.Add(t.rules.TTL)
	if t.rules.cachedUntil.After(at) {
		at = t.rules.cachedUntil
	}
	return at.Add(time.Second - time.Nanosecond).Truncate(time.Second).UTC()
}

func (t *transaction) renew(c *service.Change) (table.Result, error) {
	prev, err := t.existing(c)
	if err != nil {
		return table.Result{}, err
	}
	t.renewed = append(t.renewed, prev.Lease())
	return t.instance(prev), nil
}

// setStatus sets what an operator wants of an instance. It renews no lease.
func (t *transaction) setStatus(c *service.Change) (table.Result, error) {
	prev, err := t.existing(c)
	if err != nil {
		return table.Result{}, err
	}
	if prev.Status == c.Status {
		return t.instance(prev), nil
	}
	next := *prev
	next.Status = c.Status
	t.draft.Put(&next)
	result := t.instance(&next)
	result.Changed = true
	return result, nil
}

func (t *transaction) define(c *service.Change) (table.Result, error) {
	prev := t.service(c.ID.Name)
	if !c.If.Met(revisionOf(prev), prev != nil) {
		return table.Result{}, service.ErrPrecondition
	}
	if err := t.rules.Limits.checkQuota(t.draft, c.ID); err != nil {
		return table.Result{}, err
	}
	changed := prev == nil || prev.Definition == nil || !prev.Definition.Equal(c.Definition)
	if changed {
		t.draft.Define(c.ID.Name, c.Definition)
	}
	next := t.draft.Service(c.ID.Name)
	return table.Result{Created: prev == nil, Changed: changed, Revision: next.Revision, View: next}, nil
}

func (t *transaction) undefine(c *service.Change) (table.Result, error) {
	prev := t.service(c.ID.Name)
	if prev == nil {
		return table.Result{}, fmt.Errorf("service %s: %w", c.ID.Name, service.ErrNotFound)
	}
	if !c.If.Met(prev.Revision, true) {
		return table.Result{}, service.ErrPrecondition
	}
	instances, _ := t.draft.Undefine(c.ID.Name)
	t.deregistrations += len(instances)
	for _, i := range instances {
		t.dropped = append(t.dropped, i.Lease())
	}
	return table.Result{Changed: true, Revision: t.draft.Revision(), Gone: instances, SafeToStopAt: t.safeToStopAt()}, nil
}

// service returns a service; nil where there is none.
func (t *transaction) service(name service.Name) *table.View {
	if v := t.draft.Service(name); v != nil && v.Exists() {
		return v
	}
	return nil
}

func revisionOf(v *table.View) uint64 {
	if v == nil {
		return 0
	}
	return v.Revision
}

// renewAll gives the leases that the changes renew their full length. It reports false where
// one has ended since the changes were judged.
func (t *transaction) renewAll(leases *lease.Wheel) bool {
	for _, l := range t.renewed {
		if !leases.Renew(l, t.at) {
			return false
		}
	}
	return true
}

// expire takes away the instances whose leases have ended, and returns them. Where another has
// come in the place of one, that one is gone already.
func (t *transaction) expire(ended []*lease.Lease) []*table.Instance {
	gone := t.draft.Leased(ended)
	for _, i := range gone {
		t.dropped = append(t.dropped, i.Lease())
		t.draft.Remove(i.ID())
	}
	return gone
}

// existing returns the instance that a change is about and that must be there.
func (t *transaction) existing(c *service.Change) (*table.Instance, error) {
	i := t.draft.Instance(c.ID)
	if i == nil {
		return nil, fmt.Errorf("instance %s: %w: register it first", c.ID, service.ErrNotFound)
	}
	return i, t.mayChange(c, i)
}

// mayChange returns why the caller may not change an instance as it is now; nil for i where there
// is none.
func (t *transaction) mayChange(c *service.Change, i *table.Instance) error {
	revision := uint64(0)
	if i != nil {
		revision = i.Revision
		if !t.by.Owns(i.Owner) {
			return service.ErrNotOwner
		}
	}
	if !c.If.Met(revision, i != nil) {
		return service.ErrPrecondition
	}
	return nil
}

func (t *transaction) instance(i *table.Instance) table.Result {
	return table.Result{Revision: i.Revision, Instance: i, View: t.draft.Service(i.Name())}
}

// sentinel returns which of the errors of service an error is.
func sentinel(err error) error {
	for _, s := range []error{service.ErrNotFound, service.ErrPrecondition, service.ErrNotOwner} {
		if errors.Is(err, s) {
			return s
		}
	}
	return nil
}
