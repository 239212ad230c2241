package registry

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/store/disk"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

const aShelf = `
	service prod/vip clusterIP 10.0.0.1 http:80/tcp
	prod/vip/pod 192.0.2.81 http:8080/tcp
	prod/web/a 192.0.2.1 http:80/tcp lease=30
	prod/web/b 192.0.2.2 http:80/tcp lease=30
	prod/db/c 192.0.2.3 lease=30
`

var aShelfsNames = []string{"web.prod", "a.web.prod", "b.web.prod", "new.web.prod", "db.prod", "vip.prod", "pod.vip.prod", "new.prod",
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
		for _, f := range []fate{refused, keptMute} {
			t.Run(fmt.Sprint(name, f), func(t *testing.T) {
				w := newShelved(t, Config{}, newShelf(t))
				w.load(aShelf)
				w.pass(3 * time.Second)
				r := w.registry
				state, answers, leased := r.State(), w.answers(aShelfsNames...), r.State().Leases().Made()
				lease := state.Instance(id("prod", "web", "a")).Lease()
				deadline, _ := lease.Deadline()

				w.shelf.set(f)
				if err := w.try(w.changes(changes)...); !errors.Is(err, service.ErrNotKept) || !errors.Is(err, errShelf) {
					t.Errorf("got %v, want ErrNotKept and why", err)
				}
				if r.State() != state {
					t.Error("the table has changed")
				}
				if got := w.answers(aShelfsNames...); !slices.Equal(got, answers) {
					t.Errorf("answers were\n%s\nand are\n%s", strings.Join(answers, "\n"), strings.Join(got, "\n"))
				}
				if d, _ := lease.Deadline(); d != deadline || r.State().Leases().Made() != leased {
					t.Errorf("a lease until %d of %d lasts until %d of %d", deadline, leased, d, r.State().Leases().Made())
				}

				w.shelf.set(kept)
				w.pass(time.Second)
				w.same()
				if err := w.try(w.changes(changes)...); err != nil {
					t.Errorf("the store keeps again: got %v", err)
				}
				w.same()
				w.pass(time.Second)
				before := fmt.Sprint(w.answers(aShelfsNames...))
				w.restart()
				if got := fmt.Sprint(w.answers(aShelfsNames...)); got != before {
					t.Errorf("after a restart: got %s, want %s", got, before)
				}
			})
		}
	}
}

// changes reads the form of load, with "- ID" to take away, "draining ID" and "renew ID".
func (w *shelved) changes(text string) (changes []service.Change) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch op := fields[0]; op {
		case "-", "draining", "renew":
			parts := strings.Split(fields[1], "/")
			c := service.Change{Op: service.Deregister, ID: id(parts[0], parts[1], parts[2])}
			switch {
			case op == "draining":
				c.Op, c.Status = service.SetStatus, service.Draining
			case op == "renew":
				c.Op = service.Renew
			case parts[2] == "":
				c.Op = service.Undefine
			}
			changes = append(changes, c)
		default:
			changes = append(changes, parseChange(w.t, fields))
		}
	}
	return changes
}

