package table

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/coredns-registry/registry/service"
)

// twin is the table as it would be if it cost nothing to look through all of it: three
// maps, and no counts.
type twin struct {
	instances   map[service.ID]*Instance
	definitions map[service.Name]*service.Definition
	changed     map[service.Name]uint64 // the revision of a service
}

func newTwin() *twin {
	return &twin{
		map[service.ID]*Instance{},
		map[service.Name]*service.Definition{},
		map[service.Name]uint64{},
	}
}

func (t *twin) clone() *twin {
	return &twin{maps.Clone(t.instances), maps.Clone(t.definitions), maps.Clone(t.changed)}
}

func (t *twin) put(revision uint64, i *Instance) {
	t.instances[i.ID()] = i
	t.changed[i.Name()] = revision
}

func (t *twin) remove(revision uint64, id service.ID) *Instance {
	i := t.instances[id]
	delete(t.instances, id)
	if i != nil {
		t.changed[id.Name] = revision
	}
	return i
}

func (t *twin) define(revision uint64, name service.Name, d *service.Definition) {
	t.definitions[name] = d
	t.changed[name] = revision
}

func (t *twin) undefine(revision uint64, name service.Name) []*Instance {
	instances := t.of(name)
	for _, i := range instances {
		delete(t.instances, i.ID())
	}
	delete(t.definitions, name)
	t.changed[name] = revision
	return instances
}

// replay does what the events of a revision tell.
func (t *twin) replay(revision uint64, events []Event) {
	for _, e := range events {
		switch {
		case e.Kind == KindInstance && e.Gone:
			t.remove(revision, e.ID)
		case e.Kind == KindInstance:
			t.put(revision, e.Instance)
		case e.Gone:
			t.undefine(revision, e.ID.Name)
		default:
			t.define(revision, e.ID.Name, e.Definition)
		}
	}
}

func (t *twin) exists(name service.Name) bool {
	return t.definitions[name] != nil || len(t.of(name)) > 0
}

// of returns the instances of a service in order of id.
func (t *twin) of(name service.Name) (instances []*Instance) {
	for id, i := range t.instances {
		if id.Name == name {
			instances = append(instances, i)
		}
	}
	slices.SortFunc(instances, func(a, b *Instance) int { return strings.Compare(a.id, b.id) })
	return instances
}

func (t *twin) names() []service.Name {
	names := map[service.Name]bool{}
	for id := range t.instances {
		names[id.Name] = true
	}
	for name := range t.definitions {
		names[name] = true
	}
	return slices.SortedFunc(maps.Keys(names), service.Name.Compare)
}

// The two descriptions that follow write down all that a table tells, in the same form.

func (t *twin) String() string {
	var b strings.Builder
	var namespaces []Namespace
	for _, name := range t.names() {
		if n := len(namespaces); n == 0 || namespaces[n-1].Name != name.Namespace {
			namespaces = append(namespaces, Namespace{Name: name.Namespace})
		}
		namespace := &namespaces[len(namespaces)-1]
		namespace.Services++
		instances := t.of(name)
		describeService(&b, name, t.changed[name], t.definitions[name], len(instances))
		for _, i := range instances {
			describeInstance(&b, i)
			switch i.Status {
			case service.Up:
				namespace.Up++
			case service.Draining:
				namespace.Draining++
			case service.Down:
				namespace.Down++
			}
		}
	}
	for _, n := range namespaces {
		describeNamespace(&b, n)
	}
	for _, h := range t.holders() {
		describeHolder(&b, h)
	}
	fmt.Fprintf(&b, "%d namespaces, %d services, %d instances\n", len(namespaces), len(t.names()), len(t.instances))
	return b.String()
}

func (t *twin) holders() (holders []held) {
	for _, i := range t.instances {
		for _, addr := range i.Addresses {
			holders = append(holders, held{addr, Holder{i.Name(), i}})
		}
	}
	for name, d := range t.definitions {
		for _, addr := range d.ClusterIPs {
			holders = append(holders, held{addr, Holder{name, nil}})
		}
	}
	slices.SortFunc(holders, func(a, b held) int {
		return cmp.Or(a.addr.Compare(b.addr), a.Service.Compare(b.Service), strings.Compare(a.id(), b.id()))
	})
	return holders
}

type held struct {
	addr netip.Addr
	Holder
}

func (h held) id() string {
	if h.Instance == nil {
		return ""
	}
	return h.Instance.id
}

func describe(s *Snapshot) string {
	var b strings.Builder
	for v := range s.Services(service.Name{}) {
		describeService(&b, v.Name, v.Revision, v.Definition, v.Len())
		for i := range s.InstancesOf(v.Name) {
			describeInstance(&b, i)
		}
	}
	for n := range s.Namespaces("") {
		describeNamespace(&b, n)
	}
	for addr, h := range s.Addresses(netip.Addr{}) {
		describeHolder(&b, held{addr, h})
	}
	namespaces, services, instances := s.Totals()
	fmt.Fprintf(&b, "%d namespaces, %d services, %d instances\n", namespaces, services, instances)
	return b.String()
}

func describeService(b *strings.Builder, name service.Name, revision uint64, d *service.Definition, instances int) {
	fmt.Fprintf(b, "%s at %d, defined as %p, %d instances\n", name, revision, d, instances)
}

func describeInstance(b *strings.Builder, i *Instance) {
	fmt.Fprintf(b, "\t%s\n", told(i))
}

func describeNamespace(b *strings.Builder, n Namespace) {
	fmt.Fprintf(b, "%s: %d services, %d up, %d draining, %d down\n", n.Name, n.Services, n.Up, n.Draining, n.Down)
}

func describeHolder(b *strings.Builder, h held) {
	fmt.Fprintf(b, "%s belongs to %s, %s\n", h.addr, h.Service, told(h.Instance))
}

// told writes down all that an instance says.
func told(i *Instance) string {
	if i == nil {
		return "no instance"
	}
	said := i.Said()
	weight := "no weight"
	if said.Weight != nil {
		weight = fmt.Sprint(*said.Weight)
	}
	said.Weight = nil
	return fmt.Sprintf("%s at %d, registered %s, leased %v, %s: %+v", i.ID(), i.Revision, i.RegisteredAt(), i.Lease() != nil, weight, said)
}

// tell writes down some instances.
func tell(instances []*Instance) string {
	var b strings.Builder
	for _, i := range instances {
		fmt.Fprintln(&b, told(i))
	}
	return b.String()
}

// tellHolders writes down some holders of addresses.
func tellHolders(holders []held) string {
	var b strings.Builder
	for _, h := range holders {
		describeHolder(&b, h)
	}
	return b.String()
}
