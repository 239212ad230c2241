package table

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/coredns-registry/registry/service"

	"github.com/tidwall/btree"
)

// Holder is who an address belongs to: an instance, or a service by its cluster IP.
type Holder struct {
	Service  service.Name
	Instance *Instance // nil for a cluster IP
}

// holders are all addresses with those that they belong to. A copy is a snapshot, as that
// of an index is. Most addresses are one instance's, and take no more than a place in an
// index.
type holders struct {
	sole   index[netip.Addr, *Instance] // of one instance and nobody else
	shared index[netip.Addr, *sharers]  // of all others
}

// holder is who an address belongs to, without a copy of the name.
type holder struct {
	service  *service.Name
	instance *Instance // nil for a cluster IP
}

func heldBy(i *Instance) holder { return holder{i.name, i} }

func (h holder) id() string {
	if h.instance == nil {
		return ""
	}
	return h.instance.id
}

// compare orders holders by the names of their services, then by their ids.
func (h holder) compare(with holder) int {
	return cmp.Or(h.service.Compare(*with.service), cmp.Compare(h.id(), with.id()))
}

// is reports whether the address is one of the instance's: it is found by each.
func (i *Instance) is(addr netip.Addr) bool { return slices.Contains(i.Addresses, addr) }

// of yields who holds an address, in order of service and id.
func (hs *holders) of(addr netip.Addr, yield func(Holder) bool) {
	hash := hash(addr)
	if i := hs.sole.get(hash, addr); i != nil {
		yield(Holder{*i.name, i})
	} else if s := hs.shared.get(hash, addr); s != nil {
		s.all(func(h holder) bool { return yield(Holder{*h.service, h.instance}) })
	}
}

// addresses returns those that are held and are not before from, in order. It looks at all
// of them.
func (hs *holders) addresses(from netip.Addr) []netip.Addr {
	var addrs []netip.Addr
	add := func(addr netip.Addr) {
		if !addr.Less(from) {
			addrs = append(addrs, addr)
		}
	}
	for i := range hs.sole.all {
		for _, addr := range i.Addresses { // as often as it is there
			add(addr)
		}
	}
	for s := range hs.shared.all {
		add(s.addr)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}

// add notes that an address belongs to a holder, in the place of the one of the same name
// and id if there is one.
func (hs *holders) add(revision uint64, addr netip.Addr, h holder) {
	hash := hash(addr)
	if s := hs.shared.get(hash, addr); s != nil {
		hs.shared.set(revision, hash, addr, s.with(h))
		return
	}
	was := hs.sole.get(hash, addr)
	switch {
	case h.instance != nil && (was == nil || was.ID() == h.instance.ID()):
		hs.sole.set(revision, hash, addr, h.instance)
	case was == nil:
		hs.shared.set(revision, hash, addr, &sharers{addr: addr, few: []holder{h}})
	default:
		hs.sole.delete(revision, hash, addr)
		s := &sharers{addr: addr, few: []holder{heldBy(was)}}
		hs.shared.set(revision, hash, addr, s.with(h))
	}
}

// remove notes that an address belongs to a holder no longer.
func (hs *holders) remove(revision uint64, addr netip.Addr, h holder) {
	hash := hash(addr)
	s := hs.shared.get(hash, addr)
	if s == nil {
		hs.sole.delete(revision, hash, addr)
		return
	}
	s = s.without(h)
	switch {
	case s.len() > 1 || s.len() == 1 && s.few[0].instance == nil:
		hs.shared.set(revision, hash, addr, s)
		return
	case s.len() == 1:
		hs.sole.set(revision, hash, addr, s.few[0].instance)
	}
	hs.shared.delete(revision, hash, addr)
}

// sharers are the holders of one address, in order. They are never changed.
type sharers struct {
	addr netip.Addr
	few  []holder
	many *btree.BTreeG[holder] // in the place of few where there are more: thousands may be
}

const mostFew = 32

func (s *sharers) is(addr netip.Addr) bool { return s.addr == addr }

func (s *sharers) len() int {
	if s.many != nil {
		return s.many.Len()
	}
	return len(s.few)
}

func (s *sharers) all(yield func(holder) bool) {
	if s.many != nil {
		s.many.Scan(yield)
		return
	}
	for _, h := range s.few {
		if !yield(h) {
			return
		}
	}
}

// with returns the holders with one more, or with another of the same name and id.
func (s *sharers) with(h holder) *sharers {
	if s.many != nil {
		many := s.many.Copy()
		many.Set(h)
		return &sharers{addr: s.addr, many: many}
	}
	at, known := slices.BinarySearchFunc(s.few, h, holder.compare)
	after := s.few[at:]
	if known {
		after = after[1:]
	}
	few := slices.Concat(s.few[:at], []holder{h}, after)
	if len(few) <= mostFew {
		return &sharers{addr: s.addr, few: few}
	}
	many := newTree(func(a, b holder) bool { return a.compare(b) < 0 })
	for _, h := range few {
		many.Load(h)
	}
	return &sharers{addr: s.addr, many: many}
}

// without returns the holders without one.
func (s *sharers) without(h holder) *sharers {
	if s.many == nil {
		return &sharers{addr: s.addr, few: slices.DeleteFunc(slices.Clone(s.few), func(with holder) bool {
			return h.compare(with) == 0
		})}
	}
	many := s.many.Copy()
	many.Delete(h)
	if many.Len() > mostFew/2 {
		return &sharers{addr: s.addr, many: many}
	}
	return &sharers{addr: s.addr, few: many.Items()}
}
