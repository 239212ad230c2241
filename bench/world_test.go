// Package bench measures what a table costs that is small, and one of a million
// instances in a hundred thousand services. What goes through the whole plugin is
// measured beside it, in the root.
package bench

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"
)

// instancesPerService is that of every service, small table or large.
const instancesPerService = 10

// leaseLength is the default lease, in the contract's section 1.
const leaseLength = 30 * time.Second

// world is a table of so many instances, each with a lease on the wheel.
type world struct {
	size  int
	table table.Table

	bytes, objects uint64 // of the heap, that it takes
}

var sizes = []int{1000, 1_000_000}

// worlds are made by the first benchmark that needs them. Whoever changes a table leaves
// it as large as it was.
var worlds = map[int]func() *world{
	sizes[0]: sync.OnceValue(func() *world { return newWorld(sizes[0]) }),
	sizes[1]: sync.OnceValue(func() *world { return newWorld(sizes[1]) }),
}

// forEachSize runs a benchmark on each of the worlds.
func forEachSize(b *testing.B, run func(b *testing.B, w *world)) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			w := worlds[size]()
			b.ReportAllocs()
			b.ResetTimer()
			run(b, w)
		})
	}
}

func newWorld(size int) *world {
	w := &world{size: size}
	bytes, objects := memory()
	d := table.Empty(1).Edit()
	for n := range size {
		d.Put(instance(n))
	}
	s, _ := d.Done()
	for _, n := range rand.New(rand.NewPCG(6, 6)).Perm(size) { // heartbeats come in no order
		s.Leases().Add(s.Instance(instance(n).ID()).Lease())
	}
	d = nil
	w.table.Open(s, time.Now())
	w.bytes, w.objects = memory()
	w.bytes, w.objects = w.bytes-bytes, w.objects-objects
	return w
}

// memory returns what is alive on the heap.
func memory() (bytes, objects uint64) {
	runtime.GC()
	runtime.GC() // what the first found to be garbage is swept
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.HeapObjects
}

// name returns that of a service: a hundred of them share a namespace.
func name(n int) service.Name {
	return service.Name{
		Namespace: fmt.Sprintf("namespace-%04d", n/100),
		Service:   fmt.Sprintf("service-%06d", n),
	}
}

// instance returns one as the endpoint would have decoded it: no string is shared, but
// its name and its id are parts of the request's first line.
func instance(n int) *table.Instance { return instanceOf(name(n/instancesPerService), n) }

func instanceOf(name service.Name, n int) *table.Instance {
	line := fmt.Sprintf("PUT /v1/namespaces/%s/services/%s/instances/instance-%07d HTTP/1.1", name.Namespace, name.Service, n)
	part := strings.Split(line, "/")
	id := service.ID{
		Name: service.Name{Namespace: part[3], Service: part[5]},
		ID:   strings.TrimSuffix(part[7], " HTTP"),
	}
	return table.NewInstance(id, service.Instance{
		Hostname:  id.ID,
		Status:    service.Up,
		Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})},
		Ports:     []service.Port{{Name: strings.Clone("http"), Protocol: service.TCP, Number: 8080}},
		Metadata:  service.Metadata{{Key: strings.Clone("version"), Value: strings.Clone("1.4.2")}},
		Lease:     service.LeaseOf(int32(leaseLength / time.Second)),
	}, time.Unix(1_795_000_000, 0), 0)
}

// hot are the services that are asked in turn, in no order: more than a processor's
// cache holds, of all there are.
func (w *world) hot() []service.Name {
	random := rand.New(rand.NewPCG(1, 1))
	names := make([]service.Name, 1<<12)
	for n := range names {
		names[n] = name(random.IntN(w.size / instancesPerService))
	}
	return names
}
