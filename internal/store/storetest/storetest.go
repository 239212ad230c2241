// Package storetest is the exam that every store sits: what store.Store promises, asked
// of it from outside.
package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/service"
)

// Place is somewhere a table can be kept.
type Place struct {
	// Open opens the store there. What was opened before has been closed.
	Open func() (store.Store, error)

	// Restore opens the store of a new place that holds a snapshot and nothing else. It
	// is nil where stores have no snapshots.
	Restore func(snapshot []byte) (store.Store, error)
}

// Run holds a store to the exam. place returns a new place, at which nothing was kept.
func Run(t *testing.T, place func(*testing.T) Place) {
	for _, question := range []struct {
		sentence string
		ask      func(*exam)
	}{
		{"a store never used is empty and at revision 0", neverUsed},
		{"every field of every object comes back", everyField},
		{"an object that is put again is replaced, whatever it was", replaced},
		{"the same registration by another owner is another record", owners},
		{"what is deleted is gone, and what never was is no fault", deleted},
		{"deleting a definition leaves the instances, and the other way round", definitionsAndInstances},
		{"ids are told apart by case and by every byte that is allowed", everyID},
		{"names that read the same when put together are told apart", collidingNames},
		{"a batch that changes no object keeps its revision", emptyBatch},
		{"a batch of a thousand objects of nearly 64 KiB", largeBatch},
		{"an error of the visitor ends the load and is returned", visitorFails},
		{"it goes on after a reopening as before", reopened},
		{"after anything at all, what is kept is what was committed", anything},
		{"a snapshot opens to what was committed when it was taken", snapshot},
		{"a snapshot taken beside commits is one of the states between them", snapshotBesideCommits},
		{"an error of the snapshot's reader is returned, and harms nothing", snapshotReaderFails},
	} {
		t.Run(question.sentence, func(t *testing.T) {
			e := &exam{T: t, place: place(t), want: table{}}
			e.open()
			question.ask(e)
			if err := e.store.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// exam is one store being examined, and what it must hold.
type exam struct {
	*testing.T
	place    Place
	store    store.Store
	revision uint64
	want     table
}

// open opens the store and compares what it loads with what it must hold.
func (e *exam) open() {
	e.Helper()
	s, err := e.place.Open()
	if err != nil {
		e.Fatalf("open: %v", err)
	}
	e.store = s
	got, revision := load(e.T, s)
	if revision != e.revision {
		e.Errorf("loaded revision %d, want %d", revision, e.revision)
	}
	if diff := got.diff(e.want); diff != "" {
		e.Fatalf("loaded at revision %d: %s", revision, diff)
	}
}

// reopen is a restart.
func (e *exam) reopen() {
	e.Helper()
	if err := e.store.Close(); err != nil {
		e.Fatalf("close: %v", err)
	}
	e.open()
}

// commit commits a batch of the next revision. The objects get it, too.
func (e *exam) commit(put []store.Object, remove ...service.ID) {
	e.Helper()
	e.revision++
	for n := range put {
		put[n].Revision = e.revision
	}
	b := store.Batch{Revision: e.revision, Put: put, Delete: remove}
	if err := e.store.Commit(b); err != nil {
		e.Fatalf("commit: %v", err)
	}
	e.want.apply(b)
}

// load loads a store that has just been opened.
func load(t *testing.T, s store.Store) (table, uint64) {
	t.Helper()
	got := table{}
	revision, err := s.Load(func(o store.Object) error {
		if _, twice := got[o.ID]; twice {
			t.Errorf("%q is loaded twice", o.ID)
		}
		got[o.ID] = o
		return nil
	})
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return got, revision
}

func neverUsed(e *exam) { e.reopen() }

func everyField(e *exam) {
	e.commit(Objects())
	e.reopen()
}

func replaced(e *exam) {
	objects := Objects()
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(objects), func(i, j int) { objects[i], objects[j] = objects[j], objects[i] })
	for n := range objects {
		one := Static("one")
		if objects[n].Definition != nil {
			one.ID.ID = ""
		}
		objects[n].ID = one.ID
		e.commit(objects[n : n+1])
		e.reopen()
	}
}

func owners(e *exam) {
	for _, owner := range []string{"team-1", "team-2", "", "TEAM-2", "team-1"} {
		one := Static("one")
		one.Instance.Owner = owner
		e.commit([]store.Object{one, Static("other")})
		e.reopen()
	}
}

func deleted(e *exam) {
	e.commit(nil, ID("default", "web", "never"), ID("never", "never", ""))
	objects := Objects()
	e.commit(objects)
	for _, o := range objects[:len(objects)/2] {
		e.commit(nil, o.ID, ID("default", "web", "never"))
	}
	e.reopen()
	var rest []service.ID
	for _, o := range objects {
		rest = append(rest, o.ID)
	}
	e.commit(nil, rest...)
	e.reopen()
}

func definitionsAndInstances(e *exam) {
	instance, definition := Static("1"), Defined("default", "web")
	e.commit([]store.Object{instance, definition})
	e.commit(nil, definition.ID)
	e.reopen()
	e.commit([]store.Object{definition}, instance.ID)
	e.reopen()
}

func everyID(e *exam) {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-"
	var objects []store.Object
	for _, c := range allowed {
		objects = append(objects, Static("x"+string(c)), Static(string(c)+"x"))
		if c != '.' {
			objects = append(objects, Static(string(c)))
		}
	}
	objects = append(objects, Static(allowed), Static("..."), Static(longID))
	e.commit(objects)
	e.reopen()
	e.commit(nil, ID("default", "web", "a"), ID("default", "web", "x:"))
	e.reopen()
}

func collidingNames(e *exam) {
	var objects []store.Object
	for _, n := range []service.ID{
		ID("a", "b", "c"), ID("a", "bc", "c"), ID("ab", "c", "c"), ID("ab", "c", "cc"), ID("a", "b-c", "d"), ID("a-b", "c", "d"),
		ID("a", "b", "a"), ID("a", "b", "b"), ID("b", "a", "a"), ID("a", "a", "a"), ID("a", "a", "aa"), ID("aa", "a", "a"), ID("a", "aa", "a"),
		ID("a", "b", "c.d"), ID("a", "b", "c:d"), ID("a", "c", "b"), ID("default", "web", "1"), ID("web", "default", "1"),
	} {
		o, d := Static(n.ID), Defined(n.Namespace, n.Service)
		o.ID = n
		o.Instance.Zone = n.String()
		objects = append(objects, o)
		if !contains(objects, d.ID) {
			objects = append(objects, d)
		}
	}
	e.commit(objects)
	e.reopen()
	for len(objects) > 0 {
		e.commit(nil, objects[0].ID)
		objects = objects[1:]
	}
	e.reopen()
}

func contains(objects []store.Object, id service.ID) bool {
	for _, o := range objects {
		if o.ID == id {
			return true
		}
	}
	return false
}

func emptyBatch(e *exam) {
	e.commit(nil)
	e.reopen()
	e.revision += 1_000_000
	e.commit(nil)
	e.reopen()
}

func largeBatch(e *exam) {
	objects := make([]store.Object, 1000)
	for n := range objects {
		objects[n] = Large(fmt.Sprintf("%d", n))
	}
	e.commit(objects)
	e.reopen()
	e.commit([]store.Object{Static("0")}, objects[1].ID)
	e.reopen()
}

func visitorFails(e *exam) {
	e.commit(Objects())
	if err := e.store.Close(); err != nil {
		e.Fatal(err)
	}
	s, err := e.place.Open()
	if err != nil {
		e.Fatal(err)
	}
	enough := errors.New("enough")
	seen := 0
	_, err = s.Load(func(store.Object) error {
		if seen++; seen == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || seen != 3 {
		e.Errorf("after %d objects: %v", seen, err)
	}
	e.store = s
	e.reopen()
}

func reopened(e *exam) {
	for n := range 10 {
		e.commit([]store.Object{Static(fmt.Sprint(n)), Static("last")}, ID("default", "web", fmt.Sprint(n-3)))
		e.reopen()
	}
}

// anything is a random walk beside a map.
func anything(e *exam) {
	const steps = 150
	for seed := range uint64(3) {
		e.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		for range steps {
			put, remove := Batch(r, 1+r.IntN(1+r.IntN(40)))
			e.commit(put, remove...)
			if r.IntN(40) == 0 {
				e.reopen()
			}
		}
		e.reopen()
	}
}

func snapshot(e *exam) {
	if e.place.Restore == nil {
		e.Skip("this store has no snapshots")
	}
	e.snapshot()
	e.commit(Objects())
	e.snapshot()
	r := rand.New(rand.NewPCG(1, 0))
	for range 30 {
		put, remove := Batch(r, 20)
		e.commit(put, remove...)
		e.snapshot()
	}
}

// snapshot takes one and checks that it opens to what is kept, and can be gone on from.
func (e *exam) snapshot() {
	e.Helper()
	var b bytes.Buffer
	if err := e.store.Snapshot(&b); err != nil {
		e.Fatalf("snapshot: %v", err)
	}
	s, err := e.place.Restore(b.Bytes())
	if err != nil {
		e.Fatalf("restore: %v", err)
	}
	copied := &exam{T: e.T, store: s, revision: e.revision, want: e.want.clone()}
	copied.place.Open = func() (store.Store, error) { return s, nil }
	copied.open()
	copied.commit([]store.Object{Static("new")})
	copied.commit(nil, ID("default", "web", "new"))
	if err := s.Close(); err != nil {
		e.Fatalf("close: %v", err)
	}
}

func snapshotBesideCommits(e *exam) {
	if e.place.Restore == nil {
		e.Skip("this store has no snapshots")
	}
	states := map[uint64]table{0: {}}
	snapshots := make(chan []byte)
	stop := make(chan struct{})
	s := e.store
	go func() {
		defer close(snapshots)
		for {
			var b bytes.Buffer
			if err := s.Snapshot(&b); err != nil {
				e.Errorf("snapshot: %v", err)
				return
			}
			select {
			case snapshots <- b.Bytes():
			case <-stop:
				return
			}
		}
	}()
	var taken [][]byte
	r := rand.New(rand.NewPCG(2, 0))
	for len(taken) < 20 {
		put, remove := Batch(r, 30)
		e.commit(put, remove...)
		states[e.revision] = e.want.clone()
		select {
		case b, ok := <-snapshots:
			if !ok {
				return
			}
			taken = append(taken, b)
		default:
		}
	}
	close(stop)
	for range snapshots {
	}
	e.reopen()
	for _, b := range taken {
		s, err := e.place.Restore(b)
		if err != nil {
			e.Fatalf("restore: %v", err)
		}
		got, revision := load(e.T, s)
		if want, ok := states[revision]; !ok {
			e.Errorf("a snapshot is of revision %d, which was never committed", revision)
		} else if diff := got.diff(want); diff != "" {
			e.Errorf("a snapshot of revision %d: %s", revision, diff)
		}
		if err := s.Close(); err != nil {
			e.Errorf("close: %v", err)
		}
	}
}

func snapshotReaderFails(e *exam) {
	if e.place.Restore == nil {
		e.Skip("this store has no snapshots")
	}
	e.commit(Objects())
	for n := range 12 {
		w := &failing{after: n * 3000}
		if err := e.store.Snapshot(w); err == nil {
			break
		}
		e.commit([]store.Object{Static(fmt.Sprint("after", n))})
	}
	e.snapshot()
	e.reopen()
}

// failing is a writer that takes so many bytes and no more.
type failing struct{ after int }

func (w *failing) Write(b []byte) (int, error) {
	if len(b) > w.after {
		return 0, errors.New("the reader has gone")
	}
	w.after -= len(b)
	return len(b), nil
}
