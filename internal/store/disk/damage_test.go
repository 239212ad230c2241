package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/store/storetest"
	"github.com/coredns-registry/registry/service"
)

// healthy is a file with all that a file can have, and what was committed to it: a tree
// of two levels, a record on several pages, pages that are not in use.
type healthy struct {
	file     []byte
	objects  []store.Object
	revision uint64
	pageSize int
}

func newHealthy(t testing.TB) healthy {
	s := opened(t, t.TempDir())
	var objects []store.Object
	for _, o := range storetest.Objects() {
		if o.ID.ID == "large" { // is only slow
			o.Instance.Metadata = o.Instance.Metadata[:40]
		}
		objects = append(objects, o)
	}
	commit(t, s, objects...)
	for n := range 100 {
		commit(t, s, storetest.Typical(n))
	}
	err := s.Commit(store.Batch{Revision: 1_000_000, Delete: []service.ID{storetest.Typical(3).ID}})
	if err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	if s, err = Open(filepath.Dir(s.path)); err != nil {
		t.Fatal(err)
	}
	defer closed(t, s)
	h := healthy{objects: s.load(t), revision: s.revision, pageSize: int(s.pageSize)}
	if h.file, err = os.ReadFile(s.path); err != nil {
		t.Fatal(err)
	}
	end := s.db.Info().PageSize * int(must(openImage(bytes.NewReader(h.file), int64(len(h.file)))).end)
	h.file = h.file[:end]
	if end > 1<<20 {
		t.Fatalf("the file has %d bytes, too many to damage each", end)
	}
	return h
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// judge reads a file that has been damaged, as Open and Load do: either it is refused, or
// it is exactly what was committed.
func (h healthy) judge(t *testing.T, how string, file []byte) (refused bool) {
	t.Helper()
	got, is, err := contents(file)
	if err != nil {
		if (&Store{}).explain(err) == err {
			t.Errorf("%s: refused for a reason that is not the file's: %v", how, err)
		}
		return true
	}
	if is.revision != h.revision || !reflect.DeepEqual(got, h.objects) {
		t.Errorf("%s: loaded %d objects of revision %d that were never committed", how, len(got), is.revision)
	}
	return false
}

// contents reads a file as Open and Load do.
func contents(file []byte) (objects []store.Object, is state, err error) {
	i, err := openImage(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, state{}, err
	}
	var d decoder
	err = i.read(func(key, value []byte) error {
		o, err := d.object(key, value)
		if err != nil {
			return flaw(err.Error())
		}
		objects = append(objects, o)
		return nil
	})
	is = i.kept
	is.revision = i.revision
	return objects, is, err
}

func TestEveryFlippedBitIsHarmlessOrRefused(t *testing.T) {
	h := newHealthy(t)
	if h.judge(t, "whole", h.file) {
		t.Fatal("refused as it is")
	}
	r := rand.New(rand.NewPCG(1, 0))
	refusals := 0
	for at := 0; at < len(h.file); at += 1 + r.IntN(63) {
		bit := byte(1) << r.IntN(8)
		h.file[at] ^= bit
		if h.judge(t, fmt.Sprintf("byte %d of page %d ^ %#x", at%h.pageSize, at/h.pageSize, bit), h.file) {
			refusals++
		}
		h.file[at] ^= bit
	}
	// Nearly every byte that means something must have been refused.
	if refusals < 300 {
		t.Errorf("only %d refusals: what was damaged was not in use", refusals)
	}
	t.Logf("%d refusals", refusals)
	for page := range 2 { // no bit of what a meta page says may be lost
		for at := range metaSize * 8 {
			b := &h.file[page*h.pageSize+headerSize+at/8]
			*b ^= 1 << (at % 8)
			if !h.judge(t, "meta page", h.file) {
				t.Errorf("bit %d of meta page %d is flipped and nobody minds", at, page)
			}
			*b ^= 1 << (at % 8)
		}
	}
}

// damages are what else can happen to a file, each by chance.
func damages(h healthy) map[string]func(r *rand.Rand, file []byte) []byte {
	pages := len(h.file) / h.pageSize
	page := func(file []byte, n int) []byte { return file[n*h.pageSize:][:h.pageSize] }
	return map[string]func(r *rand.Rand, file []byte) []byte{
		"a byte": func(r *rand.Rand, file []byte) []byte {
			file[r.IntN(len(file))] ^= byte(1 + r.IntN(255))
			return file
		},
		"many bits": func(r *rand.Rand, file []byte) []byte {
			for range 1 + r.IntN(100) {
				file[r.IntN(len(file))] ^= 1 << r.IntN(8)
			}
			return file
		},
		"a header": func(r *rand.Rand, file []byte) []byte {
			page(file, r.IntN(pages))[r.IntN(headerSize+3*elementSize)] = byte(r.Uint32())
			return file
		},
		"cut at a page":  func(r *rand.Rand, file []byte) []byte { return file[:r.IntN(pages)*h.pageSize] },
		"cut anywhere":   func(r *rand.Rand, file []byte) []byte { return file[:r.IntN(len(file))] },
		"cut at the end": func(r *rand.Rand, file []byte) []byte { return file[:len(file)-1-r.IntN(100)] },
		"two pages swapped": func(r *rand.Rand, file []byte) []byte {
			a, b := page(file, r.IntN(pages)), page(file, r.IntN(pages))
			c := bytes.Clone(a)
			copy(a, b)
			copy(b, c)
			return file
		},
		"a page over another": func(r *rand.Rand, file []byte) []byte {
			copy(page(file, r.IntN(pages)), page(file, r.IntN(pages)))
			return file
		},
		"a page of zeros": func(r *rand.Rand, file []byte) []byte {
			clear(page(file, r.IntN(pages)))
			return file
		},
		"zeros from somewhere on": func(r *rand.Rand, file []byte) []byte {
			clear(file[r.IntN(len(file)):])
			return file
		},
		"a page of noise": func(r *rand.Rand, file []byte) []byte {
			b := page(file, r.IntN(pages))
			for n := range b {
				b[n] = byte(r.Uint32())
			}
			return file
		},
		"a byte that was never there": func(r *rand.Rand, file []byte) []byte {
			return slices.Insert(file, r.IntN(len(file)), byte(r.Uint32()))
		},
		"noise behind the end": func(r *rand.Rand, file []byte) []byte {
			for range r.IntN(10_000) {
				file = append(file, byte(r.Uint32()))
			}
			return file
		},
	}
}

func TestDamagedFilesAreHarmlessOrRefused(t *testing.T) {
	h := newHealthy(t)
	all := damages(h)
	for _, how := range slices.Sorted(maps.Keys(all)) {
		r := rand.New(rand.NewPCG(1, 0))
		for n := range 60 {
			h.judge(t, fmt.Sprintf("%s, %d", how, n), all[how](r, bytes.Clone(h.file)))
		}
	}
}

// Once more by the front door, where bbolt takes over what was not refused, and writes.
func TestDamagedFilesAreRefusedByNameOrGoOn(t *testing.T) {
	h := newHealthy(t)
	all := damages(h)
	dir := t.TempDir()
	path := filepath.Join(dir, FileName)
	for _, how := range slices.Sorted(maps.Keys(all)) {
		r := rand.New(rand.NewPCG(2, 0))
		for range 8 {
			if err := os.WriteFile(path, all[how](r, bytes.Clone(h.file)), 0o600); err != nil {
				t.Fatal(err)
			}
			var got []store.Object
			s, err := Open(dir)
			if err == nil {
				_, err = s.Load(func(o store.Object) error { got = append(got, o); return nil })
			}
			if err != nil {
				if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "snapshot") {
					t.Errorf("%s: the error names no file, or not what to do: %v", how, err)
				}
				if s != nil {
					closed(t, s)
				}
				continue
			}
			if !reflect.DeepEqual(got, h.objects) {
				t.Errorf("%s: loaded what was never committed", how)
			}
			for n := range 30 {
				commit(t, s, storetest.Typical(n*3))
			}
			var b bytes.Buffer
			if err := s.Snapshot(&b); err != nil {
				t.Errorf("%s: %v", how, err)
			}
			closed(t, s)
			s = opened(t, dir)
			closed(t, s)
		}
	}
}

