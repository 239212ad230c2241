package disk

import (
	"encoding/binary"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/coredns-registry/registry/internal/store"
)

// write is a batch in the form in which it is kept.
type write struct {
	revision uint64
	entry    []byte   // of the journal
	records  []record // parts of it
}

// encode fails where a batch holds what the format cannot; no batch of the table does.
func encode(b store.Batch) (write, error) {
	var keys, values message // the next object's
	entry := binary.LittleEndian.AppendUint64(make([]byte, 0, 8+256*len(b.Put)+64*len(b.Delete)), b.Revision)
	for n := range b.Put {
		values = values[:0]
		if err := values.object(&b.Put[n]); err != nil {
			return write{}, err
		}
		keys = appendKey(keys[:0], b.Put[n].ID)
		entry = appendRecord(entry, keys, false)
		entry = protowire.AppendBytes(entry, values)
	}
	for _, id := range b.Delete {
		keys = appendKey(keys[:0], id)
		entry = appendRecord(entry, keys, true)
	}
	_, records, err := parseEntry(entry, make([]record, 0, len(b.Put)+len(b.Delete)))
	return write{b.Revision, entry, records}, err
}

// apply makes changes in a transaction, which stand in the order of their keys, and brings
// the state forward by them.
func apply(tx *bbolt.Tx, is *state, records []record) error {
	objects := tx.Bucket(objectsBucket)
	for _, r := range records {
		if value := objects.Get(r.key); value != nil {
			is.remove(r.key, value)
		}
		if r.gone {
			if err := objects.Delete(r.key); err != nil {
				return err
			}
			continue
		}
		is.add(r.key, r.value)
		if err := objects.Put(r.key, r.value); err != nil {
			return err
		}
	}
	return nil
}

// stateOf is what a transaction finds.
func stateOf(tx *bbolt.Tx) (state, error) { return decodeState(tx.Bucket(metaBucket).Get(stateKey)) }

// putState is the last thing that a transaction does.
func putState(tx *bbolt.Tx, is state) error { return tx.Bucket(metaBucket).Put(stateKey, is.encode()) }
