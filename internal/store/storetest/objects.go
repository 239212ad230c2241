package storetest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"github.com/coredns-registry/registry/internal/store"
	"github.com/coredns-registry/registry/service"
)

// longID is as long as an id may be.
var longID = strings.Repeat("0123456789.", 23)

// registered is when the instances here were registered: to the nanosecond.
var registered = time.Date(2026, 2, 3, 4, 5, 6, 789_012_345, time.UTC)

// ID is short for the id of an instance, or of a definition where id is empty.
func ID(namespace, name, id string) service.ID {
	return service.ID{Name: service.Name{Namespace: namespace, Service: name}, ID: id}
}

// Static is the least an instance can be.
func Static(id string) store.Object {
	return store.Object{
		ID:           ID("default", "web", id),
		Revision:     1,
		RegisteredAt: registered,
		Instance: &service.Instance{
			Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7")},
			Lease:     service.LeaseOf(0),
			Status:    service.Up,
		},
	}
}

// Defined is the least a definition can be.
func Defined(namespace, name string) store.Object {
	return store.Object{ID: ID(namespace, name, ""), Revision: 1, Definition: &service.Definition{}}
}

// Typical is an instance as most are.
func Typical(n int) store.Object {
	id := fmt.Sprintf("web-%d", n)
	o := Static(id)
	o.ID.Service = fmt.Sprintf("service-%d", n/10)
	o.Instance.Addresses = []netip.Addr{netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})}
	o.Instance.Ports = []service.Port{{Name: "http", Protocol: service.TCP, Number: 8080}, {Name: "metrics", Protocol: service.TCP, Number: 9090}}
	o.Instance.Hostname = id
	o.Instance.Zone = "eu-west-1a"
	o.Instance.Metadata = service.Metadata{{Key: "commit", Value: fmt.Sprintf("%016x", uint64(n)*0x9e3779b97f4a7c)}, {Key: "version", Value: "1.4.2"}}
	o.Instance.Lease = service.LeaseOf(30)
	o.Instance.Owner = fmt.Sprintf("team-%d", n/1000)
	return o
}

// Large is an instance of nearly 64 KiB.
func Large(id string) store.Object {
	o := Static(id)
	o.Instance.Metadata = largeMetadata
	o.Instance.Zone = id
	return o
}

var largeMetadata = func() (m service.Metadata) {
	for n := range 250 {
		m = append(m, service.Pair{Key: fmt.Sprintf("%03d", n), Value: strings.Repeat("v", 251)})
	}
	return m
}()

