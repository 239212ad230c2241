package disk

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/store/storetest"
)

// sheet is a journal of two halves of eight sectors by itself, in which the commits 11 to 16
// have been written: two of two sectors each and one of three in lap 4, the others in lap 5.
type sheet struct {
	journal
	is     state
	before []byte // the last commit
}

const ownLap, ownCommit = 4, 11

func newSheet(t *testing.T) *sheet {
	t.Helper()
	s := &sheet{is: state{revision: 10, origin: 2, lap: ownLap, commits: ownCommit - 1}}
	s.region = region{origin: 2, half: 8}
	s.commits = s.is.commits
	s.file = must(os.Create(filepath.Join(t.TempDir(), "journal")))
	t.Cleanup(func() { s.file.Close() })
	must(s.file.WriteAt(blank(2, 0, s.half)[:s.size()], 0))
	for lap, sizes := range [][]int{{1, 2}, {7, 1}, {2, 2, 3}, {3, 1, 2}} { // the first two are of laps before
		if lap == 2 {
			s.commits = s.is.commits
		}
		s.begin(ownLap - 2 + uint64(lap))
		for _, sectors := range sizes {
			s.before = s.bytes()
			o := storetest.Static("web")
			o.Revision = s.commits + 1
			w := must(encode(store.Batch{Revision: o.Revision, Put: []store.Object{o}}))
			for sectorsOf(len(w.entry)) < sectors {
				o.ID.ID += "0"
				o.Instance.Zone += strings.Repeat("z", sectorRoom/2)
				w = must(encode(store.Batch{Revision: o.Revision, Put: []store.Object{o}}))
			}
			try(t, s.write(w.entry))
		}
	}
	return s
}

func (s *sheet) bytes() []byte { return must(os.ReadFile(s.file.Name())) }

func TestTheJournalIsReadToItsLastWholeCommit(t *testing.T) {
	s := newSheet(t)
	at := func(lap uint64, sector int) int { return (s.first(lap) + sector) * sectorSize }
	was := func(b []byte, lap uint64, sectors ...int) { // as before the last commit
		for _, n := range sectors {
			copy(b[at(lap, n):][:sectorSize], s.before[at(lap, n):])
		}
	}
	empty := blank(2, 0, s.half)
	never := func(b []byte, lap uint64, sectors ...int) {
		for _, n := range sectors {
			copy(b[at(lap, n):][:sectorSize], empty[at(lap, n):])
		}
	}
	change := func(b []byte, lap uint64, n int, with func(*sector)) {
		is, ok := parseSector(b[at(lap, n):])
		if !ok {
			t.Fatal("a bad sector")
		}
		is.entry = bytes.Clone(is.entry)
		with(&is)
		is.put(b[at(lap, n):])
	}
	for _, tc := range []struct {
		sentence string
		damage   func(b []byte)
		commits  uint64 // the last one
		refused  string
	}{
		{"as it is", func([]byte) {}, 16, ""},
		{"the last commit was not begun", func(b []byte) { was(b, 5, 4, 5) }, 15, ""},
		{"its first sector is not there", func(b []byte) { was(b, 5, 4) }, 15, ""},
		{"its last sector is not there", func(b []byte) { was(b, 5, 5) }, 15, ""},
		{"the second lap was not begun", func(b []byte) { never(b, 5, 0, 1, 2, 3, 4, 5) }, 13, ""},
		{"nothing was written since the tree took over", func(b []byte) { never(b, 4, 0, 1, 2, 3, 4, 5, 6); never(b, 5, 0, 1, 2, 3, 4, 5) }, 10, ""},
		{"the commit before the last is not there", func(b []byte) { was(b, 5, 4, 5); never(b, 5, 3) }, 14, ""},
		{"nor its sector, but the last commit's", func(b []byte) { never(b, 5, 3) }, 0, "commit 15 is missing"},
		{"nor the first of the lap", func(b []byte) { never(b, 5, 0) }, 0, "commit 14 is missing"},
		{"a commit in the first lap is not there", func(b []byte) { never(b, 4, 3) }, 0, "commit 12 is missing"},
		{"the last of the first lap is not there", func(b []byte) { never(b, 4, 4, 5, 6) }, 0, "commit 13 is missing"},
		{"half of the last of the first lap is not there", func(b []byte) { never(b, 4, 5, 6) }, 0, "commit 13 is missing"},
		{"a bit flipped in the last commit", func(b []byte) { b[at(5, 5)+sectorHead] ^= 1 }, 0, "sector 13"},
		{"a bit flipped in a sector not in use", func(b []byte) { b[at(4, 7)+500] ^= 1 }, 0, "sector 7"},
		{"a sector in another's place", func(b []byte) { copy(b[at(5, 5):][:sectorSize], b[at(5, 4):]) }, 0, "sector 13"},
		{"a sector of zeros", func(b []byte) { clear(b[at(5, 4):][:sectorSize]) }, 0, "sector 12"},
		{"a sector of another journal", func(b []byte) { change(b, 5, 4, func(s *sector) { s.origin = 3 }) }, 0, "sector 12"},
		{"a sector of a lap to come", func(b []byte) { change(b, 4, 7, func(s *sector) { s.lap = 6 }) }, 0, "sector 7"},
		{"a sector of a lap of the other half", func(b []byte) { change(b, 4, 7, func(s *sector) { s.lap = 5 }) }, 0, "sector 7"},
		{"an entry that ends too soon", func(b []byte) { change(b, 5, 3, func(s *sector) { s.entry = s.entry[:20] }) }, 0, "an entry"},
		{"an entry without a revision", func(b []byte) { change(b, 5, 3, func(s *sector) { s.entry = s.entry[:7] }) }, 0, "an entry"},
		{"a revision that falls", func(b []byte) { change(b, 5, 3, func(s *sector) { clear(s.entry[:8]) }) }, 0, "goes back"},
	} {
		t.Run(tc.sentence, func(t *testing.T) {
			b := s.bytes()
			tc.damage(b)
			got, err := s.region.read(b, s.is)
			var damage flaw
			if tc.refused != "" {
				if !errors.As(err, &damage) || !strings.Contains(err.Error(), tc.refused) {
					t.Errorf("got %+v, %v, want a refusal with %q", got, err, tc.refused)
				}
				return
			}
			if err != nil || got.commits != tc.commits || got.revision != tc.commits {
				t.Errorf("got commit %d of revision %d, %v; want %d of both", got.commits, got.revision, err, tc.commits)
			}
		})
	}
}

// A table that grows gets a journal to go with it, and loses nothing on the way.
func TestTheJournalGrowsWithTheTable(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	want := 0
	for n := 0; n < 20_000; {
		b := store.Batch{Revision: s.revision + 1}
		for range 50 {
			b.Put = append(b.Put, storetest.Typical(n))
			n++
		}
		try(t, s.Commit(b))
		want = n
	}
	if got := s.journal.half * sectorSize; got < 512<<10 {
		t.Errorf("a half has %d bytes beside a file of %d", got, s.used)
	}
	closed(t, s)
	s = must(Open(dir))
	defer closed(t, s)
	if got := len(s.load(t)); got != want {
		t.Errorf("got %d objects, want %d", got, want)
	}
}
