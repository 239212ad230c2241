package engine_test

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/engine/enginetest"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/internal/testkit"
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
	w       *enginetest.World
	first   func()
	replies []chan reply
}

// newGroup has a first request hang in the store.
func newGroup(w *enginetest.World) *group {
	return &group{w: w, first: w.HangIn(func() { w.Load("prod/first/first 192.0.2.99") }, enginetest.Keep)}
}

// add has a request wait after the others. One that only renews does not wait.
func (g *group) add(changes ...service.Change) {
	c := make(chan reply, 1)
	g.replies = append(g.replies, c)
	before := g.waiting()
	go func() {
		var r reply
		r.results, r.revision, r.err = g.w.Engine.Apply(testkit.Anyone, changes, g.w.Now())
		c <- r
	}()
	for g.waiting() == before && len(c) == 0 {
		runtime.Gosched()
	}
}

func (g *group) waiting() int { return g.w.Engine.Waiting() }

// end lets the first request and then the group through, and returns what each request of
// the group was answered with.
func (g *group) end(f enginetest.Fate) (replies []reply) {
	g.w.Store.Set(f)
	g.first()
	for _, c := range g.replies {
		replies = append(replies, <-c)
	}
	return replies
}

// All that wait for the store go with one commit: each has a revision of its own, in the
// order in which they came.
func TestWhoWaitsForTheStoreGoesTogether(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), enginetest.NewStore(t))
	w.Pass(time.Second)
	tried, before := w.Store.Tried(), w.Engine.State().Revision
	g := newGroup(w)
	const n = 50
	for i := range n {
		g.add(testkit.Register("prod", "web", fmt.Sprint("i", i%20), fmt.Sprint("192.0.2.", i)))
	}
	last := w.Engine.State().Last()
	for i, r := range g.end(enginetest.Keep) {
		want := before + 2 + uint64(i)
		if r.err != nil || r.revision != want || r.results[0].Revision != want || r.results[0].Created != (i < 20) {
			t.Errorf("request %d: got %+v, want revision %d", i, r, want)
		}
		if got := r.results[0].Instance.Addresses[0].String(); got != fmt.Sprint("192.0.2.", i) {
			t.Errorf("request %d was answered with %s", i, got)
		}
	}
	if got := w.Store.Tried() - tried; got != 2 {
		t.Errorf("the store was asked %d times, want once for the first and once for all that waited", got)
	}
	if got := len(w.Store.Batch.Put); got != 20 || w.Store.Batch.Revision != before+1+n {
		t.Errorf("the batch has %d objects and revision %d, want 20, as they are in the end, and %d", got, w.Store.Batch.Revision, before+1+n)
	}
	w.Same()
	for i := range n + 1 { // the first one's too
		if last = last.Next(); last.Revision != before+1+uint64(i) || len(last.Events) != 1 {
			t.Fatalf("commit %d: watchers are told %d events of revision %d", i, len(last.Events), last.Revision)
		}
	}
	w.Pass(31 * time.Second)
	if n := w.Engine.State().Leases().Made(); n != 0 {
		t.Errorf("%d leases are left, of replaced instances", n)
	}
}

