package registry

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

// shelf is a store in a map whose troubles the test makes. What lies on it outlives the
// registry: another one may be opened on it.
type shelf struct {
	t testing.TB

	mu         sync.Mutex
	objects    map[service.ID]store.Object
	revision   uint64           // of what lies there
	told       uint64           // of the last batch that was said to be kept
	commits    int              // how many were tried
	fate       func() fate      // what becomes of a commit; nil is kept
	hung       chan chan<- fate // where it is not nil, each commit is sent there and waits for its fate
	unreadable error            // what Load returns
	batch      store.Batch      // the last one
	closed     bool
}

// fate is what becomes of a commit.
type fate int

const (
	kept     fate = iota
	refused       // nothing is kept, and the error says so
	keptMute      // it is kept, and the error says that it may not be
)

var errShelf = errors.New("the shelf is broken")

func newShelf(t testing.TB) *shelf {
	return &shelf{t: t, objects: make(map[service.ID]store.Object)}
}

// set makes what becomes of the commits from now on.
func (s *shelf) set(f fate) { s.setEach(func() fate { return f }) }

func (s *shelf) setEach(f func() fate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fate = f
}

// hang has each commit wait until the test takes it off the channel and sends its fate.
func (s *shelf) hang() <-chan chan<- fate {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hung = make(chan chan<- fate)
	return s.hung
}

func (s *shelf) goOn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hung = nil
}

func (s *shelf) Load(visit func(store.Object) error) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = false
	if s.unreadable != nil {
		return 0, s.unreadable
	}
	for _, o := range s.objects {
		if err := visit(o); err != nil {
			return 0, err
		}
	}
	return s.revision, nil
}

func (s *shelf) Commit(b store.Batch) error {
	s.mu.Lock()
	hung, f := s.hung, kept
	if s.fate != nil {
		f = s.fate()
	}
	s.mu.Unlock()
	if hung != nil {
		wait := make(chan fate)
		hung <- wait
		f = <-wait
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commits++
	s.batch = b
	if s.closed {
		s.t.Error("a commit after Close")
	}
	if b.Revision < s.told {
		s.t.Errorf("a batch of revision %d after one of %d that was kept", b.Revision, s.told)
	}
	seen := make(map[service.ID]bool)
	for _, o := range b.Put {
		if seen[o.ID] {
			s.t.Errorf("%s stands twice in a batch", o.ID)
		}
		seen[o.ID] = true
	}
	for _, id := range b.Delete {
		if seen[id] {
			s.t.Errorf("%s stands twice in a batch", id)
		}
		seen[id] = true
	}
	if f == refused {
		return errShelf
	}
	for _, o := range b.Put {
		s.objects[o.ID] = o
	}
	for _, id := range b.Delete {
		delete(s.objects, id)
	}
	s.revision = b.Revision
	if f == keptMute {
		return errShelf
	}
	s.told = b.Revision
	return nil
}

func (s *shelf) Snapshot(io.Writer) error { return errors.ErrUnsupported }

func (s *shelf) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

func (s *shelf) tried() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.commits
}

// shelved is a world whose table is kept on a shelf, or only in memory where that is nil.
// Its clock may be read while the test moves it.
type shelved struct {
	*world
	shelf  *shelf
	config Config
	at     atomic.Int64
}

func newShelved(t testing.TB, config Config, s *shelf) *shelved {
	t.Helper()
	w := &shelved{world: newWorld(t, config), shelf: s, config: config}
	w.at.Store(w.clock.UnixNano())
	w.use(w.open())
	if s == nil {
		return w
	}
	if err := w.registry.load(); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *shelved) now() time.Time { return time.Unix(0, w.at.Load()).UTC() }

// open returns another registry on what is on the shelf, yet to be loaded.
func (w *shelved) open() *Registry {
	var in store.Store
	if w.shelf != nil {
		in = w.shelf
	}
	r := newRegistry("127.0.0.1:0", w.now, in)
	r.rules.Store(w.world.registry.rules.Load())
	return r
}

// use puts another registry in the place of the one that is.
func (w *shelved) use(r *Registry) {
	w.registry = r
	w.handler.registry.Store(r)
}

// restart puts another registry in the place of the one that is, which is left as a
// process is that was killed.
func (w *shelved) restart() {
	w.t.Helper()
	w.use(w.open())
	if err := w.registry.load(); err != nil {
		w.t.Fatal(err)
	}
}

// pass lets time pass in ticks, and the store be settled with.
func (w *shelved) pass(d time.Duration) {
	w.wait(d, func() {
		w.registry.Expire()
		w.registry.Settle()
	})
}

// passHung lets time pass in ticks while somebody waits for the store.
func (w *shelved) passHung(d time.Duration) { w.wait(d, w.registry.Expire) }

func (w *shelved) wait(d time.Duration, tick func()) {
	for end := w.now().Add(d); w.now().Before(end); {
		w.at.Add(int64(min(lease.TickEvery, end.Sub(w.now()))))
		tick()
	}
}

// try makes changes and returns what the registry says to them.
func (w *shelved) try(changes ...service.Change) error {
	_, _, err := w.registry.Apply(anyone, changes, w.now())
	return err
}

// same reports where the store has something else than the table.
func (w *shelved) same() {
	w.t.Helper()
	w.shelf.mu.Lock()
	defer w.shelf.mu.Unlock()
	is := objectsOf(w.registry.State().Snapshot)
	for id, o := range is {
		if was, ok := w.shelf.objects[id]; !ok || !sameObject(was, o) {
			w.t.Errorf("%s: the store has %+v, the table %+v", id, was, o)
		}
	}
	for id := range w.shelf.objects {
		if _, ok := is[id]; !ok {
			w.t.Errorf("%s is in the store, and not in the table", id)
		}
	}
}

// objectsOf returns all that a snapshot has and a store is to keep.
func objectsOf(s *table.Snapshot) map[service.ID]store.Object {
	objects := make(map[service.ID]store.Object)
	for view := range s.Services(service.Name{}) {
		if view.Definition != nil {
			id := service.ID{Name: view.Name}
			objects[id] = store.Object{ID: id, Definition: view.Definition}
		}
	}
	for i := range s.Instances() {
		said := i.Said()
		objects[i.ID()] = store.Object{ID: i.ID(), Revision: i.Revision, Instance: &said, RegisteredAt: i.RegisteredAt()}
	}
	return objects
}

// sameObject compares all but the revision of a definition: that of its service grows with
// each instance.
func sameObject(a, b store.Object) bool {
	switch {
	case a.Instance != nil && b.Instance != nil:
		return a.Revision == b.Revision && a.RegisteredAt.Equal(b.RegisteredAt) && a.Instance.Equal(b.Instance)
	case a.Definition != nil && b.Definition != nil:
		return a.Definition.Equal(b.Definition)
	}
	return false
}

// answers writes down what DNS says of all that these tests' tables hold.
func (w *shelved) answers(names ...string) (lines []string) {
	w.t.Helper()
	for _, name := range names {
		qtype := uint16(1)
		if _, err := netip.ParseAddr(name); err == nil {
			name, qtype = reverseOf(name), 12
		} else {
			name += ".svc.cluster.local."
		}
		lines = append(lines, name)
		lines = append(lines, summary(w.ask(name, qtype))...)
	}
	return lines
}

// reverseOf returns the reverse name of an IPv4 address.
func reverseOf(addr string) string {
	b := netip.MustParseAddr(addr).As4()
	slices.Reverse(b[:])
	return netip.AddrFrom4(b).String() + ".in-addr.arpa."
}
