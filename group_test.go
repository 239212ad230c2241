package registry

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

// reply is what a request was answered with.
type reply struct {
	results  []table.Result
	revision uint64
	err      error
}

// group is requests that wait while the store keeps another one.
type group struct {
	w       *shelved
	first   func()
	replies []chan reply
}

// newGroup has a first request hang in the store.
func (w *shelved) newGroup() *group {
	return &group{w: w, first: w.hangIn(func() { w.load("prod/first/first 192.0.2.99") }, kept)}
}

// add has a request wait after the others. One that only renews does not wait.
func (g *group) add(changes ...service.Change) {
	c := make(chan reply, 1)
	g.replies = append(g.replies, c)
	before := g.waiting()
	go func() {
		var r reply
		r.results, r.revision, r.err = g.w.registry.Apply(anyone, changes, g.w.now())
		c <- r
	}()
	for g.waiting() == before && len(c) == 0 {
		runtime.Gosched()
	}
}

func (g *group) waiting() int { return g.w.registry.waiting.len() }

// len is how many requests wait, of all callers.
func (q *queue) len() (n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.lines {
		n += len(l.pending)
	}
	return n
}

// end lets the first request and then the group through, and returns what each request of
// the group was answered with.
func (g *group) end(f fate) (replies []reply) {
	g.w.shelf.set(f)
	g.first()
	for _, c := range g.replies {
		replies = append(replies, <-c)
	}
	return replies
}

// All that wait for the store go with one commit: each has a revision of its own, in the
// order in which they came.
func TestWhoWaitsForTheStoreGoesTogether(t *testing.T) {
	w := newShelved(t, Config{}, newShelf(t))
	w.pass(time.Second)
	tried, before := w.shelf.tried(), w.registry.State().Revision
	g := w.newGroup()
	const n = 50
	for i := range n {
		g.add(register("prod", "web", fmt.Sprint("i", i%20), fmt.Sprint("192.0.2.", i)))
	}
	last := w.registry.State().Last()
	for i, r := range g.end(kept) {
		want := before + 2 + uint64(i)
		if r.err != nil || r.revision != want || r.results[0].Revision != want || r.results[0].Created != (i < 20) {
			t.Errorf("request %d: got %+v, want revision %d", i, r, want)
		}
		if got := r.results[0].Instance.Addresses[0].String(); got != fmt.Sprint("192.0.2.", i) {
			t.Errorf("request %d was answered with %s", i, got)
		}
	}
	if got := w.shelf.tried() - tried; got != 2 {
		t.Errorf("the store was asked %d times, want once for the first and once for all that waited", got)
	}
	if got := len(w.shelf.batch.Put); got != 20 || w.shelf.batch.Revision != before+1+n {
		t.Errorf("the batch has %d objects and revision %d, want 20, as they are in the end, and %d", got, w.shelf.batch.Revision, before+1+n)
	}
	w.same()
	for i := range n + 1 { // the first one's too
		if last = last.Next(); last.Revision != before+1+uint64(i) || len(last.Events) != 1 {
			t.Fatalf("commit %d: watchers are told %d events of revision %d", i, len(last.Events), last.Revision)
		}
	}
	w.pass(31 * time.Second)
	if n := w.registry.State().Leases().Made(); n != 0 {
		t.Errorf("%d leases are left, of replaced instances", n)
	}
}

