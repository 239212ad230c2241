package table

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/coredns-registry/registry/service"
)

// TestSharersAreToldFromEachOnAndAroundTheEnd: as few as stand in a list, and as many as stand in a
// tree.
func TestSharersAreToldFromEachOnAndAroundTheEnd(t *testing.T) {
	addr, name := netip.MustParseAddr("192.0.2.7"), service.Name{Namespace: "prod", Service: "web"}
	for _, n := range []int{2, 3, mostFew, mostFew + 1, 5 * mostFew} {
		d := Empty(0).Edit()
		var want []string
		for k := range n {
			id := service.ID{Name: name, ID: fmt.Sprintf("i-%03d", k)}
			want = append(want, id.ID)
			d.Put(NewInstance(id, service.Instance{Addresses: []netip.Addr{addr}, Status: service.Up}, time.Time{}, 0))
		}
		s, _ := d.Done()
		if got := s.Sharers(addr); got != n {
			t.Errorf("%d share it, want %d", got, n)
		}
		for _, from := range []int{0, 1, n / 2, n - 1} {
			var got []string
			for h := range s.HoldersFrom(addr, from) {
				got = append(got, h.Instance.ID().ID)
			}
			if want := slices.Concat(want[from:], want[:from]); !slices.Equal(got, want) {
				t.Errorf("of %d from %d on: got %v", n, from, got)
			}
			for range s.HoldersFrom(addr, from) {
				break // who has seen enough may stop
			}
		}
	}
}

// TestWhatIsPreparedOfAnAddressLastsUntilAHolderChanges, and no shorter.
func TestWhatIsPreparedOfAnAddressLastsUntilAHolderChanges(t *testing.T) {
	addr, other := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.8")
	name := service.Name{Namespace: "prod", Service: "web"}
	at := func(id string, addrs ...netip.Addr) *Instance {
		return NewInstance(service.ID{Name: name, ID: id}, service.Instance{Addresses: addrs, Status: service.Up}, time.Time{}, 0)
	}
	made := 0
	look := func(s *Snapshot) any {
		got, shared := s.PreparedAt(addr, "key", func() *Preparation { made++; return &Preparation{Value: made} })
		if !shared {
			return nil
		}
		return got
	}
	s := Empty(0)
	for _, step := range []struct {
		sentence string
		do       func(d *Draft)
		want     any
	}{
		{"nobody has it", func(*Draft) {}, nil},
		{"one has it", func(d *Draft) { d.Put(at("a", addr)) }, nil},
		{"two share it", func(d *Draft) { d.Put(at("b", addr, other)) }, 1},
		{"nothing changes", func(*Draft) {}, 1},
		{"one comes elsewhere", func(d *Draft) { d.Put(at("c", other)) }, 1},
		{"one is told anew", func(d *Draft) { d.Put(at("b", addr)) }, 2},
		{"a third comes", func(d *Draft) { d.Put(at("d", addr)) }, 3},
		{"the service is defined, and answers the same", func(d *Draft) { d.Define(name, &service.Definition{}) }, 3},
		{"others are to be answered", func(d *Draft) { d.Define(name, &service.Definition{PublishNotReady: true}) }, 4},
		{"one goes", func(d *Draft) { d.Remove(service.ID{Name: name, ID: "d"}) }, 5},
		{"one is left", func(d *Draft) { d.Remove(service.ID{Name: name, ID: "a"}) }, nil},
	} {
		d := s.Edit()
		step.do(d)
		before := look(s)
		next, _ := d.Done()
		if got := look(next); got != step.want || look(next) != got {
			t.Errorf("%s: got %v, want %v", step.sentence, got, step.want)
		}
		if look(s) != before {
			t.Errorf("%s: it is another one before the change too", step.sentence)
		}
		s = next
	}
}
