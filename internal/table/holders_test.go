package table

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/coredns-registry/registry/service"
)

// Many may share an address: those of one host, or those behind one gateway. Who holds it is
// told in order, at each revision, while their number goes over what is kept in a list and
// back to none.
func TestManyShareAnAddress(t *testing.T) {
	const most = 4 * mostFew
	addr, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	random := rand.New(rand.NewPCG(1, 2))
	s := Empty(1)
	is := newTwin()
	var past []*Snapshot
	var wants []string
	for round := range 12 {
		for _, n := range random.Perm(most) {
			d := s.Edit()
			id := service.ID{Name: service.Name{Namespace: "prod", Service: fmt.Sprintf("s%d", n%7)}, ID: fmt.Sprintf("i%d", n)}
			switch {
			case round%3 == 2:
				d.Remove(id)
				is.remove(d.Revision(), id)
			case n == 0:
				def := &service.Definition{Type: service.ClusterIP, ClusterIPs: []netip.Addr{addr}}
				d.Define(id.Name, def)
				is.define(d.Revision(), id.Name, def)
			default:
				i := static(id, service.Instance{Addresses: []netip.Addr{addr, other}, Status: service.Up})
				if random.IntN(4) == 0 {
					i.Addresses = i.Addresses[:1]
				}
				d.Put(i)
				is.put(d.Revision(), i)
			}
			s, _ = d.Done()
			for _, a := range []netip.Addr{addr, other} {
				var got, want []held
				for h := range s.Holders(a) {
					got = append(got, held{a, h})
				}
				for _, h := range is.holders() {
					if h.addr == a {
						want = append(want, h)
					}
				}
				if tellHolders(got) != tellHolders(want) {
					t.Fatalf("round %d, %s: got %d holders, want %d: %v, want %v", round, a, len(got), len(want), tellHolders(got), tellHolders(want))
				}
			}
			if random.IntN(50) == 0 {
				past, wants = append(past, s), append(wants, is.String())
			}
		}
	}
	for n, was := range past {
		if got := describe(was); got != wants[n] {
			t.Errorf("revision %d has changed:\ngot\n%s\nwant\n%s", was.Revision, got, wants[n])
		}
	}
}

// Validation lets no instance list an address twice. One that does all the same holds it once.
func TestAddressListedTwiceIsHeldOnce(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1")
	made := func() *Instance {
		return static(service.ID{Name: service.Name{Namespace: "prod", Service: "web"}, ID: "a"}, service.Instance{Addresses: []netip.Addr{addr, addr}})
	}
	d := Empty(1).Edit()
	d.Put(made())
	drafted, _ := d.Done()
	var b Builder
	b.Put(made())
	for how, s := range map[string]*Snapshot{"drafted": drafted, "built": b.Done(1)} {
		holders := 0
		for range s.Holders(addr) {
			holders++
		}
		if holders != 1 {
			t.Errorf("%s: %d hold it, want 1", how, holders)
		}
		d := s.Edit()
		d.Remove(made().ID())
		s, _ = d.Done()
		for h := range s.Holders(addr) {
			t.Errorf("%s, and taken away: %s holds it", how, h.Service)
		}
	}
}
