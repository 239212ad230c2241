package engine

import (
	"fmt"
	"runtime"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

// request is a call of Apply: what the caller wants, and then what became of it.
type request struct {
	by      service.Caller
	changes []service.Change

	*transaction // nil until it is drafted
	err          error

	done chan struct{} // closed when the two above are final
}

func (q *request) isDone() bool {
	select {
	case <-q.done:
		return true
	default:
		return false
	}
}

// semaphore is a lock that can be waited for in a select.
type semaphore chan struct{}

func (s semaphore) acquire() { s <- struct{}{} }
func (s semaphore) release() { <-s }

func (s semaphore) tryAcquire() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

// await returns when the request is done: either the current writer took it, or the caller
// becomes the writer.
func (e *Engine) await(q *request) {
	for !q.isDone() {
		select {
		case <-q.done:
		case e.writer <- struct{}{}:
			e.commit(e.nextGroup())
			e.writer.release()
		}
	}
}

// nextGroup takes the next group. It yields first so that callers about to enqueue can join:
// one flush then covers them all, and one copy of what they change in the table.
func (e *Engine) nextGroup() []*request {
	for prev := 0; ; {
		n := e.waiting.len()
		if n == prev || n >= groupSize {
			return e.waiting.take()
		}
		prev = n
		runtime.Gosched()
	}
}

// commit makes the changes of a group: it drafts each request on the table that the one before
// makes, has the store commit them all at once, and publishes them. So a slow store costs each
// request time, and all of them together no more than one. The caller holds the writer semaphore.
func (e *Engine) commit(group []*request) {
	defer func() {
		for _, q := range group {
			close(q.done)
		}
	}()
	e.removeExpired()
	state := e.table.Load()
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
		e.draft(q, begin)
		if q.err == nil && q.draft.Changed() {
			snapshot, q.events = q.draft.Done()
			begin = q.draft.Then
		}
	}
	if err := e.persister.persist(state.Snapshot, snapshot, group); err != nil {
		e.failAll(group, state.Snapshot, err)
	}
	var all []*transaction
	for _, q := range group {
		if q.err == nil {
			all = append(all, q.transaction)
		}
	}
	e.publish(all)
}

// failAll gives the store's error to all requests that change something. The others are drafted
// once more, on the table as it stays: they were drafted, and maybe found faulty, on one that is
// never published.
func (e *Engine) failAll(group []*request, stays *table.Snapshot, err error) {
	for _, q := range group {
		if q.err != nil || !q.draft.Changed() {
			e.draft(q, stays.Edit)
		}
		if q.err == nil && q.draft.Changed() {
			q.err = fmt.Errorf("%w: %w", service.ErrNotKept, err)
			e.discard(q.transaction)
		}
	}
}

// draft drafts a request on the draft that begin begins.
func (e *Engine) draft(q *request, begin func() *table.Draft) {
	q.transaction, q.err = e.transact(q.by, q.changes, begin), nil
	if len(q.faults) > 0 {
		q.err = &service.Invalid{Faults: q.faults}
		e.discard(q.transaction)
	}
}

// transact makes the changes on the draft that begin begins, and renews the leases of instances
// that they leave as they are. A lease may expire at any moment; if one does that the changes
// renew, they are made once more, without it.
func (e *Engine) transact(by service.Caller, changes []service.Change, begin func() *table.Draft) *transaction {
	for {
		t := e.begin(begin(), by)
		t.results = make([]table.Result, 0, len(changes))
		for n := range changes {
			t.apply(n, &changes[n])
		}
		if len(t.faults) > 0 || t.renewAll(e.State().Leases()) {
			return t
		}
		e.discard(t)
	}
}

// renewOnly returns the transaction of changes that only renew leases, by heartbeat or by the
// same registration again, after it has renewed them; nil if there is more to them. It waits for
// no writer and no store: an instance that is renewed so must not expire while the store hangs.
func (e *Engine) renewOnly(state *table.State, by service.Caller, changes []service.Change) *transaction {
	if state == nil {
		return nil
	}
	var t *transaction
	for n := range changes {
		i := state.Instance(changes[n].ID)
		if i == nil {
			return nil // as a rule it is a new instance
		}
		if t == nil {
			t = &transaction{by: by, rules: e.rules.Load(), at: e.clock.Now()}
		}
		if !t.onlyRenews(&changes[n], i) {
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

// publish makes the changes of transactions visible, each of which was drafted on the one
// before. The caller holds the writer semaphore.
func (e *Engine) publish(all []*transaction) {
	var drafts []*table.Draft
	for _, t := range all {
		if t.draft.Changed() {
			drafts = append(drafts, t.draft)
		}
	}
	if len(drafts) == 0 {
		return
	}
	e.table.Publish(e.now(), drafts...)
	for _, t := range all {
		e.published(t)
	}
}

// published does what can only be done once a transaction is visible.
func (e *Engine) published(t *transaction) {
	// Its objects were answered until now, and by the rules of now: the store may have taken long.
	t.wall, t.rules = e.now().UTC(), e.rules.Load()
	for n := range t.results {
		if at := &t.results[n].SafeToStopAt; !at.IsZero() {
			*at = t.safeToStopAt()
		}
	}
	now, leases := e.clock.Now(), e.State().Leases()
	for _, l := range t.granted { // before those dropped: a later change may drop what an earlier one grants
		leases.Renew(l, now) // nobody could renew it before now
		leases.Add(l)
	}
	for _, l := range t.dropped {
		leases.Drop(l, now)
	}
}

// discard drops the leases of a transaction that will not be published.
func (e *Engine) discard(t *transaction) {
	for _, l := range t.granted {
		e.State().Leases().Drop(l, t.at)
	}
}
