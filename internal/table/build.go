package table

import (
	"cmp"
	"slices"

	"github.com/coredns-registry/registry/service"
)

// Builder makes a snapshot of what a store has kept. It costs less than a draft of as
// many changes, and tells nobody of them. It belongs to one goroutine.
type Builder struct {
	definitions []*View
	instances   []*Instance
}

// Define adds the definition of a service.
func (b *Builder) Define(name service.Name, def *service.Definition) {
	b.definitions = append(b.definitions, &View{Name: name.Clone(), Definition: def})
}

// Put adds an instance, with the revision that it has. It belongs to the table from now on.
func (b *Builder) Put(i *Instance) {
	// Stores keep a service's instances together: what they share is not there twice even
	// while the table is built.
	if n := len(b.instances); n > 0 && *b.instances[n-1].name == *i.name {
		i.name = b.instances[n-1].name
		i.share(b.instances[n-1:])
	}
	b.instances = append(b.instances, i)
}

// Done returns the snapshot. Every service gets the table's own revision: what it lost
// since its last change is not known, and no entity tag may stand for two states.
func (b *Builder) Done(revision uint64) *Snapshot {
	s := Empty(revision)
	s.instances = len(b.instances)
	// Sorted names go into their tree at its end, without a search.
	slices.SortFunc(b.instances, func(i, j *Instance) int {
		return cmp.Or(i.name.Compare(*j.name), cmp.Compare(i.id, j.id))
	})
	for _, view := range b.views() {
		view.Revision = revision
		s.aliases += aliases(view.Definition)
		s.services.set(revision, hash(view.Name), view.Name, view)
		s.names.Load(view.Name)
		n, _ := s.namespaces.Get(Namespace{Name: view.Namespace})
		n.Name = view.Namespace
		n.Services++
		s.namespaces.Set(n)
		if view.Definition != nil {
			holds := view.Name // not the view's own, which would be kept alive as long
			for _, addr := range view.Definition.ClusterIPs {
				s.holders.add(revision, addr, holder{&holds, nil})
			}
		}
	}
	for _, i := range b.instances {
		for _, addr := range i.Addresses {
			s.holders.add(revision, addr, heldBy(i))
		}
	}
	b.count(s)
	return s
}

// views returns the services in order: those that are defined, and those that only have
// instances. Each knows how many it has, and its name's strings are theirs.
func (b *Builder) views() []*View {
	slices.SortFunc(b.definitions, func(v, w *View) int { return v.Compare(w.Name) })
	var views []*View
	defined := b.definitions
	for start := 0; start < len(b.instances); {
		name := *b.instances[start].name
		for len(defined) > 0 && defined[0].Compare(name) < 0 {
			views, defined = append(views, defined[0]), defined[1:]
		}
		view := &View{Name: name.Clone()}
		if len(defined) > 0 && defined[0].Name == name {
			view, defined = defined[0], defined[1:]
		}
		end := start
		for end < len(b.instances) && *b.instances[end].name == name {
			end++
		}
		// A copy: a slice of all would be kept while any of its parts is.
		of := slices.Clone(b.instances[start:end])
		for n, i := range of {
			view.instances = of[:n]
			i.name = view.nameToShare()
			i.share(view.beside(n))
		}
		view.instances = of
		views = append(views, view)
		start = end
	}
	return append(views, defined...)
}

// count adds the instances to the counts of their namespaces, which all are there.
func (b *Builder) count(s *Snapshot) {
	for start := 0; start < len(b.instances); {
		n, _ := s.Namespace(b.instances[start].name.Namespace)
		end := start
		for ; end < len(b.instances) && b.instances[end].name.Namespace == n.Name; end++ {
			n.count(b.instances[end].Status, 1)
		}
		s.namespaces.Set(n)
		start = end
	}
}
