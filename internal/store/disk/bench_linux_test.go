package disk

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/internal/store/storetest"
)

// BenchmarkCommit is commits anywhere in tables of several sizes, and what the process takes
// for them, with the laps that the tree takes over meanwhile.
func BenchmarkCommit(b *testing.B) {
	for _, instances := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(instances), func(b *testing.B) {
			s := filled(b, instances)
			defer s.Close()
			s.load(b)
			for _, size := range []int{1, 32, 256, 1000} {
				b.Run(fmt.Sprint(size), func(b *testing.B) { s.benchmark(b, instances, size) })
			}
		})
	}
}

func (s *Store) benchmark(b *testing.B, instances, size int) {
	n, began := 0, cpu()
	for b.Loop() {
		batch := store.Batch{Revision: s.revision + 1, Put: make([]store.Object, size)}
		for k := range batch.Put {
			batch.Put[k] = storetest.Typical(n * 7919 % instances)
			n++
		}
		if err := s.Commit(batch); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.folded(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "objects/s")
	b.ReportMetric(float64((cpu()-began).Microseconds())/float64(n), "CPU-µs/object")
}

// cpu is what the process has taken.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
