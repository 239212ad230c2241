package table

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/coredns-registry/registry/service"
)

// What a builder makes of a store's objects, in whatever order they come, is what drafts made
// of them; but for the revisions of services, which are the table's.
func TestBuiltIsAsDrafted(t *testing.T) {
	for seed := range uint64(150) {
		p := newPlayer(seed)
		drafted := Empty(1000)
		twin := newTwin()
		for range p.IntN(60) {
			d := drafted.Edit()
			p.change(t, d, twin)
			drafted, _ = d.Done()
		}
		built := rebuild(drafted, p.Rand, 7000)
		for name := range twin.changed {
			twin.changed[name] = 7000
		}
		answersAsItsViews(t, built)
		if got, want := describe(built), twin.String(); got != want {
			t.Fatalf("seed %d:\ngot\n%s\nwant\n%s", seed, got, want)
		}
		if got, want := slices.Collect(ids(built)), slices.Collect(ids(drafted)); !slices.Equal(got, want) {
			t.Fatalf("seed %d: instances in order: got %v, want %v", seed, got, want)
		}

		// It can be changed as any other, and stays as it was.
		before := describe(built)
		d := built.Edit()
		for range p.IntN(20) {
			p.change(t, d, twin)
		}
		next, _ := d.Done()
		if got, want := describe(next), twin.String(); got != want {
			t.Fatalf("seed %d: changed: got\n%s\nwant\n%s", seed, got, want)
		}
		if got := describe(built); got != before {
			t.Fatalf("seed %d: a later draft has changed it: got\n%s\nwant\n%s", seed, got, before)
		}
	}
}

// rebuild makes the same table from its objects, in random order.
func rebuild(s *Snapshot, random *rand.Rand, revision uint64) *Snapshot {
	var b Builder
	var put []func()
	for view := range s.Services(service.Name{}) {
		if view.Definition != nil {
			put = append(put, func() { b.Define(view.Name, view.Definition) })
		}
	}
	for i := range s.Instances() {
		put = append(put, func() { b.Put(i) })
	}
	for _, n := range random.Perm(len(put)) {
		put[n]()
	}
	return b.Done(revision)
}

func ids(s *Snapshot) func(yield func(service.ID) bool) {
	return func(yield func(service.ID) bool) {
		for i := range s.Instances() {
			if !yield(i.ID()) {
				return
			}
		}
	}
}

func TestNothingBuiltIsAnEmptyTable(t *testing.T) {
	var b Builder
	if got, want := describe(b.Done(7)), describe(Empty(7)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A service is built alone: one instance of a million in the table, when it is all that is
// left of them, keeps no other alive by a slice that they shared; and changing one service
// changes no other.
func TestBuiltServicesShareNothing(t *testing.T) {
	var b Builder
	for n := range 100 {
		b.Put(static(
			service.ID{Name: service.Name{Namespace: "n", Service: fmt.Sprint("s", n/10)}, ID: fmt.Sprint("i", n%10)},
			service.Instance{Status: service.Up, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})}},
		))
	}
	s := b.Done(1)
	for view := range s.Services(service.Name{}) {
		for _, r := range view.runs {
			if cap(r.entries) > 12 {
				t.Errorf("%s: %d instances stand in room for %d", view.Name, len(r.entries), cap(r.entries))
			}
		}
	}
	before := describe(s)
	d := s.Edit()
	for n := range 10 {
		d.Put(static(service.ID{Name: service.Name{Namespace: "n", Service: fmt.Sprint("s", n)}, ID: "new"}, service.Instance{}))
	}
	if got := describe(s); got != before {
		t.Errorf("a draft has changed what it was begun on: got\n%s\nwant\n%s", got, before)
	}
}
