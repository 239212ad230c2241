package table

import (
	"sync"
	"sync/atomic"

	"github.com/coredns-registry/registry/service"
)

// waiters are those who wait for a change of one service each. Who waits for a service is found by
// its name, so that a change costs the same however many wait for others.
type waiters struct {
	count atomic.Int64 // of all that wait

	mu     sync.Mutex // guards what follows
	byName map[service.Name]*waiter
}

// waiter is what all who wait for one service share.
type waiter struct {
	changed chan struct{}
	count   int // guarded by waiters.mu
}

// alreadyChanged is what a wait returns that is over before it begins.
var alreadyChanged = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Wait returns a channel that is closed once the service of that name is not as it is in the state:
// it or one of its instances has been put, changed or taken away. No change of another service
// closes it. A lease that is renewed is no change, nor is one that has ended before its instance
// is taken out of the table. Stop must be called once, when nobody listens any more.
//
// A service that is taken away and made anew between two looks at the table has changed; one that
// is made and taken away again may or may not have.
func (s *State) Wait(name service.Name) (changed <-chan struct{}, stop func()) {
	ws := &s.table.waiters
	w := ws.add(name)
	// A commit publishes first and then looks for who waits. So either it finds this waiter, or it
	// is seen here.
	if s.table.Load().Service(name) != s.Service(name) {
		ws.remove(name, w)
		return alreadyChanged, func() {}
	}
	return w.changed, func() { ws.remove(name, w) }
}

func (ws *waiters) add(name service.Name) *waiter {
	ws.count.Add(1)
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w := ws.byName[name]
	if w == nil {
		if ws.byName == nil {
			ws.byName = make(map[service.Name]*waiter)
		}
		w = &waiter{changed: make(chan struct{})}
		ws.byName[name.Clone()] = w // a request's, all of which it would keep
	}
	w.count++
	return w
}

func (ws *waiters) remove(name service.Name, w *waiter) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.count.Add(-1)
	if w.count--; w.count == 0 && ws.byName[name] == w {
		delete(ws.byName, name)
	}
}

// wake tells those who wait for the services that the drafts have changed.
func (ws *waiters) wake(drafts []*Draft) {
	if ws.count.Load() == 0 {
		return
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, d := range drafts {
		for i := range d.events {
			if w := ws.byName[d.events[i].ID.Name]; w != nil {
				delete(ws.byName, d.events[i].ID.Name)
				close(w.changed)
			}
		}
	}
}
