// Package enginetest is what tests with an engine need: a clock that only the test moves, a store
// whose troubles the test makes, and what DNS would answer.
package enginetest

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/engine"
	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/internal/testkit"
	"github.com/coredns-registry/registry/service"
)

// World is an engine under a clock that only the test moves. The clock may be read
// meanwhile; all else belongs to one goroutine at a time.
type World struct {
	T      testing.TB
	Engine *engine.Engine
	Store  *Store // nil where the table is in memory
	Rules  engine.Rules
	Log    *Log

	Used func(*engine.Engine) // is called with each engine that comes in the place of another; may be nil

	now atomic.Int64
}

// Rules are the default ones, but for that everybody may leave at once.
func Rules() engine.Rules {
	r := engine.DefaultRules
	r.Eviction = engine.Eviction{Percent: 100}
	r.TTL = 5 * time.Second
	return r
}

// NewWorld returns a world whose table is kept in a store, or in memory where that is nil.
func NewWorld(t testing.TB, rules engine.Rules, s *Store) *World {
	t.Helper()
	w := &World{T: t, Store: s, Rules: rules, Log: &Log{}}
	w.now.Store(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC).UnixNano())
	w.Restart()
	return w
}

// Now returns the time on the world's clock.
func (w *World) Now() time.Time { return time.Unix(0, w.now.Load()).UTC() }

// Open returns another engine on what the store holds, yet to be loaded.
func (w *World) Open() *engine.Engine {
	if w.Store == nil {
		return w.OpenOn(nil)
	}
	return w.OpenOn(w.Store)
}

// OpenOn returns another engine on a store, yet to be loaded.
func (w *World) OpenOn(s store.Store) *engine.Engine {
	e := engine.New("127.0.0.1:0", w.Now, s, w.Log)
	e.SetRules(w.Rules)
	return e
}

// Use puts another engine in the place of the one that is.
func (w *World) Use(e *engine.Engine) {
	w.Engine = e
	if w.Used != nil {
		w.Used(e)
	}
}

// Restart puts another engine in the place of the one that is, which is left as a process
// is that was killed.
func (w *World) Restart() {
	w.T.Helper()
	w.Use(w.Open())
	w.Must(w.Engine.Load())
}

// SetRules replaces what changes are judged by.
func (w *World) SetRules(to engine.Rules) {
	w.Rules = to
	w.Engine.SetRules(to)
}

// Pass lets time pass as it does while the process runs: in ticks.
func (w *World) Pass(d time.Duration) {
	w.Wait(d, func() {
		w.Engine.Expire()
		w.Engine.Flush()
	})
}

// PassHung lets time pass in ticks while somebody waits for the store.
func (w *World) PassHung(d time.Duration) { w.Wait(d, w.Engine.Expire) }

// Wait lets time pass in ticks.
func (w *World) Wait(d time.Duration, tick func()) {
	for end := w.Now().Add(d); w.Now().Before(end); {
		w.Jump(min(lease.TickEvery, end.Sub(w.Now())))
		tick()
	}
}

// Jump lets time pass in which the process does not run.
func (w *World) Jump(d time.Duration) { w.now.Add(int64(d)) }

// Load makes the changes of a text, see [testkit.Changes], each as a transaction.
func (w *World) Load(text string) {
	w.T.Helper()
	for _, c := range w.Changes(text) {
		w.Apply(c)
	}
}

// Changes reads a text, see [testkit.Changes].
func (w *World) Changes(text string) []service.Change {
	w.T.Helper()
	return testkit.Changes(w.T, text)
}

// Apply makes changes as one transaction, and fails the test where they are refused.
func (w *World) Apply(changes ...service.Change) {
	w.T.Helper()
	if err := w.Try(changes...); err != nil {
		w.T.Fatalf("apply %+v: %v", changes, err)
	}
}

// Try makes changes and returns what the engine says to them.
func (w *World) Try(changes ...service.Change) error { return w.ApplyAs(testkit.Anyone, changes...) }

// ApplyAs makes changes as a transaction of the caller.
func (w *World) ApplyAs(by service.Caller, changes ...service.Change) error {
	_, _, err := w.Engine.Apply(by, changes, w.Now())
	return err
}

// Must fails the test where there is an error.
func (w *World) Must(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

// HangIn calls a function that commits, and returns when the store hangs in that. What it
// returns ends that, and returns when the function has.
func (w *World) HangIn(commits func(), f Fate) (over func()) {
	w.T.Helper()
	hung := w.Store.Hang()
	done := make(chan struct{})
	go func() {
		defer close(done)
		commits()
	}()
	var release chan<- Fate
	select {
	case release = <-hung:
	case <-done:
		w.T.Fatal("the store was not asked")
	}
	return func() {
		w.Store.GoOn()
		release <- f
		<-done
	}
}

// Same reports where the store has something else than the table.
func (w *World) Same() {
	w.T.Helper()
	w.Store.mu.Lock()
	defer w.Store.mu.Unlock()
	want := ObjectsOf(w.Engine.State().Snapshot)
	for id, o := range want {
		if got, ok := w.Store.Objects[id]; !ok || !sameObject(got, o) {
			w.T.Errorf("%s: the store has %+v, the table %+v", id, got, o)
		}
	}
	for id := range w.Store.Objects {
		if _, ok := want[id]; !ok {
			w.T.Errorf("%s is in the store, and not in the table", id)
		}
	}
}

// ObjectsOf returns all that a snapshot has and a store is to keep.
func ObjectsOf(s *table.Snapshot) map[service.ID]store.Object {
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

// Log gathers what an engine logs. The zero value has no lines.
type Log struct {
	mu    sync.Mutex
	lines []string
}

// Infof implements engine.Logger.
func (l *Log) Infof(format string, v ...any) { l.add(format, v) }

// Warningf implements engine.Logger.
func (l *Log) Warningf(format string, v ...any) { l.add(format, v) }

// Errorf implements engine.Logger.
func (l *Log) Errorf(format string, v ...any) { l.add(format, v) }

func (l *Log) add(format string, v []any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, strings.TrimSpace(fmt.Sprintf(format, v...)))
}

// Take returns the lines since it was last called.
func (l *Log) Take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}