// While the store is in trouble heartbeats are heard, DNS answers, and who is silent leaves
// it in time; all of it whoever it is that waits for the store. When the trouble is over the
// table and the store follow by themselves.
func TestLeasesEndWhileTheStoreIsInTrouble(t *testing.T) {
	silent, alive := id("prod", "web", "silent"), id("prod", "web", "alive")
	const table = "prod/web/silent 192.0.2.1 http:80/tcp lease=5\nprod/web/alive 192.0.2.2 http:80/tcp lease=5\nprod/web/first 192.0.2.3 lease=2"
	for _, tc := range []struct {
		sentence string
		trouble  func(w *shelved) (over func())
		hangs    bool
		table    bool // follows already while the trouble lasts
	}{
		{"it fails", func(w *shelved) func() {
			w.shelf.set(refused)
			return func() { w.shelf.set(kept) }
		}, false, true},
		{"it keeps and does not say so", func(w *shelved) func() {
			w.shelf.set(keptMute)
			return func() { w.shelf.set(kept) }
		}, false, true},
		{"it hangs in a registration", func(w *shelved) func() { return w.hangIn(func() { w.load("prod/db/new 192.0.2.9") }, kept) }, true, false},
		{"it hangs in one of the same service", func(w *shelved) func() { return w.hangIn(func() { w.load("prod/web/new 192.0.2.9") }, kept) }, true, false},
		{"it hangs in a registration and then fails", func(w *shelved) func() {
			return w.hangIn(func() {
				if err := w.try(register("prod", "web", "new", "192.0.2.9")); !errors.Is(err, service.ErrNotKept) {
					t.Errorf("the registration got %v", err)
				}
			}, keptMute)
		}, true, false},
		{"it hangs while it is told who left", func(w *shelved) func() {
			w.passHung(2 * time.Second) // the first leaves
			return w.hangIn(w.registry.Settle, kept)
		}, true, false},
		{"it hangs while it is told who left, and then fails", func(w *shelved) func() {
			w.passHung(2 * time.Second)
			return w.hangIn(w.registry.Settle, refused)
		}, true, false},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			w := newShelved(t, Config{}, newShelf(t))
			w.pass(time.Second)
			w.load(table)
			registered := w.now()
			over := tc.trouble(w)
			pass := w.pass
			if tc.hangs {
				pass = w.passHung
			}
			w.ask("web.prod.svc.cluster.local.", dns.TypeA) // so that answers are prepared
			for passed := w.now().Sub(registered); passed < 30*time.Second; passed = w.now().Sub(registered) {
				if err := w.registry.Renew(anyone, alive, service.Precondition{}); err != nil {
					t.Fatalf("after %s: heartbeat: %v", passed, err)
				}
				m := w.ask("web.prod.svc.cluster.local.", dns.TypeA)
				here := slices.ContainsFunc(m.Answer, func(rr dns.RR) bool { return rr.(*dns.A).A.String() == "192.0.2.1" })
				switch {
				case len(m.Answer) == 0 || w.ask("2.2.0.192.in-addr.arpa.", dns.TypePTR).Rcode != dns.RcodeSuccess:
					t.Fatalf("after %s: who is alive is not answered", passed)
				case !here && passed < 5*time.Second || here && passed >= 5*time.Second+100*time.Millisecond:
					t.Fatalf("after %s: who is silent is answered: %v", passed, here)
				case here:
				default:
					w.gone(silent, tc.table)
				}
				pass(100 * time.Millisecond)
			}
			over()
			w.pass(time.Second)
			w.same()
			if w.registry.State().Instance(silent) != nil {
				t.Error("the trouble is over, and who is silent is in the table")
			}
			if err := w.try(register("prod", "web", "silent", "192.0.2.1")); err != nil {
				t.Errorf("the trouble is over: register: %v", err)
			}
			w.same()
		})
	}
}

// gone reports where an instance is there although its lease has ended. In the table it may
// be until the store lets go of the lane.
func (w *shelved) gone(which service.ID, table bool) {
	w.t.Helper()
	for name, qtype := range map[string]uint16{
		which.ID + ".web.prod.svc.cluster.local.": dns.TypeA,
		"1.2.0.192.in-addr.arpa.":                 dns.TypePTR,
	} {
		if m := w.ask(name, qtype); m.Rcode != dns.RcodeNameError {
			w.t.Fatalf("%s: got %v, and its lease has ended", name, m)
		}
	}
	if m := w.ask("_http._tcp.web.prod.svc.cluster.local.", dns.TypeSRV); len(m.Answer) != 1 {
		w.t.Fatalf("SRV: got %v, and its lease has ended", m.Answer)
	}
	if err := w.registry.Renew(anyone, which, service.Precondition{}); !errors.Is(err, service.ErrNotFound) {
		w.t.Fatalf("heartbeat after the end of the lease: got %v", err)
	}
	i := w.registry.State().Instance(which)
	if table && i != nil {
		w.t.Fatal("it is in the table")
	}
	if i == nil {
		return
	}
	if at := w.registry.ExpiresAt(i.Lease()); at.After(w.now()) || w.now().Sub(at) > time.Hour {
		w.t.Fatalf("its lease has ended, and at %s it is said to last until %s", w.now(), at)
	}
}

