package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"google.golang.org/protobuf/encoding/protowire"
)

// format is the number of the newest format that this version knows.
const format = 3

// A file is of format 1 or 2 until something is committed to it, so that an older version
// can be gone back to as long as nothing would be lost by it.
const (
	firstFormat   = 1 // of a new file
	journalFormat = 3 // of one with a journal
)

// The buckets, and the keys of the first.
var (
	metaBucket    = []byte("meta")
	objectsBucket = []byte("objects")
	journalBucket = []byte("journal")

	formatKey = []byte("format")
	stateKey  = []byte("state")

	sectorsKey = []byte("sectors") // the only one of the journal
)

// state is what the meta bucket says of the tree of objects: by it one that has changed on
// the disk, is lost or too much, is found out. Each transaction brings it forward by what
// it changes itself. And it says where the journal goes on.
//
// The hash guards against accidents: who can write the file can write a right one too.
type state struct {
	revision uint64
	count    uint64
	sum      uint64 // of the fingerprints, modulo 2^64

	origin  uint64 // the lap that the journal was made for, never 0
	lap     uint64 // of the journal, the first that the tree may not have
	commits uint64 // the number of the last commit before that lap
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
	add := func(field protowire.Number, v uint64) {
		b = protowire.AppendTag(b, field, protowire.Fixed64Type)
		b = protowire.AppendFixed64(b, v)
	}
	add(1, s.revision)
	add(2, s.count)
	add(3, s.sum)
	if s.origin == 0 {
		add(4, xxhash.Sum64(b))
		return b
	}
	add(5, s.origin)
	add(6, s.lap)
	add(7, s.commits)
	add(8, xxhash.Sum64(b))
	return b
}

// decodeState reads a state, which has one form only: that in which it is written.
func decodeState(b []byte) (state, error) {
	const field = 1 + 8
	number := func(n int) uint64 { return binary.LittleEndian.Uint64(b[n*field+1:]) }
	if len(b) < 4*field {
		return state{}, flaw("its state is cut short")
	}
	s := state{revision: number(0), count: number(1), sum: number(2)}
	if len(b) >= 7*field {
		s.origin, s.lap, s.commits = number(3), number(4), number(5)
	}
	if !bytes.Equal(b, s.encode()) {
		return state{}, flaw("its state has a wrong checksum")
	}
	return s, nil
}

func parseFormat(b []byte) (uint64, error) {
	switch n, size := protowire.ConsumeVarint(b); {
	case size != len(b) || n == 0:
		return 0, flaw(fmt.Sprintf("%x is no number of a format", b))
	case n > format:
		return 0, newerFormat(n)
	default:
		return n, nil
	}
}