// Objects are one object for each thing that can be said of one, and a few that say it
// all.
func Objects() []store.Object {
	zero, ten := uint16(0), uint16(10)
	most := uint16(math.MaxUint16)
	instance := func(id string, with func(*store.Object)) store.Object {
		o := Static(id)
		with(&o)
		return o
	}
	definition := func(name string, with func(*service.Definition)) store.Object {
		o := Defined("default", name)
		with(o.Definition)
		return o
	}
	return []store.Object{
		Static("least"),
		instance("v6", func(o *store.Object) { o.Instance.Addresses = addresses("2001:db8::7") }),
		instance("both", func(o *store.Object) { o.Instance.Addresses = addresses("2001:db8::7", "192.0.2.7") }),
		instance("mapped", func(o *store.Object) { o.Instance.Addresses = addresses("::ffff:192.0.2.7", "192.0.2.7") }),
		instance("sixteen", func(o *store.Object) {
			o.Instance.Addresses = nil
			for n := range 16 {
				o.Instance.Addresses = append(o.Instance.Addresses, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(n)}))
			}
		}),
		instance("no-lists", func(o *store.Object) { *o.Instance = service.Instance{Status: service.Up} }),
		instance("empty-lists", func(o *store.Object) {
			o.Instance.Addresses, o.Instance.Ports, o.Instance.Metadata = []netip.Addr{}, []service.Port{}, service.Metadata{}
		}),
		instance("ports", func(o *store.Object) {
			o.Instance.Ports = []service.Port{
				{Name: "http", Protocol: service.TCP, Number: 1}, {Protocol: service.UDP, Number: 65535},
				{Name: "http", Protocol: service.SCTP, Number: 80}, {Protocol: service.TCP, Number: 80},
			}
		}),
		instance("hostname", func(o *store.Object) { o.Instance.Hostname = "Web-1" }),
		instance("its-own", func(o *store.Object) { o.Instance.Hostname = "its-own" }),
		instance("weight-0", func(o *store.Object) { o.Instance.Weight = &zero }),
		instance("weight-10", func(o *store.Object) { o.Instance.Weight = &ten }),
		instance("most", func(o *store.Object) { o.Instance.Weight, o.Instance.Priority = &most, most }),
		instance("zone", func(o *store.Object) { o.Instance.Zone = "eu-west-1a" }),
		instance("metadata", func(o *store.Object) {
			o.Instance.Metadata = service.Metadata{{Key: "", Value: "="}, {Key: "a"}, {Key: "b", Value: "é=\x00"}, {Key: "c", Value: strings.Repeat("v", 253)}}
		}),
		instance("not-utf-8", func(o *store.Object) {
			o.Instance.Metadata, o.Instance.Owner = service.Metadata{{Key: "k", Value: "\xff"}}, "\xff"
		}),
		instance("leased", func(o *store.Object) { o.Instance.Lease = service.LeaseOf(30) }),
		instance("long", func(o *store.Object) { o.Instance.Lease = service.LeaseOf(math.MaxInt32) }),
		instance("not-given", func(o *store.Object) { o.Instance.Lease = service.Lease{} }),
		instance("draining", func(o *store.Object) { o.Instance.Status = service.Draining }),
		instance("down", func(o *store.Object) { o.Instance.Status = service.Down }),
		instance("unset", func(o *store.Object) { o.Instance.Status = service.Unset }),
		instance("owned", func(o *store.Object) { o.Instance.Owner = "team-1" }),
		instance("owned-by-a-uri", func(o *store.Object) { o.Instance.Owner = "spiffe://example.org/ns/default/sa/web" }),
		instance("owned-at-length", func(o *store.Object) { o.Instance.Owner = strings.Repeat("o", service.MaxOwnerBytes) }),
		instance("never", func(o *store.Object) { o.RegisteredAt = time.Time{} }),
		instance("before-1970", func(o *store.Object) { o.RegisteredAt = time.Unix(-1, 1).UTC() }),
		instance("late", func(o *store.Object) { o.RegisteredAt = time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC) }),
		Typical(4711),
		Large("large"),

		Defined("default", "defined"),
		definition("cluster", func(d *service.Definition) {
			d.Type, d.ClusterIPs = service.ClusterIP, addresses("192.0.2.1", "2001:db8::1")
		}),
		definition("external", func(d *service.Definition) { d.Type, d.ExternalName = service.ExternalName, "db.example.org." }),
		definition("not-ready", func(d *service.Definition) { d.PublishNotReady = true }),
		definition("all", func(d *service.Definition) {
			d.Ports = []service.Port{{Name: "dns", Protocol: service.UDP, Number: 53}, {Name: "dns", Protocol: service.TCP, Number: 53}}
			d.Metadata = service.Metadata{{Key: "owner", Value: "search"}, {Key: "tier", Value: ""}}
		}),
	}
}

func addresses(texts ...string) (addrs []netip.Addr) {
	for _, s := range texts {
		addrs = append(addrs, netip.MustParseAddr(s))
	}
	return addrs
}

// Batch makes up a batch of at most so many changes, over few enough names that most of
// them are of something that is there.
func Batch(r *rand.Rand, changes int) (put []store.Object, remove []service.ID) {
	named := map[service.ID]bool{}
	kinds := Objects()
	for range changes {
		id := ID(fmt.Sprintf("ns-%d", r.IntN(3)), fmt.Sprintf("svc-%d", r.IntN(5)), fmt.Sprint(r.IntN(50)))
		if r.IntN(10) == 0 {
			id.ID = ""
		}
		if named[id] {
			continue
		}
		named[id] = true
		if r.IntN(3) == 0 {
			remove = append(remove, id)
			continue
		}
		o := kinds[r.IntN(len(kinds))]
		for (o.Definition != nil) != (id.ID == "") || o.ID.ID == "large" && r.IntN(50) > 0 {
			o = kinds[r.IntN(len(kinds))]
		}
		o.ID = id
		put = append(put, o)
	}
	return put, remove
}
