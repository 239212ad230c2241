package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/engine"
	"github.com/coredns-registry/registry/internal/engine/enginetest"
	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/store/disk"
	"github.com/coredns-registry/registry/internal/testkit"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

const aTable = `
	service prod/vip clusterIP 10.0.0.1 http:80/tcp
	prod/vip/pod 192.0.2.81 http:8080/tcp
	prod/web/a 192.0.2.1 http:80/tcp lease=30
	prod/web/b 192.0.2.2 http:80/tcp lease=30
	prod/db/c 192.0.2.3 lease=30
`

var itsNames = []string{"web.prod", "a.web.prod", "b.web.prod", "new.web.prod", "db.prod", "vip.prod", "pod.vip.prod", "new.prod",
	"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.9", "10.0.0.1", "10.0.0.9"}

// What the store does not keep is refused, and changes nothing: not the table, not an
// answer, not a lease. When the store keeps again it gets what the table has, though nobody
// writes; and then writes work.
func TestRefusedByTheStoreChangesNothing(t *testing.T) {
	for name, changes := range map[string]string{
		"a new instance":                "prod/web/new 192.0.2.9 lease=30",
		"the first of a service":        "prod/new/new 192.0.2.9",
		"another address":               "prod/web/a 192.0.2.9 lease=30",
		"another lease":                 "prod/web/a 192.0.2.1 http:80/tcp lease=5",
		"an instance deregistered":      "- prod/web/a",
		"the last of a service":         "- prod/db/c",
		"an instance drained":           "draining prod/web/a",
		"a service defined":             "service prod/new headless",
		"a service defined otherwise":   "service prod/vip clusterIP 10.0.0.9",
		"a service with instances":      "service prod/web headless publishNotReady",
		"a service undefined":           "- prod/vip/",
		"one with only instances":       "- prod/web/",
		"many at once":                  "- prod/web/a\nprod/web/new 192.0.2.9\nprod/web/b 192.0.2.9\ndraining prod/web/b\n- prod/vip/",
		"registered and gone":           "prod/web/new 192.0.2.9\n- prod/web/new",
		"gone and registered":           "- prod/web/a\nprod/web/a 192.0.2.9 lease=30",
		"gone, and registered the same": "- prod/web/a\nprod/web/a 192.0.2.1 http:80/tcp lease=30",
	} {
		for _, f := range []enginetest.Fate{enginetest.Refuse, enginetest.KeepAndRefuse} {
			t.Run(fmt.Sprint(name, f), func(t *testing.T) {
				w := enginetest.NewWorld(t, enginetest.Rules(), enginetest.NewStore(t))
				w.Load(aTable)
				w.Pass(3 * time.Second)
				r := w.Engine
				state, answers, leased := r.State(), w.Answers(itsNames...), r.State().Leases().Made()
				lease := state.Instance(testkit.ID("prod", "web", "a")).Lease()
				deadline, _ := lease.Deadline()

				w.Store.Set(f)
				if err := w.Try(w.Changes(changes)...); !errors.Is(err, service.ErrNotKept) || !errors.Is(err, enginetest.ErrStore) {
					t.Errorf("got %v, want ErrNotKept and why", err)
				}
				if r.State() != state {
					t.Error("the table has changed")
				}
				if got := w.Answers(itsNames...); !slices.Equal(got, answers) {
					t.Errorf("answers were\n%s\nand are\n%s", strings.Join(answers, "\n"), strings.Join(got, "\n"))
				}
				if d, _ := lease.Deadline(); d != deadline || r.State().Leases().Made() != leased {
					t.Errorf("a lease until %d of %d lasts until %d of %d", deadline, leased, d, r.State().Leases().Made())
				}

				w.Store.Set(enginetest.Keep)
				w.Pass(time.Second)
				w.Same()
				if err := w.Try(w.Changes(changes)...); err != nil {
					t.Errorf("the store keeps again: got %v", err)
				}
				w.Same()
				w.Pass(time.Second)
				before := fmt.Sprint(w.Answers(itsNames...))
				w.Restart()
				if got := fmt.Sprint(w.Answers(itsNames...)); got != before {
					t.Errorf("after a restart: got %s, want %s", got, before)
				}
			})
		}
	}
}

