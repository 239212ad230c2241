package lease

import "container/list"

// waitQueue holds the leases that are due and may not end yet. They are served round-robin: between
// owners, between the services of an owner, and within a service in the order in which they fell
// due. Each operation costs the same however many leases wait. The zero value is empty.
type waitQueue struct {
	len      int
	queues   map[Tenant]*queue
	services map[uint64]*group

	all   roundRobin
	fresh roundRobin // queues of services without losses
}

// queue holds the leases of one tenant.
type queue struct {
	Tenant
	leaseList
	len       int
	allTurn   *list.Element // its turn in all
	freshTurn *list.Element // its turn in fresh; nil if its service has losses
	group     *group
	index     int // in the group
}

// group is the queues of one service.
type group struct {
	len    int // number of leases in all queues
	queues []*queue
}

// join adds one lease to the queue of a tenant and returns the queue. fresh reports whether its
// service is without losses.
func (n *waitQueue) join(t Tenant, fresh bool) *queue {
	q := n.queues[t]
	if q == nil {
		q = n.open(t, fresh)
	}
	q.len++
	q.group.len++
	n.len++
	return q
}

// open creates the queue of a tenant.
func (n *waitQueue) open(t Tenant, fresh bool) *queue {
	if n.queues == nil {
		n.queues, n.services = make(map[Tenant]*queue), make(map[uint64]*group)
	}
	g := n.services[t.Service]
	if g == nil {
		g = new(group)
		n.services[t.Service] = g
	}
	q := &queue{Tenant: t, group: g, index: len(g.queues)}
	g.queues = append(g.queues, q)
	n.queues[t] = q
	q.allTurn = n.all.add(q)
	if fresh {
		q.freshTurn = n.fresh.add(q)
	}
	return q
}

// leave removes one lease from a queue.
func (n *waitQueue) leave(q *queue) {
	n.len--
	q.group.len--
	if q.len--; q.len > 0 {
		return
	}
	n.all.remove(q, q.allTurn)
	if q.freshTurn != nil {
		n.fresh.remove(q, q.freshTurn)
	}
	delete(n.queues, q.Tenant)
	g := q.group
	last := len(g.queues) - 1
	g.queues[q.index], g.queues[last].index = g.queues[last], q.index
	g.queues[last] = nil
	if g.queues = g.queues[:last]; last == 0 {
		delete(n.services, q.Service)
	}
	if n.len == 0 {
		*n = waitQueue{} // a map never shrinks
	}
}

// noteLoss notes that a service has lost a lease, and is no longer fresh.
func (n *waitQueue) noteLoss(service uint64) {
	for _, q := range n.queuesOf(service) {
		if q.freshTurn != nil {
			n.fresh.remove(q, q.freshTurn)
			q.freshTurn = nil
		}
	}
}

// clearLoss notes that none of the losses of a service count any more.
func (n *waitQueue) clearLoss(service uint64) {
	for _, q := range n.queuesOf(service) {
		if q.freshTurn == nil {
			q.freshTurn = n.fresh.add(q)
		}
	}
}

func (n *waitQueue) queuesOf(service uint64) []*queue {
	if g := n.services[service]; g != nil {
		return g.queues
	}
	return nil
}

// roundRobin serves owners in turn, and the queues of each owner in turn. The zero value is empty.
type roundRobin struct {
	owners  list.List // of *ownerQueues, the next one first
	byOwner map[uint64]*ownerQueues
}

// ownerQueues are the queues of one owner.
type ownerQueues struct {
	turn   *list.Element
	queues list.List // of *queue, the next one first
}

// add appends a queue to those of its owner.
func (t *roundRobin) add(q *queue) *list.Element {
	o := t.byOwner[q.Owner]
	if o == nil {
		if t.byOwner == nil {
			t.byOwner = make(map[uint64]*ownerQueues)
		}
		o = new(ownerQueues)
		o.turn = t.owners.PushBack(o)
		t.byOwner[q.Owner] = o
	}
	return o.queues.PushBack(q)
}

// remove removes a queue from those of its owner.
func (t *roundRobin) remove(q *queue, at *list.Element) {
	o := t.byOwner[q.Owner]
	o.queues.Remove(at)
	if o.queues.Len() == 0 {
		t.owners.Remove(o.turn)
		delete(t.byOwner, q.Owner)
	}
}

// any reports whether there is a queue.
func (t *roundRobin) any() bool { return t.owners.Len() > 0 }

// next returns the queue whose turn it is and moves it to the end, or nil if there is none.
func (t *roundRobin) next() *queue {
	turn := t.owners.Front()
	if turn == nil {
		return nil
	}
	t.owners.MoveToBack(turn)
	queues := &turn.Value.(*ownerQueues).queues
	first := queues.Front()
	queues.MoveToBack(first)
	return first.Value.(*queue)
}
