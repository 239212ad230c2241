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

// Power may be lost at any moment of a commit. Before its pages are flushed, any of their
// sectors may be on the disk; the meta page is written after that, in one sector.
func TestPowerLostInACommitLeavesTheStateBefore(t *testing.T) {
	const sector = 512
	s := opened(t, t.TempDir())
	read := func() []byte { return must(os.ReadFile(s.path)) }
	r := rand.New(rand.NewPCG(1, 0))
	before := read()
	for range 30 {
		put, remove := storetest.Batch(r, 1+r.IntN(40))
		b := store.Batch{Revision: s.kept.revision + 1, Put: put, Delete: remove}
		if err := s.Commit(b); err != nil {
			t.Fatal(err)
		}
		after := read()
		want, was, err := contents(before)
		if err != nil {
			t.Fatal(err)
		}
		mix := append(bytes.Clone(before), make([]byte, max(0, len(after)-len(before)))...)
		for at := int(2 * s.pageSize); at < len(after); at += sector {
			if r.IntN(2) == 0 {
				copy(mix[at:][:sector], after[at:])
			}
		}
		got, is, err := contents(mix)
		if err != nil || is != was || !reflect.DeepEqual(got, want) {
			t.Fatalf("with some of the sectors that follow revision %d: %d objects, %+v, %v; want %d, %+v", was.revision, len(got), is, err, len(want), was)
		}
		if _, is, err := contents(after); err != nil || is != s.kept {
			t.Fatalf("after revision %d: %+v, %v", s.kept.revision, is, err)
		}
		before = after
	}
}
