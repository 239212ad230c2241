package table

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/coredns-registry/registry/internal/lease"
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
	sole   index[netip.Addr, sole]     // of one instance and nobody else
	shared index[netip.Addr, *sharers] // of all others
}

// sole is an address, and of which service the instance is that has it. It has no pointer in
// it: which instance that is the service's view tells.
type sole struct {
	addr    [16]byte
	service uint64 // the hash of its name
}

func newSole(addr netip.Addr, name service.Name) sole { return sole{addr.As16(), hash(name)} }

// is reports whether it is that address. No address in a table is an IPv4-mapped IPv6 address,
// in the form of which those of IPv4 are kept here.
func (s sole) is(addr netip.Addr) bool { return s.addr == addr.As16() }

func (s sole) address() netip.Addr { return netip.AddrFrom16(s.addr).Unmap() }

// Holders yields who holds an address, in order of service and id.
func (s *Snapshot) Holders(addr netip.Addr) func(yield func(Holder) bool) {
	return func(yield func(Holder) bool) {
		if v, b, n, ok := s.sole(addr, (*View).having); ok {
			yield(Holder{v.Name, v.read(b, n)})
		} else if all := s.holders.shared.get(hash(addr), addr); all != nil {
			all.all(func(id service.ID) bool { return yield(s.holder(id)) })
		}
	}
}

// Sharers returns how many hold an address that more than one does; else 0.
func (s *Snapshot) Sharers(addr netip.Addr) int {
	if all := s.holders.shared.get(hash(addr), addr); all != nil {
		return all.len()
	}
	return 0
}

// HoldersFrom yields the same as Holders does of an address that more than one holds, but from the
// one of that number on and around the end.
func (s *Snapshot) HoldersFrom(addr netip.Addr, from int) func(yield func(Holder) bool) {
	return func(yield func(Holder) bool) {
		if all := s.holders.shared.get(hash(addr), addr); all != nil {
			all.from(from, func(id service.ID) bool { return yield(s.holder(id)) })
		}
	}
}

func (s *Snapshot) holder(id service.ID) Holder {
	if id.ID == "" {
		return Holder{Service: id.Name}
	}
	return Holder{id.Name, s.instance(id)}
}

// PreparedAt returns what was prepared of those who share an address, as [View.Prepared] does of a
// service; false where less than two hold it. It is dropped with each change of one of them.
func (s *Snapshot) PreparedAt(addr netip.Addr, key any, prepare func() *Preparation) (any, bool) {
	all := s.holders.shared.get(hash(addr), addr)
	if all == nil {
		return nil, false
	}
	return all.prepared.get(key, prepare), true
}

// Host is what is told of an instance by its address: to read all of it would take as long again.
type Host struct {
	Service  *View
	Hostname string
	Lease    *lease.Lease // nil where it is static

	status service.Status
	frozen bool // as in Snapshot
}

// Answers reports whether it is to be answered.
func (h *Host) Answers() bool {
	return live(h.Lease, h.frozen) && h.Service.answers(h.status)
}

// SoleHost returns the instance that an address belongs to; false if it belongs to nobody, or to
// more than one.
func (s *Snapshot) SoleHost(addr netip.Addr) (Host, bool) {
	v, b, n, ok := s.sole(addr, (*View).having)
	if !ok {
		return Host{}, false
	}
	e := &b.entries[n]
	_, hostname, _ := b.names(e)
	return Host{Service: v, Hostname: hostname, Lease: v.leases.Lease(e.lease), status: e.status, frozen: s.frozen}, true
}

// sole returns where the instance is that alone has an address, as having finds it in its service.
func (s *Snapshot) sole(addr netip.Addr, having func(*View, netip.Addr) (*block, int, bool)) (*View, *block, int, bool) {
	found := s.holders.sole.get(hash(addr), addr)
	if found == (sole{}) {
		return nil, nil, 0, false
	}
	for v := range s.services.hashed(found.service) {
		if b, n, ok := having(v, addr); ok {
			return v, b, n, true
		}
	}
	return nil, nil, 0, false
}