// On one core nobody comes to wait while somebody else runs: whoever goes first lets in
// those that could.
func TestWhoIsAboutToWaitGoesToo(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	w := newShelved(t, Config{}, newShelf(t))
	w.pass(time.Second)
	tried := w.shelf.tried()
	const n = 50
	var all sync.WaitGroup
	for i := range n {
		c := register("prod", "web", fmt.Sprint("i", i), fmt.Sprint("192.0.2.", i))
		all.Go(func() {
			if _, _, err := w.registry.Apply(anyone, []service.Change{c}, w.now()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := w.shelf.tried() - tried; got > n/5 {
		t.Errorf("the store was asked %d times by %d that came at once", got, n)
	}
	w.same()
}

// A request stands and falls by itself: what is wrong with another one, or that the store
// did not keep it, is not told to those that it does not concern, nor do they see it.
func TestRequestsOfAGroupStandByThemselves(t *testing.T) {
	const known = "prod/web/known 192.0.2.1 lease=30"
	a, b := register("prod", "web", "a", "192.0.2.2"), register("prod", "web", "b", "192.0.2.3")
	absent := b
	absent.If = service.Precondition{Absent: true}
	statusOf := func(id service.ID) service.Change {
		return service.Change{Op: service.SetStatus, ID: id, Status: service.Draining}
	}
	renew := func(id service.ID) service.Change { return service.Change{Op: service.Renew, ID: id} }
	gone := service.Change{Op: service.Deregister, ID: id("prod", "web", "known")}
	same := func(w *shelved) service.Change { return w.changes(known)[0] }
	type request struct {
		sentence string
		change   func(w *shelved) service.Change
		want     error
	}
	is := func(c service.Change) func(*shelved) service.Change {
		return func(*shelved) service.Change { return c }
	}
	faulty := is(register("prod", "web", "f", "0.0.0.0"))
	anyInvalid := errors.New("any fault")
	for _, tc := range []struct {
		sentence string
		fate     fate
		group    []request
	}{
		{"the store keeps them", kept, []request{
			{"registers", is(a), nil},
			{"has a fault", faulty, anyInvalid},
			{"drains what the first registered", is(statusOf(a.ID)), nil},
			{"wants what is not there", is(renew(b.ID)), service.ErrNotFound},
			{"registers what is not there", is(absent), nil},
			{"finds it there", is(absent), service.ErrPrecondition},
			{"registers what is known", same, nil},
			{"takes it away", is(gone), nil},
			{"finds it gone", is(gone), service.ErrNotFound},
		}},
		{"the store refuses them", refused, []request{
			{"renews before any change", is(renew(id("prod", "web", "known"))), nil},
			{"registers", is(a), service.ErrNotKept},
			{"has a fault", faulty, anyInvalid},
			{"drains what will not be there", is(statusOf(a.ID)), service.ErrNotKept},
			{"renews what will not be there", is(renew(a.ID)), service.ErrNotFound},
			{"registers the same, which would have changed nothing", is(a), service.ErrNotKept},
			{"registers what is known", same, nil},
			{"renews it", is(renew(id("prod", "web", "known"))), nil},
			{"takes it away", is(gone), service.ErrNotKept},
			{"renews what would be gone and is there", is(renew(id("prod", "web", "known"))), nil},
			{"registers what is not there", is(absent), service.ErrNotKept},
			{"does too, and would have found it", is(absent), service.ErrNotKept},
			{"wants what never was", is(renew(id("prod", "web", "x"))), service.ErrNotFound},
		}},
	} {
		for _, fate := range []fate{tc.fate, max(tc.fate, tc.fate*2)} { // refused is also kept and not told
			t.Run(fmt.Sprint(tc.sentence, fate), func(t *testing.T) {
				w := newShelved(t, Config{}, newShelf(t))
				w.load(known)
				w.pass(20 * time.Second)
				g := w.newGroup()
				for _, r := range tc.group {
					g.add(r.change(w))
				}
				revision := w.registry.State().Revision
				for n, got := range g.end(fate) {
					r := tc.group[n]
					var invalid *service.Invalid
					switch {
					case r.want == anyInvalid && errors.As(got.err, &invalid), r.want != nil && r.want != anyInvalid && errors.Is(got.err, r.want):
					case r.want != nil || got.err != nil:
						t.Errorf("who %s: got %v, want %v", r.sentence, got.err, r.want)
					case fate != kept && got.revision != revision && got.revision != revision+1: // before or after the first
						t.Errorf("who %s: got revision %d, want %d, that of the table", r.sentence, got.revision, revision+1)
					case len(got.results) != 1:
						t.Errorf("who %s: got %d results", r.sentence, len(got.results))
					}
				}
				if fate != kept {
					if got := w.registry.State().Revision; got != revision+1 {
						t.Errorf("got revision %d, want %d: that of the first request alone", got, revision+1)
					}
					w.pass(29 * time.Second)
					if w.registry.State().Instance(id("prod", "web", "known")) == nil {
						t.Error("its lease was renewed and it has left")
					}
				}
				w.shelf.set(kept)
				w.pass(time.Second)
				w.same()
			})
		}
	}
}

// Who only renews, by the same registration again or by a heartbeat in a batch, does not wait
// for the store, however long it hangs, and stays.
func TestWhoRenewsDoesNotWaitForTheStore(t *testing.T) {
	w := newShelved(t, Config{}, newShelf(t))
	const again = "prod/web/b 192.0.2.2 lease=5"
	w.load("prod/web/a 192.0.2.1 lease=5\n" + again + "\nprod/web/c 192.0.2.3 lease=5")
	over := w.hangIn(func() { w.load("prod/first/first 192.0.2.99") }, kept)
	for range 5 {
		w.passHung(4 * time.Second)
		for _, c := range []service.Change{{Op: service.Renew, ID: id("prod", "web", "a")}, w.changes(again)[0]} {
			if _, _, err := w.registry.Apply(anyone, []service.Change{c}, w.now()); err != nil {
				t.Fatalf("%s: %v", c.Op, err)
			}
		}
	}
	if m := w.ask("web.prod.svc.cluster.local.", dns.TypeA); len(m.Answer) != 2 {
		t.Errorf("got %v, want the two that were renewed", m)
	}
	over()
	w.same()
}

// A replaced registration has its lease from the moment it can be answered: the time in the
// store is none in which it could be renewed.
func TestLeaseBeginsWhenTheStoreHasIt(t *testing.T) {
	w := newShelved(t, Config{}, newShelf(t))
	w.load("prod/web/a 192.0.2.1 lease=5")
	over := w.hangIn(func() { w.load("prod/web/a 192.0.2.2 lease=5\nprod/web/b 192.0.2.3 lease=5") }, kept)
	w.passHung(4 * time.Second)
	over()
	w.pass(4900 * time.Millisecond)
	if m := w.ask("web.prod.svc.cluster.local.", 1); len(m.Answer) != 2 {
		t.Errorf("4.9 s after they came into the table for 5 s: got %v", m)
	}
	w.pass(200 * time.Millisecond)
	if m := w.ask("web.prod.svc.cluster.local.", 1); m.Rcode != 3 {
		t.Errorf("5.1 s after: got %v", m)
	}
}
