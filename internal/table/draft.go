package table

import (
	"slices"
	"strings"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/service"
)

// Draft is a snapshot being changed: one transaction, one revision. It belongs to one
// goroutine. Nobody else sees it until what Done returns is published.
type Draft struct {
	next   *Snapshot
	base   *Snapshot
	events []Event
	sought namespace // kept, to look for others by
}

// Event is one thing that a transaction did, as watchers are told it.
type Event struct {
	Kind Kind
	Gone bool       // taken away; else put there or changed
	ID   service.ID // the ID of a service is empty

	Instance   *Instance           // of an instance that is there
	Definition *service.Definition // of a service that is there
}

// Kind says what an event is about.
type Kind uint8

// What the table holds.
const (
	KindInstance Kind = iota
	KindService
)

func (k Kind) String() string { return [...]string{"instance", "service"}[k] }

// Edit begins a draft of the next revision. The snapshot itself stays as it is. Only one
// goroutine at a time may begin drafts: trees note that they are copied.
func (s *Snapshot) Edit() *Draft {
	return &Draft{base: s, next: &Snapshot{
		Revision:   s.Revision + 1,
		made:       s.Revision + 1,
		leases:     s.leases,
		alike:      s.alike,
		namespaces: s.namespaces.Copy(),
		instances:  s.instances,
		aliases:    s.aliases,
		services:   s.services,
		names:      s.names.Copy(),
		holders:    s.holders,
	}}
}

// Revision returns the number that the draft's snapshot will have.
func (d *Draft) Revision() uint64 { return d.next.Revision }

// Instance returns the instance of that id as the draft has it, nil where there is none or it has
// expired.
func (d *Draft) Instance(id service.ID) *Instance { return d.next.Instance(id) }

// Leased returns the instances that have these leases, as far as the draft has such, in no order.
func (d *Draft) Leased(leases []*lease.Lease) []*Instance { return d.next.leased(leases) }

// Has reports whether the draft holds an instance of that id, expired or not.
func (d *Draft) Has(id service.ID) bool { return d.next.instance(id) != nil }

// Service returns the service of that name as the draft has it, nil where there is none. See
// [Snapshot.Service].
func (d *Draft) Service(name service.Name) *View { return d.next.Service(name) }

// Totals returns how much the draft holds.
func (d *Draft) Totals() (namespaces, services, instances int) { return d.next.Totals() }

// HasNamespace reports whether the draft holds a service in that namespace.
func (d *Draft) HasNamespace(name string) bool {
	_, ok := d.next.namespaces.Get(newNamespace(name))
	return ok
}

// Changed reports whether the draft differs from what it was begun on.
func (d *Draft) Changed() bool { return len(d.events) > 0 }

// Put places an instance, new or in the place of the one of the same id, and stamps it
// with the draft's revision. It is new, or a copy of one of this table. A new one is given its
// lease, which must be dropped if the draft comes to nothing. Put returns the lease of the
// instance whose place a new one takes, expired or not, which must be dropped if it does not.
func (d *Draft) Put(i *Instance) (replaced *lease.Lease) {
	i.Revision = d.next.Revision
	view := d.touch(i.name)
	i.name = view.Name
	i.traits = d.next.alike.of(i.traits)
	if i.lease == nil && i.length > 0 {
		i.lease = d.next.leases.New(i.length, i.tenant(), i.begins)
	}
	r, at, known := view.runs.find(i.id)
	if known {
		was := view.read(view.runs[r].block, at)
		d.replaceHolds(was, i)
		if was.lease != i.lease {
			replaced = was.lease
		}
	} else {
		i.id = strings.Clone(i.id) // a request's, all of which it would keep
		d.next.instances++
		d.inNamespace(view.Namespace, func(n *Namespace) { n.count(i.Status, 1) })
		for _, addr := range i.Addresses {
			d.next.hold(addr, i.ID())
		}
	}
	if i.Hostname == i.id {
		i.Hostname = i.id
	}
	view.runs.put(d.next.Revision, r, at, i, known)
	d.events = append(d.events, Event{Kind: KindInstance, ID: i.ID(), Instance: i})
	return replaced
}

// replaceHolds takes from an instance what the one that comes in its place does not hold, and
// gives that one the rest.
func (d *Draft) replaceHolds(was, is *Instance) {
	for _, addr := range was.Addresses {
		if !slices.Contains(is.Addresses, addr) {
			d.next.holders.release(d.next.made, addr, was.ID())
		}
	}
	for _, addr := range is.Addresses {
		if slices.Contains(was.Addresses, addr) {
			d.next.holders.touch(d.next.made, addr)
		} else {
			d.next.hold(addr, is.ID())
		}
	}
	if was.Status != is.Status {
		d.inNamespace(is.name.Namespace, func(n *Namespace) {
			n.count(was.Status, -1)
			n.count(is.Status, 1)
		})
	}
}

