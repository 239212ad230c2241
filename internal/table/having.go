package table

import (
	"net/netip"
	"slices"
	"sync"
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
	all := v.Prepared(addressesKey{}, v.prepareAddresses).(*addresses).list(v)
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

// addresses are those of all instances of a view, in order.
type addresses struct {
	Preparation
	once sync.Once // others wait for who makes the list: there may be many, and it is long
	all  []addressOf
}

func (v *View) prepareAddresses() *Preparation {
	a := new(addresses)
	a.Value = a
	return &a.Preparation
}

func (a *addresses) list(v *View) []addressOf {
	a.once.Do(func() {
		for _, r := range v.runs {
			for n := range r.entries {
				for addr := range r.addresses(n) {
					a.all = append(a.all, addressOf{addr, r.before + n})
				}
			}
		}
		slices.SortStableFunc(a.all, func(a, b addressOf) int { return a.addr.Compare(b.addr) })
	})
	return a.all
}
