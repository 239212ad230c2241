package disk

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// A sector is what a disk writes whole or not at all, whatever happens to its power. Each
// of the journal bears its own checksum and says where it belongs, so that one that was
// not written yet, one that was, and one that is damaged are three different things.
//
//	0 check, XXH64 of the rest, u64 · 8 origin u64 · 16 lap u64 · 24 commit u64
//	32 place u32 · 36 part u32 · 40 parts u32 · 44 length u32 · 48 so many bytes of the entry
//
// All numbers are little-endian, and what is behind the bytes is zero.
const (
	sectorSize = 512
	sectorHead = 48
	sectorRoom = sectorSize - sectorHead
)

type sector struct {
	origin uint64 // the lap that the journal was made for
	lap    uint64 // in which it was written; 0 if not since the journal was made
	commit uint64
	place  uint32 // in the journal
	part   uint32 // of the commit's
	parts  uint32
	entry  []byte // at most sectorRoom of it
}

// put writes the sector into b.
func (s *sector) put(b []byte) {
	b = b[:sectorSize]
	le := binary.LittleEndian
	le.PutUint64(b[8:], s.origin)
	le.PutUint64(b[16:], s.lap)
	le.PutUint64(b[24:], s.commit)
	le.PutUint32(b[32:], s.place)
	le.PutUint32(b[36:], s.part)
	le.PutUint32(b[40:], s.parts)
	le.PutUint32(b[44:], uint32(len(s.entry)))
	clear(b[sectorHead+copy(b[sectorHead:], s.entry):])
	le.PutUint64(b, xxhash.Sum64(b[8:]))
}

// parseSector reads one; false where it is damaged. The entry is only lent.
func parseSector(b []byte) (s sector, ok bool) {
	b = b[:sectorSize]
	le := binary.LittleEndian
	length := le.Uint32(b[44:])
	if le.Uint64(b) != xxhash.Sum64(b[8:]) || length > sectorRoom {
		return sector{}, false
	}
	return sector{
		origin: le.Uint64(b[8:]),
		lap:    le.Uint64(b[16:]),
		commit: le.Uint64(b[24:]),
		place:  le.Uint32(b[32:]),
		part:   le.Uint32(b[36:]),
		parts:  le.Uint32(b[40:]),
		entry:  b[sectorHead:][:length],
	}, true
}

// sectorsOf is how many an entry of that length takes.
func sectorsOf(length int) int { return max(1, (length+sectorRoom-1)/sectorRoom) }