func TestRefusalsSayWhy(t *testing.T) {
	h := newHealthy(t)
	meta := func(page int) func(change func(content []byte)) []byte {
		return func(change func([]byte)) []byte {
			file := bytes.Clone(h.file)
			content := file[page*h.pageSize+headerSize:][:metaSize]
			change(content)
			sum := fnv.New64a()
			sum.Write(content[:56])
			native.PutUint64(content[56:], sum.Sum64())
			return file
		}
	}
	newer := int(must(newest(bytes.NewReader(h.file))).txid % 2)
	for _, tc := range []struct {
		sentence string
		file     []byte
		want     string
	}{
		{"no bytes at all", nil, "is damaged: it is empty"},
		{"another kind of file", bytes.Repeat([]byte("192.0.2.7 host\n"), 1000), "does not begin like a bbolt file"},
		{"cut within the first page", h.file[:50], "ends within its meta pages"},
		{"cut by one byte", h.file[:len(h.file)-1], "is cut short"},
		{"bbolt of another version", meta(0)(func(m []byte) { m[4] = 3 }), "version 3 of bbolt's format"},
		{"pages of a size that is none", meta(0)(func(m []byte) { m[8] = 1 }), "its pages have 4097 bytes"},
		{"the newer meta page is older than it was", meta(newer)(func(m []byte) {
			native.PutUint64(m[48:], native.Uint64(m[48:])-4)
		}), "do not follow each other"},
		{"a list of free pages", meta(newer)(func(m []byte) { native.PutUint64(m[32:], 2) }), "another program has written to it"},
		{"a root that is no page", meta(newer)(func(m []byte) { native.PutUint64(m[16:], 1<<40) }), "refers to page 1099511627776"},
		{"an end that is too near", meta(newer)(func(m []byte) { native.PutUint64(m[40:], 3) }), "refers to page"},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, FileName), tc.file, 0o600); err != nil {
				t.Fatal(err)
			}
			refused(t, dir, tc.want)
		})
	}
}

