package table

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coredns-registry/registry/service"
)

// player makes random changes in a small world, where what is asked for is often there
// already, or gone.
type player struct {
	*rand.Rand
	ids int // instances that a service may have
}

// newPlayer returns one whose services have few instances, or by every third seed so many that
// they are in several blocks.
func newPlayer(seed uint64) player {
	p := player{rand.New(rand.NewPCG(seed, 7)), 5}
	if seed%3 == 2 {
		p.ids = 4 * blockLen
	}
	return p
}

func (p player) name() service.Name {
	return service.Name{
		Namespace: fmt.Sprintf("n%d", p.IntN(3)),
		Service:   fmt.Sprintf("s%d", p.IntN(4)),
	}
}

func (p player) id() service.ID {
	return service.ID{Name: p.name(), ID: fmt.Sprintf("i%d", p.IntN(p.ids))}
}

// addresses returns up to three, each once, of few: owners share them.
func (p player) addresses() (addrs []netip.Addr) {
	for _, n := range p.Perm(8)[:p.IntN(4)] {
		addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})
		if n%2 == 1 {
			addr = netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, 15: byte(n)})
		}
		addrs = append(addrs, addr)
	}
	return addrs
}

func (p player) instance() *Instance {
	id := p.id()
	is := service.Instance{
		Addresses: p.addresses(),
		Status:    service.Up + service.Status(p.IntN(3)),
		Hostname:  []string{"", id.ID, "host", strings.Repeat("h", 63)}[p.IntN(4)],
		Priority:  uint16(p.IntN(2)),
		Zone:      []string{"", "east", "west"}[p.IntN(3)],
		Metadata:  service.Metadata{{Key: "version", Value: fmt.Sprint(p.IntN(3))}}[:p.IntN(2)],
		Lease:     service.LeaseOf(int32(30 * p.IntN(2))),
	}
	if p.IntN(4) == 0 {
		weight := uint16(p.IntN(2))
		is.Weight = &weight
	}
	return NewInstance(id, is, time.UnixMicro(p.Int64N(1<<50)), 0)
}

// static returns an instance that never ends.
func static(id service.ID, is service.Instance) *Instance {
	is.Lease = service.LeaseOf(0)
	return NewInstance(id, is, time.Time{}, 0)
}

// change makes the same change on a draft and on its twin, and compares what both say
// of it.
func (p player) change(t *testing.T, d *Draft, twin *twin) {
	t.Helper()
	revision := d.Revision()
	switch p.IntN(8) {
	case 0, 1, 2, 3:
		i := p.instance()
		d.Put(i)
		twin.put(revision, i)
	case 4, 5:
		id := p.id()
		if got, want := d.Remove(id), twin.remove(revision, id); told(got) != told(want) {
			t.Fatalf("removing %s: got %s, want %s", id, told(got), told(want))
		}
	case 6:
		name, def := p.name(), &service.Definition{ClusterIPs: p.addresses()}
		if p.IntN(4) == 0 {
			def.Type = service.ExternalName
		}
		d.Define(name, def)
		twin.define(revision, name, def)
	case 7:
		name := p.name()
		existed := twin.exists(name)
		got, ok := d.Undefine(name)
		var want []*Instance
		if existed {
			want = twin.undefine(revision, name)
		}
		if ok != existed || tell(got) != tell(want) {
			t.Fatalf("undefining %s: got %v, %v, want %v, %v", name, tell(got), ok, tell(want), existed)
		}
	}
	id := p.id()
	if got, want := d.Instance(id), twin.instances[id]; told(got) != told(want) {
		t.Fatalf("%s in the draft: got %s, want %s", id, told(got), told(want))
	}
	if got := d.Service(id.Name); (got != nil) != twin.exists(id.Name) {
		t.Fatalf("service %s in the draft: got %v", id.Name, got)
	}
}

