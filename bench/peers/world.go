package main

import (
	"fmt"
	"net/netip"

	"github.com/miekg/dns"
)

const (
	zone        = "cluster.local."
	reverseZone = "10.in-addr.arpa." // of every IPv4 address in the world
	ttl         = 5                  // of every answer, in seconds
	port        = 8080               // of every instance, and its name is http

	namespaces = 100
	familySix  = 10 // every so many-th service has IPv6 addresses, the others IPv4
)

// A world is what every peer is told: so many services, each with so many instances.
type world struct{ services, each int }

// A serviceAt is the n-th service of a world.
type serviceAt struct {
	world
	n int
}

// An instanceAt is the k-th instance of a service.
type instanceAt struct {
	serviceAt
	k int
}

func (w world) all() []serviceAt {
	all := make([]serviceAt, w.services)
	for n := range all {
		all[n] = serviceAt{w, n}
	}
	return all
}

// edns reports whether the largest answers take more than the 512 octets of plain DNS.
func (w world) edns() bool { return w.each > 3 }

func (w world) instances() int { return w.services * w.each }

func (s serviceAt) namespace() string { return fmt.Sprintf("namespace-%02d", s.n%namespaces) }
func (s serviceAt) name() string      { return fmt.Sprintf("service-%05d", s.n) }
func (s serviceAt) six() bool         { return s.n%familySix == familySix-1 }

// below is a name in the namespace of the service.
func (s serviceAt) below(name string) string {
	return name + "." + s.namespace() + ".svc." + zone
}

func (s serviceAt) fqdn() string    { return s.below(s.name()) }
func (s serviceAt) srvName() string { return "_http._tcp." + s.fqdn() }

func (s serviceAt) instances() []instanceAt {
	all := make([]instanceAt, s.each)
	for k := range all {
		all[k] = instanceAt{s, k}
	}
	return all
}

// id is also the hostname.
func (i instanceAt) id() string   { return fmt.Sprintf("instance-%d", i.k) }
func (i instanceAt) fqdn() string { return i.id() + "." + i.serviceAt.fqdn() }

func (i instanceAt) address() netip.Addr {
	at := i.n*i.each + i.k
	four := [4]byte{10, byte(at >> 16), byte(at >> 8), byte(at)}
	if !i.six() {
		return netip.AddrFrom4(four)
	}
	six := [16]byte{0: 0xfd, 15: four[3], 14: four[2], 13: four[1], 12: four[0]}
	return netip.AddrFrom16(six)
}

// reverse is the name of which the instance's name is the PTR record.
func (i instanceAt) reverse() string {
	name, err := dns.ReverseAddr(i.address().String())
	if err != nil {
		panic(err) // an address always has one
	}
	return name
}
