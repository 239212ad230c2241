package table

import (
	"net/netip"
	"slices"
)

// searched is how many instances are looked through for an address, at every query for it. Of
// a larger service a list is made first.
const searched = 64

// having returns where the first instance of the service is that has an address; false where none
// has it. The view must be published: what is made of it is kept.
func (v *View) having(addr netip.Addr) (*block, int, bool) {
	if v.Len() <= searched {
		return v.search(addr)
	}
	all := v.Prepared(addressesKey{}, v.addresses).([]addressOf)
	at, ok := slices.BinarySearchFunc(all, addr, func(a addressOf, addr netip.Addr) int { return a.addr.Compare(addr) })
	if !ok {
		return nil, 0, false
	}
	b, n := v.runs.at(all[at].number)
	return b, n, true
}

// search returns the same. It looks at all instances of the service.
func (v *View) search(addr netip.Addr) (*block, int, bool) {
	var room [17]byte
	packed := packAddress(room[:0], addr)
	for _, r := range v.runs {
		for n := range r.entries {
			if r.has(n, packed) {
				return r.block, n, true
			}
		}
	}
	return nil, 0, false
}

// addressesKey is that of the list of all addresses of a view.
type addressesKey struct{}

// addressOf is an address, and the number of an instance that has it.
type addressOf struct {
	addr   netip.Addr
	number int
}

// addresses lists the addresses of all instances, in order.
func (v *View) addresses() *Preparation {
	var all []addressOf
	number := 0
	for i := range v.Instances {
		for _, addr := range i.Addresses {
			all = append(all, addressOf{addr, number})
		}
		number++
	}
	slices.SortStableFunc(all, func(a, b addressOf) int { return a.addr.Compare(b.addr) })
	return &Preparation{Value: all}
}