// hangIn calls a function that commits, and returns when the store hangs in that. What it
// returns ends that, and returns when the function has.
func (w *shelved) hangIn(commits func(), f fate) (over func()) {
	hung := w.shelf.hang()
	done := make(chan struct{})
	go func() {
		defer close(done)
		commits()
	}()
	var release chan<- fate
	select {
	case release = <-hung:
	case <-done:
		w.t.Fatal("the store was not asked")
	}
	return func() {
		w.shelf.goOn()
		release <- f
		<-done
	}
}

// A server that stops after an instance was taken away is not to say that the instance may
// stop earlier than the last answer with it goes out of date; a store that hangs is no
// reason.
func TestSafeToStopCountsFromTheLastAnswer(t *testing.T) {
	w := newShelved(t, Config{TTL: 5 * time.Second}, newShelf(t))
	w.load("prod/web/a 192.0.2.1")
	var at time.Time
	over := w.hangIn(func() {
		results, _, err := w.registry.Apply(anyone, []service.Change{{Op: service.Deregister, ID: id("prod", "web", "a")}}, w.now())
		if err != nil {
			t.Error(err)
			return
		}
		at = results[0].SafeToStopAt
	}, kept)
	w.passHung(20 * time.Second)
	if m := w.ask("web.prod.svc.cluster.local.", dns.TypeA); len(m.Answer) != 1 || m.Answer[0].Header().Ttl != 5 {
		t.Fatalf("it is not gone yet, and the answer is %v", m)
	}
	answered := w.now()
	over()
	if at.Sub(answered) < 5*time.Second {
		t.Errorf("answered for 5 s at %s, and said to be safe to stop at %s", answered, at)
	}
}

// A store that has failed is asked for what it may have kept before it gets more. If that
// were asked for as the next transaction wants it, half of one would be kept.
func TestNoHalfOfATransactionIsKept(t *testing.T) {
	w := newShelved(t, Config{}, newShelf(t))
	w.load("prod/web/a 192.0.2.1")
	w.shelf.set(keptMute)
	if err := w.try(register("prod", "web", "a", "192.0.2.2")); !errors.Is(err, service.ErrNotKept) {
		t.Fatal(err)
	}
	w.wait(time.Second, w.registry.Expire)
	fates := []fate{kept, refused}
	w.shelf.setEach(func() fate {
		f := fates[0]
		fates = append(fates[1:], refused)
		return f
	})
	if err := w.try(register("prod", "web", "a", "192.0.2.3"), register("prod", "web", "b", "192.0.2.3")); !errors.Is(err, service.ErrNotKept) {
		t.Fatal(err)
	}
	w.same()
}

// A store that goes on failing is not asked at each write, and what it may have kept without
// our knowing does not grow.
func TestFailingStoreIsLeftInPeace(t *testing.T) {
	w := newShelved(t, Config{}, newShelf(t))
	w.pass(time.Second)
	w.shelf.set(keptMute)
	tried := w.shelf.tried()
	const seconds = 10
	for n := range 100 * seconds {
		if err := w.try(register("prod", "web", fmt.Sprint("i", n), "192.0.2.1")); !errors.Is(err, service.ErrNotKept) {
			t.Fatal(err)
		}
		w.wait(10*time.Millisecond, func() {
			w.registry.Expire()
			w.registry.Settle()
		})
	}
	if tried := w.shelf.tried() - tried; tried < seconds || tried > seconds*int(time.Second/retryEvery)+1 {
		t.Errorf("in %d s the store was asked %d times", seconds, tried)
	}
	if n := len(w.shelf.objects); n > 1 {
		t.Errorf("the store may have kept %d registrations that were refused", n)
	}
	w.shelf.set(kept)
	w.pass(time.Second)
	w.same()
	if n := len(w.shelf.objects); n > 0 {
		t.Errorf("the store has %d objects, the table none", n)
	}
}