// Remove takes an instance away, and its service with the last one unless that was
// defined. It returns the instance, nil where there is none.
func (d *Draft) Remove(id service.ID) *Instance {
	old := d.next.instance(id)
	if old == nil {
		return nil
	}
	view := d.touch(id.Name)
	r, at, _ := view.runs.find(id.ID)
	view.runs.remove(d.next.Revision, r, at)
	d.dropInstance(old)
	if view.Len() == 0 && view.Definition == nil {
		d.dropService(view)
	}
	return old
}

// Define gives a service its definition, which belongs to the table from now on.
func (d *Draft) Define(name service.Name, def *service.Definition) {
	view := d.touch(name)
	d.dropClusterIPs(view)
	d.next.aliases += aliases(def) - aliases(view.Definition)
	if answersOthers(def, view.Definition) {
		for _, i := range view.Numbered {
			for _, addr := range i.Addresses {
				d.next.holders.touch(d.next.made, addr)
			}
		}
	}
	view.Definition = def
	for _, addr := range def.ClusterIPs {
		d.next.hold(addr, service.ID{Name: view.Name})
	}
	d.events = append(d.events, Event{Kind: KindService, ID: service.ID{Name: view.Name}, Definition: def})
}

// Undefine takes a service away with all its instances, which it returns; false where
// there is no such service.
func (d *Draft) Undefine(name service.Name) (instances []*Instance, ok bool) {
	if d.next.service(name) == nil {
		return nil, false
	}
	view := d.touch(name)
	for _, i := range view.Numbered {
		instances = append(instances, i)
	}
	view.runs = nil
	for _, i := range instances {
		d.dropInstance(i)
	}
	d.dropClusterIPs(view)
	d.dropService(view)
	d.events = append(d.events, Event{Kind: KindService, Gone: true, ID: service.ID{Name: view.Name}})
	return instances, true
}

// Done ends the draft and returns what is to be published: the next snapshot, and what
// happened on the way to it, in order.
func (d *Draft) Done() (*Snapshot, []Event) { return d.next, d.events }

// touch returns the service's view in the draft, made anew if need be, since a
// published view never changes.
func (d *Draft) touch(name service.Name) *View {
	view := d.next.service(name)
	switch {
	case view == nil:
		view = &View{Name: name.Clone(), leases: d.next.leases}
		view.runs = view.one[:0]
		d.next.names.Set(view.Name)
		d.inNamespace(view.Namespace, func(n *Namespace) { n.Services++ })
	case view.Revision == d.next.Revision:
		return view // this draft's own
	default:
		was := view
		view = &View{Name: was.Name, Definition: was.Definition, leases: was.leases}
		view.runs = append(view.one[:0], was.runs...)
	}
	view.Revision = d.next.Revision
	d.next.services.set(d.next.made, hash(view.Name), view.Name, view)
	return view
}

// dropInstance takes away what the table holds of an instance besides its service.
func (d *Draft) dropInstance(i *Instance) {
	d.next.instances--
	for _, addr := range i.Addresses {
		d.next.holders.release(d.next.made, addr, i.ID())
	}
	d.inNamespace(i.name.Namespace, func(n *Namespace) { n.count(i.Status, -1) })
	d.events = append(d.events, Event{Kind: KindInstance, Gone: true, ID: i.ID().Clone()})
}

func (d *Draft) dropClusterIPs(view *View) {
	if view.Definition == nil {
		return
	}
	for _, addr := range view.Definition.ClusterIPs {
		d.next.holders.release(d.next.made, addr, service.ID{Name: view.Name})
	}
}

// aliases returns how many services that are another name a definition makes.
func aliases(def *service.Definition) int {
	if def != nil && def.Type == service.ExternalName {
		return 1
	}
	return 0
}

// answersOthers reports whether with one definition other instances are answered than with another.
func answersOthers(def, was *service.Definition) bool {
	if was == nil {
		was = &service.Definition{}
	}
	return aliases(def) != aliases(was) || def.PublishNotReady != was.PublishNotReady
}

func (d *Draft) dropService(view *View) {
	d.next.aliases -= aliases(view.Definition)
	d.next.services.delete(d.next.made, hash(view.Name), view.Name)
	d.next.names.Delete(view.Name)
	d.inNamespace(view.Namespace, func(n *Namespace) { n.Services-- })
}

// inNamespace changes a namespace's counts. A namespace with nothing in it is gone.
func (d *Draft) inNamespace(name string, change func(*Namespace)) {
	d.sought.Name = name
	n, ok := d.next.namespaces.Get(&d.sought)
	if !ok || n.made != d.next.made {
		own := newNamespace(name)
		if ok {
			own.Namespace = n.Namespace
		}
		n, own.made = own, d.next.made
		d.next.namespaces.Set(n)
	}
	change(&n.Namespace)
	if n.Namespace == (Namespace{Name: n.Name}) {
		d.next.namespaces.Delete(n)
	}
}
