package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/store/storetest"
)

// filled returns a store with so many typical instances, not yet loaded.
func filled(b *testing.B, instances int) *Store {
	s, err := Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	s.load(b)
	for n := 0; n < instances; {
		batch := store.Batch{Revision: s.revision + 1}
		for ; n < instances && len(batch.Put) < 10_000; n++ {
			// In an order that is not that of the keys, as they come in life.
			batch.Put = append(batch.Put, storetest.Typical(int(uint(n)*7919%uint(instances))))
		}
		if err := s.Commit(batch); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	if s, err = Open(filepath.Dir(s.path)); err != nil {
		b.Fatal(err)
	}
	return s
}

func BenchmarkLoad(b *testing.B) {
	for _, instances := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(instances), func(b *testing.B) {
			s := filled(b, instances)
			dir := filepath.Dir(s.path)
			info, _ := os.Stat(s.path)
			s.Close()
			for b.Loop() {
				s, err := Open(dir)
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				_, err = s.Load(func(store.Object) error { n++; return nil })
				if err != nil || n != instances {
					b.Fatal(n, err)
				}
				s.Close()
			}
			b.ReportMetric(float64(info.Size())/float64(instances), "B/instance")
		})
	}
}

// BenchmarkFsync is what the disk itself takes for pages that are written over here and
// there in a file of 64 MiB. A commit waits for a few that follow each other, once.
func BenchmarkFsync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const all = 16 << 10
	if _, err := f.Write(make([]byte, all<<12)); err != nil {
		b.Fatal(err)
	}
	page := make([]byte, 1<<12)
	for _, pages := range []int{1, 32, 256} {
		at := 0
		b.Run(fmt.Sprint(pages), func(b *testing.B) {
			for b.Loop() {
				for range pages {
					at = (at + 7919) % all
					page[0]++
					if _, err := f.WriteAt(page, int64(at)<<12); err != nil {
						b.Fatal(err)
					}
				}
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
