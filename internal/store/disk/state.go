package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"google.golang.org/protobuf/encoding/protowire"
)

// format is the number of the newest format that this version knows.
const format = 2

// A file is of the lowest format that can tell what is in it, so that an older version can
// be gone back to as long as nothing would be lost by it.
const (
	firstFormat = 1 // of a new file
	ownerFormat = 2 // of one with an instance that has an owner
)

// The buckets, and the keys of the first.
var (
	metaBucket    = []byte("meta")
	objectsBucket = []byte("objects")

	formatKey = []byte("format")
	stateKey  = []byte("state")
)

// state is what the meta bucket says of the objects: by it one that has changed on the
// disk, is lost or too much, is found out. Each commit brings it forward by what it
// changes itself.
//
// The hash guards against accidents: who can write the file can write a right one too.
type state struct {
	revision uint64
	count    uint64
	sum      uint64 // of the fingerprints, modulo 2^64
}

func (s *state) add(key, value []byte) {
	s.count++
	s.sum += fingerprint(key, value)
}

func (s *state) remove(key, value []byte) {
	s.count--
	s.sum -= fingerprint(key, value)
}

// fingerprint hashes key and value apart first, so that no bytes can move between them.
func fingerprint(key, value []byte) uint64 {
	var both [16]byte
	binary.LittleEndian.PutUint64(both[:], xxhash.Sum64(key))
	binary.LittleEndian.PutUint64(both[8:], xxhash.Sum64(value))
	return xxhash.Sum64(both[:])
}

func (s state) encode() []byte {
	var b []byte
	for n, v := range []uint64{s.revision, s.count, s.sum} {
		b = protowire.AppendTag(b, protowire.Number(n+1), protowire.Fixed64Type)
		b = protowire.AppendFixed64(b, v)
	}
	check := xxhash.Sum64(b)
	b = protowire.AppendTag(b, 4, protowire.Fixed64Type)
	return protowire.AppendFixed64(b, check)
}

// decodeState reads a state, which has one form only: that in which it is written.
func decodeState(b []byte) (state, error) {
	var v [3]uint64
	rest := b
	for n := range v {
		if len(rest) < 9 {
			return state{}, flaw("its state is cut short")
		}
		v[n] = binary.LittleEndian.Uint64(rest[1:])
		rest = rest[9:]
	}
	s := state{v[0], v[1], v[2]}
	if !bytes.Equal(b, s.encode()) {
		return state{}, flaw("its state has a wrong checksum")
	}
	return s, nil
}

func checkFormat(b []byte) error {
	switch n, size := protowire.ConsumeVarint(b); {
	case size != len(b) || n == 0:
		return flaw(fmt.Sprintf("%x is no number of a format", b))
	case n > format:
		return newerFormat(n)
	}
	return nil
}
