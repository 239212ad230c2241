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
)

var update = flag.Bool("update", false, "write the file of the present format in testdata anew")

// Each format that ever was has a file in testdata, with what is in it beside it. It is
// never written again once a version with that format is released.
func TestFilesOfEveryFormatAreRead(t *testing.T) {
	if native.Uint16([]byte{1, 0}) != 1 {
		t.Skip("bbolt writes in the machine's byte order, and the files are of little-endian ones")
	}
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
		o.Revision = s.kept.revision + 1
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
