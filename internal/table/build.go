package table

import (
	"cmp"
	"slices"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/service"
)

// Builder makes a snapshot of what a store has kept. It costs less than a draft of as
// many changes, and tells nobody of them. It belongs to one goroutine.
type Builder struct {
	definitions []*View
	views       []*View     // with instances, of a service maybe several
	run         []*Instance // of one service: those put last
	leases      *lease.Wheel
	alike       alike
}

// Define adds the definition of a service.
func (b *Builder) Define(name service.Name, def *service.Definition) {
	b.definitions = append(b.definitions, &View{Name: name.Clone(), Definition: def})
}

// Put adds an instance, with the revision that it has.
func (b *Builder) Put(i *Instance) {
	if b.leases == nil {
		b.leases = new(lease.Wheel)
	}
	if len(b.run) > 0 && b.run[0].name != i.name {
		b.pack()
	}
	i.traits = b.alike.of(i.traits)
	if i.length > 0 {
		i.lease = b.leases.New(i.length, i.tenant(), i.begins)
	}
	b.run = append(b.run, i)
}

// pack makes a view of the instances of one service that came together. Stores keep a service's
// instances together: so what is not packed yet is hardly ever more.
func (b *Builder) pack() {
	if len(b.run) == 0 {
		return
	}
	b.views = append(b.views, b.view(b.run))
	clear(b.run)
	b.run = b.run[:0]
}

func (b *Builder) view(instances []*Instance) *View {
	slices.SortFunc(instances, func(i, j *Instance) int { return cmp.Compare(i.id, j.id) })
	view := &View{Name: instances[0].name.Clone(), leases: b.leases}
	view.runs = view.one[:0]
	for some := range slices.Chunk(instances, blockLen) {
		view.runs = append(view.runs, run{view.runs.len(), packBlock(some)})
	}
	return view
}

// Done returns the snapshot. Every service gets the table's own revision: what it lost
// since its last change is not known, and no entity tag may stand for two states.
func (b *Builder) Done(revision uint64) *Snapshot {
	b.pack()
	s := Empty(revision)
	s.made = revision
	s.alike = &b.alike
	if b.leases != nil {
		s.leases = b.leases
	}
	// Sorted names go into their tree at its end, without a search.
	views := b.merge()
	var namespace *namespace
	for _, view := range views {
		view.Revision, view.leases = revision, s.leases
		s.instances += view.Len()
		s.aliases += aliases(view.Definition)
		s.services.set(revision, hash(view.Name), view.Name, view)
		s.names.Load(view.Name)
		if namespace == nil || namespace.Name != view.Namespace {
			namespace = newNamespace(view.Namespace)
			s.namespaces.Load(namespace)
		}
		namespace.Add(view)
	}
	s.holdAll(views)
	return s
}

// merge returns one view for each service, in order.
func (b *Builder) merge() []*View {
	all := slices.Concat(b.definitions, b.views) // of one name the definition comes first
	slices.SortStableFunc(all, func(v, w *View) int { return v.Compare(w.Name) })
	var views []*View
	for len(all) > 0 {
		view, same := all[0], 1
		for same < len(all) && all[same].Name == view.Name {
			same++
		}
		switch defined := view.Definition; {
		case same == 2 && defined != nil:
			view = all[1]
			view.Definition = defined
		case same > 1: // they did not come together
			var instances []*Instance
			for _, v := range all[:same] {
				for _, i := range v.Numbered {
					instances = append(instances, i)
				}
			}
			view = b.view(instances)
			view.Definition = defined
		}
		views, all = append(views, view), all[same:]
	}
	return views
}
