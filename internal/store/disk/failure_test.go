package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/store/storetest"
	"github.com/coredns-registry/registry/service"
)

// failing is a store with one object, and how its next commits are made to fail.
type failing struct {
	*testing.T
	*Store
	want []store.Object // what is acknowledged, in the order of the keys
}

func newFailing(t *testing.T, dir string) *failing {
	f := &failing{T: t, Store: opened(t, dir)}
	f.succeeds("a")
	return f
}

// succeeds commits one more object.
func (f *failing) succeeds(id string) {
	f.Helper()
	o := storetest.Static(id)
	o.Revision = f.revision + 1
	commit(f.T, f.Store, o)
	f.acknowledged(o)
}

func (f *failing) acknowledged(o store.Object) {
	f.want = slices.DeleteFunc(f.want, func(was store.Object) bool { return was.ID == o.ID })
	f.want = append(f.want, o)
	slices.SortFunc(f.want, func(a, b store.Object) int { return bytes.Compare(encodeKey(a.ID), encodeKey(b.ID)) })
}

// fails commits an object in vain.
func (f *failing) fails(o store.Object, want string) {
	f.Helper()
	err := f.Commit(batch(f.Store, o))
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), f.path) {
		f.Errorf("got %v, want an error with %q and the file's name", err, want)
	}
}

// holds restarts and checks what is there.
func (f *failing) holds() {
	f.Helper()
	closed(f.T, f.Store)
	holds(f.T, filepath.Dir(f.path), f.want)
}

func TestWhenTheDiskWorksAgainSoDoesCommit(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		fail     func(f *failing)
		want     string
	}{
		{"no more pages to be had", func(f *failing) { f.db.MaxSize = 1 }, "maximum"},
		{"every write fails", func(f *failing) { f.file.Close() }, "file already closed"},
		{"every write to the journal fails", func(f *failing) {
			f.journal.file.Close()
			f.fails(storetest.Static("b"), "file already closed")
		}, ""},
		{"the file cannot be opened again either", func(f *failing) {
			f.file.Close()
			f.fails(storetest.Large("b"), "file already closed")
			rename(f.T, f.path, f.path+".gone")
			f.fails(storetest.Large("b"), "no such file")
			f.fails(storetest.Static("b"), "no such file")
			rename(f.T, f.path+".gone", f.path)
			f.failed = errors.New("still")
			f.db.MaxSize = 1
		}, ""},
		{"bbolt has panicked and holds its locks", func(f *failing) {
			must(f.db.Begin(true))
			f.wedged, f.failed = true, errors.New("panicked")
		}, ""},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			f := newFailing(t, t.TempDir())
			tc.fail(f)
			if tc.want != "" {
				f.fails(storetest.Large("b"), tc.want)
			}
			f.succeeds("c")
			f.succeeds("d")
			var b bytes.Buffer
			if err := f.Snapshot(&b); err != nil {
				t.Error(err)
			}
			f.holds()
		})
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// loses commits an object, and has the store believe that it failed at the end: the file
// says that it is kept, and perhaps only as long as there is power. It returns bbolt's
// number for it.
func (f *failing) loses(o store.Object) (txid uint64) {
	f.Helper()
	try(f.T, f.folded())
	revision, kept, was, pending, journal := f.revision, f.kept, f.txid, f.pending, f.journal
	o.Revision = f.revision + 1
	commit(f.T, f.Store, o)
	try(f.T, f.folded())
	txid = f.txid
	journal.file = f.journal.file
	f.revision, f.kept, f.txid, f.pending, f.journal = revision, kept, was, pending, journal
	f.failed = errors.New("the flush failed")
	return txid
}

func TestACommitThatFailedAtItsEndIsUndone(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		lost     store.Object
		disk     func(f *failing, metaPage int64)
	}{
		{"it is in the journal", storetest.Static("lost"), func(*failing, int64) {}},
		{"its meta page is in the file", storetest.Large("lost"), func(*failing, int64) {}},
		{"its meta page is half in the file", storetest.Large("lost"), func(f *failing, metaPage int64) {
			must(f.file.WriteAt(make([]byte, 24), metaPage+40))
		}},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			for n := range 4 { // both places for the meta page, and after a mending too
				f := newFailing(t, t.TempDir())
				for n := range n {
					o := storetest.Large(string(rune('b' + n))) // a transaction each
					o.Revision = f.revision + 1
					commit(t, f.Store, o)
					f.acknowledged(o)
				}
				tc.disk(f, int64(f.loses(tc.lost)%2*f.pageSize))

				f.succeeds("y")
				f.succeeds("z")
				f.holds()
			}
		})
	}
}

