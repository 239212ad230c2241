package engine

import (
	"net/netip"
	"sync"

	"github.com/coredns-registry/registry/internal/access"
	"github.com/coredns-registry/registry/service"
)

// queue holds the requests that wait to be committed: one first-in, first-out queue per caller,
// served round-robin, so that one busy caller cannot starve the others. The zero value is empty.
type queue struct {
	mu       sync.Mutex
	callers  []*callerQueue // with something waiting; the first is next
	byCaller map[callerKey]*callerQueue
	changes  int // that wait, of all callers
}

// callerKey tells callers apart: by credential, or where there is none by address.
type callerKey struct {
	name string
	from netip.Prefix // a host has all of an IPv6 network to come from
}

func keyOf(by service.Caller) callerKey {
	if by.Name != "" {
		return callerKey{name: by.Name}
	}
	return callerKey{from: access.Source(by.From)}
}

// callerQueue is what one caller has waiting, at least one request.
type callerQueue struct {
	key      callerKey
	requests []*request
}

func (q *queue) add(r *request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	key := keyOf(r.by)
	c := q.byCaller[key]
	if c == nil {
		c = &callerQueue{key: key}
		q.callers = append(q.callers, c)
		if q.byCaller == nil {
			q.byCaller = make(map[callerKey]*callerQueue)
		}
		q.byCaller[key] = c
	}
	c.requests = append(c.requests, r)
	q.changes += len(r.changes)
}

// len returns how many changes wait.
func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.changes
}

// groupSize is how many changes are committed together before the others wait for the next
// commit: enough to share the price of a flush, and drafted in about as much time as one takes.
const groupSize = 1000

// take takes the next group: one request of each caller in turn, until it has groupSize changes
// or none is left.
func (q *queue) take() (group []*request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for changes := 0; len(q.callers) > 0 && changes < groupSize; {
		c := q.callers[0]
		r := c.requests[0]
		c.requests[0] = nil // the queue may live on for long
		c.requests = c.requests[1:]
		q.callers = q.callers[1:]
		if len(c.requests) > 0 {
			q.callers = append(q.callers, c)
		} else {
			delete(q.byCaller, c.key)
		}
		group = append(group, r)
		changes += len(r.changes)
		q.changes -= len(r.changes)
	}
	return group
}
