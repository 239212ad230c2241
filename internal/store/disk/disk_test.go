package disk

import (
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/store/storetest"
	"github.com/coredns-registry/registry/service"
)

func TestExam(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Place {
		dir := t.TempDir()
		return storetest.Place{
			Open: func() (store.Store, error) { return Open(dir) },
			Restore: func(snapshot []byte) (store.Store, error) {
				dir := t.TempDir()
				if err := os.WriteFile(filepath.Join(dir, FileName), snapshot, 0o600); err != nil {
					return nil, err
				}
				return Open(dir)
			},
		}
	})
}

func TestADirectoryThatIsNotThereIsMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	opened(t, dir)
	for name, want := range map[string]fs.FileMode{dir: 0o700 | fs.ModeDir, filepath.Join(dir, FileName): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v, want %s", name, info.Mode(), err, want)
		}
	}
}

func TestACreationCutShortIsNoTable(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName+".new-1"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := opened(t, dir); s.kept != (state{}) {
		t.Errorf("a new table holds %+v", s.kept)
	}
}

// Of many that make the table at once one gets it, and nothing that it commits is lost.
func TestATableIsMadeOnce(t *testing.T) {
	for range 20 {
		dir := t.TempDir()
		stores := make(chan *Store, 8)
		var wg sync.WaitGroup
		for range cap(stores) {
			wg.Go(func() {
				if s, err := open(dir, 0); err == nil {
					stores <- s
				} else if !strings.Contains(err.Error(), "in use") {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		close(stores)
		if len(stores) != 1 {
			t.Fatalf("%d of %d got it", len(stores), cap(stores))
		}
		s := <-stores
		s.load(t)
		commit(t, s, storetest.Static("1"))
		closed(t, s)
		if s = opened(t, dir); s.revision != 1 {
			t.Fatal("what was committed is lost")
		}
		if names := must(filepath.Glob(filepath.Join(dir, "*"))); len(names) != 1 {
			t.Errorf("they leave %v", names)
		}
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	for range 2 {
		commit(t, s, storetest.Static("1"))
		if _, err := open(dir, 0); err == nil || !strings.Contains(err.Error(), s.path+" is in use by another process") {
			t.Errorf("opened twice: %v", err)
		}
		s.failed = errors.New("the disk was full") // mended by the next commit, which opens it anew
	}
	closed(t, s)
	opened(t, dir)
}

func TestOutOfTurn(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	fails := func(want string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	b := store.Batch{Revision: 7}
	visit := func(store.Object) error { return nil }
	fails("not loaded", s.Commit(b))
	fails("not open", s.Snapshot(io.Discard))
	if _, err := s.Load(visit); err != nil {
		t.Fatal(err)
	}
	_, err = s.Load(visit)
	fails("loaded already", err)
	if err := s.Commit(b); err != nil {
		t.Fatal(err)
	}
	b.Revision--
	fails("revision 6 after 7", s.Commit(b))
	closed(t, s)
	closed(t, s)
	b.Revision += 2
	fails("closed", s.Commit(b))
	fails("not open", s.Snapshot(io.Discard))
	_, err = s.Load(visit)
	fails("closed", err)
}

func TestABatchThatCannotBeKeptChangesNothing(t *testing.T) {
	s := opened(t, t.TempDir())
	commit(t, s, storetest.Static("1"))
	revision, journal := s.revision, s.journal
	for sentence, with := range map[string]func(*store.Object){
		"neither an instance nor a definition": func(o *store.Object) { o.Instance = nil },
		"both":                                 func(o *store.Object) { o.Definition = &service.Definition{} },
		"an instance without an id":            func(o *store.Object) { o.ID.ID = "" },
		"no namespace":                         func(o *store.Object) { o.ID.Namespace = "" },
		"a zero byte in the name":              func(o *store.Object) { o.ID.Service = "a\x00b" },
		"a zero byte in the id":                func(o *store.Object) { o.ID.ID = "a\x00b" },
		"a protocol that is none":              func(o *store.Object) { o.Instance.Ports = []service.Port{{Protocol: "icmp"}} },
		"an address that is none":              func(o *store.Object) { o.Instance.Addresses = make([]netip.Addr, 1) },
		"a status that is none":                func(o *store.Object) { o.Instance.Status = 4 },
		"seconds of a lease not given":         func(o *store.Object) { o.Instance.Lease = service.Lease{Seconds: 3} },
		"an owner that is too long":            func(o *store.Object) { o.Instance.Owner = strings.Repeat("o", service.MaxOwnerBytes+1) },
		"a type that is none": func(o *store.Object) {
			*o = storetest.Defined("default", "web")
			o.Definition.Type = 3
		},
		"a definition that was registered": func(o *store.Object) {
			at := o.RegisteredAt
			*o = storetest.Defined("default", "web")
			o.RegisteredAt = at
		},
	} {
		o := storetest.Static("2")
		with(&o)
		err := s.Commit(store.Batch{Revision: s.revision + 1, Put: []store.Object{storetest.Static("3"), o}})
		if err == nil {
			t.Errorf("%s: kept", sentence)
		}
	}
	if s.failed != nil || s.revision != revision || s.journal.next != journal.next || s.journal.commits != journal.commits {
		t.Errorf("got revision %d with %+v and %v, want %d with %+v", s.revision, s.journal, s.failed, revision, journal)
	}
}

// opened returns the store in a directory, loaded. It is closed with the test.
func opened(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	s.load(t)
	return s
}

func closed(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func commit(t testing.TB, s *Store, objects ...store.Object) {
	t.Helper()
	if err := s.Commit(batch(s, objects...)); err != nil {
		t.Fatal(err)
	}
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// batch is the next one.
func batch(s *Store, objects ...store.Object) store.Batch {
	return store.Batch{Revision: s.revision + 1, Put: objects}
}

func encodeKey(id service.ID) []byte { return appendKey(nil, id) }

func encodeObject(o *store.Object) (record, error) {
	var m message
	err := m.object(o)
	return record{key: encodeKey(o.ID), value: m}, err
}

// load loads a store that has just been opened.
func (s *Store) load(t testing.TB) (objects []store.Object) {
	t.Helper()
	revision, err := s.Load(func(o store.Object) error {
		objects = append(objects, o)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if revision != s.revision || len(s.pending) == 0 && uint64(len(objects)) != s.kept.count {
		t.Fatalf("%d objects of revision %d, the file says %+v", len(objects), revision, s.kept)
	}
	return objects
}

// holds checks that a directory holds these objects, in the order of their keys.
func holds(t testing.TB, dir string, want []store.Object) {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, s)
	if got := s.load(t); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %d objects, want %d: %v, want %v", len(got), len(want), got, want)
	}
}