// Addresses yields who holds which address, in order of address and then as Holders does,
// from the first address that is not before from. It looks at all there are and puts them
// into order first: for one address there is Holders.
func (s *Snapshot) Addresses(from netip.Addr) func(yield func(netip.Addr, Holder) bool) {
	return func(yield func(netip.Addr, Holder) bool) {
		for _, addr := range s.holders.addresses(from) {
			for h := range s.Holders(addr) {
				if !yield(addr, h) {
					return
				}
			}
		}
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
	for e := range hs.sole.all {
		add(e.address())
	}
	for e := range hs.shared.all {
		add(e.addr)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}

// hold notes that an address belongs to an instance, or to a service by its cluster IP, which
// it did not before. The instance is not in the snapshot yet, or no other after it in order is
// noted.
func (s *Snapshot) hold(addr netip.Addr, by service.ID) {
	hash, hs := hash(addr), &s.holders
	if others := hs.shared.get(hash, addr); others != nil {
		hs.shared.set(s.made, hash, addr, others.with(by))
		return
	}
	alone := hs.sole.get(hash, addr)
	if alone == (sole{}) && by.ID != "" {
		hs.sole.set(s.made, hash, addr, newSole(addr, by.Name))
		return
	}
	shared := &sharers{addr: addr}
	if alone != (sole{}) {
		v, b, n, ok := s.sole(addr, (*View).search)
		if !ok {
			return // it is listed twice by one that is about to come in
		}
		hs.sole.delete(s.made, hash, addr)
		shared = shared.with(service.ID{Name: v.Name, ID: b.id(n)})
	}
	hs.shared.set(s.made, hash, addr, shared.with(by))
}

// holdAll notes all addresses of all services. None is noted yet.
func (s *Snapshot) holdAll(views []*View) {
	type place struct{ view, number uint32 }
	count := 0
	for _, view := range views {
		for _, r := range view.runs {
			for n := range r.entries {
				count += int(r.entries[n].addresses)
			}
		}
	}
	alone, hashes, places := make([]sole, 0, count), make([]uint64, 0, count), make([]place, 0, count)
	for v, view := range views {
		service := hash(view.Name)
		for _, r := range view.runs {
			for n := range r.entries {
				for addr := range r.addresses(n) {
					alone = append(alone, sole{addr.As16(), service})
					hashes = append(hashes, hash(addr))
					places = append(places, place{uint32(v), uint32(r.before + n)})
				}
			}
		}
	}
	shared := s.holders.sole.fill(s.made, hashes, func(n int) (netip.Addr, sole) { return alone[n].address(), alone[n] })
	for _, n := range shared {
		s.hold(alone[n].address(), views[places[n].view].At(int(places[n].number)).ID())
	}
	for _, view := range views {
		if view.Definition != nil {
			for _, addr := range view.Definition.ClusterIPs {
				s.hold(addr, service.ID{Name: view.Name})
			}
		}
	}
}

// touch notes that what is told of one who holds an address has changed.
func (hs *holders) touch(revision uint64, addr netip.Addr) {
	hash := hash(addr)
	if s := hs.shared.get(hash, addr); s != nil {
		hs.shared.set(revision, hash, addr, s.afresh())
	}
}

// release notes that an address belongs to an instance, or to a service by its cluster IP, no
// longer.
func (hs *holders) release(revision uint64, addr netip.Addr, by service.ID) {
	hash := hash(addr)
	s := hs.shared.get(hash, addr)
	if s == nil {
		hs.sole.delete(revision, hash, addr)
		return
	}
	s = s.without(by)
	switch {
	case s.len() > 1 || s.len() == 1 && s.few[0].ID == "":
		hs.shared.set(revision, hash, addr, s)
		return
	case s.len() == 1:
		hs.sole.set(revision, hash, addr, newSole(addr, s.few[0].Name))
	}
	hs.shared.delete(revision, hash, addr)
}

// sharers are the holders of one address, in order; the ID of a service that has it as a cluster
// IP is empty. They are never changed: when what is told of one of them changes, others take their
// place, and what was prepared of them goes.
type sharers struct {
	addr     netip.Addr
	few      []service.ID
	many     *btree.BTreeG[service.ID] // in the place of few where there are more: thousands may be
	prepared prepared
}

const mostFew = 32

func (s *sharers) is(addr netip.Addr) bool { return s.addr == addr }

// compare orders holders by the names of their services, then by their ids.
func compare(a, b service.ID) int {
	return cmp.Or(a.Name.Compare(b.Name), strings.Compare(a.ID, b.ID))
}

func (s *sharers) len() int {
	if s.many != nil {
		return s.many.Len()
	}
	return len(s.few)
}

func (s *sharers) all(yield func(service.ID) bool) {
	if s.many != nil {
		s.many.Scan(yield)
		return
	}
	for _, id := range s.few {
		if !yield(id) {
			return
		}
	}
}

// from yields all from the n-th on and around the end.
func (s *sharers) from(n int, yield func(service.ID) bool) {
	if s.many == nil {
		for k := range s.few {
			if !yield(s.few[(n+k)%len(s.few)]) {
				return
			}
		}
		return
	}
	first, ok := s.many.GetAt(n)
	if !ok {
		return
	}
	more := true
	s.many.Ascend(first, func(id service.ID) bool {
		more = yield(id)
		return more
	})
	if more {
		s.many.Scan(func(id service.ID) bool { return compare(id, first) < 0 && yield(id) })
	}
}

// afresh returns the same holders, of which nothing is prepared.
func (s *sharers) afresh() *sharers { return &sharers{addr: s.addr, few: s.few, many: s.many} }

// with returns the holders with one more.
func (s *sharers) with(id service.ID) *sharers {
	id = id.Clone()
	if s.many != nil {
		many := s.many.Copy()
		many.Set(id)
		return &sharers{addr: s.addr, many: many}
	}
	at, known := slices.BinarySearchFunc(s.few, id, compare)
	after := s.few[at:]
	if known {
		after = after[1:]
	}
	few := slices.Concat(s.few[:at], []service.ID{id}, after)
	if len(few) <= mostFew {
		return &sharers{addr: s.addr, few: few}
	}
	many := newTree(func(a, b service.ID) bool { return compare(a, b) < 0 })
	for _, id := range few {
		many.Load(id)
	}
	return &sharers{addr: s.addr, many: many}
}

// without returns the holders without one.
func (s *sharers) without(id service.ID) *sharers {
	if s.many == nil {
		return &sharers{addr: s.addr, few: slices.DeleteFunc(slices.Clone(s.few), func(with service.ID) bool {
			return id == with
		})}
	}
	many := s.many.Copy()
	many.Delete(id)
	if many.Len() > mostFew/2 {
		return &sharers{addr: s.addr, many: many}
	}
	return &sharers{addr: s.addr, few: many.Items()}
}
