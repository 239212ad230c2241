package table

import (
	"net/netip"
	"slices"
	"sort"
	"strings"

	"github.com/coredns-registry/registry/internal/lease"
	"github.com/coredns-registry/registry/service"
)

// block is a few instances of a service, packed: their fixed parts in one list, what they are
// called and where they are in one string. Neither has a pointer in it. The garbage collector
// follows every pointer that there is, each time: of a million instances with a handful each it
// took half a second of a core, and whoever asked meanwhile had to wait.
//
// A block is changed in place while it belongs to the revision that is being made, else copied.
type block struct {
	made    uint64 // the revision that it belongs to
	entries []entry
	text    string // of each entry in turn: its id, its hostname, its addresses
	traits  []*traits
	one     [1]*traits // all of traits where there are no more, as is the rule
}

// entry is the fixed part of an instance.
type entry struct {
	revision   uint64
	registered int64
	lease      lease.Number
	text       uint32 // where its text begins in that of the block
	priority   uint16
	status     service.Status
	traits     uint8 // their place in those of the block
	id         uint8 // bytes of its id
	hostname   uint8 // bytes of its hostname, or sameAsID
	addresses  uint8 // how many; each is its length and so many bytes
}

const (
	// blockLen is how many instances a block has at the most: it is copied for each change of
	// one of them, and takes about 60 bytes for each.
	blockLen = 32

	sameAsID = 255 // a hostname is a label, of 63 bytes at the most
)

// id returns the id of the n-th instance.
func (b *block) id(n int) string {
	e := &b.entries[n]
	return b.text[e.text:][:e.id]
}

// end returns where the text of the n-th instance ends.
func (b *block) end(n int) uint32 {
	if n+1 < len(b.entries) {
		return b.entries[n+1].text
	}
	return uint32(len(b.text))
}

// find returns where the instance of that id is, or would be.
func (b *block) find(id string) (int, bool) {
	return sort.Find(len(b.entries), func(n int) int { return strings.Compare(id, b.id(n)) })
}

// names returns the id and the hostname of an entry, and the text of its addresses.
func (b *block) names(e *entry) (id, hostname, addresses string) {
	text := b.text[e.text:]
	id, text = text[:e.id], text[e.id:]
	if e.hostname == sameAsID {
		return id, id, text
	}
	return id, text[:e.hostname], text[e.hostname:]
}

// read makes an instance of the n-th, of that service.
func (b *block) read(n int, name service.Name, leases *lease.Wheel) *Instance {
	e := &b.entries[n]
	i := &Instance{
		Revision:   e.revision,
		Priority:   e.priority,
		Status:     e.status,
		traits:     b.traits[e.traits],
		name:       name,
		registered: e.registered,
		lease:      leases.Lease(e.lease),
	}
	i.id, i.Hostname, _ = b.names(e)
	i.length = i.lease.Length()
	if e.addresses > 0 {
		i.Addresses = i.address[:0]
	}
	for addr := range b.addresses(n) {
		i.Addresses = append(i.Addresses, addr)
	}
	return i
}

// addresses yields those of the n-th instance.
func (b *block) addresses(n int) func(yield func(netip.Addr) bool) {
	return func(yield func(netip.Addr) bool) {
		e := &b.entries[n]
		_, _, left := b.names(e)
		for range e.addresses {
			var addr netip.Addr
			addr, left = cutAddress(left)
			if !yield(addr) {
				return
			}
		}
	}
}

// has reports whether the n-th instance has an address, which is packed.
func (b *block) has(n int, addr []byte) bool {
	e := &b.entries[n]
	_, _, addresses := b.names(e)
	for range e.addresses {
		if strings.HasPrefix(addresses, string(addr)) {
			return true
		}
		addresses = addresses[1+addresses[0]:]
	}
	return false
}

// cutAddress cuts the first address off some.
func cutAddress(text string) (netip.Addr, string) {
	n := 1 + int(text[0])
	if n == 5 {
		return netip.AddrFrom4([4]byte([]byte(text[1:5]))), text[5:]
	}
	return netip.AddrFrom16([16]byte([]byte(text[1:17]))), text[17:]
}

// pack returns the fixed part of an instance, and appends its text to b.
func pack(b []byte, i *Instance) (entry, []byte) {
	e := entry{
		revision:   i.Revision,
		registered: i.registered,
		lease:      i.lease.Number(),
		text:       uint32(len(b)),
		priority:   i.Priority,
		status:     i.Status,
		id:         uint8(len(i.id)),
		hostname:   uint8(len(i.Hostname)),
		addresses:  uint8(len(i.Addresses)),
	}
	b = append(b, i.id...)
	if i.Hostname == i.id {
		e.hostname = sameAsID
	} else {
		b = append(b, i.Hostname...)
	}
	for _, addr := range i.Addresses {
		b = packAddress(b, addr)
	}
	return e, b
}

