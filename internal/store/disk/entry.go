package disk

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// record is an object in the form in which it is kept.
type record struct {
	key, value []byte
	gone       bool // it is deleted, and has no value
	turn       int  // among those that latest sorts
}

// An entry of the journal is a batch: its revision, 8 bytes, and then of each record
//
//	2 × the key's length, + 1 where it is gone, a varint · the key
//	the value's length, a varint · the value, unless it is gone

// appendRecord adds what stands in front of the value, and all there is of one that is gone.
func appendRecord(b, key []byte, gone bool) []byte {
	head := uint64(len(key)) << 1
	if gone {
		head |= 1
	}
	return append(protowire.AppendVarint(b, head), key...)
}

// parseEntry adds the entry's records to some; they are parts of it.
func parseEntry(b []byte, records []record) (revision uint64, _ []record, err error) {
	short := flaw("an entry of its journal is not what was written")
	if len(b) < 8 {
		return 0, nil, short
	}
	revision, b = binary.LittleEndian.Uint64(b), b[8:]
	next := func(length uint64) (part []byte) {
		part, b = b[:length:length], b[length:]
		return part
	}
	for len(b) > 0 {
		head, n := protowire.ConsumeVarint(b)
		if n < 0 || head>>1 == 0 || head>>1 > uint64(len(b)-n) {
			return 0, nil, short
		}
		b = b[n:]
		r := record{key: next(head >> 1), gone: head&1 == 1}
		if !r.gone {
			length, n := protowire.ConsumeVarint(b)
			if n < 0 || length > uint64(len(b)-n) {
				return 0, nil, short
			}
			b = b[n:]
			r.value = next(length)
		}
		records = append(records, r)
	}
	return revision, records, nil
}

// latest returns of records in the order in which they were written the last of each key,
// in the order of the keys, which is that of the file. It uses the slice.
//
// bbolt wants that order: it splits a page only at the end of a transaction, and keys that
// come in any order go into ever larger pages at the square of their number.
func latest(records []record) []record {
	for n := range records {
		records[n].turn = n
	}
	slices.SortFunc(records, func(a, b record) int {
		return cmp.Or(bytes.Compare(a.key, b.key), a.turn-b.turn)
	})
	last := records[:0]
	for n, r := range records {
		if n+1 == len(records) || !bytes.Equal(r.key, records[n+1].key) {
			last = append(last, r)
		}
	}
	return last
}
