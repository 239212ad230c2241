package table

import (
	"net/netip"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/service"
)

// Instance is an instance in a snapshot, as it is read: a table keeps it packed, see block, and
// whoever asks for one gets a copy. It is not to be changed but for its lease, which is the
// table's own, and what it leads to is shared. NewInstance makes one that is to be put into a
// table.
type Instance struct {
	Revision  uint64 // of its last change; heartbeats are none
	Addresses []netip.Addr
	Hostname  string
	Priority  uint16
	Status    service.Status
	*traits

	name       service.Name
	id         string
	registered int64 // Unix time in microseconds; the endpoint tells milliseconds
	length     time.Duration
	begins     lease.Time   // of a new one
	lease      *lease.Lease // nil where it is static, and until it is in a table

	address [1]netip.Addr // all of Addresses where there are no more, as is the rule
}

// NewInstance returns an instance, first registered then, with a lease that starts now
// unless it is static, as one is that is given none. The lease is made when it is put into a
// table.
func NewInstance(id service.ID, is service.Instance, registered time.Time, now lease.Time) *Instance {
	return &Instance{
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
		name:       id.Name,
		id:         id.ID,
		registered: registered.UnixMicro(),
		length:     is.Lease.Duration(),
		begins:     now,
	}
}

// ID returns which instance it is.
func (i *Instance) ID() service.ID { return service.ID{Name: i.name, ID: i.id} }

// Name returns which service it is of.
func (i *Instance) Name() service.Name { return i.name }

// Lease returns how long it still lives; nil where it is static, or in no table yet. It stays
// that of an instance that is copied to change another part of it.
func (i *Instance) Lease() *lease.Lease { return i.lease }

// tenant is who its lease is made for, and how its service is found by that.
func (i *Instance) tenant() lease.Tenant {
	return lease.Tenant{Owner: hash(i.Owner), Service: hash(i.name)}
}

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
		Lease:     service.LeaseOf(int32(i.length / time.Second)),
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