// packAddress appends an address: its length, and so many bytes.
func packAddress(b []byte, addr netip.Addr) []byte {
	if addr.Is4() {
		four := addr.As4()
		return append(append(b, uint8(len(four))), four[:]...)
	}
	sixteen := addr.As16()
	return append(append(b, uint8(len(sixteen))), sixteen[:]...)
}

// newBlock returns an empty block of a revision, with room for so many entries. Both are one piece
// of memory: who looks for an instance finds them in one place.
func newBlock(made uint64, room int) *block {
	var b *block
	switch {
	case room <= 2:
		w := new(struct {
			block
			room [2]entry
		})
		b, w.entries = &w.block, w.room[:0]
	case room <= 4:
		w := new(struct {
			block
			room [4]entry
		})
		b, w.entries = &w.block, w.room[:0]
	case room <= 12:
		w := new(struct {
			block
			room [12]entry
		})
		b, w.entries = &w.block, w.room[:0]
	default:
		w := new(struct {
			block
			room [blockLen]entry
		})
		b, w.entries = &w.block, w.room[:0]
	}
	b.made, b.traits = made, b.one[:0]
	return b
}

// packBlock packs instances, blockLen at the most, which are in order. The block belongs to no
// revision that will be made.
func packBlock(instances []*Instance) *block {
	b := newBlock(0, len(instances))
	var room [1024]byte
	text := room[:0]
	for _, i := range instances {
		var e entry
		e, text = pack(text, i)
		e.traits = b.share(i.traits)
		b.entries = append(b.entries, e)
	}
	b.text = string(text)
	return b
}

// put places an instance at a place: before the one that is there, or instead of it. The block
// belongs to the revision that is being made.
func (b *block) put(at int, i *Instance, instead bool) {
	var room [128]byte
	e, text := pack(room[:0], i)
	e.traits = b.share(i.traits)
	from := uint32(len(b.text))
	if at < len(b.entries) {
		from = b.entries[at].text
	}
	to := from
	if instead {
		to = b.end(at)
	}
	e.text = from
	b.text = b.text[:from] + string(text) + b.text[to:]
	if instead {
		b.entries[at] = e
	} else {
		b.entries = slices.Insert(b.entries, at, e)
	}
	for n := at + 1; n < len(b.entries); n++ {
		b.entries[n].text += from + uint32(len(text)) - to
	}
	b.prune()
}

// remove takes the n-th instance out. The block belongs to the revision that is being made.
func (b *block) remove(at int) {
	from, to := b.entries[at].text, b.end(at)
	b.text = b.text[:from] + b.text[to:]
	b.entries = slices.Delete(b.entries, at, at+1)
	for n := at; n < len(b.entries); n++ {
		b.entries[n].text -= to - from
	}
	b.prune()
}

// share returns the place of traits among those of the block.
func (b *block) share(t *traits) uint8 {
	at := slices.IndexFunc(b.traits, t.equal)
	if at < 0 {
		at = len(b.traits)
		b.traits = append(b.traits, t)
	}
	return uint8(at)
}

// prune drops traits that no instance has any more.
func (b *block) prune() {
	if len(b.traits) <= 1 {
		return
	}
	var used [blockLen + 1]bool
	for n := range b.entries {
		used[b.entries[n].traits] = true
	}
	for t := len(b.traits) - 1; t >= 0; t-- {
		if used[t] {
			continue
		}
		b.traits = slices.Delete(b.traits, t, t+1)
		for n := range b.entries {
			if b.entries[n].traits > uint8(t) {
				b.entries[n].traits--
			}
		}
	}
}

// slice returns a block of some of the instances, for a revision. There is room for one more.
func (b *block) slice(made uint64, from, to int) *block {
	c := newBlock(made, to-from+1)
	c.entries = append(c.entries, b.entries[from:to]...)
	switch {
	case len(c.entries) == len(b.entries):
		c.text = b.text
	case from < to:
		begin := b.entries[from].text
		c.text = strings.Clone(b.text[begin:b.end(to-1)]) // not to keep the rest alive
		for n := range c.entries {
			c.entries[n].text -= begin
		}
	}
	c.traits = append(c.traits, b.traits...)
	c.prune()
	return c
}

// add adds the instances of the block that follows.
func (b *block) add(next *block) {
	begin := uint32(len(b.text))
	b.text += next.text
	for _, e := range next.entries {
		e.text += begin
		e.traits = b.share(next.traits[e.traits])
		b.entries = append(b.entries, e)
	}
}
