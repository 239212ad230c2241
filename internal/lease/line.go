package lease

import "container/list"

// line is where leases wait that have fallen due and may not end yet. They go by turns: between
// owners, between the services of an owner, and of these in the order in which they fell due.
// Whoever joins, leaves or is next costs the same however many wait. The zero value is empty.
type line struct {
	len      int
	queues   map[Tenant]*queue
	services map[uint64]*group

	all   turns
	fresh turns // the queues of services that have lost nothing
}

// queue is those of one tenant.
type queue struct {
	Tenant
	slot
	len     int
	all     *list.Element // where it stands in the turns
	fresh   *list.Element // nil where its service has lost something
	members *group
	place   int // among them
}

// group is the queues of one service.
type group struct {
	len    int // leases in all of them
	queues []*queue
}

// join returns the queue of a tenant, to which one is added. fresh says that its service has
// lost nothing.
func (n *line) join(t Tenant, fresh bool) *queue {
	q := n.queues[t]
	if q == nil {
		q = n.open(t, fresh)
	}
	q.len++
	q.members.len++
	n.len++
	return q
}

func (n *line) open(t Tenant, fresh bool) *queue {
	if n.queues == nil {
		n.queues, n.services = make(map[Tenant]*queue), make(map[uint64]*group)
	}
	g := n.services[t.Service]
	if g == nil {
		g = new(group)
		n.services[t.Service] = g
	}
	q := &queue{Tenant: t, members: g, place: len(g.queues)}
	g.queues = append(g.queues, q)
	n.queues[t] = q
	q.all = n.all.add(q)
	if fresh {
		q.fresh = n.fresh.add(q)
	}
	return q
}

// leave takes one from a queue.
func (n *line) leave(q *queue) {
	n.len--
	q.members.len--
	if q.len--; q.len > 0 {
		return
	}
	n.all.remove(q, q.all)
	if q.fresh != nil {
		n.fresh.remove(q, q.fresh)
	}
	delete(n.queues, q.Tenant)
	g := q.members
	last := len(g.queues) - 1
	g.queues[q.place], g.queues[last].place = g.queues[last], q.place
	g.queues[last] = nil
	if g.queues = g.queues[:last]; last == 0 {
		delete(n.services, q.Service)
	}
	if n.len == 0 {
		*n = line{} // a map stays as large as it was
	}
}

// lost notes that a service has lost one; again that none of what it lost counts any more.
func (n *line) lost(service uint64) {
	for _, q := range n.queuesOf(service) {
		if q.fresh != nil {
			n.fresh.remove(q, q.fresh)
			q.fresh = nil
		}
	}
}

func (n *line) again(service uint64) {
	for _, q := range n.queuesOf(service) {
		if q.fresh == nil {
			q.fresh = n.fresh.add(q)
		}
	}
}

func (n *line) queuesOf(service uint64) []*queue {
	if g := n.services[service]; g != nil {
		return g.queues
	}
	return nil
}

// turns is queues that are served in turn. The zero value has none.
type turns struct {
	owners list.List // of *owner, the next one first
	known  map[uint64]*owner
}

type owner struct {
	turn   *list.Element
	queues list.List // of *queue, the next one first
}

// add has a queue wait for its turn, after all others of its owner.
func (t *turns) add(q *queue) *list.Element {
	o := t.known[q.Owner]
	if o == nil {
		if t.known == nil {
			t.known = make(map[uint64]*owner)
		}
		o = new(owner)
		o.turn = t.owners.PushBack(o)
		t.known[q.Owner] = o
	}
	return o.queues.PushBack(q)
}

func (t *turns) remove(q *queue, at *list.Element) {
	o := t.known[q.Owner]
	o.queues.Remove(at)
	if o.queues.Len() == 0 {
		t.owners.Remove(o.turn)
		delete(t.known, q.Owner)
	}
}

// any reports whether there is one.
func (t *turns) any() bool { return t.owners.Len() > 0 }

// next returns the queue whose turn it is, and has it wait for the next one; nil where there is
// none.
func (t *turns) next() *queue {
	turn := t.owners.Front()
	if turn == nil {
		return nil
	}
	t.owners.MoveToBack(turn)
	queues := &turn.Value.(*owner).queues
	first := queues.Front()
	queues.MoveToBack(first)
	return first.Value.(*queue)
}
