package disk

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/store/storetest"
	"github.com/coredns-registry/registry/service"
)

var update = flag.Bool("update", false, "write the file of the present format in testdata anew")

// Each format that ever was has a file in testdata, with what is in it beside it. It is
// never written again once a version with that format is released.
func TestFilesOfEveryFormatAreRead(t *testing.T) {
	littleEndian(t)
	if *update {
		writeFormat(t)
	}
	files := must(filepath.Glob("testdata/format-*.db"))
	if !slices.Contains(files, formatFile()) {
		t.Errorf("%s is missing: -update makes it", formatFile())
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, FileName), must(os.ReadFile(file)), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			got := s.load(t)
			lines := json.NewDecoder(bytes.NewReader(must(os.ReadFile(strings.TrimSuffix(file, ".db") + ".json"))))
			for n := range got {
				var want store.Object
				if err := lines.Decode(&want); err != nil {
					t.Fatalf("after %d of %d objects: %v", n, len(got), err)
				}
				if diff := storetest.Diff(got[n], want); diff != "" {
					t.Errorf("%q: %s", want.ID, diff)
				}
			}
			if lines.More() {
				t.Errorf("only %d objects are there", len(got))
			}
			commit(t, s, got...)
			closed(t, s)
			holds(t, dir, got)
		})
	}
}

// A version of an older format opens the file as long as nothing is committed to it, and by
// no means from then on: one transaction brings the format and the journal.
func TestTheFormatRisesWithTheFirstThingThatNeedsIt(t *testing.T) {
	owned, disowned := storetest.Static("owned"), storetest.Static("owned")
	owned.Instance.Owner = "team-1"
	for _, begin := range []struct {
		sentence string
		file     []byte
	}{
		{"a new file", nil},
		{"a file that a version of format 1 left", must(os.ReadFile("testdata/format-1.db"))},
	} {
		t.Run(begin.sentence, func(t *testing.T) {
			dir := t.TempDir()
			if begin.file != nil {
				littleEndian(t)
				try(t, os.WriteFile(filepath.Join(dir, FileName), begin.file, 0o600))
			}
			for _, tc := range []struct {
				sentence string
				batch    store.Batch
				want     byte
			}{
				{"nothing committed", store.Batch{}, 1},
				{"nothing changed", store.Batch{Revision: 1}, 3},
				{"an instance without an owner", store.Batch{Revision: 1, Put: []store.Object{storetest.Static("1")}}, 3},
				{"a definition", store.Batch{Revision: 1, Put: []store.Object{storetest.Defined("default", "web")}}, 3},
				{"an instance with an owner, among others", store.Batch{Revision: 1, Put: []store.Object{storetest.Static("2"), owned, storetest.Static("3")}}, 3},
				{"the owner is gone again", store.Batch{Revision: 1, Put: []store.Object{disowned}}, 3},
				{"the instance too", store.Batch{Revision: 1, Delete: []service.ID{owned.ID}}, 3},
			} {
				s := opened(t, dir)
				txid, transactions := s.txid, tc.batch.Revision
				if transactions > 0 {
					tc.batch.Revision = s.revision + 1
					try(t, s.Commit(tc.batch))
				}
				if got := formatOf(t, s); got != tc.want || s.txid != txid+transactions {
					t.Errorf("%s: format %d after %d transactions, want %d after %d", tc.sentence, got, s.txid-txid, tc.want, transactions)
				}
				copied := restored(t, s)
				if got := formatOf(t, copied); got != tc.want || copied.kept != s.kept {
					t.Errorf("%s: the snapshot is of format %d with %+v, want %d with %+v", tc.sentence, got, copied.kept, tc.want, s.kept)
				}
				closed(t, s)
			}
		})
	}
}

func TestACommitThatIsUndoneRaisesNoFormat(t *testing.T) {
	f := &failing{T: t, Store: opened(t, t.TempDir())}
	f.loses(storetest.Static("lost"))
	if got := formatOf(t, f.Store); got != 3 {
		t.Errorf("got format %d of the commit that fails", got)
	}
	try(t, f.mend())
	if got := formatOf(t, f.Store); got != 1 {
		t.Errorf("got format %d, and nothing was kept", got)
	}
	f.succeeds("b")
	f.holds()
}

