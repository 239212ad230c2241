package enginetest

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/engine"
	"github.com/coredns-registry/registry/service"
)

// Populace is a world with so many instances, ten to a service, all with the longest lease.
type Populace struct {
	*World
	Size int
}

var populaceSizes = []int{1000, 1_000_000}

// populaces are made by the first benchmark that needs them, and stay for the others.
var populaces = map[int]func() *Populace{
	populaceSizes[0]: sync.OnceValue(func() *Populace { return newPopulace(populaceSizes[0]) }),
	populaceSizes[1]: sync.OnceValue(func() *Populace { return newPopulace(populaceSizes[1]) }),
}

func newPopulace(size int) *Populace {
	p := &Populace{World: NewWorld(new(testing.B), Rules(), nil), Size: size}
	const batch = 1000
	changes := make([]service.Change, 0, batch)
	for n := range size {
		changes = append(changes, RegistrationOf(n, ""))
		if len(changes) == batch {
			p.Apply(changes...)
			changes = changes[:0]
		}
	}
	return p
}

// ForEachPopulace runs a benchmark on a small table and on one with a million instances.
func ForEachPopulace(b *testing.B, run func(b *testing.B, p *Populace)) {
	for _, size := range populaceSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			p := populaces[size]()
			p.T = b
			b.ReportAllocs()
			b.ResetTimer()
			run(b, p)
		})
	}
}

// NameOf returns the service of the instance of that number in a populace.
func NameOf(n int) service.Name {
	return service.Name{Namespace: fmt.Sprintf("namespace-%04d", n/1000), Service: fmt.Sprintf("service-%06d", n/10)}
}

// RegistrationOf returns the registration of the instance of that number.
func RegistrationOf(n int, zone string) service.Change {
	return service.Change{
		Op: service.Register,
		ID: service.ID{Name: NameOf(n), ID: fmt.Sprintf("instance-%07d", n)},
		Instance: &service.Instance{
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})},
			Ports:     []service.Port{{Name: "http", Protocol: service.TCP, Number: 8080}},
			Zone:      zone,
			Lease:     service.LeaseOf(int32(engine.DefaultRules.Leases.Max / time.Second)),
		},
	}
}