// A file of bbolt that is none of ours, or of a version to come, is whole and refused.
func TestFilesOfOthersAreRefused(t *testing.T) {
	put := func(bucket, key, value []byte) func(tx *bbolt.Tx) error {
		return func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(key, value) }
	}
	instance := encodeKey(storetest.Static("1").ID)
	for _, tc := range []struct {
		sentence string
		change   func(tx *bbolt.Tx) error
		want     string
	}{
		{"the next format", put(metaBucket, formatKey, []byte{4}), "a newer version wrote it, in format 4 where this one knows 3; start that version"},
		{"a far format, with all else changed", func(tx *bbolt.Tx) error {
			return errors.Join(
				put(metaBucket, formatKey, binary.AppendUvarint(nil, 300))(tx),
				put(metaBucket, []byte("more"), nil)(tx),
				put(metaBucket, stateKey, nil)(tx),
				tx.DeleteBucket(objectsBucket))
		}, "in format 300"},
		{"format 0", put(metaBucket, formatKey, []byte{0}), "no number of a format"},
		{"no format", func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Delete(formatKey) }, "no number of a format"},
		{"a format with a tail", put(metaBucket, formatKey, []byte{1, 0}), "no number of a format"},
		{"a key of meta that is not known", put(metaBucket, []byte("more"), []byte{1}), "other keys than it should"},
		{"a state cut short", put(metaBucket, stateKey, state{}.encode()[:20]), "state is cut short"},
		{"a state that is too long", put(metaBucket, stateKey, append(state{}.encode(), 0)), "state has a wrong checksum"},
		{"a record too many", put(objectsBucket, instance, nil), "its 1 records are not the 0 that were written"},
		{"a bucket too many", func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("more")); return err }, "other buckets than it should"},
		{"a bucket too few", func(tx *bbolt.Tx) error { return tx.DeleteBucket(objectsBucket) }, "other buckets than it should"},
		{"a bucket in a bucket", func(tx *bbolt.Tx) error { _, err := tx.Bucket(objectsBucket).CreateBucket([]byte("in")); return err }, "element of the wrong kind"},
		{"no bucket of ours", func(tx *bbolt.Tx) error { return tx.DeleteBucket(metaBucket) }, "not the file of a registry"},
		{"a bucket with a sequence", func(tx *bbolt.Tx) error { return tx.Bucket(objectsBucket).SetSequence(1) }, "header is wrong"},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			dir := t.TempDir()
			closed(t, opened(t, dir))
			change(t, dir, tc.change)
			refused(t, dir, tc.want)
		})
	}
}