func TestASnapshotOfAnOlderFormatIsAFileOfIt(t *testing.T) {
	littleEndian(t)
	dir := t.TempDir()
	try(t, os.WriteFile(filepath.Join(dir, FileName), must(os.ReadFile("testdata/format-1.db")), 0o600))
	s := opened(t, dir)
	copied := restored(t, s)
	if got := formatOf(t, copied); got != 1 || copied.kept != s.kept {
		t.Errorf("got format %d with %+v, want 1 with %+v", got, copied.kept, s.kept)
	}
}

// formatOf is what the file says.
func formatOf(t *testing.T, s *Store) (format byte) {
	t.Helper()
	try(t, s.db.View(func(tx *bbolt.Tx) error {
		format = tx.Bucket(metaBucket).Get(formatKey)[0]
		return nil
	}))
	return format
}

// restored is a store opened from a snapshot.
func restored(t *testing.T, s *Store) *Store {
	t.Helper()
	var b bytes.Buffer
	try(t, s.Snapshot(&b))
	dir := t.TempDir()
	try(t, os.WriteFile(filepath.Join(dir, FileName), b.Bytes(), 0o600))
	return opened(t, dir)
}

// littleEndian skips a test that reads a file of testdata.
func littleEndian(t *testing.T) {
	if native.Uint16([]byte{1, 0}) != 1 {
		t.Skip("bbolt writes in the machine's byte order, and the files are of little-endian ones")
	}
}

// bbolt's pages are as large as the machine's that made the file.
func TestFilesOfMachinesWithOtherPagesAreRead(t *testing.T) {
	for _, size := range []int{1 << 10, 1 << 13, 1 << 14, 1 << 16} {
		s := openedWithPages(t, size)
		f := &failing{T: t, Store: s}
		for n := range 30 {
			f.succeeds(fmt.Sprint(n))
		}
		f.failed = errors.New("the disk was full")
		f.succeeds("mended")
		commit(t, s, storetest.Large("large"))
		var b bytes.Buffer
		if err := s.Snapshot(&b); err != nil || b.Len()%size != 0 || s.pageSize != uint64(size) {
			t.Errorf("%d bytes of snapshot in pages of %d, %v; want %d", b.Len(), s.pageSize, err, size)
		}
		f.acknowledged(storetest.Large("large"))
		f.holds()
	}
}

// openedWithPages returns an empty store with pages of that size.
func openedWithPages(t testing.TB, size int) *Store {
	t.Helper()
	dir := t.TempDir()
	db, err := bbolt.Open(filepath.Join(dir, FileName), 0o600, &bbolt.Options{NoFreelistSync: true, PageSize: size})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(createBuckets), db.Close()); err != nil {
		t.Fatal(err)
	}
	return opened(t, dir)
}

func formatFile() string { return fmt.Sprintf("testdata/format-%d.db", format) }

func writeFormat(t *testing.T) {
	s := opened(t, t.TempDir())
	objects := storetest.Objects()
	for n := range objects {
		objects[n].Revision = uint64(n + 1)
	}
	objects = slices.DeleteFunc(objects, func(o store.Object) bool {
		return o.ID.ID == "large" || o.ID.ID == "not-utf-8" // which JSON cannot tell
	})
	commit(t, s, objects...)
	for n := range 40 { // so that there is a branch
		o := storetest.Typical(n)
		o.Revision = s.revision + 1
		commit(t, s, o)
	}
	var b bytes.Buffer
	if err := s.Snapshot(&b); err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	s = must(Open(filepath.Dir(s.path)))
	defer closed(t, s)
	if err := os.WriteFile(formatFile(), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, o := range s.load(t) {
		text.Write(append(must(json.Marshal(o)), '\n'))
	}
	if err := os.WriteFile(strings.TrimSuffix(formatFile(), ".db")+".json", text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
