package table

import (
	"net/netip"
	"slices"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/service"
)

// Instance is an instance in a snapshot. It is immutable but for its lease.
type Instance struct {
	service.ID
	service.Instance
	Revision uint64       // of its last change; heartbeats are none
	Lease    *lease.Lease // nil where it is static

	registered int64 // Unix time in microseconds, a third of a time.Time; the endpoint tells milliseconds
}

// NewInstance returns an instance, first registered then, with a lease that starts now
// unless it is static. It is not in any table yet.
func NewInstance(id service.ID, is service.Instance, registered time.Time, now lease.Time) *Instance {
	if is.Lease.Static() {
		return &Instance{ID: id, Instance: is, registered: registered.UnixMicro()}
	}
	w := &whole{Instance: Instance{ID: id, Instance: is, registered: registered.UnixMicro()}}
	i := &w.Instance
	i.Lease = &w.lease
	i.Lease.Start(&i.ID, is.Lease.Duration(), now)
	if len(is.Addresses) == 1 {
		w.address[0] = is.Addresses[0]
		i.Addresses = w.address[:]
	}
	return i
}

// whole is an instance with what nearly every one has, in one piece of memory: there may be a
// million, and the garbage collector looks at each piece.
type whole struct {
	Instance
	lease   lease.Lease
	address [1]netip.Addr
}

// RegisteredAt returns when this id was first registered.
func (i *Instance) RegisteredAt() time.Time { return time.UnixMicro(i.registered).UTC() }

// share has the instance use the lists and strings of another one where they say the
// same: the instances of a service differ in little.
func (i *Instance) share(with *Instance) {
	if slices.Equal(i.Ports, with.Ports) {
		i.Ports = with.Ports
	}
	if slices.Equal(i.Metadata, with.Metadata) {
		i.Metadata = with.Metadata
	}
	if i.Zone == with.Zone {
		i.Zone = with.Zone
	}
	if i.Owner == with.Owner {
		i.Owner = with.Owner
	}
}
