// Package table is the set of all services and instances, by name and by address.
//
// A [Snapshot] is the whole table at one revision and never changes, so readers take
// no lock. Instances are kept packed, without pointers, and read one by one. A change is
// drafted on a snapshot ([Snapshot.Edit]) and yields the next one; both share all that the
// change did not touch. A [Table] publishes snapshots one after the other and lets watchers
// follow what changed between them.
// The package knows nothing of DNS, HTTP or stores.
package table

import (
	"slices"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/service"

	"github.com/tidwall/btree"
)

// Snapshot is the table at one revision. It is immutable; any goroutine may read it.
type Snapshot struct {
	Revision uint64
	made     uint64 // the first revision of those that were drafted together: what it copied is theirs
	frozen   bool   // instances whose leases have ended are answered, see Version

	leases *lease.Wheel // of all instances, of every snapshot that came of the first
	alike  *alike       // for whoever makes the next

	instances int // how many there are
	aliases   int // services that are another name

	// All of these share with other snapshots what did not change in between.
	services   index[service.Name, *View]
	names      *btree.BTreeG[service.Name] // of the services, in order
	namespaces *btree.BTreeG[*namespace]
	holders    holders
}

// View is one service in a snapshot. It is replaced whenever the service or one of its
// instances changes, so what was made of it once stays true for as long as it is found.
type View struct {
	service.Name
	Definition *service.Definition // nil where none was given
	Revision   uint64              // of the last change of the service or an instance

	frozen   bool // as in Snapshot
	leases   *lease.Wheel
	runs     runs   // whatever their status
	one      [1]run // all of runs where there are no more, as is the rule
	prepared prepared
}

// Len returns how many numbers of instances there are, for At: expired instances have theirs until
// they are removed. See Count.
func (v *View) Len() int { return v.runs.len() }

// Instances yields the service's instances in order of id.
func (v *View) Instances(yield func(*Instance) bool) {
	for _, i := range v.Numbered {
		if v.Live(i) && !yield(i) {
			return
		}
	}
}

// Numbered yields each instance and its number, expired ones too: see At.
func (v *View) Numbered(yield func(int, *Instance) bool) {
	for _, r := range v.runs {
		for n := range r.entries {
			if !yield(r.before+n, v.read(r.block, n)) {
				return
			}
		}
	}
}

// Ports yields the number of each instance, in order of id, and the ports that it has. It takes
// less than to read the instances.
func (v *View) Ports(yield func(number int, ports []service.Port) bool) {
	for _, r := range v.runs {
		for n := range r.entries {
			if !yield(r.before+n, r.traits[r.entries[n].traits].Ports) {
				return
			}
		}
	}
}

// At returns the instance of that number: as many stand before it, in order of id.
func (v *View) At(number int) *Instance { return v.read(v.runs.at(number)) }

// Leases returns what the leases of the service's instances are found in.
func (v *View) Leases() *lease.Wheel { return v.leases }

func (v *View) read(b *block, n int) *Instance { return b.read(n, v.Name, v.leases) }

// instance returns the instance of that id, nil where there is none.
func (v *View) instance(id string) *Instance {
	r, at, ok := v.runs.find(id)
	if !ok {
		return nil
	}
	return v.read(v.runs[r].block, at)
}

// Type returns what the service's own name leads to.
func (v *View) Type() service.Type {
	if v.Definition == nil {
		return service.Headless
	}
	return v.Definition.Type
}

// Answers reports whether an instance of the service is to be answered.
func (v *View) Answers(i *Instance) bool { return v.Live(i) && v.answers(i.Status) }

// answers reports whether an instance of that status is answered while its lease lives.
func (v *View) answers(status service.Status) bool {
	if v.Type() == service.ExternalName {
		return false
	}
	return status == service.Up || v.Definition != nil && v.Definition.PublishNotReady
}

// freeze returns the view as that of a version.
func (v *View) freeze() *View {
	return &View{Name: v.Name, Definition: v.Definition, Revision: v.Revision, frozen: true, leases: v.leases, runs: v.runs}
}

