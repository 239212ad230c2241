package disk

import (
	"bytes"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/coredns-registry/registry/internal/store"
)

// write is a batch in the form in which it is kept.
type write struct {
	revision uint64
	puts     []record
	deletes  [][]byte // keys
	owners   bool     // some instance has one: that takes ownerFormat
}

type record struct{ key, value []byte }

// encode fails where a batch holds what the format cannot; no batch of the table does.
func encode(b store.Batch) (write, error) {
	w := write{revision: b.Revision, puts: make([]record, len(b.Put)), deletes: make([][]byte, len(b.Delete))}
	for n := range b.Put {
		var err error
		if w.puts[n], err = encodeObject(&b.Put[n]); err != nil {
			return write{}, err
		}
		w.owners = w.owners || b.Put[n].Instance != nil && b.Put[n].Instance.Owner != ""
	}
	for n, id := range b.Delete {
		w.deletes[n] = encodeKey(id)
	}
	// In the order of the file: bbolt splits a page only at the end of a transaction, and
	// keys that come in any order go into ever larger pages at the square of their number.
	slices.SortFunc(w.puts, func(a, b record) int { return bytes.Compare(a.key, b.key) })
	slices.SortFunc(w.deletes, bytes.Compare)
	return w, nil
}

// apply makes the changes in a transaction and returns what is kept with them.
func (w *write) apply(tx *bbolt.Tx) (state, error) {
	meta, objects := tx.Bucket(metaBucket), tx.Bucket(objectsBucket)
	is, err := decodeState(meta.Get(stateKey))
	if err != nil {
		return state{}, err
	}
	is.revision = w.revision
	for _, key := range w.deletes {
		is.forget(objects, key)
		if err := objects.Delete(key); err != nil {
			return state{}, err
		}
	}
	for _, r := range w.puts {
		is.forget(objects, r.key)
		is.add(r.key, r.value)
		if err := objects.Put(r.key, r.value); err != nil {
			return state{}, err
		}
	}
	if w.owners { // no file is of a higher format, so this lowers none
		if err := meta.Put(formatKey, []byte{ownerFormat}); err != nil {
			return state{}, err
		}
	}
	return is, meta.Put(stateKey, is.encode())
}

// forget takes out of the state what is kept by that key.
func (s *state) forget(objects *bbolt.Bucket, key []byte) {
	if value := objects.Get(key); value != nil {
		s.remove(key, value)
	}
}