// answersAsItsViews holds what a snapshot says of its instances to what their services say.
func answersAsItsViews(t *testing.T, s *Snapshot) {
	t.Helper()
	aliases := 0
	for view := range s.Services(service.Name{}) {
		if view.Type() == service.ExternalName {
			aliases++
		}
		for i := range view.Instances {
			if got, want := s.Answers(i), view.Answers(i); got != want {
				t.Fatalf("revision %d: %s is answered: %v, want %v", s.Revision, i.ID(), got, want)
			}
		}
	}
	if s.aliases != aliases {
		t.Fatalf("revision %d: %d services are another name, counted %d", s.Revision, aliases, s.aliases)
	}
}

// TestSnapshotsAreWhatTheirTwinIsAndStaySo drafts revisions of a few changes each. Every
// snapshot must be what its twin is, at once and after all the later ones; a snapshot
// that was drafted on and then dropped, too. The events of a revision, done to what was
// before, must give what is after.
func TestSnapshotsAreWhatTheirTwinIsAndStaySo(t *testing.T) {
	for seed := range uint64(8) {
		p := newPlayer(seed)
		s, is, told := Empty(1000*seed), newTwin(), newTwin()
		var snapshots []*Snapshot
		var wants []string
		for range 150 {
			if p.IntN(4) == 0 { // a transaction that fails half way
				failed, twin := s.Edit(), is.clone()
				for range 1 + p.IntN(5) {
					p.change(t, failed, twin)
				}
			}
			d := s.Edit()
			for range p.IntN(6) {
				p.change(t, d, is)
			}
			changed := d.Changed()
			next, events := d.Done()
			if next.Revision != s.Revision+1 || changed != (len(events) > 0) {
				t.Fatalf("seed %d: revision %d after %d, changed %v with %d events", seed, next.Revision, s.Revision, changed, len(events))
			}
			told.replay(next.Revision, events)
			want := is.String()
			answersAsItsViews(t, next)
			if got := describe(next); got != want {
				t.Fatalf("seed %d, revision %d:\ngot\n%s\nwant\n%s", seed, next.Revision, got, want)
			}
			if got := told.String(); got != want {
				t.Fatalf("seed %d, revision %d, by its events:\ngot\n%s\nwant\n%s", seed, next.Revision, got, want)
			}
			if !changed && want != describe(s) {
				t.Fatalf("seed %d, revision %d: a draft without changes made another table", seed, next.Revision)
			}
			snapshots, wants = append(snapshots, next), append(wants, want)
			s = next
		}
		for n, old := range snapshots {
			if got := describe(old); got != wants[n] {
				t.Fatalf("seed %d: the snapshot of revision %d has changed:\ngot\n%s\nwant\n%s", seed, old.Revision, got, wants[n])
			}
		}
	}
}

func TestLooksUpByNameFromAnyPlace(t *testing.T) {
	p := newPlayer(99)
	s, is := Empty(0), newTwin()
	for range 100 {
		d := s.Edit()
		p.change(t, d, is)
		s, _ = d.Done()
	}
	for range 1000 {
		id := p.id()
		if got, want := s.Instance(id), is.instances[id]; told(got) != told(want) {
			t.Errorf("%s: got %s, want %s", id, told(got), told(want))
		}
		tenure, ok := s.LeaseInfo(id)
		if i := is.instances[id]; ok != (i != nil) || ok && tenure != (LeaseInfo{i.Revision, i.Owner, i.Lease()}) {
			t.Errorf("%s: a heartbeat finds %+v, %v", id, tenure, ok)
		}
		view := s.Service(id.Name)
		if (view != nil) != is.exists(id.Name) || view != nil && view.Definition != is.definitions[id.Name] {
			t.Errorf("service %s: got %v", id.Name, view)
		}
		if got, want := slices.Collect(s.InstancesOf(id.Name)), is.of(id.Name); tell(got) != tell(want) {
			t.Errorf("instances of %s: got %v, want %v", id.Name, tell(got), tell(want))
		}

		var names, wantNames []service.Name
		for v := range s.Services(id.Name) {
			names = append(names, v.Name)
		}
		for _, name := range is.names() {
			if name.Compare(id.Name) >= 0 {
				wantNames = append(wantNames, name)
			}
		}
		if !slices.Equal(names, wantNames) {
			t.Errorf("services from %s: got %v, want %v", id.Name, names, wantNames)
		}

		var spaces, wantSpaces []string
		for n := range s.Namespaces(id.Namespace) {
			spaces = append(spaces, n.Name)
			if !s.HasNamespace(n.Name) {
				t.Errorf("namespace %s is listed, and not there", n.Name)
			}
		}
		for _, name := range is.names() {
			if name.Namespace >= id.Namespace && !slices.Contains(wantSpaces, name.Namespace) {
				wantSpaces = append(wantSpaces, name.Namespace)
			}
		}
		if !slices.Equal(spaces, wantSpaces) {
			t.Errorf("namespaces from %s: got %v, want %v", id.Namespace, spaces, wantSpaces)
		}

		from := netip.AddrFrom4([4]byte{192, 0, 2, byte(p.IntN(9))})
		var holders, wantHolders []held
		for addr, h := range s.Addresses(from) {
			holders = append(holders, held{addr, h})
		}
		for _, h := range is.holders() {
			if !h.addr.Less(from) {
				wantHolders = append(wantHolders, h)
			}
		}
		if got, want := tellHolders(holders), tellHolders(wantHolders); got != want {
			t.Errorf("addresses from %s: got %v, want %v", from, got, want)
		}
	}
	if s.HasNamespace("nowhere") {
		t.Error("a namespace that is not there is there")
	}
}

