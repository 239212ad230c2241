package answer

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/internal/table"
	"github.com/coredns-registry/registry/service"

	"github.com/miekg/dns"
)

var web = service.Name{Namespace: "prod", Service: "web"}

// instanceUntil returns an instance whose lease ends at some time on the clock of leases;
// it is static for 0.
func instanceUntil(until lease.Time, id service.ID, is service.Instance) *table.Instance {
	const length = 1
	is.Lease = service.LeaseOf(length)
	if until == 0 {
		is.Lease = service.LeaseOf(0)
	}
	return table.NewInstance(id, is, time.Time{}, until.Add(-length*time.Second))
}

// stateOf returns a table of the instances.
func stateOf(instances []*table.Instance, definitions map[service.Name]*service.Definition) *table.State {
	return stateAt(time.Unix(1_795_262_400, 0), instances, definitions)
}

// stateAt returns one that was opened then.
func stateAt(opened time.Time, instances []*table.Instance, definitions map[service.Name]*service.Definition) *table.State {
	d := table.Empty(0).Edit()
	for _, i := range instances {
		d.Put(i)
	}
	for name, def := range definitions {
		d.Define(name, def)
	}
	s, _ := d.Done()
	var t table.Table
	t.Open(s, opened)
	return t.Load()
}

// shape says how the instances of a random service are made.
type shape struct {
	hosts     int // that they share; 0: each has its own
	addresses int // that they share; 0: each has its own
	ports     []service.Port
	some      bool // not every instance has every port
	leased    bool
}

var http = service.Port{Name: "http", Protocol: service.TCP, Number: 8080}

// instances returns so many that are up.
func (s shape) instances(random *rand.Rand, name service.Name, n int) (instances []*table.Instance) {
	for k := range n {
		id := service.ID{Name: name, ID: fmt.Sprintf("i-%05d", k)}
		i := service.Instance{Status: service.Up, Hostname: id.ID}
		until := lease.Time(0)
		if s.hosts > 0 {
			i.Hostname = fmt.Sprintf("host-%d", random.IntN(s.hosts))
		}
		at := k
		if s.addresses > 0 {
			at = random.IntN(s.addresses)
		}
		i.Addresses = []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(at >> 8), byte(at)})}
		if k%3 == 0 {
			i.Addresses = append(i.Addresses, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(at >> 8), 15: byte(at)}))
		}
		i.Ports = s.ports
		if s.some {
			i.Ports = i.Ports[random.IntN(len(i.Ports)+1):]
		}
		if s.leased && random.IntN(4) > 0 {
			until = lease.Time(50*time.Second) + lease.Time(random.Int64N(int64(time.Minute)))
		}
		instances = append(instances, instanceUntil(until, id, i))
	}
	return instances
}

// lines writes records as sorted lines, each once.
func lines(rrs []dns.RR) []string {
	var lines []string
	for _, rr := range rrs {
		lines = append(lines, strings.ReplaceAll(rr.String(), "\t", " "))
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}