// A record that this version cannot read whole is refused, though its hash is right.
func TestRecordsWithMoreInThemAreRefused(t *testing.T) {
	static, defined := storetest.Static("1"), storetest.Defined("default", "web")
	for _, tc := range []struct {
		sentence   string
		key, value []byte
		want       string
	}{
		{"a field that is not known", encodeKey(static.ID), append(must(encodeObject(&static)).value, 14<<3, 1), "field 14 is not known"},
		{"an owner that is too long", encodeKey(static.ID), ownerOf(service.MaxOwnerBytes + 1), "field 13 has 2049 bytes"},
		{"one of a definition", encodeKey(defined.ID), []byte{8 << 3, 1}, "field 8 is not known"},
		{"a status that is not known", encodeKey(static.ID), []byte{12 << 3, 4}, "too large"},
		{"a key that is none", []byte("default"), nil, "is no key"},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			dir := t.TempDir()
			closed(t, opened(t, dir))
			change(t, dir, func(tx *bbolt.Tx) error {
				return applied(tx, record{key: tc.key, value: tc.value})
			})
			refused(t, dir, tc.want)
		})
	}
}

// ownerOf is the value of an instance with an owner of that length and nothing else.
func ownerOf(length int) []byte {
	var m message
	m.text(ownerField, strings.Repeat("o", length))
	return m
}

// A record that was changed on the disk is found out by the next start even where a commit
// has replaced it since.
func TestDamageDoesNotHideBehindTheNextCommit(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	commit(t, s, storetest.Static("1"), storetest.Static("2"))
	closed(t, s)
	o := storetest.Static("1")
	o.Instance.Zone = "elsewhere"
	change(t, dir, func(tx *bbolt.Tx) error {
		return tx.Bucket(objectsBucket).Put(encodeKey(o.ID), must(encodeObject(&o)).value)
	})
	change(t, dir, func(tx *bbolt.Tx) error {
		is := storetest.Static("1")
		return applied(tx, must(encodeObject(&is)))
	})
	refused(t, dir, "not the 2 that were written")
}

func TestASnapshotOfADamagedFileIsRefusedBeforeItsFirstByte(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	var objects []store.Object
	for n := range 1000 {
		objects = append(objects, storetest.Typical(n))
	}
	commit(t, s, objects...)
	f := must(os.OpenFile(s.path, os.O_RDWR, 0))
	defer f.Close()
	all := must(io.ReadAll(f))
	if _, err := f.WriteAt([]byte{'X'}, int64(bytes.Index(all, []byte("eu-west-1a")))); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	err := s.Snapshot(&b)
	if err == nil || !strings.Contains(err.Error(), s.path+" is damaged") || b.Len() > 0 {
		t.Errorf("%d bytes and %v", b.Len(), err)
	}
}

// applied makes a change as the store does.
func applied(tx *bbolt.Tx, r record) error {
	is := must(stateOf(tx))
	return errors.Join(apply(tx, &is, []record{r}), putState(tx, is))
}

// change changes the file behind the store's back.
func change(t *testing.T, dir string, with func(*bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, FileName), 0, &bbolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(with), db.Close()); err != nil {
		t.Fatal(err)
	}
}

// refused checks that a directory is not served, by an error that names the file.
func refused(t *testing.T, dir, want string) {
	t.Helper()
	s, err := Open(dir)
	if err == nil {
		_, err = s.Load(func(store.Object) error { return nil })
		closed(t, s)
	}
	if err == nil {
		t.Fatalf("loaded, want an error with %q", want)
	}
	for _, want := range []string{filepath.Join(dir, FileName), want, "empty table"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want it to say %q", err, want)
		}
	}
}
