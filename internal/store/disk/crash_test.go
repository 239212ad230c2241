package disk

import (
	"bytes"
	"math/rand/v2"
	"os"
	"reflect"
	"testing"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/store/storetest"
)

// Power may be lost at any moment of a commit. Before it is acknowledged, any sectors may be
// on the disk of what it writes to the journal, and of the pages of a lap that the tree
// takes over meanwhile; the meta page is written after these, in one sector.
func TestPowerLostInACommitLeavesTheStateBeforeOrAfter(t *testing.T) {
	const sector = 512
	s := opened(t, t.TempDir())
	read := func() []byte {
		try(t, s.folded())
		return must(os.ReadFile(s.path))
	}
	r := rand.New(rand.NewPCG(1, 0))
	before := read()
	befores, afters, laps := 0, 0, uint64(0)
	for range 80 {
		put, remove := storetest.Batch(r, 1+r.IntN(20))
		b := store.Batch{Revision: s.revision + 1, Put: put, Delete: remove}
		lap, origin := s.journal.lap, s.journal.origin
		if err := s.Commit(b); err != nil {
			t.Fatal(err)
		}
		after := read()
		journaled := lap != 0 && s.journal.lap <= lap+1 && s.journal.origin == origin
		if journaled {
			laps += s.journal.lap - lap
		}
		wasObjects, was, err := contents(before)
		if err != nil {
			t.Fatal(err)
		}
		isObjects, is, err := contents(after)
		if err != nil || is.revision != s.revision {
			t.Fatalf("after revision %d: %+v, %v", s.revision, is, err)
		}
		whole := append(bytes.Clone(before), make([]byte, max(0, len(after)-len(before)))...)
		first, end := int(2*s.pageSize), len(after)
		for range 2 {
			mix := bytes.Clone(whole)
			for at := first; at < end; at += sector {
				if r.IntN(2) == 0 {
					copy(mix[at:][:sector], after[at:])
				}
			}
			got, now, err := contents(mix)
			switch {
			case err == nil && now.revision == was.revision && reflect.DeepEqual(got, wasObjects):
				befores++
			case err == nil && journaled && now.revision == is.revision && reflect.DeepEqual(got, isObjects):
				afters++
			default:
				t.Fatalf("with some of the sectors that follow revision %d: %d objects, %+v, %v; want %d, %+v", was.revision, len(got), now, err, len(wasObjects), was)
			}
			if !journaled {
				break
			}
			// Once more when the tree has taken over the lap, and the journal is being written.
			whole = bytes.Clone(after)
			first, end = int(s.journal.at), int(s.journal.at)+s.journal.size()
			copy(whole[first:end], before[first:end])
		}
		before = after
	}
	t.Logf("%d times the state before, %d times that after, in %d laps", befores, afters, laps)
	if befores < 20 || afters < 20 || laps < 2 {
		t.Errorf("%d times the state before, %d times that after, in %d laps: too few", befores, afters, laps)
	}
}