// Alone returns a view of the service as if it had one instance only, and that definition.
func (v *View) Alone(i *Instance, def *service.Definition) *View {
	alone := &View{Name: v.Name, Definition: def, Revision: v.Revision, frozen: v.frozen, leases: v.leases}
	alone.runs = append(alone.one[:0], run{0, packBlock([]*Instance{i})})
	return alone
}

// Answers reports what the view of an instance's service does. Mostly it need not look at
// that: nothing but the type of its service keeps an instance that is up from being answered.
func (s *Snapshot) Answers(i *Instance) bool {
	if s.aliases == 0 && i.Status == service.Up {
		return live(i.lease, s.frozen)
	}
	return s.Service(i.Name()).Answers(i)
}

// Namespace is a namespace with at least one service, and what it holds.
type Namespace struct {
	Name     string
	Services int
	Up       int // instances by status
	Draining int
	Down     int
}

// namespace is one in a snapshot. It is changed in place while it belongs to the revision that is
// being made, else copied.
type namespace struct {
	made uint64
	Namespace
}

func newNamespace(name string) *namespace { return &namespace{Namespace: Namespace{Name: name}} }

// Add counts a service, with its instances.
func (n *Namespace) Add(v *View) {
	n.Services++
	for _, r := range v.runs {
		for e := range r.entries {
			if entry := &r.entries[e]; v.live(v.leases.Lease(entry.lease)) {
				n.count(entry.status, 1)
			}
		}
	}
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

// is reports whether it is the service of that name, by which it is found.
func (v *View) is(name service.Name) bool { return v.Name == name }

// Empty returns a snapshot that holds nothing.
func Empty(revision uint64) *Snapshot {
	return &Snapshot{
		Revision:   revision,
		leases:     new(lease.Wheel),
		alike:      new(alike),
		names:      newTree(func(a, b service.Name) bool { return a.Compare(b) < 0 }),
		namespaces: newTree(func(a, b *namespace) bool { return a.Name < b.Name }),
	}
}

// newTree returns a set in order. Writers are serialised and readers see published trees
// only: it has no locks inside. A low degree keeps small what a change has to copy.
func newTree[T any](less func(a, b T) bool) *btree.BTreeG[T] {
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true, Degree: 16})
}

// Service returns the service of that name, nil where there is none. One that has only expired
// instances is returned until they are removed, see [View.Exists]: who has found an instance finds
// its service.
func (s *Snapshot) Service(name service.Name) *View {
	v := s.service(name)
	if s.frozen && v != nil {
		return v.freeze()
	}
	return v
}

// service returns the same, as it is in the snapshot also where that is of a version.
func (s *Snapshot) service(name service.Name) *View { return s.services.get(hash(name), name) }

// Instance returns the instance of that id, nil where there is none.
func (s *Snapshot) Instance(id service.ID) *Instance {
	v := s.Service(id.Name)
	if v == nil {
		return nil
	}
	if i := v.instance(id.ID); i != nil && v.Live(i) {
		return i
	}
	return nil
}

// instance returns the same, expired or not.
func (s *Snapshot) instance(id service.ID) *Instance {
	v := s.service(id.Name)
	if v == nil {
		return nil
	}
	return v.instance(id.ID)
}

// LeaseInfo is what a heartbeat needs to know of an instance.
type LeaseInfo struct {
	Revision uint64
	Owner    string
	Lease    *lease.Lease // nil where it is static
}

// LeaseInfo returns that of the instance of that id; false where there is none. It takes less than
// to read the instance.
func (s *Snapshot) LeaseInfo(id service.ID) (LeaseInfo, bool) {
	v := s.Service(id.Name)
	if v == nil {
		return LeaseInfo{}, false
	}
	r, at, ok := v.runs.find(id.ID)
	if !ok {
		return LeaseInfo{}, false
	}
	b := v.runs[r].block
	e := &b.entries[at]
	l := v.leases.Lease(e.lease)
	if !v.live(l) {
		return LeaseInfo{}, false
	}
	return LeaseInfo{e.revision, b.traits[e.traits].Owner, l}, true
}

