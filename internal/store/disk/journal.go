package disk

import (
	"fmt"
	"os"
)

// journal is where commits go first: each takes the next sectors of it, by one write that
// is on disk when it returns. It is a value of bbolt's that bbolt never reads and that is
// written in place.
//
// It has two halves, which are written in turn, a lap each: lap n is in half n%2. While one
// is being written, what is in the other is taken over into the tree.
type journal struct {
	region
	file *os.File // a descriptor of its own, that writes through

	lap     uint64 // being written; 0 if none has been begun
	next    int    // sector of the half
	commits uint64 // the number of the last commit
	buf     []byte
}

// region is where the journal lies.
type region struct {
	origin uint64
	at     int64 // of its first sector in the file, a multiple of sectorSize
	half   int   // sectors of a half; 0 if there is no journal
}

// The halves have at least, and at most, so many bytes: a small table's file stays small,
// and a start reads no more than so much besides the tree.
const (
	leastHalf = 32 << 10
	mostHalf  = 8 << 20
)

// wanted returns how many sectors a half should have in a file of so many bytes: as many as
// it has, or twice that and more. The larger the journal, the more of the changes that the
// tree takes over together fall on the same pages.
func (r region) wanted(used int64) int {
	half, tree := int64(leastHalf), used-int64(r.size())
	for half < mostHalf && half < tree/4 {
		half *= 2
	}
	return max(r.half, int(half/sectorSize))
}

// regionIn finds the sectors in a value: the whole ones, two halves of them.
func regionIn(origin uint64, at int64, length int) region {
	skip := int(-at & (sectorSize - 1))
	return region{origin: origin, at: at + int64(skip), half: max(0, (length-skip)/sectorSize/2)}
}

// blank is the value of a new journal, the first byte of which will be at that place of its
// page.
func blank(origin uint64, place, half int) []byte {
	b := make([]byte, (2*half+1)*sectorSize)
	s := sector{origin: origin}
	for at := -place & (sectorSize - 1); int(s.place) < 2*half; at += sectorSize {
		s.put(b[at:])
		s.place++
	}
	return b
}

// size of the sectors in bytes.
func (r region) size() int { return 2 * r.half * sectorSize }

// first is the place of a lap's first sector.
func (r region) first(lap uint64) int { return int(lap%2) * r.half }

// begin begins a lap.
func (j *journal) begin(lap uint64) { j.lap, j.next = lap, 0 }

// fits reports whether a half can hold an entry of that length; room whether what is left
// of this one does.
func (j *journal) fits(length int) bool { return j.lap > 0 && sectorsOf(length) <= j.half }
func (j *journal) room(length int) bool { return sectorsOf(length) <= j.half-j.next }

// write adds an entry: it is on disk when it returns.
func (j *journal) write(entry []byte) error {
	n := sectorsOf(len(entry))
	s := sector{
		origin: j.origin,
		lap:    j.lap,
		commit: j.commits + 1,
		place:  uint32(j.first(j.lap) + j.next),
		parts:  uint32(n),
	}
	at := j.at + int64(s.place)*sectorSize
	if cap(j.buf) < n*sectorSize {
		j.buf = make([]byte, n*sectorSize)
	}
	b := j.buf[:n*sectorSize]
	for k := range n {
		s.entry = entry[:min(len(entry), sectorRoom)]
		entry = entry[len(s.entry):]
		s.put(b[k*sectorSize:])
		s.part++
		s.place++
	}
	if _, err := j.file.WriteAt(b, at); err != nil {
		return err
	}
	if err := flush(j.file); err != nil {
		return err
	}
	j.commits++
	j.next += n
	return nil
}

// journaled is what a journal holds that the tree may not have.
type journaled struct {
	records  []record // in the order of their keys, each once
	revision uint64   // of the last commit
	commits  uint64
}

// read reads the sectors. What is there is what the state says that the tree has, and then
// one commit after the other, to the last that is there whole. One that is not was cut
// short, and nobody was told of it; there is none after it.
func (r region) read(b []byte, is state) (journaled, error) {
	sectors := make([]sector, 2*r.half)
	for n := range sectors {
		s, ok := parseSector(b[n*sectorSize:])
		if !ok || s.origin != r.origin || int(s.place) != n || s.lap != 0 && int(s.lap%2) != n/r.half || s.lap > is.lap+1 {
			return journaled{}, flaw(fmt.Sprintf("sector %d of its journal is not the one that belongs there", n))
		}
		sectors[n] = s
	}
	j := journaled{revision: is.revision, commits: is.commits}
	cut := false // a commit is not there whole
	for _, lap := range []uint64{is.lap, is.lap + 1} {
		rest := sectors[r.first(lap):][:r.half]
		for !cut && len(rest) > 0 && rest[0].lap == lap && rest[0].commit == j.commits+1 {
			entry, n, whole := joined(rest)
			if !whole {
				break
			}
			revision, records, err := parseEntry(entry, j.records)
			if err != nil {
				return journaled{}, err
			}
			if revision < j.revision {
				return journaled{}, flaw("its journal goes back")
			}
			j.revision, j.records, j.commits = revision, records, j.commits+1
			rest = rest[n:]
		}
		// Any of the sectors of the commit that was cut short may be there, and no other.
		short := false
		for _, s := range rest {
			if s.lap == lap && (s.commit != j.commits+1 || cut) {
				return journaled{}, flaw(fmt.Sprintf("commit %d is missing from its journal", j.commits+1))
			}
			short = short || s.lap == lap
		}
		cut = cut || short
	}
	j.records = latest(j.records)
	return j, nil
}

// joined puts the entry together that begins with the first sector; false if some part of
// it is not there.
func joined(sectors []sector) (entry []byte, n int, ok bool) {
	first := sectors[0]
	if first.part != 0 || uint64(first.parts) > uint64(len(sectors)) {
		return nil, 0, false
	}
	n = int(first.parts)
	entry = make([]byte, 0, n*sectorRoom)
	for k, s := range sectors[:n] {
		if s.lap != first.lap || s.commit != first.commit || int(s.part) != k || s.parts != first.parts {
			return nil, 0, false
		}
		entry = append(entry, s.entry...)
	}
	return entry, n, true
}
