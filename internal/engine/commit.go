package engine

import (
	"fmt"
	"runtime"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

// pending is a transaction on its way: what is wanted, and then what became of it.
type pending struct {
	by      service.Caller
	changes []service.Change

	*transaction // nil until it is drafted
	err          error

	done chan struct{} // closed when the two above say what became of it
}

func (q *pending) isDone() bool {
	select {
	case <-q.done:
		return true
	default:
		return false
	}
}

// lane lets one writer at a time to the table.
type lane chan struct{}

func newLane() lane { return make(lane, 1) }

func (l lane) enter() { l <- struct{}{} }
func (l lane) leave() { <-l }

// try enters if nobody is in it.
func (l lane) try() bool {
	select {
	case l <- struct{}{}:
		return true
	default:
		return false
	}
}

// commit makes the changes of all the requests: drafts each on what the one before makes
// of the table, has the store keep them together, and publishes them. A slow store so costs
// each request time, and all of them no more than one. The caller is in the lane.
func (r *Engine) commit(group []*pending) {
	defer func() {
		for _, q := range group {
			close(q.done)
		}
	}()
	r.dropEnded()
	state := r.table.Load()
	if state == nil {
		for _, q := range group {
			q.err = service.ErrNotLoaded
		}
		return
	}
	snapshot, begin := state.Snapshot, state.Edit
	for _, q := range group {
		if len(q.changes) > 1 { // its draft may have to be thrown away half made
			begin = snapshot.Edit
		}
		r.judge(q, begin)
		if q.err == nil && q.draft.Changed() {
			snapshot, q.events = q.draft.Done()
			begin = q.draft.Then
		}
	}
	if err := r.store.keep(state.Snapshot, snapshot, group); err != nil {
		r.refuse(group, state.Snapshot, err)
	}
	var all []*transaction
	for _, q := range group {
		if q.err == nil {
			all = append(all, q.transaction)
		}
	}
	r.publish(all)
}

// gather takes the requests that go next. Those that are about to wait are let in first: on
// cores that are busy, whoever has just been answered would else find that the next commit
// has begun with the few that came while nobody could run. What a commit costs, a flush or
// the copies of what is changed in the table, is so paid once for all of them.
func (r *Engine) gather() []*pending {
	for was := 0; ; {
		n := r.waiting.length()
		if n == was || n >= groupSize {
			return r.waiting.take()
		}
		was = n
		runtime.Gosched()
	}
}

// renewed returns the transaction of changes that only renew leases, by heartbeat or by the
// same registration again, once it has renewed them; nil if there is more to them. It
// waits for no writer and no store: who renews this way must not be evicted when the
// store hangs. It drafts nothing, since that is for those in the lane.
func (r *Engine) renewed(state *table.State, by service.Caller, changes []service.Change) *transaction {
	if state == nil {
		return nil
	}
	var t *transaction
	for n := range changes {
		i := living(state.Instance(changes[n].ID))
		if i == nil {
			return nil // most that do not repeat anything are of an instance that is new
		}
		if t == nil {
			t = &transaction{by: by, rules: r.rules.Load(), at: r.clock.Now()}
		}
		if !t.repeats(&changes[n], i) {
			return nil
		}
		t.renewed = append(t.renewed, i.Lease())
		t.results = append(t.results, table.Result{Revision: i.Revision, Instance: i, View: state.Service(i.Name())})
	}
	if t == nil || !t.renewAll(state.Leases()) {
		return nil
	}
	return t
}

// judge drafts a request on the draft that begin begins.
func (r *Engine) judge(q *pending, begin func() *table.Draft) {
	q.transaction, q.err = r.draft(begin, q.by, q.changes), nil
	if len(q.faults) > 0 {
		q.err = &service.Invalid{Faults: q.faults}
		r.discard(q.transaction)
	}
}

// Settle has the store keep what the table has without it. It must be called about every
// lease.TickEvery, and not by who calls Expire: it takes as long as the store does.
func (r *Engine) Settle() {
	if !r.lane.try() {
		return // whoever is in it settles too, or the next call does
	}
	defer r.lane.leave()
	if r.store.owes() {
		r.commit(r.waiting.take())
	}
}

// draft makes the changes on the draft that begin begins, and renews the leases of instances
// that they leave as they are. A lease may end at any moment; where one does that the
// draft relied on, the changes are judged once more, without it.
func (r *Engine) draft(begin func() *table.Draft, by service.Caller, changes []service.Change) *transaction {
	for {
		t := r.begin(begin(), by)
		t.results = make([]table.Result, 0, len(changes))
		for n := range changes {
			t.apply(n, &changes[n])
		}
		if len(t.faults) > 0 || t.renewAll(r.State().Leases()) {
			return t
		}
		r.discard(t)
	}
}

// refuse gives the error of the store to all who change something. The others are judged
// once more, on the table as it stays: they were drafted, and maybe found faulty, on what is
// not going to be.
func (r *Engine) refuse(group []*pending, stays *table.Snapshot, err error) {
	for _, q := range group {
		if q.err != nil || !q.draft.Changed() {
			r.judge(q, stays.Edit)
		}
		if q.err == nil && q.draft.Changed() {
			q.err = fmt.Errorf("%w: %w", service.ErrNotKept, err)
			r.discard(q.transaction)
		}
	}
}

// publish makes the changes of transactions visible, each of which was drafted on the one
// before. The caller is in the lane.
func (r *Engine) publish(all []*transaction) {
	var drafts []*table.Draft
	for _, t := range all {
		if t.draft.Changed() {
			drafts = append(drafts, t.draft)
		}
	}
	if len(drafts) == 0 {
		return
	}
	r.table.Publish(r.now(), drafts...)
	for _, t := range all {
		r.published(t)
	}
}

// published does what can only be done once a transaction is visible.
func (r *Engine) published(t *transaction) {
	// It was answered until now, and by the rules of now: the store may have taken long.
	t.wall, t.rules = r.now().UTC(), r.rules.Load()
	for n := range t.results {
		if at := &t.results[n].SafeToStopAt; !at.IsZero() {
			*at = t.safeToStopAt()
		}
	}
	now, leases := r.clock.Now(), r.State().Leases()
	for _, l := range t.granted { // first: what one change grants, the next may drop
		leases.Renew(l, now) // it was not to be had before now
		leases.Add(l)
	}
	for _, l := range t.dropped {
		leases.Drop(l, now)
	}
}

// discard gives up what a transaction has taken that will not be published.
func (r *Engine) discard(t *transaction) {
	for _, l := range t.granted {
		r.State().Leases().Drop(l, t.at)
	}
}