// While the store is in trouble heartbeats are heard, DNS answers, and who is silent leaves
// it in time; all of it whoever it is that waits for the store. When the trouble is over the
// table and the store follow by themselves.
func TestLeasesEndWhileTheStoreIsInTrouble(t *testing.T) {
	silent, alive := testkit.ID("prod", "web", "silent"), testkit.ID("prod", "web", "alive")
	const table = "prod/web/silent 192.0.2.1 http:80/tcp lease=5\nprod/web/alive 192.0.2.2 http:80/tcp lease=5\nprod/web/first 192.0.2.3 lease=2"
	for _, tc := range []struct {
		sentence string
		trouble  func(w *enginetest.World) (over func())
		hangs    bool
		table    bool // follows already while the trouble lasts
	}{
		{"it fails", func(w *enginetest.World) func() {
			w.Store.Set(enginetest.Refuse)
			return func() { w.Store.Set(enginetest.Keep) }
		}, false, true},
		{"it keeps and does not say so", func(w *enginetest.World) func() {
			w.Store.Set(enginetest.KeepAndRefuse)
			return func() { w.Store.Set(enginetest.Keep) }
		}, false, true},
		{"it hangs in a registration", func(w *enginetest.World) func() {
			return w.HangIn(func() { w.Load("prod/db/new 192.0.2.9") }, enginetest.Keep)
		}, true, false},
		{"it hangs in one of the same service", func(w *enginetest.World) func() {
			return w.HangIn(func() { w.Load("prod/web/new 192.0.2.9") }, enginetest.Keep)
		}, true, false},
		{"it hangs in a registration and then fails", func(w *enginetest.World) func() {
			return w.HangIn(func() {
				if err := w.Try(testkit.Register("prod", "web", "new", "192.0.2.9")); !errors.Is(err, service.ErrNotKept) {
					t.Errorf("the registration got %v", err)
				}
			}, enginetest.KeepAndRefuse)
		}, true, false},
		{"it hangs while it is told who left", func(w *enginetest.World) func() {
			w.PassHung(2 * time.Second) // the first leaves
			return w.HangIn(w.Engine.Flush, enginetest.Keep)
		}, true, false},
		{"it hangs while it is told who left, and then fails", func(w *enginetest.World) func() {
			w.PassHung(2 * time.Second)
			return w.HangIn(w.Engine.Flush, enginetest.Refuse)
		}, true, false},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			w := enginetest.NewWorld(t, enginetest.Rules(), enginetest.NewStore(t))
			w.Pass(time.Second)
			w.Load(table)
			registered := w.Now()
			over := tc.trouble(w)
			pass := w.Pass
			if tc.hangs {
				pass = w.PassHung
			}
			w.Ask("web.prod.svc.cluster.local.", dns.TypeA) // so that answers are prepared
			for passed := w.Now().Sub(registered); passed < 30*time.Second; passed = w.Now().Sub(registered) {
				if err := w.Engine.Renew(testkit.Anyone, alive, service.Precondition{}); err != nil {
					t.Fatalf("after %s: heartbeat: %v", passed, err)
				}
				m := w.Ask("web.prod.svc.cluster.local.", dns.TypeA)
				here := slices.ContainsFunc(m.Answer, func(rr dns.RR) bool { return rr.(*dns.A).A.String() == "192.0.2.1" })
				switch {
				case len(m.Answer) == 0 || w.Ask("2.2.0.192.in-addr.arpa.", dns.TypePTR).Rcode != dns.RcodeSuccess:
					t.Fatalf("after %s: who is alive is not answered", passed)
				case !here && passed < 5*time.Second || here && passed >= 5*time.Second+100*time.Millisecond:
					t.Fatalf("after %s: who is silent is answered: %v", passed, here)
				case here:
				default:
					gone(w, silent, tc.table)
				}
				pass(100 * time.Millisecond)
			}
			over()
			w.Pass(time.Second)
			w.Same()
			if w.Engine.State().Instance(silent) != nil {
				t.Error("the trouble is over, and who is silent is in the table")
			}
			if err := w.Try(testkit.Register("prod", "web", "silent", "192.0.2.1")); err != nil {
				t.Errorf("the trouble is over: register: %v", err)
			}
			w.Same()
		})
	}
}

// gone reports where an instance is there although its lease has ended. In the table it may
// be until the store lets go of the lane.
func gone(w *enginetest.World, which service.ID, table bool) {
	w.T.Helper()
	for name, qtype := range map[string]uint16{
		which.ID + ".web.prod.svc.cluster.local.": dns.TypeA,
		"1.2.0.192.in-addr.arpa.":                 dns.TypePTR,
	} {
		if m := w.Ask(name, qtype); m.Rcode != dns.RcodeNameError {
			w.T.Fatalf("%s: got %v, and its lease has ended", name, m)
		}
	}
	if m := w.Ask("_http._tcp.web.prod.svc.cluster.local.", dns.TypeSRV); len(m.Answer) != 1 {
		w.T.Fatalf("SRV: got %v, and its lease has ended", m.Answer)
	}
	if err := w.Engine.Renew(testkit.Anyone, which, service.Precondition{}); !errors.Is(err, service.ErrNotFound) {
		w.T.Fatalf("heartbeat after the end of the lease: got %v", err)
	}
	if i := w.Engine.State().Instance(which); i != nil {
		w.T.Fatalf("it is in the table: %+v", i)
	}
	if table && w.Engine.State().Leases().AnyExpired() {
		w.T.Fatal("it waits to be removed from the table")
	}
}