// A view is what readers keep their answers with: it must be another one whenever the
// service or one of its instances is, and should be the same one otherwise.
func TestViewIsReplacedWithItsServiceAndOnlyThen(t *testing.T) {
	p := newPlayer(5)
	s, is := Empty(0), newTwin()
	for range 500 {
		d := s.Edit()
		p.change(t, d, is)
		next, events := d.Done()
		touched := map[service.Name]bool{}
		for _, e := range events {
			touched[e.ID.Name] = true
		}
		for v := range next.Services(service.Name{}) {
			if same := s.Service(v.Name) == v; same == touched[v.Name] {
				t.Fatalf("revision %d: %s touched: %v, the same view: %v", next.Revision, v.Name, touched[v.Name], same)
			}
		}
		s = next
	}
}

// Readers take no lock: what they hold is read while the next revisions are drafted on it.
func TestSnapshotIsReadWhileItIsDraftedOn(t *testing.T) {
	var table Table
	table.Open(Empty(0), noon)
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				s := table.Load()
				if got := describe(s.Snapshot); got != describe(s.Snapshot) {
					t.Errorf("revision %d has changed while it was read", s.Revision)
					return
				}
			}
		})
	}
	p, is := newPlayer(6), newTwin()
	for range 300 {
		d := table.Load().Edit()
		for range 1 + p.IntN(3) {
			p.change(t, d, is)
		}
		table.Publish(noon, d)
	}
	close(stop)
	readers.Wait()
	if got, want := describe(table.Load().Snapshot), is.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPreparedIsMadeOnceForEachKey(t *testing.T) {
	const readers, keys = 8, 4
	for range 200 {
		view := &View{}
		var got [readers][keys]any
		var start, done sync.WaitGroup
		start.Add(1)
		for r := range readers {
			done.Go(func() {
				start.Wait()
				for n := range keys {
					k := (n + r) % keys
					got[r][k] = view.Prepared(k, func() *Preparation { return &Preparation{Value: &[2]int{r, k}} })
				}
			})
		}
		start.Done()
		done.Wait()
		for k := range keys {
			for r := range readers {
				if got[r][k] != got[0][k] {
					t.Fatalf("key %d: reader %d has %v, reader 0 has %v", k, r, got[r][k], got[0][k])
				}
			}
			if value := got[0][k].(*[2]int); value[1] != k {
				t.Fatalf("key %d has what was made for key %d", k, value[1])
			}
			again := view.Prepared(k, func() *Preparation { t.Errorf("key %d is made again", k); return &Preparation{} })
			if again != got[0][k] {
				t.Fatalf("key %d: got %v later, %v before", k, again, got[0][k])
			}
		}
	}
}
