// Package table is the set of all services and instances, by name and by address.
//
// A [Snapshot] is the whole table at one revision and never changes, so readers take
// no lock. A change is drafted on a snapshot ([Snapshot.Edit]) and yields the next one;
// both share all that the change did not touch. A [Table] publishes snapshots one after
// the other and lets watchers follow what changed between them.
// The package knows nothing of DNS, HTTP or stores.
package table

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/service"

	"github.com/tidwall/btree"
)

// Snapshot is the table at one revision. It is immutable; any goroutine may read it.
type Snapshot struct {
	Revision uint64

	namespaces *btree.BTreeG[Namespace]
	services   *btree.BTreeG[*View]
	instances  *btree.BTreeG[*Instance]
	holders    *btree.BTreeG[holder]
}

// View is one service in a snapshot. It is replaced whenever the service or one of its
// instances changes, so what was made of it once stays true for as long as it is found.
type View struct {
	service.Name
	Definition *service.Definition // nil where none was given
	Revision   uint64              // of the last change of the service or an instance
	Instances  int                 // how many there are, whatever their status

	prepared prepared
}

// Type returns what the service's own name leads to.
func (v *View) Type() service.Type {
	if v.Definition == nil {
		return service.Headless
	}
	return v.Definition.Type
}

// Answers reports whether an instance of the service is to be answered.
func (v *View) Answers(i *Instance) bool {
	if v.Type() == service.ExternalName {
		return false
	}
	return i.Status == service.Up || v.Definition != nil && v.Definition.PublishNotReady
}

// Instance is an instance in a snapshot. It is immutable but for its lease.
type Instance struct {
	service.ID
	service.Instance
	Revision     uint64       // of its last change; heartbeats are none
	RegisteredAt time.Time    // when this id was first registered
	Lease        *lease.Lease // nil where it is static
}

// Namespace is a namespace with at least one service, and what it holds.
type Namespace struct {
	Name     string
	Services int
	Up       int // instances by status
	Draining int
	Down     int
}

// Instances returns how many instances the namespace holds.
func (n Namespace) Instances() int { return n.Up + n.Draining + n.Down }

func (n *Namespace) count(s service.Status, by int) {
	switch s {
	case service.Up:
		n.Up += by
	case service.Draining:
		n.Draining += by
	case service.Down:
		n.Down += by
	}
}

// holder says that an address belongs to an instance, or where that is nil, is a
// cluster IP of a service.
type holder struct {
	addr     netip.Addr
	service  *service.Name
	instance *Instance
}

func (h holder) id() string {
	if h.instance == nil {
		return ""
	}
	return h.instance.ID.ID
}

// Empty returns a snapshot that holds nothing.
func Empty(revision uint64) *Snapshot {
	// Writers are serialised and readers see published trees only: no locks inside.
	// A low degree keeps small what a change has to copy of each tree.
	options := btree.Options{NoLocks: true, Degree: 16}
	return &Snapshot{
		Revision: revision,
		namespaces: btree.NewBTreeGOptions(func(a, b Namespace) bool {
			return a.Name < b.Name
		}, options),
		services: btree.NewBTreeGOptions(func(a, b *View) bool {
			return a.Name.Compare(b.Name) < 0
		}, options),
		instances: btree.NewBTreeGOptions(func(a, b *Instance) bool {
			return compareIDs(&a.ID, &b.ID) < 0
		}, options),
		holders: btree.NewBTreeGOptions(func(a, b holder) bool {
			return compareHolders(&a, &b) < 0
		}, options),
	}
}

func compareIDs(a, b *service.ID) int {
	if c := a.Name.Compare(b.Name); c != 0 {
		return c
	}
	return cmp.Compare(a.ID, b.ID)
}

func compareHolders(a, b *holder) int {
	if c := a.addr.Compare(b.addr); c != 0 {
		return c
	}
	if a.service == nil || b.service == nil { // the pivot of a search stands first
		return cmp.Compare(btoi(a.service != nil), btoi(b.service != nil))
	}
	if c := a.service.Compare(*b.service); c != 0 {
		return c
	}
	return cmp.Compare(a.id(), b.id())
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Service returns the service of that name, nil where there is none.
func (s *Snapshot) Service(name service.Name) *View {
	v, _ := s.services.Get(&View{Name: name})
	return v
}

// Instance returns the instance of that id, nil where there is none.
func (s *Snapshot) Instance(id service.ID) *Instance {
	i, _ := s.instances.Get(&Instance{ID: id})
	return i
}

// Namespace returns the namespace of that name; false where it holds no service.
func (s *Snapshot) Namespace(name string) (Namespace, bool) {
	return s.namespaces.Get(Namespace{Name: name})
}

// Namespaces yields the namespaces in order, from the first that is not before from.
func (s *Snapshot) Namespaces(from string) func(yield func(Namespace) bool) {
	return func(yield func(Namespace) bool) {
		s.namespaces.Ascend(Namespace{Name: from}, yield)
	}
}

// Services yields the services in order of name, from the first that is not before from.
func (s *Snapshot) Services(from service.Name) func(yield func(*View) bool) {
	return func(yield func(*View) bool) {
		s.services.Ascend(&View{Name: from}, yield)
	}
}

// InstancesOf yields the instances of a service in order of id.
func (s *Snapshot) InstancesOf(name service.Name) func(yield func(*Instance) bool) {
	return func(yield func(*Instance) bool) {
		s.instances.Ascend(&Instance{ID: service.ID{Name: name}}, func(i *Instance) bool {
			return i.Name == name && yield(i)
		})
	}
}

// Addresses yields who holds an address, in order of address and then of name, from the
// first address that is not before from. The instance is nil where the address is a
// cluster IP of the service.
func (s *Snapshot) Addresses(from netip.Addr) func(yield func(netip.Addr, Holder) bool) {
	return func(yield func(netip.Addr, Holder) bool) {
		s.holders.Ascend(holder{addr: from}, func(h holder) bool {
			return yield(h.addr, Holder{*h.service, h.instance})
		})
	}
}

// Holder is who an address belongs to: an instance, or a service by its cluster IP.
type Holder struct {
	Service  service.Name
	Instance *Instance // nil for a cluster IP
}

// Totals returns how many services and instances the table holds.
func (s *Snapshot) Totals() (namespaces, services, instances int) {
	return s.namespaces.Len(), s.services.Len(), s.instances.Len()
}