// A server that stops after an instance was taken away is not to say that the instance may
// stop earlier than the last answer with it goes out of date; a store that hangs is no
// reason.
func TestSafeToStopCountsFromTheLastAnswer(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), enginetest.NewStore(t))
	w.Load("prod/web/a 192.0.2.1")
	var at time.Time
	over := w.HangIn(func() {
		results, _, err := w.Engine.Apply(testkit.Anyone, []service.Change{{Op: service.Deregister, ID: testkit.ID("prod", "web", "a")}}, w.Now())
		if err != nil {
			t.Error(err)
			return
		}
		at = results[0].SafeToStopAt
	}, enginetest.Keep)
	w.PassHung(20 * time.Second)
	if m := w.Ask("web.prod.svc.cluster.local.", dns.TypeA); len(m.Answer) != 1 || m.Answer[0].Header().Ttl != 5 {
		t.Fatalf("it is not gone yet, and the answer is %v", m)
	}
	answered := w.Now()
	over()
	if at.Sub(answered) < 5*time.Second {
		t.Errorf("answered for 5 s at %s, and said to be safe to stop at %s", answered, at)
	}
}

// A store that has failed is asked for what it may have kept before it gets more. If that
// were asked for as the next transaction wants it, half of one would be kept.
func TestNoHalfOfATransactionIsKept(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), enginetest.NewStore(t))
	w.Load("prod/web/a 192.0.2.1")
	w.Store.Set(enginetest.KeepAndRefuse)
	if err := w.Try(testkit.Register("prod", "web", "a", "192.0.2.2")); !errors.Is(err, service.ErrNotKept) {
		t.Fatal(err)
	}
	w.Wait(time.Second, w.Engine.Expire)
	fates := []enginetest.Fate{enginetest.Keep, enginetest.Refuse}
	w.Store.SetEach(func() enginetest.Fate {
		f := fates[0]
		fates = append(fates[1:], enginetest.Refuse)
		return f
	})
	if err := w.Try(testkit.Register("prod", "web", "a", "192.0.2.3"), testkit.Register("prod", "web", "b", "192.0.2.3")); !errors.Is(err, service.ErrNotKept) {
		t.Fatal(err)
	}
	w.Same()
}

// A store that goes on failing is not asked at each write, and what it may have kept without
// our knowing does not grow.
func TestFailingStoreIsLeftInPeace(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), enginetest.NewStore(t))
	w.Pass(time.Second)
	w.Store.Set(enginetest.KeepAndRefuse)
	tried := w.Store.Tried()
	const seconds = 10
	for n := range 100 * seconds {
		if err := w.Try(testkit.Register("prod", "web", fmt.Sprint("i", n), "192.0.2.1")); !errors.Is(err, service.ErrNotKept) {
			t.Fatal(err)
		}
		w.Wait(10*time.Millisecond, func() {
			w.Engine.Expire()
			w.Engine.Flush()
		})
	}
	if tried := w.Store.Tried() - tried; tried < seconds || tried > seconds*int(time.Second/engine.RetryEvery)+1 {
		t.Errorf("in %d s the store was asked %d times", seconds, tried)
	}
	if n := len(w.Store.Objects); n > 1 {
		t.Errorf("the store may have kept %d registrations that were refused", n)
	}
	w.Store.Set(enginetest.Keep)
	w.Pass(time.Second)
	w.Same()
	if n := len(w.Store.Objects); n > 0 {
		t.Errorf("the store has %d objects, the table none", n)
	}
}