// Leases returns the wheel that the leases of all instances are made on, those of earlier and
// later snapshots too.
func (s *Snapshot) Leases() *lease.Wheel { return s.leases }

// Forget drops all that was prepared of the services whose instances have these leases, and of
// the addresses of those instances: see [View.Forget].
func (s *Snapshot) Forget(leases []*lease.Lease) {
	for _, l := range leases {
		for v := range s.services.hashed(l.Tenant().Service) {
			v.Forget()
		}
	}
	for _, i := range s.leased(leases) {
		for _, addr := range i.Addresses {
			if shared := s.holders.shared.get(hash(addr), addr); shared != nil {
				shared.prepared.forget()
			}
		}
	}
}

// Named returns the name of the service that a lease's tenant is of; false where there is none
// any more.
func (s *Snapshot) Named(number uint64) (name service.Name, ok bool) {
	for v := range s.services.hashed(number) {
		return v.Name, true
	}
	return name, false
}

// leased returns the instances that have these leases, as far as there are such, in no order. Each
// service is looked through once, however many of it are sought.
func (s *Snapshot) leased(leases []*lease.Lease) (instances []*Instance) {
	sought := make(map[uint64][]lease.Number) // by service
	for _, l := range leases {
		service := l.Tenant().Service
		sought[service] = append(sought[service], l.Number())
	}
	for service, numbers := range sought {
		slices.Sort(numbers)
		for v := range s.services.hashed(service) {
			for _, r := range v.runs {
				for n := range r.entries {
					if _, ok := slices.BinarySearch(numbers, r.entries[n].lease); ok {
						instances = append(instances, v.read(r.block, n))
					}
				}
			}
		}
	}
	return instances
}

// HasNamespace reports whether there is a service in the namespace of that name.
func (s *Snapshot) HasNamespace(name string) bool {
	if _, ok := s.namespaces.Get(newNamespace(name)); !ok {
		return false
	}
	if s.frozen || !s.leases.AnyExpired() {
		return true
	}
	for v := range s.Services(service.Name{Namespace: name}) { // as a rule the first
		return v.Namespace == name
	}
	return false
}

// Namespaces yields the namespaces in order, from the first that is not before from.
func (s *Snapshot) Namespaces(from string) func(yield func(Namespace) bool) {
	return func(yield func(Namespace) bool) {
		expired := s.expired()
		s.namespaces.Ascend(newNamespace(from), func(n *namespace) bool {
			if live := n.less(expired[n.Name]); live.Services > 0 {
				return yield(live)
			}
			return true
		})
	}
}

// Services yields the services in order of name, from the first that is not before from.
func (s *Snapshot) Services(from service.Name) func(yield func(*View) bool) {
	return func(yield func(*View) bool) {
		s.names.Ascend(from, func(name service.Name) bool {
			v := s.Service(name)
			return !v.Exists() || yield(v)
		})
	}
}

// Instances yields all instances in order of name and id.
func (s *Snapshot) Instances() func(yield func(*Instance) bool) {
	return func(yield func(*Instance) bool) {
		for v := range s.Services(service.Name{}) {
			for i := range v.Instances {
				if !yield(i) {
					return
				}
			}
		}
	}
}

// InstancesOf yields the instances of a service in order of id.
func (s *Snapshot) InstancesOf(name service.Name) func(yield func(*Instance) bool) {
	return func(yield func(*Instance) bool) {
		if v := s.Service(name); v != nil {
			v.Instances(yield)
		}
	}
}

// Totals returns how many namespaces, services and instances the table holds, expired ones too
// until they are removed.
func (s *Snapshot) Totals() (namespaces, services, instances int) {
	return s.namespaces.Len(), s.services.len, s.instances
}