// On one core nobody comes to wait while somebody else runs: whoever goes first lets in
// those that could.
func TestWhoIsAboutToWaitGoesToo(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	w := enginetest.NewWorld(t, enginetest.Rules(), enginetest.NewStore(t))
	w.Pass(time.Second)
	tried := w.Store.Tried()
	const n = 50
	var all sync.WaitGroup
	for i := range n {
		c := testkit.Register("prod", "web", fmt.Sprint("i", i), fmt.Sprint("192.0.2.", i))
		all.Go(func() {
			if _, _, err := w.Engine.Apply(testkit.Anyone, []service.Change{c}, w.Now()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := w.Store.Tried() - tried; got > n/5 {
		t.Errorf("the store was asked %d times by %d that came at once", got, n)
	}
	w.Same()
}

// A request stands and falls by itself: what is wrong with another one, or that the store
// did not keep it, is not told to those that it does not concern, nor do they see it.
func TestRequestsOfAGroupStandByThemselves(t *testing.T) {
	const known = "prod/web/known 192.0.2.1 lease=30"
	a, b := testkit.Register("prod", "web", "a", "192.0.2.2"), testkit.Register("prod", "web", "b", "192.0.2.3")
	absent := b
	absent.If = service.Precondition{Absent: true}
	statusOf := func(id service.ID) service.Change {
		return service.Change{Op: service.SetStatus, ID: id, Status: service.Draining}
	}
	renew := func(id service.ID) service.Change { return service.Change{Op: service.Renew, ID: id} }
	gone := service.Change{Op: service.Deregister, ID: testkit.ID("prod", "web", "known")}
	same := func(w *enginetest.World) service.Change { return w.Changes(known)[0] }
	type request struct {
		sentence string
		change   func(w *enginetest.World) service.Change
		want     error
	}
	is := func(c service.Change) func(*enginetest.World) service.Change {
		return func(*enginetest.World) service.Change { return c }
	}
	faulty := is(testkit.Register("prod", "web", "f", "0.0.0.0"))
	anyInvalid := errors.New("any fault")
	for _, tc := range []struct {
		sentence string
		fate     enginetest.Fate
		group    []request
	}{
		{"the store keeps them", enginetest.Keep, []request{
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
		{"the store refuses them", enginetest.Refuse, []request{
			{"renews before any change", is(renew(testkit.ID("prod", "web", "known"))), nil},
			{"registers", is(a), service.ErrNotKept},
			{"has a fault", faulty, anyInvalid},
			{"drains what will not be there", is(statusOf(a.ID)), service.ErrNotKept},
			{"renews what will not be there", is(renew(a.ID)), service.ErrNotFound},
			{"registers the same, which would have changed nothing", is(a), service.ErrNotKept},
			{"registers what is known", same, nil},
			{"renews it", is(renew(testkit.ID("prod", "web", "known"))), nil},
			{"takes it away", is(gone), service.ErrNotKept},
			{"renews what would be gone and is there", is(renew(testkit.ID("prod", "web", "known"))), nil},
			{"registers what is not there", is(absent), service.ErrNotKept},
			{"does too, and would have found it", is(absent), service.ErrNotKept},
			{"wants what never was", is(renew(testkit.ID("prod", "web", "x"))), service.ErrNotFound},
		}},
	} {
		for _, fate := range []enginetest.Fate{tc.fate, max(tc.fate, tc.fate*2)} { // refused is also kept and not told
			t.Run(fmt.Sprint(tc.sentence, fate), func(t *testing.T) {
				w := enginetest.NewWorld(t, enginetest.Rules(), enginetest.NewStore(t))
				w.Load(known)
				w.Pass(20 * time.Second)
				g := newGroup(w)
				for _, r := range tc.group {
					g.add(r.change(w))
				}
				revision := w.Engine.State().Revision
				for n, got := range g.end(fate) {
					r := tc.group[n]
					var invalid *service.Invalid
					switch {
					case r.want == anyInvalid && errors.As(got.err, &invalid), r.want != nil && r.want != anyInvalid && errors.Is(got.err, r.want):
					case r.want != nil || got.err != nil:
						t.Errorf("who %s: got %v, want %v", r.sentence, got.err, r.want)
					case fate != enginetest.Keep && got.revision != revision && got.revision != revision+1: // before or after the first
						t.Errorf("who %s: got revision %d, want %d, that of the table", r.sentence, got.revision, revision+1)
					case len(got.results) != 1:
						t.Errorf("who %s: got %d results", r.sentence, len(got.results))
					}
				}
				if fate != enginetest.Keep {
					if got := w.Engine.State().Revision; got != revision+1 {
						t.Errorf("got revision %d, want %d: that of the first request alone", got, revision+1)
					}
					w.Pass(29 * time.Second)
					if w.Engine.State().Instance(testkit.ID("prod", "web", "known")) == nil {
						t.Error("its lease was renewed and it has left")
					}
				}
				w.Store.Set(enginetest.Keep)
				w.Pass(time.Second)
				w.Same()
			})
		}
	}
}

// Who only renews, by the same registration again or by a heartbeat in a batch, does not wait
// for the store, however long it hangs, and stays.
func TestWhoRenewsDoesNotWaitForTheStore(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), enginetest.NewStore(t))
	const again = "prod/web/b 192.0.2.2 lease=5"
	w.Load("prod/web/a 192.0.2.1 lease=5\n" + again + "\nprod/web/c 192.0.2.3 lease=5")
	over := w.HangIn(func() { w.Load("prod/first/first 192.0.2.99") }, enginetest.Keep)
	for range 5 {
		w.PassHung(4 * time.Second)
		for _, c := range []service.Change{{Op: service.Renew, ID: testkit.ID("prod", "web", "a")}, w.Changes(again)[0]} {
			if _, _, err := w.Engine.Apply(testkit.Anyone, []service.Change{c}, w.Now()); err != nil {
				t.Fatalf("%s: %v", c.Op, err)
			}
		}
	}
	if m := w.Ask("web.prod.svc.cluster.local.", dns.TypeA); len(m.Answer) != 2 {
		t.Errorf("got %v, want the two that were renewed", m)
	}
	over()
	w.Pass(time.Second)
	w.Same()
}

// A replaced registration has its lease from the moment it can be answered: the time in the
// store is none in which it could be renewed.
func TestLeaseBeginsWhenTheStoreHasIt(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), enginetest.NewStore(t))
	w.Load("prod/web/a 192.0.2.1 lease=5")
	over := w.HangIn(func() { w.Load("prod/web/a 192.0.2.2 lease=5\nprod/web/b 192.0.2.3 lease=5") }, enginetest.Keep)
	w.PassHung(4 * time.Second)
	over()
	w.Pass(4900 * time.Millisecond)
	if m := w.Ask("web.prod.svc.cluster.local.", 1); len(m.Answer) != 2 {
		t.Errorf("4.9 s after they came into the table for 5 s: got %v", m)
	}
	w.Pass(200 * time.Millisecond)
	if m := w.Ask("web.prod.svc.cluster.local.", 1); m.Rcode != 3 {
		t.Errorf("5.1 s after: got %v", m)
	}
}

// A caller who has thousands waiting for a slow store delays another by the commit that is
// under way and by one turn of its own.
func TestAFloodDelaysOthersByOneTurn(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		requests int
		changes  int // of each
		commits  int // until another caller is served, with the one under way
	}{
		{"of registrations", 4000, 1, 2},
		{"of batches", 20, 1000, 3},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			w := enginetest.NewWorld(t, enginetest.Rules(), enginetest.NewStore(t))
			var wg sync.WaitGroup
			add := func(by service.Caller, changes []service.Change) {
				before := w.Engine.Waiting()
				wg.Go(func() {
					if err := w.ApplyAs(by, changes...); err != nil {
						t.Error(err)
					}
				})
				for w.Engine.Waiting() == before {
					runtime.Gosched()
				}
			}
			commits := w.Store.Hang()
			wg.Go(func() { w.Must(w.ApplyAs(alice, testkit.Register("prod", "first", "first", "192.0.2.1"))) })
			release := <-commits
			for r := range tc.requests {
				var changes []service.Change
				for n := range tc.changes {
					changes = append(changes, testkit.Register("prod", fmt.Sprint("flood", r%20), fmt.Sprint("i", r, "-", n), "192.0.2.1"))
				}
				add(alice, changes)
			}
			quiet := testkit.Register("prod", "quiet", "quiet", "192.0.2.2")
			add(bob, []service.Change{quiet})

			n := 0
			for w.Engine.State().Instance(quiet.ID) == nil {
				n++
				release <- enginetest.Keep
				release = <-commits // so what was released is published
			}
			if n > tc.commits {
				t.Errorf("it is served by commit %d, want %d at most", n, tc.commits)
			}
			w.Store.GoOn()
			release <- enginetest.Keep
			wg.Wait()
			if _, _, instances := w.Engine.State().Totals(); instances != tc.requests*tc.changes+2 {
				t.Errorf("got %d instances, want all %d", instances, tc.requests*tc.changes+2)
			}
			w.Same()
		})
	}
}

// However many come at once and whoever takes whom along, each is answered.
func TestNobodyWhoWaitsIsForgotten(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), enginetest.NewStore(t))
	const callers, each = 40, 20
	var wg sync.WaitGroup
	for n := range callers {
		by := service.Caller{Name: fmt.Sprint(n % 20)}
		if n%20 == 0 {
			by = service.Caller{From: netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})}
		}
		wg.Go(func() {
			for i := range each {
				var changes []service.Change
				for k := range 1 + i%5*60 {
					changes = append(changes, testkit.Register("prod", fmt.Sprint("s", n), fmt.Sprint("i", k), fmt.Sprint("192.0.2.", i)))
				}
				if err := w.ApplyAs(by, changes...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := w.Engine.Waiting(); n > 0 {
		t.Errorf("%d requests are left", n)
	}
	w.Same()
}
