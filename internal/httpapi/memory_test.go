package httpapi

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

// memory is a registry with a real table and as little else as it can do with.
type memory struct {
	table table.Table
	clock *lease.Clock
	now   func() time.Time

	unloaded  atomic.Bool
	trouble   error        // of every Apply
	entered   func()       // called at the beginning of every Apply
	renewals  atomic.Int64 // how many leases were renewed
	explained func(name string, qtype uint16) Explanation
	explainOf service.Name // that the name to be explained belongs to, where it is of one
	evictions Evictions
	failing   bool                  // what StoreFailing says
	snapshot  func(io.Writer) error // of the store; nil where there is none

	mu sync.Mutex // one writer at a time
}

// anyone is who changes the table where no credential is asked for.
var anyone = service.Caller{Admin: true}

// firstRevision is that of the empty table.
const firstRevision = 100

func newMemory(now func() time.Time) *memory {
	m := &memory{clock: lease.NewClock(now), now: now}
	m.table.Open(table.Empty(firstRevision), time.Now())
	return m
}

func (m *memory) Check(c *service.Change) []service.Fault { return c.Check() }

func (m *memory) State() *table.State {
	if m.unloaded.Load() {
		return nil
	}
	return m.table.Load()
}

func (m *memory) Apply(by service.Caller, changes []service.Change, _ time.Time) ([]table.Result, uint64, error) {
	if m.entered != nil {
		m.entered()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	state := m.State()
	if state == nil {
		return nil, 0, service.ErrNotLoaded
	}
	if m.trouble != nil {
		return nil, 0, m.trouble
	}
	draft := state.Edit()
	var results []table.Result
	var invalid service.Invalid
	for n := range changes {
		result, faults := m.change(draft, by, &changes[n])
		for _, f := range faults {
			f.Change = n
			invalid.Faults = append(invalid.Faults, f)
		}
		results = append(results, result)
	}
	if len(invalid.Faults) > 0 {
		return nil, 0, &invalid
	}
	if draft.Changed() {
		m.table.Publish(time.Now(), draft)
	}
	return results, m.table.Load().Revision, nil
}

func (m *memory) change(draft *table.Draft, by service.Caller, c *service.Change) (table.Result, []service.Fault) {
	if faults := c.Check(); faults != nil {
		return table.Result{}, faults
	}
	was, view := draft.Instance(c.ID), draft.Service(c.ID.Name)
	revision, exists := uint64(0), was != nil
	if exists {
		revision = was.Revision
	}
	if c.Op == service.Define || c.Op == service.Undefine {
		if exists = view != nil; exists {
			revision = view.Revision
		}
	}
	switch {
	case !exists && c.Op != service.Register && c.Op != service.Define:
		return table.Result{}, []service.Fault{{Message: "no such object", Err: service.ErrNotFound}}
	case was != nil && c.ID.ID != "" && !by.Owns(was.Owner):
		return table.Result{}, []service.Fault{{Message: "another's", Err: service.ErrNotOwner}}
	case !c.If.Met(revision, exists):
		return table.Result{}, []service.Fault{{Message: "not as required", Err: service.ErrPrecondition}}
	}
	switch c.Op {
	case service.Register:
		return m.register(draft, by, c, was), nil
	case service.Deregister:
		draft.Remove(c.ID)
		return table.Result{Changed: true, Revision: draft.Revision(), SafeToStopAt: m.now().Add(5 * time.Second)}, nil
	case service.SetStatus:
		is := *was
		changed := is.Status != c.Status
		if changed {
			is.Status = c.Status
			draft.Put(&is)
		}
		return result(draft, &is, false, changed), nil
	case service.Define:
		changed := view == nil || view.Definition == nil || !view.Definition.Equal(c.Definition)
		if changed {
			draft.Define(c.ID.Name, c.Definition)
		}
		is := draft.Service(c.ID.Name)
		return table.Result{Created: view == nil, Changed: changed, Revision: is.Revision, View: is}, nil
	case service.Undefine:
		gone, _ := draft.Undefine(c.ID.Name)
		return table.Result{Changed: true, Revision: draft.Revision(), Gone: gone}, nil
	default:
		m.table.Load().Leases().Renew(was.Lease(), m.clock.Now())
		return result(draft, was, false, false), nil
	}
}

func (m *memory) register(draft *table.Draft, by service.Caller, c *service.Change, was *table.Instance) table.Result {
	wanted := m.resolve(by, c, was)
	if was != nil && was.Says(&wanted) {
		m.table.Load().Leases().Renew(was.Lease(), m.clock.Now())
		return result(draft, was, false, false)
	}
	is := table.NewInstance(c.ID, wanted, m.now(), m.clock.Now())
	draft.Put(is)
	return result(draft, is, was == nil, true)
}

func (m *memory) resolve(by service.Caller, c *service.Change, was *table.Instance) service.Instance {
	is := *c.Instance
	if is.Hostname == "" && service.IsLabel(c.ID.ID) {
		is.Hostname = c.ID.ID
	}
	if !is.Lease.Given {
		is.Lease = service.LeaseOf(30)
	}
	if is.Status == service.Unset {
		is.Status = service.Up
		if was != nil {
			is.Status = was.Status
		}
	}
	if !by.Admin || is.Owner == "" {
		is.Owner = by.Name
		if was != nil && was.Owner != "" {
			is.Owner = was.Owner
		}
	}
	return is
}

func result(draft *table.Draft, i *table.Instance, created, changed bool) table.Result {
	return table.Result{Created: created, Changed: changed, Revision: i.Revision, Instance: i, View: draft.Service(i.Name())}
}

func (m *memory) Renew(by service.Caller, id service.ID, unless service.Precondition) error {
	state := m.State()
	if state == nil {
		return service.ErrNotLoaded
	}
	i := state.Instance(id)
	if i == nil {
		return service.ErrNotFound
	}
	if !by.Owns(i.Owner) {
		return service.ErrNotOwner
	}
	if !unless.Met(i.Revision, true) {
		return service.ErrPrecondition
	}
	m.table.Load().Leases().Renew(i.Lease(), m.clock.Now())
	m.renewals.Add(1)
	return nil
}

func (m *memory) ExpiresAt(l *lease.Lease) time.Time {
	t, ok := l.Deadline()
	if !ok {
		return time.Time{}
	}
	return m.clock.Wall(t)
}

func (m *memory) Names(view *table.View, i *table.Instance) []string {
	var names []string
	for label := range i.Hosts {
		names = append(names, label+"."+view.String()+".svc.cluster.local.")
	}
	return names
}

func (m *memory) Explain(name string, qtype uint16, may func(service.Name) bool) (Explanation, bool) {
	if m.explainOf != (service.Name{}) && !may(m.explainOf) {
		return Explanation{}, false
	}
	if m.explained != nil {
		return m.explained(name, qtype), true
	}
	return Explanation{Outcome: "notserved"}, true
}

func (m *memory) Version() string    { return "v0.0.1" }
func (m *memory) Store() string      { return "memory" }
func (m *memory) StoreFailing() bool { return m.failing }

func (m *memory) Evictions() Evictions { return m.evictions }

func (m *memory) Snapshot(w io.Writer) error {
	if m.snapshot == nil {
		return service.ErrNoSnapshot
	}
	return m.snapshot(w)
}

func (m *memory) Differs(by service.Caller, c *service.Change, s *table.Snapshot) bool {
	if c.Op == service.Define {
		view := s.Service(c.ID.Name)
		return view == nil || view.Definition == nil || !view.Definition.Equal(c.Definition)
	}
	was := s.Instance(c.ID)
	is := m.resolve(by, c, was)
	return was == nil || !was.Says(&is)
}