func TestNothingIsSaidBeforeTheTableIsLoaded(t *testing.T) {
	s := newShelf(t)
	w := newShelved(t, Config{}, s)
	w.load("prod/web/a 192.0.2.1 lease=30")
	s.unreadable = errors.New("page 7 is not what was written")
	w.use(w.open())
	unanswered := func(when string) {
		t.Helper()
		for _, name := range []string{"web.prod.svc.cluster.local.", "none.prod.svc.cluster.local.", "cluster.local.", "1.2.0.192.in-addr.arpa."} {
			for _, qtype := range []uint16{dns.TypeA, dns.TypeSOA, dns.TypePTR} {
				if m := w.ask(name, qtype); m.Rcode != dns.RcodeServerFailure {
					t.Errorf("%s: %s: got %v, want SERVFAIL", when, name, m)
				}
			}
		}
		if w.handler.Ready() {
			t.Errorf("%s: it is ready", when)
		}
		if err := w.try(register("prod", "web", "b", "192.0.2.2")); !errors.Is(err, service.ErrNotLoaded) {
			t.Errorf("%s: register: got %v, want ErrNotLoaded", when, err)
		}
		if err := w.registry.Renew(anyone, id("prod", "web", "a"), service.Precondition{}); !errors.Is(err, service.ErrNotLoaded) {
			t.Errorf("%s: heartbeat: got %v, want ErrNotLoaded", when, err)
		}
		w.pass(time.Minute)
	}
	unanswered("before it is loaded")
	if err := w.registry.load(); !errors.Is(err, s.unreadable) {
		t.Fatalf("loading what cannot be read: got %v", err)
	}
	unanswered("after it could not be loaded")
	if len(s.objects) != 1 {
		t.Error("what could not be read has been changed")
	}
	s.unreadable = nil
	w.restart()
	if m := w.ask("web.prod.svc.cluster.local.", dns.TypeA); len(m.Answer) != 1 || !w.handler.Ready() {
		t.Errorf("loaded: got %v, ready %v", m, w.handler.Ready())
	}
}

// While the store is being read, which may take minutes, everything but the table works.
func TestNothingHangsWhileTheTableIsBeingLoaded(t *testing.T) {
	s := &slowShelf{shelf: newShelf(t), reading: make(chan struct{}), goOn: make(chan struct{})}
	w := newShelved(t, Config{}, s.shelf)
	w.load("prod/web/a 192.0.2.1 lease=30")
	r := newRegistry("127.0.0.1:0", w.now, s)
	w.use(r)
	loaded := make(chan error)
	go func() { loaded <- r.load() }()
	<-s.reading
	w.pass(time.Hour)
	if err := w.try(register("prod", "web", "b", "192.0.2.2")); !errors.Is(err, service.ErrNotLoaded) {
		t.Errorf("register: got %v, want ErrNotLoaded", err)
	}
	if m := w.ask("web.prod.svc.cluster.local.", dns.TypeA); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("got %v, want SERVFAIL", m)
	}
	close(s.goOn)
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	w.pass(29 * time.Second)
	if m := w.ask("web.prod.svc.cluster.local.", dns.TypeA); len(m.Answer) != 1 {
		t.Errorf("29 s after it was loaded: got %v", m)
	}
}

// slowShelf is one that is read when the test says so.
type slowShelf struct {
	*shelf
	reading, goOn chan struct{}
}

func (s *slowShelf) Load(visit func(store.Object) error) (uint64, error) {
	close(s.reading)
	<-s.goOn
	return s.shelf.Load(visit)
}

// Leases begin anew at their full length: who could not be heard has missed nothing.
func TestLeasesAreFullAfterARestart(t *testing.T) {
	w := newShelved(t, Config{}, newShelf(t))
	w.load("prod/web/a 192.0.2.1 lease=30\nprod/web/b 192.0.2.2 lease=5\nprod/web/c 192.0.2.3")
	w.pass(4 * time.Second)
	w.restart()
	restarted := w.now()
	for ; w.now().Sub(restarted) < 40*time.Second; w.pass(100 * time.Millisecond) {
		passed := w.now().Sub(restarted)
		for id, lease := range map[string]time.Duration{"a": 30 * time.Second, "b": 5 * time.Second, "c": time.Hour} {
			m := w.ask(id+".web.prod.svc.cluster.local.", dns.TypeA)
			if here := len(m.Answer) == 1; here && passed > lease+time.Second || !here && passed < lease {
				t.Fatalf("%s after the restart: a lease of %s, answered: %v", passed, lease, here)
			}
		}
	}
	w.restart()
	if i := w.registry.State().Instance(id("prod", "web", "a")); i != nil {
		t.Error("who had left is back after another restart")
	}
}

