package table

import (
	"net/netip"
	"slices"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/service"
)

// Instance is an instance in a snapshot. It is immutable but for its lease, and so is what
// it leads to, which other instances share. NewInstance makes one.
//
// It has what a [service.Instance] has, in less memory: there may be a million, and the
// garbage collector follows each pointer of each.
type Instance struct {
	Revision  uint64 // of its last change; heartbeats are none
	Addresses []netip.Addr
	Hostname  string
	Priority  uint16
	Status    service.Status
	*traits

	name       *service.Name // its service's, which the instances of a service share
	id         string
	lease      *lease.Lease // nil where it is static
	registered int64        // Unix time in microseconds, a third of a time.Time; the endpoint tells milliseconds
}

// traits are what the instances of a service mostly say alike: those who do share one. They
// are never changed.
type traits struct {
	Ports    []service.Port
	Weight   *uint16
	Zone     string
	Metadata service.Metadata
	Owner    string
}

// NewInstance returns an instance, first registered then, with a lease that starts now
// unless it is static, as one is that is given none. It is not in any table yet.
func NewInstance(id service.ID, is service.Instance, registered time.Time, now lease.Time) *Instance {
	name := id.Name // its own, until it is in a table
	made := Instance{
		Addresses: is.Addresses,
		Hostname:  is.Hostname,
		Priority:  is.Priority,
		Status:    is.Status,
		traits: &traits{
			Ports:    is.Ports,
			Weight:   is.Weight,
			Zone:     is.Zone,
			Metadata: is.Metadata,
			Owner:    is.Owner,
		},
		name:       &name,
		id:         id.ID,
		registered: registered.UnixMicro(),
	}
	if is.Lease.Seconds == 0 {
		static := made
		return &static
	}
	w := &whole{Instance: made}
	i := &w.Instance
	i.lease = &w.lease
	i.lease.Start(is.Lease.Duration(), now)
	if len(is.Addresses) == 1 {
		w.address[0] = is.Addresses[0]
		i.Addresses = w.address[:]
	}
	return i
}

// whole is an instance with what nearly every one has, in one piece of memory: the garbage
// collector looks at each piece.
type whole struct {
	Instance
	lease   lease.Lease
	address [1]netip.Addr
}

// ID returns which instance it is.
func (i *Instance) ID() service.ID { return service.ID{Name: *i.name, ID: i.id} }

// Name returns which service it is of.
func (i *Instance) Name() service.Name { return *i.name }

// Lease returns how long it still lives; nil where it is static. It stays that of an instance
// that is copied to change another part of it.
func (i *Instance) Lease() *lease.Lease { return i.lease }

// Said returns what was said of it when it was registered, and what was left open then.
func (i *Instance) Said() service.Instance {
	return service.Instance{
		Addresses: i.Addresses,
		Ports:     i.Ports,
		Hostname:  i.Hostname,
		Weight:    i.Weight,
		Priority:  i.Priority,
		Status:    i.Status,
		Zone:      i.Zone,
		Metadata:  i.Metadata,
		Lease:     service.LeaseOf(int32(i.lease.Length() / time.Second)),
		Owner:     i.Owner,
	}
}

// Says reports whether that is what the instance says.
func (i *Instance) Says(is *service.Instance) bool {
	said := i.Said()
	return said.Equal(is)
}

// Hosts yields what [service.Instance.Hosts] does.
func (i *Instance) Hosts(yield func(label string, addrs []netip.Addr) bool) {
	is := service.Instance{Hostname: i.Hostname, Addresses: i.Addresses}
	is.Hosts(yield)
}

// RegisteredAt returns when this id was first registered.
func (i *Instance) RegisteredAt() time.Time { return time.UnixMicro(i.registered).UTC() }

// share has the instance use what others have in memory already, where they say the same:
// the instances of a service differ in little. It has no traits of its own then.
func (i *Instance) share(with []*Instance) {
	for _, other := range with {
		if i.traits.equal(other.traits) {
			i.traits = other.traits
			return
		}
	}
	if len(with) == 0 {
		return
	}
	own := *i.traits // a copy: another revision of the instance may have the same
	for _, other := range with {
		own.share(other.traits)
	}
	i.traits = &own
}

func (t *traits) equal(u *traits) bool {
	return t == u ||
		slices.Equal(t.Ports, u.Ports) &&
			(t.Weight == nil) == (u.Weight == nil) && (t.Weight == nil || *t.Weight == *u.Weight) &&
			t.Zone == u.Zone &&
			slices.Equal(t.Metadata, u.Metadata) &&
			t.Owner == u.Owner
}

// share takes the lists and strings of other traits where they say the same.
func (t *traits) share(with *traits) {
	if slices.Equal(t.Ports, with.Ports) {
		t.Ports = with.Ports
	}
	if slices.Equal(t.Metadata, with.Metadata) {
		t.Metadata = with.Metadata
	}
	if t.Zone == with.Zone {
		t.Zone = with.Zone
	}
	if t.Owner == with.Owner {
		t.Owner = with.Owner
	}
}
