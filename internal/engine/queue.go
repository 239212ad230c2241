package engine

import (
	"net/netip"
	"sync"

	"github.com/coredns-registry/registry/internal/access"
	"github.com/coredns-registry/registry/service"
)

// queue holds the requests that wait for the lane, those of each caller in the order in
// which they came. Whoever has thousands waiting so delays others by one of them at a time.
type queue struct {
	mu      sync.Mutex
	lines   []*line // of callers with something waiting; the first is next
	waiting map[turn]*line
	changes int // that wait, of all
}

// turn is who takes turns with others: a credential, or where none is asked for an address.
type turn struct {
	name string
	from netip.Prefix // as requests are counted by: a host has all of an IPv6 network to come from
}

func turnOf(by service.Caller) turn {
	if by.Name != "" {
		return turn{name: by.Name}
	}
	return turn{from: access.Source(by.From)}
}

// line is what one caller has waiting, at least one request.
type line struct {
	turn    turn
	pending []*pending
}

func (q *queue) add(p *pending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := turnOf(p.by)
	l := q.waiting[t]
	if l == nil {
		l = &line{turn: t}
		q.lines = append(q.lines, l)
		if q.waiting == nil {
			q.waiting = make(map[turn]*line)
		}
		q.waiting[t] = l
	}
	l.pending = append(l.pending, p)
	q.changes += len(p.changes)
}

// length is how many changes wait.
func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.changes
}

// groupSize is how many changes go together before the others wait for the next commit:
// enough to share the price of a flush, and drafted in about as much time as one takes.
const groupSize = 1000

// take takes the requests that go next: one of each caller in turn, until there are
// groupSize changes or none is left.
func (q *queue) take() (group []*pending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for changes := 0; len(q.lines) > 0 && changes < groupSize; {
		l := q.lines[0]
		p := l.pending[0]
		l.pending[0] = nil // the line may live on for long
		l.pending = l.pending[1:]
		q.lines = q.lines[1:]
		if len(l.pending) > 0 {
			q.lines = append(q.lines, l)
		} else {
			delete(q.waiting, l.turn)
		}
		group = append(group, p)
		changes += len(p.changes)
		q.changes -= len(p.changes)
	}
	return group
}
