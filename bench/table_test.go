package bench

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

// BenchmarkMemory tells what an instance takes: itself, its lease, its place in every
// order of the table and its share of its service.
func BenchmarkMemory(b *testing.B) {
	forEachSize(b, func(b *testing.B, w *world) {
		for b.Loop() { // it was measured when the world was made
		}
		b.ReportMetric(float64(w.bytes)/float64(w.size), "B/instance")
		b.ReportMetric(float64(w.objects)/float64(w.size), "objects/instance")
		b.ReportMetric(0, "ns/op")
	})
}

// BenchmarkCollect is a garbage collection: what each query and each change pays a part of.
func BenchmarkCollect(b *testing.B) {
	forEachSize(b, func(b *testing.B, w *world) {
		for b.Loop() {
			runtime.GC()
		}
	})
}

// BenchmarkService looks a service up by its name.
func BenchmarkService(b *testing.B) {
	forEachSize(b, func(b *testing.B, w *world) {
		s, names := w.table.Load(), w.hot()
		n := 0
		for b.Loop() {
			if n++; s.Service(names[n%len(names)]) == nil {
				b.Fatal("a service is not there")
			}
		}
	})
}

// BenchmarkInstance looks an instance up by its id, as a heartbeat does.
func BenchmarkInstance(b *testing.B) {
	forEachSize(b, func(b *testing.B, w *world) {
		random := rand.New(rand.NewPCG(2, 2))
		ids := make([]service.ID, 1<<12)
		for n := range ids {
			ids[n] = instance(random.IntN(w.size)).ID()
		}
		s := w.table.Load()
		n := 0
		for b.Loop() {
			if n++; s.Instance(ids[n%len(ids)]) == nil {
				b.Fatal("an instance is not there")
			}
		}
	})
}

// BenchmarkApply replaces instances, one a transaction and many: what a change costs
// must not depend on the size of the table.
func BenchmarkApply(b *testing.B) {
	for _, batch := range []struct {
		sentence string
		size     int
	}{{"one", 1}, {"batchOf1000", 1000}} {
		b.Run(batch.sentence, func(b *testing.B) {
			forEachSize(b, func(b *testing.B, w *world) {
				random := rand.New(rand.NewPCG(3, 3))
				instances := make([]*table.Instance, 1<<12)
				for n := range instances {
					instances[n] = instance(random.IntN(w.size))
				}
				n := 0
				for b.Loop() {
					d := w.table.Load().Edit()
					for range batch.size {
						is := *instances[n%len(instances)] // what is published never changes
						n++
						d.Put(&is)
					}
					w.table.Publish(time.Now(), d)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/instance")
			})
		})
	}
}

// BenchmarkRemoveAndPut is the churn of a fleet: an instance goes, another comes.
func BenchmarkRemoveAndPut(b *testing.B) {
	forEachSize(b, func(b *testing.B, w *world) {
		random := rand.New(rand.NewPCG(4, 4))
		for b.Loop() {
			d := w.table.Load().Edit()
			is := *d.Remove(instance(random.IntN(w.size)).ID())
			w.table.Publish(time.Now(), d)
			d = w.table.Load().Edit()
			d.Put(&is)
			w.table.Publish(time.Now(), d)
		}
	})
}

// BenchmarkBuild makes a table of what a store has kept, in the order of its keys.
func BenchmarkBuild(b *testing.B) {
	forEachSize(b, func(b *testing.B, w *world) {
		for b.Loop() {
			b.StopTimer()
			var built table.Builder
			for i := range w.table.Load().Instances() {
				is := *i // what is published never changes
				built.Put(&is)
			}
			b.StartTimer()
			built.Done(1)
		}
	})
}

// BenchmarkExpire is a tick of the wheel while every instance is renewed three times a
// lease and none falls due. The renewals are part of it: a hundredth of all.
func BenchmarkExpire(b *testing.B) {
	forEachSize(b, func(b *testing.B, w *world) {
		var wheel lease.Wheel
		leases := make([]*lease.Lease, w.size)
		for n := range leases {
			leases[n] = wheel.New(leaseLength, lease.Tenant{}, 0)
			wheel.Add(leases[n])
		}
		now, n := lease.Time(0), 0
		b.ResetTimer()
		for b.Loop() {
			for range len(leases) / 100 {
				wheel.Renew(leases[n%len(leases)], now)
				n++
			}
			now = now.Add(lease.TickEvery)
			if due := wheel.Due(now, lease.Rule{Percent: 20, Floor: 10, Span: leaseLength}); len(due) > 0 {
				b.Fatalf("%d leases are due", len(due))
			}
		}
	})
}

// BenchmarkMassExpiry takes a hundred instances out of the table in one transaction, as
// when they fall due together.
func BenchmarkMassExpiry(b *testing.B) {
	const due = 100
	forEachSize(b, func(b *testing.B, w *world) {
		state := w.table.Load()
		random := rand.New(rand.NewPCG(5, 5))
		ids := make([]service.ID, 1<<12)
		for n, at := range random.Perm(w.size)[:min(len(ids), w.size)] {
			ids[n] = instance(at).ID()
		}
		ids = ids[:min(len(ids), w.size)]
		n := 0
		for b.Loop() {
			d := state.Edit() // always the same: nothing is published
			for range due {
				d.Remove(ids[n%len(ids)])
				n++
			}
			d.Done()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/instance")
	})
}