// A revision stands for one state of the table, for ever: also that of an instance that left
// while the store failed, and came back by a crash.
func TestRevisionsGrowOverEveryRestart(t *testing.T) {
	w := newShelved(t, Config{}, newShelf(t))
	var highest uint64
	for n := range 20 {
		if is := w.registry.State().Revision; is <= highest {
			t.Fatalf("after %d restarts: revision %d after %d", n, is, highest)
		}
		if n%3 == 0 {
			w.load("prod/web/a 192.0.2.1 lease=2\nprod/web/b 192.0.2.1 lease=3")
		}
		w.pass(500 * time.Millisecond)
		w.shelf.set(refused)
		w.pass(time.Duration(n%4) * time.Second)
		highest = w.registry.State().Revision
		w.shelf.set(kept)
		switch n % 3 {
		case 0:
			if err := w.registry.close(); err != nil {
				t.Fatal(err)
			}
		case 1:
			w.pass(time.Second)
			highest = w.registry.State().Revision
		}
		w.restart()
	}
}

// Closing settles what is owed, also if the store has failed a moment ago, and lets nobody
// change the table afterwards.
func TestClosingSettles(t *testing.T) {
	w := newShelved(t, Config{}, newShelf(t))
	w.load("prod/web/a 192.0.2.1 lease=2\nprod/web/b 192.0.2.1")
	w.shelf.set(keptMute)
	if err := w.try(register("prod", "web", "b", "192.0.2.2")); !errors.Is(err, service.ErrNotKept) {
		t.Fatal(err)
	}
	w.shelf.set(kept)
	w.passHung(2 * time.Second)
	w.shelf.set(refused)
	w.registry.Settle()
	w.shelf.set(kept)
	if err := w.registry.close(); err != nil {
		t.Fatal(err)
	}
	w.same()
	if !w.shelf.closed {
		t.Error("the store is open")
	}
	state := w.registry.State()
	if err := w.try(register("prod", "web", "c", "192.0.2.2")); !errors.Is(err, service.ErrNotKept) || w.registry.State() != state {
		t.Errorf("a change after the end got %v", err)
	}
	w.pass(time.Minute)
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
	w := newShelved(t, Config{}, nil)
	dir := t.TempDir()
	d := &fullDisk{}
	start := func() {
		kept, err := disk.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		d.Store = kept
		w.use(newRegistry("127.0.0.1:0", w.now, d))
		if err := w.registry.load(); err != nil {
			t.Fatal(err)
		}
	}
	start()
	for n := range 4 {
		w.load("prod/web/a 192.0.2.1\nprod/web/silent 192.0.2.2 lease=2")
		d.full = true
		if err := w.try(register("prod", "web", "a", "192.0.2.9")); !errors.Is(err, service.ErrNotKept) {
			t.Fatal(err)
		}
		if n%2 == 0 {
			w.pass(3 * time.Second) // the silent one leaves
		}
		d.full = false
		w.pass(time.Second)
		if err := w.try(register("prod", "web", fmt.Sprint("new", n), "192.0.2.3")); err != nil {
			t.Fatalf("round %d: there is space again: %v", n, err)
		}
		w.pass(3 * time.Second)
		before := fmt.Sprint(w.answers("web.prod", "a.web.prod", "192.0.2.1", "192.0.2.2", "192.0.2.9"))
		if err := w.registry.close(); err != nil {
			t.Fatal(err)
		}
		start()
		if got := fmt.Sprint(w.answers("web.prod", "a.web.prod", "192.0.2.1", "192.0.2.2", "192.0.2.9")); got != before {
			t.Fatalf("round %d: after a restart got %s, want %s", n, got, before)
		}
	}
	if err := w.registry.close(); err != nil {
		t.Fatal(err)
	}
}
