package disk

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"reflect"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/store/storetest"
	"github.com/coredns-registry/registry/service"
)

// What is decoded is what would be encoded: nothing that is accepted loses a part.
func FuzzDecode(f *testing.F) {
	for _, o := range storetest.Objects() {
		if o.ID.ID != "large" {
			r := must(encodeObject(&o))
			f.Add(r.key, r.value)
		}
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		var d decoder
		o, err := d.object(key, value)
		if err != nil {
			return
		}
		r, err := encodeObject(&o)
		if err != nil {
			t.Fatalf("%+v was decoded and cannot be encoded: %v", o, err)
		}
		again, err := d.object(r.key, r.value)
		if err != nil {
			t.Fatalf("%+v was encoded and cannot be decoded: %v", o, err)
		}
		if diff := storetest.Diff(again, o); diff != "" {
			t.Fatal(diff)
		}
	})
}

// No file makes its reader panic, or read on for ever.
func FuzzFile(f *testing.F) {
	const pageSize = 1024 // small files are fuzzed faster
	s := openedWithPages(f, pageSize)
	snapshot := func() {
		var b bytes.Buffer
		if err := s.Snapshot(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	snapshot() // of format 1
	commit(f, s, storetest.Static("1"), storetest.Defined("default", "web"))
	snapshot()
	for n := range 8 {
		commit(f, s, storetest.Typical(n))
	}
	snapshot()
	f.Fuzz(func(t *testing.T, file []byte) {
		// The checksum of a meta page is made right, else nothing gets past it.
		for page := range 2 {
			if at := page * pageSize; at+headerSize+metaSize <= len(file) {
				content := file[at+headerSize:][:metaSize]
				sum := fnv.New64a()
				sum.Write(content[:56])
				native.PutUint64(content[56:], sum.Sum64())
			}
		}
		contents(file)
	})
}

// What is read of an entry is what would be written: nothing that is accepted loses a part.
func FuzzEntry(f *testing.F) {
	for _, o := range storetest.Objects() {
		if o.ID.ID != "large" {
			b := store.Batch{Revision: 7, Put: []store.Object{o}, Delete: []service.ID{storetest.Static("1").ID}}
			f.Add(must(encode(b)).entry)
		}
	}
	f.Fuzz(func(t *testing.T, entry []byte) {
		revision, records, err := parseEntry(entry, nil)
		if err != nil {
			return
		}
		again := binary.LittleEndian.AppendUint64(nil, revision)
		for _, r := range records {
			if again = appendRecord(again, r.key, r.gone); !r.gone {
				again = protowire.AppendBytes(again, r.value)
			}
		}
		got, same, err := parseEntry(again, nil)
		if err != nil || got != revision || !reflect.DeepEqual(same, records) {
			t.Errorf("got %d, %v, %v; want %d, %v", got, same, err, revision, records)
		}
	})
}

// A million instances of one owner share its name.
func TestAnOwnerSeenBeforeTakesNoMemory(t *testing.T) {
	records := make([]record, 2)
	for n, owner := range []string{"", "spiffe://example.org/ns/default/sa/web"} {
		o := storetest.Static("1")
		o.Instance.Owner = owner
		records[n] = must(encodeObject(&o))
	}
	var d decoder
	allocations := func(r record) float64 {
		return testing.AllocsPerRun(100, func() { must(d.object(r.key, r.value)) })
	}
	if without, with := allocations(records[0]), allocations(records[1]); with > without {
		t.Errorf("a record takes %v allocations with an owner, want %v as without", with, without)
	}
}

func TestObjectsComeBackAsTheyWere(t *testing.T) {
	var d decoder
	for _, o := range storetest.Objects() {
		r, err := encodeObject(&o)
		if err != nil {
			t.Errorf("%q: %v", o.ID, err)
			continue
		}
		got, err := d.object(r.key, r.value)
		if err != nil {
			t.Errorf("%q: %v", o.ID, err)
		} else if diff := storetest.Diff(got, o); diff != "" {
			t.Errorf("%q: %s", o.ID, diff)
		}
	}
}
