package engine_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/engine"
	"github.com/coredns-registry/registry/internal/engine/enginetest"
	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/testkit"
	"github.com/coredns-registry/registry/service"
)

// BenchmarkApply registers known instances anew, each with another zone than it had.
func BenchmarkApply(b *testing.B) {
	enginetest.ForEachPopulace(b, func(b *testing.B, p *enginetest.Populace) {
		at := rand.New(rand.NewPCG(2, 2)).Perm(p.Size)[:min(1<<12, p.Size)]
		var changes []service.Change
		for _, zone := range []string{"zone-a", "zone-b"} {
			for _, n := range at {
				changes = append(changes, enginetest.RegistrationOf(n, zone))
			}
		}
		p.Apply(changes[len(at):]...) // so that the first changes something
		n := 0
		for b.Loop() {
			p.Apply(changes[n%len(changes) : n%len(changes)+1]...)
			n++
		}
	})
}

// BenchmarkRenew is a heartbeat.
func BenchmarkRenew(b *testing.B) {
	enginetest.ForEachPopulace(b, func(b *testing.B, p *enginetest.Populace) {
		random := rand.New(rand.NewPCG(3, 3))
		ids := make([]service.ID, 1<<12)
		for n := range ids {
			ids[n] = enginetest.RegistrationOf(random.IntN(p.Size), "").ID
		}
		n := 0
		for b.Loop() {
			if err := p.Engine.Renew(testkit.Anyone, ids[n%len(ids)], service.Precondition{}); err != nil {
				b.Fatal(err)
			}
			n++
		}
	})
}

// BenchmarkExpire drops a hundred instances that fall due in one tick.
func BenchmarkExpire(b *testing.B) {
	const due = 100
	shortest := engine.DefaultRules.Leases.Min
	enginetest.ForEachPopulace(b, func(b *testing.B, p *enginetest.Populace) {
		changes := make([]service.Change, due)
		for b.Loop() {
			b.StopTimer()
			for n := range changes {
				changes[n] = testkit.WithLease(enginetest.RegistrationOf(p.Size+n, ""), int32(shortest/time.Second))
			}
			p.Apply(changes...)
			p.PassHung(shortest - lease.TickEvery)
			p.Jump(lease.TickEvery)
			b.StartTimer()
			p.Engine.Expire()
			if _, _, instances := p.Engine.State().Totals(); instances != p.Size {
				b.Fatalf("%d instances after the tick, want %d", instances, p.Size)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*due), "ns/instance")
	})
}