func TestNothingIsSaidBeforeTheTableIsLoaded(t *testing.T) {
	s := enginetest.NewStore(t)
	w := enginetest.NewWorld(t, enginetest.Rules(), s)
	w.Load("prod/web/a 192.0.2.1 lease=30")
	s.Unreadable = errors.New("page 7 is not what was written")
	w.Use(w.Open())
	unanswered := func(when string) {
		t.Helper()
		for _, name := range []string{"web.prod.svc.cluster.local.", "none.prod.svc.cluster.local.", "cluster.local.", "1.2.0.192.in-addr.arpa."} {
			for _, qtype := range []uint16{dns.TypeA, dns.TypeSOA, dns.TypePTR} {
				if m := w.Ask(name, qtype); m.Rcode != dns.RcodeServerFailure {
					t.Errorf("%s: %s: got %v, want SERVFAIL", when, name, m)
				}
			}
		}
		if err := w.Try(testkit.Register("prod", "web", "b", "192.0.2.2")); !errors.Is(err, service.ErrNotLoaded) {
			t.Errorf("%s: register: got %v, want ErrNotLoaded", when, err)
		}
		if err := w.Engine.Renew(testkit.Anyone, testkit.ID("prod", "web", "a"), service.Precondition{}); !errors.Is(err, service.ErrNotLoaded) {
			t.Errorf("%s: heartbeat: got %v, want ErrNotLoaded", when, err)
		}
		w.Pass(time.Minute)
	}
	unanswered("before it is loaded")
	if err := w.Engine.Load(); !errors.Is(err, s.Unreadable) {
		t.Fatalf("loading what cannot be read: got %v", err)
	}
	unanswered("after it could not be loaded")
	if len(s.Objects) != 1 {
		t.Error("what could not be read has been changed")
	}
	s.Unreadable = nil
	w.Restart()
	if m := w.Ask("web.prod.svc.cluster.local.", dns.TypeA); len(m.Answer) != 1 {
		t.Errorf("loaded: got %v", m)
	}
}

// While the store is being read, which may take minutes, everything but the table works.
func TestNothingHangsWhileTheTableIsBeingLoaded(t *testing.T) {
	s := &slowStore{Store: enginetest.NewStore(t), reading: make(chan struct{}), goOn: make(chan struct{})}
	w := enginetest.NewWorld(t, enginetest.Rules(), s.Store)
	w.Load("prod/web/a 192.0.2.1 lease=30")
	r := w.OpenOn(s)
	w.Use(r)
	loaded := make(chan error)
	go func() { loaded <- r.Load() }()
	<-s.reading
	w.Pass(time.Hour)
	if err := w.Try(testkit.Register("prod", "web", "b", "192.0.2.2")); !errors.Is(err, service.ErrNotLoaded) {
		t.Errorf("register: got %v, want ErrNotLoaded", err)
	}
	if m := w.Ask("web.prod.svc.cluster.local.", dns.TypeA); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("got %v, want SERVFAIL", m)
	}
	close(s.goOn)
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	w.Pass(29 * time.Second)
	if m := w.Ask("web.prod.svc.cluster.local.", dns.TypeA); len(m.Answer) != 1 {
		t.Errorf("29 s after it was loaded: got %v", m)
	}
}

// slowStore is one that is read when the test says so.
type slowStore struct {
	*enginetest.Store
	reading, goOn chan struct{}
}

func (s *slowStore) Load(visit func(store.Object) error) (uint64, error) {
	close(s.reading)
	<-s.goOn
	return s.Store.Load(visit)
}

// Leases begin anew at their full length: who could not be heard has missed nothing.
func TestLeasesAreFullAfterARestart(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), enginetest.NewStore(t))
	w.Load("prod/web/a 192.0.2.1 lease=30\nprod/web/b 192.0.2.2 lease=5\nprod/web/c 192.0.2.3")
	w.Pass(4 * time.Second)
	w.Restart()
	restarted := w.Now()
	for ; w.Now().Sub(restarted) < 40*time.Second; w.Pass(100 * time.Millisecond) {
		passed := w.Now().Sub(restarted)
		for id, lease := range map[string]time.Duration{"a": 30 * time.Second, "b": 5 * time.Second, "c": time.Hour} {
			m := w.Ask(id+".web.prod.svc.cluster.local.", dns.TypeA)
			if here := len(m.Answer) == 1; here && passed > lease+time.Second || !here && passed < lease {
				t.Fatalf("%s after the restart: a lease of %s, answered: %v", passed, lease, here)
			}
		}
	}
	w.Restart()
	if i := w.Engine.State().Instance(testkit.ID("prod", "web", "a")); i != nil {
		t.Error("who had left is back after another restart")
	}
}