// From the moment it is mended, both meta pages lead to what was acknowledged.
func TestMendingLeavesNoOtherState(t *testing.T) {
	f := newFailing(t, t.TempDir())
	f.loses(storetest.Large("lost"))
	kept := f.kept
	if err := f.mend(); err != nil {
		t.Fatal(err)
	}
	for place := range uint64(2) {
		m := must(readMeta(f.file, place, int64(place*f.pageSize)))
		if i, err := imageOf(f.file, m); err != nil || i.kept != kept {
			t.Errorf("meta page %d leads to %+v, %v; want %+v", place, i.kept, err, kept)
		}
	}
	f.holds()
}

// What a lap has is in the journal until it is in the tree, whatever goes wrong between.
func TestALapThatCannotBeTakenOverCostsNothing(t *testing.T) {
	for _, tc := range []struct {
		sentence string
		fail     func(f *failing)
	}{
		{"every write of bbolt fails", func(f *failing) { f.file.Close() }},
		{"no more pages to be had", func(f *failing) { f.db.MaxSize = 1 }},
		{"bbolt panicked and holds its locks", func(f *failing) {
			must(f.db.Begin(true))
			f.fold = make(chan done, 1)
			f.fold <- done{kept: f.kept, txid: f.txid, wedged: true, err: errors.New("panicked")}
		}},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			f := newFailing(t, t.TempDir())
			for n := range 500 {
				f.succeeds(fmt.Sprint("before-", n%100))
				if f.fold != nil && n > 100 {
					break
				}
			}
			try(t, f.folded())
			tc.fail(f)
			for n := range 200 {
				f.succeeds(fmt.Sprint("after-", n))
			}
			f.holds()
		})
	}
}

func TestAFileThatChangedHandsIsNotWritten(t *testing.T) {
	for _, commits := range []int{1, 2, 3} {
		f := newFailing(t, t.TempDir())
		f.failed = errors.New("the disk was full")
		if err := f.letGo(); err != nil { // as mending does for a moment
			t.Fatal(err)
		}
		other := opened(t, filepath.Dir(f.path))
		f.fails(storetest.Static("c"), "in use by another process")
		for n := range commits {
			commit(t, other, storetest.Static(string(rune('p'+n))))
		}
		f.fails(storetest.Static("c"), "in use by another process")
		closed(t, other)
		f.fails(storetest.Static("c"), "another process has changed it")
		f.fails(storetest.Static("c"), "another process has changed it")
		s := opened(t, filepath.Dir(f.path))
		if s.kept != other.kept {
			t.Errorf("the other process committed %+v, there is %+v", other.kept, s.kept)
		}
		closed(t, s)
	}
}

// A snapshot in whose way a mending would be is waited for by commits that fail, not by
// commits that hang.
func TestASlowSnapshotDoesNotBlockCommits(t *testing.T) {
	f := newFailing(t, t.TempDir())
	r, w := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() { w.CloseWithError(f.Snapshot(w)) })
	var snapshot bytes.Buffer
	must(io.CopyN(&snapshot, r, 100)) // it is under way
	want := f.want

	f.succeeds("b")
	for n := range 100 { // beyond what the file has now
		o := storetest.Large("l" + string(rune(n+'0')))
		o.Revision = f.revision + 1
		commit(t, f.Store, o)
		if err := f.Commit(store.Batch{Revision: f.revision + 1, Delete: []service.ID{o.ID}}); err != nil {
			t.Fatal(err)
		}
	}
	f.failed = errors.New("the disk was full")
	f.fails(storetest.Static("c"), "a snapshot is being taken, and before it ended: the disk was full")
	must(io.Copy(&snapshot, r))
	wg.Wait()
	f.succeeds("c")
	f.holds()

	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName), snapshot.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	holds(t, dir, want)
}

func TestAPanicOfBboltIsAnError(t *testing.T) {
	var panicked bool
	err := guard(&panicked, func() error { panic("assertion failed") })
	if err == nil || !panicked || !strings.Contains(err.Error(), "assertion failed") {
		t.Errorf("got %v, %v", err, panicked)
	}
	panicked = false
	enough := errors.New("enough")
	if err := guard(&panicked, func() error { return enough }); err != enough || panicked {
		t.Errorf("got %v, %v", err, panicked)
	}
}