// A revision stands for one state of the table, for ever: also that of an instance that left
// while the store failed, and came back by a crash.
func TestRevisionsGrowOverEveryRestart(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), enginetest.NewStore(t))
	var highest uint64
	for n := range 20 {
		if is := w.Engine.State().Revision; is <= highest {
			t.Fatalf("after %d restarts: revision %d after %d", n, is, highest)
		}
		if n%3 == 0 {
			w.Load("prod/web/a 192.0.2.1 lease=2\nprod/web/b 192.0.2.1 lease=3")
		}
		w.Pass(500 * time.Millisecond)
		w.Store.Set(enginetest.Refuse)
		w.Pass(time.Duration(n%4) * time.Second)
		highest = w.Engine.State().Revision
		w.Store.Set(enginetest.Keep)
		switch n % 3 {
		case 0:
			if err := w.Engine.Close(); err != nil {
				t.Fatal(err)
			}
		case 1:
			w.Pass(time.Second)
			highest = w.Engine.State().Revision
		}
		w.Restart()
	}
}

// Closing settles what is owed, also if the store has failed a moment ago, and lets nobody
// change the table afterwards.
func TestClosingSettles(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), enginetest.NewStore(t))
	w.Load("prod/web/a 192.0.2.1 lease=2\nprod/web/b 192.0.2.1")
	w.Store.Set(enginetest.KeepAndRefuse)
	if err := w.Try(testkit.Register("prod", "web", "b", "192.0.2.2")); !errors.Is(err, service.ErrNotKept) {
		t.Fatal(err)
	}
	w.Store.Set(enginetest.Keep)
	w.PassHung(2 * time.Second)
	w.Store.Set(enginetest.Refuse)
	w.Engine.Flush()
	w.Store.Set(enginetest.Keep)
	if err := w.Engine.Close(); err != nil {
		t.Fatal(err)
	}
	w.Same()
	if !w.Store.Closed {
		t.Error("the store is open")
	}
	state := w.Engine.State()
	if err := w.Try(testkit.Register("prod", "web", "c", "192.0.2.2")); !errors.Is(err, service.ErrNotKept) || w.Engine.State() != state {
		t.Errorf("a change after the end got %v", err)
	}
	w.Pass(time.Minute)
}

// fullDisk is the real store on a disk that is full every now and then.
type fullDisk struct {
	store.Store
	full bool
}

func (d *fullDisk) Commit(b store.Batch) error {
	if d.full {
		return errors.New("no space left on device")
	}
	return d.Store.Commit(b)
}

// The store on disk takes what it is owed, whether or not the table has changed since it
// last kept something.
func TestDiskIsSettledWhenItHasSpaceAgain(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), nil)
	dir := t.TempDir()
	d := &fullDisk{}
	start := func() {
		opened, err := disk.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		d.Store = opened
		w.Use(w.OpenOn(d))
		if err := w.Engine.Load(); err != nil {
			t.Fatal(err)
		}
	}
	start()
	for n := range 4 {
		w.Load("prod/web/a 192.0.2.1\nprod/web/silent 192.0.2.2 lease=2")
		d.full = true
		if err := w.Try(testkit.Register("prod", "web", "a", "192.0.2.9")); !errors.Is(err, service.ErrNotKept) {
			t.Fatal(err)
		}
		if n%2 == 0 {
			w.Pass(3 * time.Second) // the silent one leaves
		}
		d.full = false
		w.Pass(time.Second)
		if err := w.Try(testkit.Register("prod", "web", fmt.Sprint("new", n), "192.0.2.3")); err != nil {
			t.Fatalf("round %d: there is space again: %v", n, err)
		}
		w.Pass(3 * time.Second)
		before := fmt.Sprint(w.Answers("web.prod", "a.web.prod", "192.0.2.1", "192.0.2.2", "192.0.2.9"))
		if err := w.Engine.Close(); err != nil {
			t.Fatal(err)
		}
		start()
		if got := fmt.Sprint(w.Answers("web.prod", "a.web.prod", "192.0.2.1", "192.0.2.2", "192.0.2.9")); got != before {
			t.Fatalf("round %d: after a restart got %s, want %s", n, got, before)
		}
	}
	if err := w.Engine.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAFailingStoreIsTold(t *testing.T) {
	w := enginetest.NewWorld(t, enginetest.Rules(), enginetest.NewStore(t))
	w.Load("prod/web/a 192.0.2.1")
	if w.Engine.StoreFailing() {
		t.Error("it keeps everything, and is said to fail")
	}
	w.Store.Set(enginetest.Refuse)
	if err := w.Try(testkit.Register("prod", "web", "b", "192.0.2.2")); err == nil || !w.Engine.StoreFailing() {
		t.Errorf("it refuses, got %v, and is not said to fail", err)
	}
	w.Store.Set(enginetest.Keep)
	w.Pass(time.Second)
	if w.Engine.StoreFailing() {
		t.Error("it keeps again, and is said to fail")
	}
}
